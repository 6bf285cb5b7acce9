import * as Facts from "@effect-k8s/codegen/normalise/Facts"
import { assert, describe, it } from "@effect/vitest"

describe("schemas for a server", () => {
  it("keep how lists and maps are merged, formats, values and defaults, and no words", () => {
    const schema = {
      type: "array",
      items: { type: "integer", format: "int32", enum: [1, 2], default: 1 },
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["port"],
      "x-kubernetes-patch-strategy": "merge,retainKeys",
      "x-kubernetes-patch-merge-key": "port"
    }
    const words = { description: "words", title: "words", example: 1, externalDocs: {} }
    assert.deepStrictEqual(Facts.facts({ ...schema, ...words, items: { ...schema.items, ...words } }), schema)
  })

  it("keep properties that are called like keywords", () => {
    const properties = {
      $ref: { type: "string" },
      description: { type: "string" },
      properties: { type: "object", additionalProperties: { type: "string" } }
    }
    assert.deepStrictEqual(
      Facts.facts({ properties: { ...properties, title: { description: "words", type: "string" } } }),
      { properties: { ...properties, title: { type: "string" } } }
    )
  })

  it("keep a kind, and drop those that several groups register", () => {
    const kind = { group: "apps", kind: "Deployment", version: "v1" }
    const name = "x-kubernetes-group-version-kind"
    assert.deepStrictEqual(Facts.facts({ [name]: [kind] }), { [name]: [kind] })
    assert.deepStrictEqual(Facts.facts({ [name]: [kind, { ...kind, group: "other" }] }), {})
  })
})
