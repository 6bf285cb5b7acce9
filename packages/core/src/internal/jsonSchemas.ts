/**
 * Schemas as data (see `SchemaOf`) in the form of JSON Schema, draft 2020-12. They are as lenient as servers are: lists,
 * maps and times may be null, enumerations are open, unknown fields stay.
 */
import * as JsonPointer from "effect/JsonPointer"
import * as Predicate from "effect/Predicate"
import * as Resource from "../Resource.ts"

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** The name of a definition in the document. */
export const definitionName = (module: string, name: string): string => `${module}.${name}`

/** What a reference to a definition of the same module, or of another one, is called in the document. */
export type Reference = (ref: string) => string

const string: JsonSchema = { type: "string" }
const number: JsonSchema = { type: "number" }
const texts: JsonSchema = orNull({ type: "object", additionalProperties: string })
const open: JsonSchema = { type: "object" }

function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: "null" }] }
}

const metadata = {
  annotations: texts,
  creationTimestamp: orNull(string),
  deletionTimestamp: orNull(string),
  finalizers: orNull({ type: "array", items: string }),
  generateName: string,
  labels: texts,
  name: string,
  namespace: string,
  resourceVersion: string,
  uid: string
}

/** Types of the runtime, by the reference that the data have for them. */
const ofRuntime: Readonly<Record<string, JsonSchema>> = {
  "#Bytes": string,
  "#IntOrString": { anyOf: [string, number] },
  "#ManagedFieldsEntry": open,
  "#MicroTime": orNull(string),
  "#ObjectMetaInput": { type: "object", properties: metadata },
  "#OtherNumber": number,
  "#OtherString": string,
  "#OwnerReference": {
    type: "object",
    properties: { apiVersion: string, kind: string, name: string, uid: string },
    required: ["apiVersion", "kind", "name", "uid"]
  },
  "#Quantity": { anyOf: [string, number] },
  "#Time": orNull(string)
}

/** The schema of a kind as it is read. */
export const root = (row: Resource.Row, data: unknown, reference: Reference): JsonSchema => {
  // What can be listed but not watched is computed: its metadata are those of the request.
  const stored = Resource.hasVerb(row.verbs, "get") &&
    (Resource.hasVerb(row.verbs, "watch") || !Resource.hasVerb(row.verbs, "list"))
  const { properties, required } = struct(data, reference)
  return {
    type: "object",
    properties: {
      ...properties,
      apiVersion: { type: "string", const: Resource.apiVersion(row) },
      kind: { type: "string", const: row.kind },
      metadata: {
        type: "object",
        properties: metadata,
        ...(stored ? { required: ["name", "uid", "resourceVersion", "creationTimestamp"] } : {})
      }
    },
    required: [...new Set(["apiVersion", "kind", "metadata", ...required, ...textsOf(member(data, "present"))])]
  }
}

/** The schema of a definition. */
export const definition = (data: unknown, reference: Reference): JsonSchema =>
  Predicate.hasProperty(data, "properties")
    ? { type: "object", ...struct(data, reference) }
    : schema(member(data, "alias"), reference)

const struct = (data: unknown, reference: Reference) => ({
  properties: Object.fromEntries(
    Object.entries(record(member(data, "properties"))).map(([name, value]) => [name, schema(value, reference)])
  ),
  required: textsOf(member(data, "required"))
})

const schema = (data: unknown, reference: Reference): JsonSchema => {
  const inner = bare(record(data), reference)
  return member(data, "nullable") === true ? orNull(inner) : inner
}

const bare = (
  { $ref, additionalProperties, anyOf, enum: values, items, type }: Readonly<Record<string, unknown>>,
  reference: Reference
): JsonSchema => {
  if (typeof $ref === "string") {
    // What the data do not know may be anything.
    return $ref.startsWith("#")
      ? ofRuntime[$ref] ?? {}
      : { $ref: `#/$defs/${JsonPointer.escapeToken(reference($ref))}` }
  }
  if (Array.isArray(anyOf)) {
    const open = anyOf.find((one) => String(member(one, "$ref")).startsWith("#Other"))
    return open === undefined ? { anyOf: anyOf.map((one) => schema(one, reference)) } : schema(open, reference)
  }
  switch (type) {
    case "array":
      return orNull({ type: "array", items: schema(items, reference) })
    case "object":
      return orNull({ type: "object", additionalProperties: schema(additionalProperties, reference) })
    case "integer":
      // Larger ones than JavaScript knows exactly are still whole.
      return { type: "number", multipleOf: 1 }
    case "boolean":
    case "number":
    case "string":
      return { type, ...(Array.isArray(values) ? { enum: values } : {}) }
    default:
      return {}
  }
}

const record = (value: unknown): Readonly<Record<string, unknown>> => Predicate.isReadonlyObject(value) ? value : {}

const member = (value: unknown, name: string): unknown => record(value)[name]

const textsOf = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : []
