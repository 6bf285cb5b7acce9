import type { JsonObject } from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { applying, managers, refused } from "./support/Applying.ts"
import { start } from "./support/Server.ts"
import * as Widgets from "./support/Widgets.ts"

// The answers are those of Kubernetes 1.34 to the same requests.

const widget = (spec: JsonObject) => ({ apiVersion: "example.com/v1", kind: "Widget", metadata: { name: "w" }, spec })
const text = { type: "string" }
const definition = Widgets.definition([{
  name: "v1",
  served: true,
  storage: true,
  subresources: {
    status: {},
    scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" }
  },
  schema: {
    openAPIV3Schema: {
      type: "object",
      properties: {
        spec: {
          type: "object",
          properties: {
            replicas: { type: "integer" },
            plain: { type: "array", items: text },
            set: { type: "array", items: text, "x-kubernetes-list-type": "set" },
            map: {
              type: "array",
              "x-kubernetes-list-type": "map",
              "x-kubernetes-list-map-keys": ["name"],
              items: { type: "object", properties: { name: text, v: { type: "integer" } } }
            },
            atom: { type: "object", "x-kubernetes-map-type": "atomic", properties: { a: text, b: text } },
            free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
            half: {
              type: "object",
              "x-kubernetes-preserve-unknown-fields": true,
              properties: { known: { type: "object", properties: { a: text } } }
            },
            port: { "x-kubernetes-int-or-string": true }
          }
        },
        status: { type: "object", properties: { phase: text } }
      }
    }
  }
}])

describe("server-side apply to custom resources", () => {
  const begin = Effect.gen(function*() {
    const { client } = yield* start()
    yield* client.post(Widgets.definitions, definition)
    const one = yield* applying(client, `${Widgets.widgets}/w`)(
      "one",
      widget({
        replicas: 1,
        plain: ["a"],
        set: ["a", "b"],
        map: [{ name: "n", v: 1 }],
        atom: { a: "1" },
        free: { a: { b: [1, { c: 1 }] } },
        half: { known: { a: "x" }, other: { z: 1 } },
        port: 80
      })
    )
    return { client, one, apply: applying(client, `${Widgets.widgets}/w`) }
  })

  it.effect("goes by their schema", () =>
    Effect.gen(function*() {
      const { apply, one } = yield* begin
      assert.deepStrictEqual([one.status, managers(one)], [201, {
        "Apply one": {
          "f:spec": {
            "f:atom": {},
            "f:free": { "f:a": { ".": {}, "f:b": {} } },
            "f:half": { "f:known": { "f:a": {} }, "f:other": { ".": {}, "f:z": {} } },
            "f:map": { "k:{\"name\":\"n\"}": { ".": {}, "f:name": {}, "f:v": {} } },
            "f:plain": {},
            "f:port": {},
            "f:replicas": {},
            "f:set": { "v:\"a\"": {}, "v:\"b\"": {} }
          }
        }
      }])
      const other = {
        plain: ["b"],
        atom: { b: "2" },
        map: [{ name: "n", v: 2 }],
        free: { a: { b: [2] } },
        port: "http"
      }
      assert.strictEqual(
        (yield* apply("two", widget(other))).at("message"),
        "Apply failed with 5 conflicts: conflicts with \"one\":\n- .spec.atom\n- .spec.plain\n- .spec.port\n- .spec.free.a.b\n- .spec.map[name=\"n\"].v"
      )
      yield* apply("two", widget({ set: ["b", "c"], map: [{ name: "z" }], free: { a: { d: 1 } } }))
      const dropped = yield* apply("one", widget({ replicas: 1 }))
      assert.deepStrictEqual(dropped.at("spec"), {
        replicas: 1,
        set: ["b", "c"],
        map: [{ name: "z" }],
        free: { a: { d: 1 } }
      })
    }))

  it.effect("refuses what their schema does not have, and what is twice in a set", () =>
    Effect.gen(function*() {
      const { apply } = yield* begin
      const of = "failed to create typed patch object (/w; example.com/v1, Kind=Widget): "
      assert.strictEqual(
        (yield* apply("one", widget({ nope: 1 }))).at("message"),
        `${of}.spec.nope: field not declared in schema`
      )
      assert.strictEqual(
        (yield* apply("one", widget({ set: ["b", "b"] }))).at("message"),
        `${of}.spec.set: duplicate entries for key [="b"]`
      )
    }))

  it.effect("leaves all but the status to the object; their scale cannot be applied to", () =>
    Effect.gen(function*() {
      const { client } = yield* begin
      const wanted = { ...widget({ replicas: 7 }), status: { phase: "p" } }
      const status = yield* applying(client, `${Widgets.widgets}/w/status`)("st", wanted)
      assert.deepStrictEqual([status.at("spec", "replicas"), status.at("status")], [1, { phase: "p" }])
      assert.deepStrictEqual(managers(status)["Apply st/status"], { "f:status": { "f:phase": {} } })
      const scale = { apiVersion: "autoscaling/v1", kind: "Scale", metadata: { name: "w" }, spec: { replicas: 2 } }
      assert.deepStrictEqual(refused(yield* applying(client, `${Widgets.widgets}/w/scale`)("sc", scale)), [
        500,
        undefined,
        "failed to convert new object (/w; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to an invalid group/version: autoscaling/v1"
      ])
      const strategic = yield* client.patch(`${Widgets.widgets}/w`, "strategic-merge-patch+json", {})
      assert.deepStrictEqual([strategic.status, strategic.at("details")], [415, undefined])
    }))
})
