import * as Api from "@effect-k8s/core/Api"
import * as Discovery from "@effect-k8s/core/Discovery"
import * as Resource from "@effect-k8s/core/Resource"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { failed, withServer } from "./apiFixtures.ts"
import { json } from "./scriptedServer.ts"

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
const resources = {
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: "example.com/v1",
  resources: [
    { name: "widgets/status", singularName: "", namespaced: true, kind: "Widget", verbs: ["get", "patch", "update"] },
    { name: "widgets/scale", namespaced: true, group: "autoscaling", version: "v1", kind: "Scale", verbs: ["get"] },
    { name: "widgets/exec", namespaced: true, kind: "WidgetExecOptions", verbs: ["create", "get"] },
    { name: "widgets/log", namespaced: true, kind: "Widget", verbs: ["get"] },
    { name: "widgets", singularName: "widget", namespaced: true, kind: "Widget", verbs: ["get", "list"] },
    { name: "planets", singularName: "planet", namespaced: false, kind: "Planet", verbs },
    { name: 1, kind: "Broken" },
    "broken"
  ]
}
const apiVersion = "example.com/v1"

describe("a kind that the program does not know", () => {
  it.effect("has the row that the cluster tells", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(() => json(resources), Discovery.find({ apiVersion, kind: "Widget" }))
      assert.deepStrictEqual(value, {
        group: "example.com",
        version: "v1",
        kind: "Widget",
        plural: "widgets",
        scope: "Namespaced",
        verbs: 24,
        subresources: { status: 104, scale: 8, exec: Resource.connect, log: Resource.connect },
        listKind: "WidgetList"
      })
      assert.deepStrictEqual(seen.map(({ method, path }) => `${method} ${path}`), ["GET /apis/example.com/v1"])
    }).pipe(Effect.scoped))

  it.effect("has the methods of any other", () =>
    Effect.gen(function*() {
      const planet = { apiVersion, kind: "Planet", metadata: { name: "mars" }, spec: { moons: 2 } }
      const { seen, value } = yield* withServer(
        ({ path }) => json(path.endsWith("/v1") ? resources : planet),
        Effect.flatMap(Discovery.find({ apiVersion, kind: "Planet" }), (row) => Api.make(row).get("mars"))
      )
      assert.deepStrictEqual<unknown>(value, planet)
      assert.strictEqual(seen[1]?.path, "/apis/example.com/v1/planets/mars")
    }).pipe(Effect.scoped))

  it.effect("is asked for in the core group, too", () =>
    Effect.gen(function*() {
      const pods = { resources: [{ name: "pods", namespaced: true, kind: "Pod", verbs }] }
      const { seen, value } = yield* withServer(() => json(pods), Discovery.find({ apiVersion: "v1", kind: "Pod" }))
      assert.deepStrictEqual([value.group, value.version, value.verbs], ["", "v1", 255])
      assert.strictEqual(seen[0]?.path, "/api/v1")
    }).pipe(Effect.scoped))

  it.effect("is NotFound when the cluster has none of that name", () =>
    Effect.gen(function*() {
      for (const answer of [resources, {}, { resources: null }, []]) {
        const { message, reason } = yield* failed(
          withServer(() => json(answer), Discovery.find({ apiVersion, kind: "Gadget" }))
        )
        assert.strictEqual(reason._tag, "NotFound")
        assert.include(message, "the cluster has no kind Gadget in example.com/v1")
      }
    }).pipe(Effect.scoped))

  it.effect("is NotFound when the cluster does not have its group", () =>
    Effect.gen(function*() {
      const { message, reason } = yield* failed(
        withServer(
          () => new Response("404 page not found", { status: 404 }),
          Discovery.find({ apiVersion, kind: "Gadget" })
        )
      )
      assert.strictEqual(reason._tag, "NotFound")
      assert.include(message, "the cluster has no group-version example.com/v1")
    }).pipe(Effect.scoped))

  it.effect("of an apiVersion that is none is not asked for", () =>
    Effect.gen(function*() {
      for (const apiVersion of ["", "a/b/c", "../v1", "a/", "a%2fb"]) {
        const { message, reason } = yield* failed(
          withServer(() => assert.fail("asked"), Discovery.find({ apiVersion, kind: "Gadget" }))
        )
        assert.strictEqual(reason._tag, "Encode")
        assert.include(message, "is no apiVersion")
      }
    }).pipe(Effect.scoped))
})
