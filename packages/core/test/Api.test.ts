import * as Api from "@effect-k8s/core/Api"
import { Deployment } from "@effect-k8s/core/apis/apps/v1"
import { SelfSubjectReview } from "@effect-k8s/core/apis/authentication/v1"
import { Binding, Namespace, Pod } from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as Resource from "@effect-k8s/core/Resource"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { base, list, parsed, pod, pods, status, withServer } from "./apiFixtures.ts"
import { clientOf, json, serve } from "./scriptedServer.ts"

interface Widget extends Resource.KubeObject<"example.com/v1", "Widget"> {
  readonly spec: { readonly size?: number | undefined }
}
interface WidgetInput extends Resource.KubeInput<"example.com/v1", "Widget"> {
  readonly spec: { readonly size?: number | undefined }
}
interface WidgetResource extends Resource.ResourceType {
  readonly object: Widget
  readonly input: WidgetInput
  readonly apply: Resource.KubeApply<"example.com/v1", "Widget">
  readonly scope: "Namespaced"
  readonly verbs: Resource.AllVerbs
  readonly strategic: false
  readonly sub: {}
}
const Widget: Resource.Resource<WidgetResource> = Resource.make(
  "example.com",
  "v1",
  "Widget",
  "widgets",
  "Namespaced",
  255
)

const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } }

describe("each verb asks for its path, with its query and body", () => {
  const input = { metadata: { name: "db-0" }, spec: { containers: [{ name: "a", image: "i" }] } }
  interface Row {
    readonly name: string
    readonly run: Effect.Effect<unknown, KubeError.KubeError, KubeClient>
    readonly answer: unknown
    readonly method: string
    readonly path: string
    readonly query?: Readonly<Record<string, string>>
    readonly body?: unknown
    readonly contentType?: string
  }
  const rows: ReadonlyArray<Row> = [
    { name: "get", run: pods.get("db-0"), answer: pod(), method: "GET", path: `${base}/db-0` },
    {
      name: "get, from the cache",
      run: pods.get("db-0", { resourceVersion: "0" }),
      answer: pod(),
      method: "GET",
      path: `${base}/db-0`,
      query: { resourceVersion: "0" }
    },
    { name: "getOption", run: pods.getOption("db-0"), answer: pod(), method: "GET", path: `${base}/db-0` },
    { name: "list", run: pods.list(), answer: list([]), method: "GET", path: base },
    {
      name: "list, with every option",
      run: pods.list({
        labelSelector: "app=web,tier!=cache",
        fieldSelector: "status.phase=Running",
        resourceVersion: "7",
        resourceVersionMatch: "NotOlderThan",
        limit: 5,
        continue: "tok/+="
      }),
      answer: list([]),
      method: "GET",
      path: base,
      query: {
        labelSelector: "app=web,tier!=cache",
        fieldSelector: "status.phase=Running",
        resourceVersion: "7",
        resourceVersionMatch: "NotOlderThan",
        limit: "5",
        continue: "tok/+="
      }
    },
    {
      name: "create",
      run: pods.create(input),
      answer: pod(),
      method: "POST",
      path: base,
      body: { apiVersion: "v1", kind: "Pod", ...input },
      contentType: "application/json"
    },
    {
      name: "create, with every option",
      run: pods.create(input, { dryRun: true, fieldManager: "me", fieldValidation: "Strict" }),
      answer: pod(),
      method: "POST",
      path: base,
      query: { dryRun: "All", fieldManager: "me", fieldValidation: "Strict" },
      body: { apiVersion: "v1", kind: "Pod", ...input }
    },
    {
      name: "create, of an object whose apiVersion and kind are there but undefined",
      run: pods.create({ ...input, apiVersion: undefined, kind: undefined }),
      answer: pod(),
      method: "POST",
      path: base,
      body: { apiVersion: "v1", kind: "Pod", ...input }
    },
    {
      name: "create, not a dry run",
      run: pods.create(input, { dryRun: false }),
      answer: pod(),
      method: "POST",
      path: base
    },
    {
      name: "replace",
      run: pods.replace("db-0", input, { fieldManager: "me" }),
      answer: pod(),
      method: "PUT",
      path: `${base}/db-0`,
      query: { fieldManager: "me" },
      body: { apiVersion: "v1", kind: "Pod", ...input },
      contentType: "application/json"
    },
    {
      name: "patch.json",
      run: pods.patch.json("db-0", [{ op: "remove", path: "/metadata/labels/a~1b" }], { fieldManager: "me" }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0`,
      query: { fieldManager: "me" },
      body: [{ op: "remove", path: "/metadata/labels/a~1b" }],
      contentType: "application/json-patch+json"
    },
    {
      name: "patch.merge",
      run: pods.patch.merge("db-0", { metadata: { labels: { a: null } } }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0`,
      body: { metadata: { labels: { a: null } } },
      contentType: "application/merge-patch+json"
    },
    {
      name: "patch.strategic",
      run: pods.patch.strategic("db-0", { spec: { containers: [{ name: "a", $patch: "delete" }] } }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0`,
      body: { spec: { containers: [{ name: "a", $patch: "delete" }] } },
      contentType: "application/strategic-merge-patch+json"
    },
    {
      name: "apply",
      run: pods.apply({ metadata: { name: "db-0", labels: { a: "b" } } }, { fieldManager: "me" }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0`,
      query: { fieldManager: "me" },
      body: { apiVersion: "v1", kind: "Pod", metadata: { name: "db-0", labels: { a: "b" } } },
      contentType: "application/apply-patch+yaml"
    },
    {
      name: "apply, by force",
      run: pods.apply({ metadata: { name: "db-0" } }, { fieldManager: "me", force: true, dryRun: true }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0`,
      query: { dryRun: "All", fieldManager: "me", force: "true" }
    },
    {
      name: "apply of a subresource",
      run: pods.status.apply({ metadata: { name: "db-0" }, status: { message: "m" } }, { fieldManager: "me" }),
      answer: pod(),
      method: "PATCH",
      path: `${base}/db-0/status`,
      query: { fieldManager: "me" },
      body: { apiVersion: "v1", kind: "Pod", metadata: { name: "db-0" }, status: { message: "m" } },
      contentType: "application/apply-patch+yaml"
    },
    {
      name: "delete",
      run: pods.delete("db-0"),
      answer: status,
      method: "DELETE",
      path: `${base}/db-0`,
      body: { kind: "DeleteOptions", apiVersion: "v1" },
      contentType: "application/json"
    },
    {
      name: "delete, with every option",
      run: pods.delete("db-0", {
        gracePeriodSeconds: 0,
        propagationPolicy: "Foreground",
        preconditions: { uid: "u", resourceVersion: "5" },
        dryRun: true
      }),
      answer: pod(),
      method: "DELETE",
      path: `${base}/db-0`,
      body: {
        kind: "DeleteOptions",
        apiVersion: "v1",
        gracePeriodSeconds: 0,
        propagationPolicy: "Foreground",
        preconditions: { uid: "u", resourceVersion: "5" },
        dryRun: ["All"]
      }
    },
    {
      name: "deleteCollection",
      run: pods.deleteCollection({ labelSelector: "app=web" }, { propagationPolicy: "Background" }),
      answer: status,
      method: "DELETE",
      path: base,
      query: { labelSelector: "app=web" },
      body: { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background" }
    },
    {
      name: "the client's namespace when none is given",
      run: Api.make(Pod).get("db-0"),
      answer: pod(),
      method: "GET",
      path: "/api/v1/namespaces/ctx/pods/db-0"
    },
    {
      name: "the client's namespace when it is undefined",
      run: Api.make(Pod, { namespace: undefined }).get("db-0"),
      answer: pod(),
      method: "GET",
      path: "/api/v1/namespaces/ctx/pods/db-0"
    },
    {
      name: "a named group",
      run: Api.make(Deployment, { namespace: "shop" }).get("web"),
      answer: { ...pod("web"), apiVersion: "apps/v1", kind: "Deployment" },
      method: "GET",
      path: "/apis/apps/v1/namespaces/shop/deployments/web"
    },
    {
      name: "a hand-written kind",
      run: Api.make(Widget, { namespace: "shop" }).create({ metadata: { generateName: "w-" }, spec: { size: 1 } }),
      answer: { kind: "Widget" },
      method: "POST",
      path: "/apis/example.com/v1/namespaces/shop/widgets",
      body: { apiVersion: "example.com/v1", kind: "Widget", metadata: { generateName: "w-" }, spec: { size: 1 } }
    },
    {
      name: "a cluster-scoped kind",
      run: Api.make(Namespace).get("shop"),
      answer: namespace,
      method: "GET",
      path: "/api/v1/namespaces/shop"
    },
    {
      name: "the list of a cluster-scoped kind",
      run: Api.make(Namespace).list(),
      answer: { kind: "NamespaceList", items: [] },
      method: "GET",
      path: "/api/v1/namespaces"
    },
    {
      name: "all namespaces",
      run: Api.all(Pod).list({ limit: 1 }),
      answer: list([]),
      method: "GET",
      path: "/api/v1/pods",
      query: { limit: "1" }
    },
    {
      name: "a name with characters that a path must encode",
      run: pods.get("system:node ü?#"),
      answer: pod(),
      method: "GET",
      path: `${base}/system%3Anode%20%C3%BC%3F%23`
    },
    {
      name: "a review, which is only created",
      run: Api.make(SelfSubjectReview).create({}),
      answer: { kind: "SelfSubjectReview", apiVersion: "authentication.k8s.io/v1", status: {} },
      method: "POST",
      path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
      body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }
    },
    {
      name: "a binding, whose answer is a Status",
      run: Api.make(Binding, { namespace: "shop" }).create({
        metadata: { name: "db-0" },
        target: { kind: "Node", name: "n1" }
      }),
      answer: status,
      method: "POST",
      path: "/api/v1/namespaces/shop/bindings"
    }
  ]
  for (const row of rows) {
    it.effect(row.name, () =>
      Effect.gen(function*() {
        const { seen } = yield* withServer(() => json(row.answer), row.run)
        assert.strictEqual(seen.length, 1)
        const [asked] = seen
        assert.strictEqual(asked?.method, row.method)
        assert.strictEqual(asked?.path, row.path)
        assert.deepStrictEqual(Object.fromEntries(asked?.query ?? []), row.query ?? {})
        if (row.body !== undefined) assert.deepStrictEqual(parsed(asked), row.body)
        if (row.method === "GET") assert.isUndefined(asked?.body)
        if (row.contentType !== undefined) assert.strictEqual(asked?.headers["content-type"], row.contentType)
      }))
  }
})

describe("a name that is no segment of a path", () => {
  const bad = ["", ".", "..", "a/b", "/", "web-0/eviction", "a%2fb"]
  const runs: ReadonlyArray<
    readonly [string, (name: string) => Effect.Effect<unknown, KubeError.KubeError, KubeClient>]
  > = [
    ["get", (name) => pods.get(name)],
    ["getOption", (name) => pods.getOption(name)],
    ["replace", (name) => pods.replace(name, { spec: { containers: [] } })],
    ["patch", (name) => pods.patch.merge(name, {})],
    ["apply", (name) => pods.apply({ metadata: { name } }, { fieldManager: "me" })],
    ["apply of a status", (name) => pods.status.apply({ metadata: { name } }, { fieldManager: "me" })],
    ["delete", (name) => pods.delete(name)],
    ["scale", (name) => Api.make(Deployment).scale.get(name)],
    ["log", (name) => Stream.runDrain(pods.log(name))],
    ["a cluster-scoped get", (name) => Api.make(Namespace).get(name)],
    ["the namespace of a get", (name) => Api.make(Pod, { namespace: name }).get("db-0")],
    ["the namespace of a list", (name) => Api.make(Pod, { namespace: name }).list()],
    ["the namespace of a watch", (name) => Stream.runDrain(Api.make(Pod, { namespace: name }).watch())],
    ["the namespace of a deleteCollection", (name) => Api.make(Pod, { namespace: name }).deleteCollection({})],
    ["the namespace of a log", (name) => Stream.runDrain(Api.make(Pod, { namespace: name }).log("db-0"))]
  ]
  for (const [what, run] of runs) {
    it.effect(`is refused in ${what}, and nothing is asked`, () =>
      Effect.gen(function*() {
        for (const name of bad) {
          const server = serve(() => json(pod()))
          const client = yield* clientOf(server)
          const result = yield* Effect.result(Effect.provideService(run(name), KubeClient, client))
          assert(result._tag === "Failure", `${JSON.stringify(name)} was sent to ${server.seen[0]?.path}`)
          assert.strictEqual(result.failure.reason._tag, "Encode")
          assert.include(result.failure.message, JSON.stringify(name))
          assert.strictEqual(server.seen.length, 0)
        }
      }))
  }
})
