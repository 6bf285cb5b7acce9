import * as Normalise from "@effect-k8s/codegen/normalise/Normalise"
import type { Property } from "@effect-k8s/codegen/normalise/Schema"
import * as Schema from "@effect-k8s/codegen/normalise/Schema"
import { assert, describe, it } from "@effect/vitest"
import { openApi, ref } from "./support/documents.ts"

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1"
const apiextensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"
const openRecord = { type: "object", additionalProperties: {} }

const plain = (name: string): Property => ({ name, schema: {}, required: false, present: false, deprecated: false })

const rows: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>, Schema.Schema]> = [
  ["a reference keeps its name only", ref("a.b.Pod"), { $ref: "a.b.Pod" }],
  ["an allOf of one is its reference", ref("a.b.Pod", { default: {}, description: "text" }), { $ref: "a.b.Pod" }],
  ["an allOf of one keeps the map type beside it", ref("a.B", { "x-kubernetes-map-type": "granular" }), {
    $ref: "a.B",
    mapType: "granular"
  }],
  ["validations and defaults are dropped", { type: "integer", format: "int32", default: 0, minimum: 1, maximum: 9 }, {
    type: "integer"
  }],
  ["Quantity is a type of the runtime", ref("io.k8s.apimachinery.pkg.api.resource.Quantity"), { $ref: "#Quantity" }],
  ["IntOrString is known by name", ref("io.k8s.apimachinery.pkg.util.intstr.IntOrString"), { $ref: "#IntOrString" }],
  ["IntOrString is known by format", { type: "string", format: "int-or-string" }, { $ref: "#IntOrString" }],
  ["IntOrString is known by the extension of custom resources", {
    anyOf: [{ type: "integer" }, { type: "string" }],
    "x-kubernetes-int-or-string": true
  }, { $ref: "#IntOrString" }],
  ["Time and MicroTime are told apart by name", { type: "array", items: ref(`${meta}.MicroTime`) }, {
    type: "array",
    items: { $ref: "#MicroTime" }
  }],
  ["Time is known by name", ref(`${meta}.Time`), { $ref: "#Time" }],
  ["an inline date-time is a Time", { type: "string", format: "date-time" }, { $ref: "#Time" }],
  ["bytes are known by format", { type: "object", additionalProperties: { type: "string", format: "byte" } }, {
    type: "object",
    additionalProperties: { $ref: "#Bytes" }
  }],
  ["nested metadata is that of a template", ref(`${meta}.ObjectMeta`, { default: {} }), { $ref: "#ObjectMetaInput" }],
  ["RawExtension is an open record", ref("io.k8s.apimachinery.pkg.runtime.RawExtension"), openRecord as Schema.Schema],
  ["an object without properties is an open record", { type: "object" }, openRecord as Schema.Schema],
  ["JSON is unknown", ref(`${apiextensions}.JSON`), {}],
  ["an empty schema is unknown", {}, {}],
  ["enums are open, in the order of the document", { type: "string", enum: ["b", "a", ""] }, {
    anyOf: [
      { type: "string", enum: ["b"] },
      { type: "string", enum: ["a"] },
      { type: "string", enum: [""] },
      { $ref: "#OtherString" }
    ]
  }],
  ["an enumeration of numbers stays open, too", { type: "integer", enum: [1, 2, 1] }, {
    anyOf: [{ type: "integer", enum: [1] }, { type: "integer", enum: [2] }, { $ref: "#OtherNumber" }]
  }],
  ["values of an enumeration that are not of its type are no texts", { type: "string", enum: [1, true] }, {
    type: "string"
  }],
  ["nullable is a type of its own in OpenAPI 3.1", { type: ["string", "null"] }, { type: "string", nullable: true }],
  ["several types are unknown", { type: ["string", "integer"] }, {}],
  ["the type decides, whatever keywords there are", { type: "string", properties: {} }, { type: "string" }],
  ["an object with no properties is an open record", { type: "object", properties: {} }, openRecord as Schema.Schema],
  ["properties make an object", { properties: { a: { type: "string" } } }, {
    type: "object",
    struct: { properties: [{ ...plain("a"), schema: { type: "string" } }] }
  }],
  ["unknown fields beside known ones make a struct open", {
    type: "object",
    properties: { a: {} },
    "x-kubernetes-preserve-unknown-fields": true
  }, { type: "object", struct: { properties: [plain("a")], open: true } }],
  ["unknown fields alone are an open record", { type: "object", "x-kubernetes-preserve-unknown-fields": true }, {
    ...openRecord as Schema.Schema
  }],
  ["unknown fields without a type are unknown", { "x-kubernetes-preserve-unknown-fields": true }, {}],
  ["an embedded object has its kind and metadata", {
    type: "object",
    "x-kubernetes-embedded-resource": true,
    properties: { spec: { type: "integer" } }
  }, {
    type: "object",
    struct: {
      properties: [
        { ...plain("apiVersion"), schema: { type: "string" }, required: true },
        { ...plain("kind"), schema: { type: "string" }, required: true },
        { ...plain("metadata"), schema: { $ref: "#ObjectMetaInput" } },
        { ...plain("spec"), schema: { type: "integer" } }
      ]
    }
  }],
  ["an alternative of validations is not one of types", {
    type: "object",
    properties: { a: {} },
    oneOf: [{ required: ["a"] }, { not: { required: ["a"] } }],
    anyOf: [{ properties: { a: { type: "string" } } }]
  }, { type: "object", struct: { properties: [plain("a")] } }],
  ["nullable stays", { type: "string", nullable: true }, { type: "string", nullable: true }],
  ["a map list has its keys", {
    type: "array",
    items: ref("a.B"),
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["port", "protocol"]
  }, { type: "array", items: { $ref: "a.B" }, listKeys: ["port", "protocol"] }],
  ["atomic lists and sets have none", {
    type: "array",
    items: { type: "string" },
    "x-kubernetes-list-type": "set",
    "x-kubernetes-patch-merge-key": "name",
    "x-kubernetes-patch-strategy": "merge"
  }, { type: "array", items: { type: "string" } }],
  ["a patch strategy stands for a missing list type", {
    type: "array",
    items: ref("a.B"),
    "x-kubernetes-patch-merge-key": "name",
    "x-kubernetes-patch-strategy": "merge,retainKeys"
  }, { type: "array", items: { $ref: "a.B" }, listKeys: ["name"] }]
]

const property = (name: string, schema: Schema.Schema, rest?: Partial<Property>): Property => ({
  name,
  schema,
  required: false,
  present: false,
  deprecated: false,
  ...rest
})

describe("a schema", () => {
  for (const [name, raw, expected] of rows) {
    it(name, () => assert.deepStrictEqual(Schema.schema(raw), expected))
  }
})

describe("a definition", () => {
  it("has its properties in order, with what is required, present and deprecated", () => {
    const definition = Schema.definition("a.v1.Widget", {
      type: "object",
      "x-kubernetes-map-type": "atomic",
      "x-kubernetes-group-version-kind": [{ group: "a", version: "v1", kind: "Widget" }],
      required: ["size"],
      properties: {
        status: ref("a.v1.WidgetStatus", { default: {} }),
        size: { type: "integer", default: 0 },
        old: { type: "string", description: "Deprecated: use size." },
        // Its text starts with a name, not with a notice.
        alias: { type: "string", description: "DeprecatedAlias is another name." }
      }
    })
    assert.deepStrictEqual(definition, {
      name: "a.v1.Widget",
      kinds: [{ group: "a", version: "v1", kind: "Widget" }],
      mapType: "atomic",
      properties: [
        property("alias", { type: "string" }, { doc: { text: "DeprecatedAlias is another name." } }),
        property("old", { type: "string" }, { deprecated: true, doc: { text: "Deprecated: use size." } }),
        property("size", { type: "integer" }, { required: true }),
        property("status", { $ref: "a.v1.WidgetStatus" }, { present: true })
      ],
      alias: undefined
    })
  })

  it("is an alias when it has no properties", () => {
    const definition = Schema.definition("a.v1.Anything", { type: "object", description: "text" })
    assert.isUndefined(definition.properties)
    assert.deepStrictEqual(definition.alias, openRecord as Schema.Schema)
  })

  it("takes properties called as keywords for properties: JSONSchemaProps describes schemas", () => {
    const name = `${apiextensions}.JSONSchemaProps`
    const definition = Schema.definition(name, {
      type: "object",
      properties: {
        $ref: { type: "string" },
        allOf: { type: "array", items: ref(name), "x-kubernetes-list-type": "atomic" },
        default: ref(`${apiextensions}.JSON`),
        enum: { type: "array", items: ref(`${apiextensions}.JSON`) },
        items: ref(`${apiextensions}.JSONSchemaPropsOrArray`),
        properties: { type: "object", additionalProperties: ref(name) },
        "x-kubernetes-list-type": { type: "string" }
      }
    })
    assert.deepStrictEqual(definition.properties, [
      property("$ref", { type: "string" }),
      property("allOf", { type: "array", items: { $ref: name } }),
      property("default", {}),
      property("enum", { type: "array", items: {} }),
      property("items", { $ref: `${apiextensions}.JSONSchemaPropsOrArray` }),
      property("properties", { type: "object", additionalProperties: { $ref: name } }),
      property("x-kubernetes-list-type", { type: "string" })
    ])
  })

  it("replaces the empty schemas of JSONSchemaPropsOr*", () => {
    const definition = Schema.definition(`${apiextensions}.JSONSchemaPropsOrBool`, { description: "text" })
    assert.deepStrictEqual(definition.alias, {
      anyOf: [{ $ref: `${apiextensions}.JSONSchemaProps` }, { type: "boolean" }]
    })
  })
})

describe("documents", () => {
  it("share definitions: the kinds of DeleteOptions, which differ, are joined", () => {
    const schema = (group: string) => ({
      type: "object",
      "x-kubernetes-group-version-kind": [
        { group, version: "v1", kind: "DeleteOptions" },
        { group: "", version: "v1", kind: "DeleteOptions" }
      ]
    })
    const api = Normalise.normalise(["a", "b"].map((group) => openApi({ schemas: { D: schema(group) } })))
    assert.deepStrictEqual(api.definitions.get("D")?.kinds.map(({ group }) => group), ["a", "", "b"])
  })
})
