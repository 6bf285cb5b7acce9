import { hoist } from "@effect-k8s/codegen/normalise/Hoist"
import * as Schema from "@effect-k8s/codegen/normalise/Schema"
import { assert, describe, it } from "@effect/vitest"

const string = { type: "string" }
const struct = (properties: Readonly<Record<string, unknown>>, rest: Readonly<Record<string, unknown>> = {}) => ({
  type: "object",
  properties,
  ...rest
})

/** The properties of all definitions, each with what its schema refers to. */
const hoisted = (schemas: Readonly<Record<string, Readonly<Record<string, unknown>>>>) => {
  const definitions = new Map(Object.entries(schemas).map(([name, raw]) => [name, Schema.definition(name, raw)]))
  return Object.fromEntries([...hoist(definitions)].map(([name, { properties }]) => [
    name,
    (properties ?? []).map(({ name, schema }) => [name, ...Schema.references(schema)].join(" "))
  ]))
}

describe("structs without a name", () => {
  it("are named by their path, through lists and maps", () => {
    assert.deepStrictEqual(
      hoisted({
        "a.v1.K": struct({
          spec: struct({
            rules: { type: "array", items: struct({ if: struct({ a: string }) }) },
            "by-name": { type: "object", additionalProperties: struct({ b: string }) }
          })
        })
      }),
      {
        "a.v1.K": ["spec a.v1.KSpec"],
        "a.v1.KSpec": ["by-name a.v1.KSpecByName", "rules a.v1.KSpecRules"],
        "a.v1.KSpecByName": ["b"],
        "a.v1.KSpecRules": ["if a.v1.KSpecRulesIf"],
        "a.v1.KSpecRulesIf": ["a"]
      }
    )
  })

  it("are one if they are equal, by the shortest path", () => {
    const reference = struct({ name: string })
    assert.deepStrictEqual(
      hoisted({
        "a.v1.K": struct({
          deep: struct({ er: struct({ reference }) }),
          other: reference,
          required: struct({ name: string }, { required: ["name"] })
        })
      }),
      {
        "a.v1.K": ["deep a.v1.KDeep", "other a.v1.KOther", "required a.v1.KRequired"],
        "a.v1.KDeep": ["er a.v1.KDeepEr"],
        "a.v1.KDeepEr": ["reference a.v1.KOther"],
        "a.v1.KOther": ["name"],
        "a.v1.KRequired": ["name"]
      }
    )
  })

  it("are not one if only their words differ, as long as words are kept", () => {
    const described = (description: string) => struct({ name: { ...string, description } })
    const kind = struct({ a: described("x"), b: described("y") })
    assert.deepStrictEqual(Object.keys(hoisted({ K: kind })), ["K", "KA", "KB"])
    const bare = Schema.withoutDocs(Schema.definition("K", kind))
    assert.deepStrictEqual([...hoist(new Map([["K", bare]])).keys()], ["K", "KA"])
  })

  it("of different kinds are never one", () => {
    const kind = struct({ reference: struct({ name: string }) })
    assert.deepStrictEqual(Object.keys(hoisted({ A: kind, B: kind })), ["A", "AReference", "B", "BReference"])
  })

  it("have names of their own when paths meet", () => {
    assert.deepStrictEqual(
      Object.keys(hoisted({
        A: struct({ bC: struct({ x: string }), b: struct({ c: struct({ y: string }) }) }),
        AB: struct({ c: struct({ z: string }) })
      })),
      ["A", "AB2", "ABC", "ABC2", "AB", "ABC3"]
    )
  })

  it("keep what else was said of them", () => {
    const inner = struct({ a: string }, { nullable: true, "x-kubernetes-map-type": "atomic" })
    const definitions = hoist(new Map([["K", Schema.definition("K", struct({ inner }))]]))
    assert.deepStrictEqual(definitions.get("K")?.properties?.[0]?.schema, {
      $ref: "KInner",
      nullable: true,
      mapType: "atomic"
    })
    assert.strictEqual(definitions.get("KInner")?.mapType, "atomic")
  })
})
