import * as Apply from "@effect-k8s/codegen/ir/Apply"
import * as Schema from "@effect-k8s/codegen/normalise/Schema"
import { assert, describe, it } from "@effect/vitest"
import { ref } from "./support/documents.ts"

const string = { type: "string" }
const mapList = (of: string, ...keys: ReadonlyArray<string>) => ({
  type: "array",
  items: ref(of),
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": keys
})
const atomicList = (of: string) => ({ type: "array", items: ref(of), "x-kubernetes-list-type": "atomic" })
const struct = (
  properties: Readonly<Record<string, unknown>>,
  required: ReadonlyArray<string> = [],
  mapType?: "atomic"
) => ({ type: "object", properties, required, "x-kubernetes-map-type": mapType })

/** How the properties of `Root` are applied: each as `name?: type` of the overridden ones, by form. */
const differences = (root: Readonly<Record<string, unknown>>, schemas: Readonly<Record<string, object>>) => {
  const definitions = new Map(
    Object.entries(schemas).map(([name, raw]) => [name, Schema.definition(name, { ...raw })])
  )
  const roots = Object.values(root).map((raw) =>
    Apply.applySchema(definitions, Schema.schema(Object.fromEntries(Object.entries(Object(raw)))))
  )
  const found = Apply.differences(definitions, roots)
  return Object.fromEntries([...found].map(([form, { overridden, rest }]) => [form, {
    rest,
    overridden: Object.fromEntries(
      overridden.map(({ optional, property, schema }) => [
        `${property.name}${optional ? "?" : ""}`,
        schema.$ref ?? schema.items?.$ref ?? schema.additionalProperties?.$ref ?? schema.type
      ])
    )
  }]))
}

describe("server-side apply", () => {
  it("asks of an element of a map list for its keys only", () => {
    assert.deepStrictEqual(
      differences({ containers: mapList("C", "name") }, {
        C: struct({ name: string, image: string, id: string }, ["name", "image"])
      }),
      { "C#apply:name": { rest: "partial", overridden: { name: "string" } } }
    )
  })

  it("leaves an element as it is when it requires nothing but its keys", () => {
    assert.deepStrictEqual(
      differences({ env: mapList("EnvVar", "name") }, { EnvVar: struct({ name: string, value: string }, ["name"]) }),
      {}
    )
  })

  it("does not ask for a key that has a default beside other keys", () => {
    assert.deepStrictEqual(
      differences({ ports: mapList("Port", "port", "protocol") }, {
        Port: struct({ port: string, protocol: string, target: string }, ["port", "target"])
      }),
      { "Port#apply:port,protocol": { rest: "partial", overridden: { port: "string" } } }
    )
  })

  it("asks for the only key even if the element itself does not", () => {
    assert.deepStrictEqual(
      differences({ conditions: mapList("Condition", "type") }, { Condition: struct({ type: string, text: string }) }),
      { "Condition#apply:type": { rest: "partial", overridden: { type: "string" } } }
    )
  })

  it("makes the fields of a struct optional", () => {
    assert.deepStrictEqual(
      differences({ spec: ref("Spec") }, {
        Spec: struct({ selector: string, inner: ref("Inner"), optional: ref("Optional") }, ["selector"]),
        Inner: struct({ a: string }, ["a"]),
        Optional: struct({ a: string })
      }),
      {
        "Spec#apply": { rest: "partial", overridden: { "inner?": "Inner#apply" } },
        "Inner#apply": { rest: "partial", overridden: {} }
      }
    )
  })

  it("wants atomic structs, atomic lists and what is inside them complete", () => {
    assert.deepStrictEqual(
      differences({ selector: ref("Selector"), tolerations: atomicList("T"), inside: ref("Holder") }, {
        Selector: struct({ key: string }, ["key"], "atomic"),
        T: struct({ a: string }, ["a"]),
        Holder: struct({ selector: ref("Selector"), more: atomicList("T") })
      }),
      {}
    )
  })

  it("completes the keys of an atomic element without making it partial", () => {
    assert.deepStrictEqual(
      differences({ secrets: mapList("Reference", "name") }, {
        Reference: struct({ name: string, field: ref("Field") }, [], "atomic"),
        Field: struct({ a: string }, ["a"])
      }),
      { "Reference#apply:name": { rest: "same", overridden: { name: "string" } } }
    )
  })

  it("lets a property overrule the map type of its struct", () => {
    assert.deepStrictEqual(
      differences({ claim: ref("Reference", { "x-kubernetes-map-type": "granular" }) }, {
        Reference: struct({ name: string }, ["name"], "atomic")
      }),
      { "Reference#apply": { rest: "partial", overridden: {} } }
    )
    assert.deepStrictEqual(
      differences({ claim: ref("Plain", { "x-kubernetes-map-type": "atomic" }) }, {
        Plain: struct({ name: string }, ["name"])
      }),
      {}
    )
  })

  it("merges the values of a map, unless it is atomic", () => {
    const map = (type?: string) => ({ type: "object", additionalProperties: ref("V"), "x-kubernetes-map-type": type })
    const schemas = { V: struct({ a: string }, ["a"]) }
    assert.deepStrictEqual(differences({ map: map() }, schemas), { "V#apply": { rest: "partial", overridden: {} } })
    assert.deepStrictEqual(differences({ map: map("atomic") }, schemas), {})
  })

  it("follows a struct that contains itself", () => {
    assert.deepStrictEqual(
      differences({ schema: ref("S") }, {
        S: struct({ not: ref("S"), rules: mapList("Rule", "rule") }),
        Rule: struct({ rule: string, text: string }, ["rule", "text"])
      }),
      {
        "S#apply": { rest: "partial", overridden: { "not?": "S#apply", "rules?": "Rule#apply:rule" } },
        "Rule#apply:rule": { rest: "partial", overridden: { rule: "string" } }
      }
    )
    assert.deepStrictEqual(differences({ schema: ref("S") }, { S: struct({ not: ref("S") }) }), {})
  })
})
