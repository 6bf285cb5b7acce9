import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { start } from "./support/Server.ts"
import { definition, definitions, widgets } from "./support/Widgets.ts"

const widget = (more: object = {}) => ({ metadata: { name: "w" }, spec: { size: 1 }, ...more })

describe("a custom resource definition", () => {
  it.effect("brings its resource, and says so", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      assert.strictEqual((yield* client.get(widgets)).status, 404)
      yield* client.post(definitions, definition())
      const stored = yield* client.get(`${definitions}/widgets.example.com`)
      assert.deepStrictEqual(
        [stored.at("status", "conditions", 1, "type"), stored.at("status", "storedVersions", 0)],
        ["Established", "v1"]
      )
      const created = yield* client.post(widgets, widget())
      assert.deepStrictEqual([created.status, created.at("kind"), created.at("apiVersion")], [
        201,
        "Widget",
        "example.com/v1"
      ])
      assert.strictEqual(created.at("metadata", "generation"), 1)
      const list = yield* client.get(widgets)
      assert.deepStrictEqual([list.at("kind"), list.at("items", 0, "kind")], ["WidgetList", "Widget"])
      assert.strictEqual((yield* client.get("/apis/example.com/v1")).at("resources", 0, "singularName"), "widget")
    }))

  it.effect("brings the versions that are served, and what each has", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(
        definitions,
        definition([
          { name: "v1", served: true, storage: true, subresources: { status: {} } },
          { name: "v1beta1", served: true, storage: false },
          { name: "v1alpha1", served: false, storage: false }
        ])
      )
      yield* client.post(widgets, widget({ status: { ready: true } }))
      assert.strictEqual((yield* client.get(`${widgets}/w`)).at("status"), undefined)
      const beta = widgets.replace("v1", "v1beta1")
      assert.strictEqual((yield* client.get(`${beta}/w`)).at("apiVersion"), "example.com/v1beta1")
      assert.strictEqual((yield* client.get(widgets.replace("v1", "v1alpha1"))).status, 404)
      assert.strictEqual((yield* client.get("/apis/example.com")).at("preferredVersion", "version"), "v1")
    }))

  it.effect("has objects with rules of their own", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(definitions, definition())
      yield* client.post(widgets, widget())
      const blind = yield* client.put(`${widgets}/w`, widget({ spec: { size: 2 } }))
      assert.deepStrictEqual([blind.status, blind.at("details", "causes", 0, "field")], [
        422,
        "metadata.resourceVersion"
      ])
      const patch = (type: string) => client.patch(`${widgets}/w`, type, { spec: { size: 2 } })
      assert.strictEqual((yield* patch("strategic-merge-patch+json")).status, 415)
      assert.strictEqual((yield* patch("merge-patch+json")).at("spec", "size"), 2)
    }))

  it.effect("takes its objects and its resource along when it goes", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(definitions, definition())
      yield* client.post(widgets, widget())
      yield* client.remove(`${definitions}/widgets.example.com`)
      assert.strictEqual((yield* client.get(`${widgets}/w`)).status, 404)
      yield* client.post(definitions, definition())
      assert.deepStrictEqual((yield* client.get(widgets)).at("items"), [])
    }))

  it.effect("must be named after what it defines", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const answer = yield* client.post(definitions, { ...definition(), metadata: { name: "x.example.com" } })
      assert.deepStrictEqual([answer.status, answer.at("details", "causes", 0, "field")], [422, "metadata.name"])
    }))
})
