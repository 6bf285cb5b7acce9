/**
 * Schemas reduced to what decides a type, and what a reader of the type should know. Everything else of OpenAPI is gone:
 * one-element `allOf`, defaults that repeat Go's zero values, validations.
 */
import { array, isObject, object, text, texts } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import { by } from "../internal/order.ts"
import type { Doc } from "./Doc.ts"
import * as Docs from "./Doc.ts"
import * as Known from "./Known.ts"

/** A schema that decides a type. Without `type`, `$ref` and `anyOf` it is `unknown`. */
export interface Schema {
  /** The name of a definition, or a name of the runtime with a `#` before it: `#Time`. */
  readonly $ref?: string | undefined
  readonly type?: "array" | "boolean" | "integer" | "number" | "object" | "string" | undefined
  readonly nullable?: true | undefined
  readonly enum?: ReadonlyArray<string | number | boolean> | undefined
  readonly anyOf?: ReadonlyArray<Schema> | undefined
  readonly items?: Schema | undefined
  readonly additionalProperties?: Schema | undefined
  /** The keys by which server-side apply merges the elements of a list; lists without are replaced, or are sets. */
  readonly listKeys?: ReadonlyArray<string> | undefined
  /** How server-side apply treats a map or struct; a property's own word wins over its definition's. */
  readonly mapType?: "atomic" | "granular" | undefined
  /** A struct that has no name yet: `Hoist` gives it one. */
  readonly struct?: Struct | undefined
}

/** A list of properties. */
export interface Struct {
  /** By name. */
  readonly properties: ReadonlyArray<Property>
  /** Whether other properties may stand beside these, and are kept. */
  readonly open?: true | undefined
}

/** A property of a definition. */
export interface Property {
  readonly name: string
  readonly schema: Schema
  readonly required: boolean
  /**
   * The server writes it always, a client need not: a Go struct without pointer (`default: {}`), or a default of a custom
   * resource, which servers fill in when they read, too.
   */
  readonly present: boolean
  readonly deprecated: boolean
  readonly doc?: Doc | undefined
}

/** A group, version and kind. */
export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** `autoscaling/v1/Scale`. */
export const gvk = ({ group, kind, version }: GroupVersionKind): string => `${group}/${version}/${kind}`

/** A named schema: a struct with properties, or another name for a schema. */
export interface Definition {
  readonly name: string
  readonly kinds: ReadonlyArray<GroupVersionKind>
  readonly mapType: "atomic" | "granular" | undefined
  /** By name; undefined for a definition that is not a struct. */
  readonly properties: ReadonlyArray<Property> | undefined
  readonly alias: Schema | undefined
  /** Whether other properties may stand beside these, and are kept. */
  readonly open?: true | undefined
  readonly deprecated?: true | undefined
  readonly doc?: Doc | undefined
}

/** The names that a schema refers to. */
export const references = (schema: Schema): ReadonlyArray<string> => [
  ...(schema.$ref === undefined ? [] : [schema.$ref]),
  ...[schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])]
    .flatMap((inner) => inner === undefined ? [] : references(inner))
]

/** Changes a schema and those in it (not those of structs), from the leaves up. */
export const mapSchema = (schema: Schema, f: (schema: Schema) => Schema): Schema => {
  const { additionalProperties, anyOf, items } = schema
  return f({
    ...schema,
    ...(items === undefined ? {} : { items: mapSchema(items, f) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: mapSchema(additionalProperties, f) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map((inner) => mapSchema(inner, f)) })
  })
}

/** The kinds that a schema is registered as. */
export const kindsOf = (raw: JsonObject): ReadonlyArray<GroupVersionKind> =>
  array(raw["x-kubernetes-group-version-kind"]).map(groupVersionKind)

/** Reduces a named schema. */
export const definition = (name: string, raw: JsonObject): Definition => {
  const known = Known.definitions[name]
  const properties = isObject(raw.properties) && known === undefined ? struct(raw) : undefined
  return {
    name,
    kinds: kindsOf(raw),
    mapType: mapType(raw),
    properties: properties?.properties,
    alias: properties === undefined ? known ?? schema(raw) : undefined,
    ...(properties?.open === true ? { open: true } : {}),
    ...(raw.deprecated === true ? { deprecated: true } : {}),
    ...doc(raw)
  }
}

/** The definition without words. */
export const withoutDocs = ({ alias, doc: _doc, properties, ...rest }: Definition): Definition => ({
  ...rest,
  alias: alias === undefined ? undefined : mapSchema(alias, withoutDocsInside),
  properties: properties?.map(propertyWithoutDocs)
})

const withoutDocsInside = (schema: Schema): Schema =>
  schema.struct === undefined
    ? schema
    : { ...schema, struct: { ...schema.struct, properties: schema.struct.properties.map(propertyWithoutDocs) } }

const propertyWithoutDocs = ({ doc: _doc, schema, ...rest }: Property): Property => ({
  ...rest,
  schema: mapSchema(schema, withoutDocsInside)
})

/** A group, version and kind from JSON. */
export const groupVersionKind = (raw: unknown): GroupVersionKind => {
  const { group, version, kind } = object(raw)
  return { group: text(group), version: text(version), kind: text(kind) }
}

const struct = (raw: JsonObject): Struct => {
  const required = texts(raw.required)
  return {
    properties: Object.entries(object(raw.properties))
      .map(([name, value]) => property(name, object(value), required))
      .sort(by(({ name }) => name)),
    // A struct and a map at once, as aggregated servers publish them: the map takes the rest.
    ...(raw["x-kubernetes-preserve-unknown-fields"] === true || isObject(raw.additionalProperties)
      ? { open: true }
      : {})
  }
}

const property = (name: string, raw: JsonObject, required: ReadonlyArray<string>): Property => ({
  name,
  schema: schema(raw),
  required: required.includes(name),
  present: isObject(raw.default),
  // Upstream marks deprecation in prose only, always at the start.
  deprecated: raw.deprecated === true || Docs.isDeprecation(text(raw.description)),
  ...doc(raw)
})

const doc = (raw: JsonObject): { readonly doc?: Doc } => {
  const doc = Docs.fromSchema(raw)
  return doc === undefined ? {} : { doc }
}

/**
 * Reduces a schema.
 *
 * Only the positions that hold schemas are visited (`properties`, `items`, `additionalProperties`, one-element `allOf`):
 * the properties of JSONSchemaProps are called `$ref`, `enum` and `default`, and must not be taken for keywords.
 */
export const schema = (raw: JsonObject): Schema => ({
  ...bare(raw),
  ...(raw.nullable === true || array(raw.type).includes("null") ? { nullable: true } : {}),
  ...(mapType(raw) === undefined ? {} : { mapType: mapType(raw) })
})

const bare = (raw: JsonObject): Schema => {
  if (typeof raw.$ref === "string") {
    const name = raw.$ref.slice(raw.$ref.lastIndexOf("/") + 1)
    return Known.references[name] ?? { $ref: name }
  }
  // A reference with siblings is written as an `allOf` of one.
  if (Array.isArray(raw.allOf) && raw.allOf.length === 1 && typeof object(raw.allOf[0]).$ref === "string") {
    return bare(object(raw.allOf[0]))
  }
  if (raw.format === "int-or-string" || raw["x-kubernetes-int-or-string"] === true) return { $ref: "#IntOrString" }
  if (raw["x-kubernetes-embedded-resource"] === true) return { type: "object", struct: embedded(raw) }
  const type = typeOf(raw)
  switch (type) {
    case "string":
      return string(raw)
    case "boolean":
      return { type }
    case "integer":
    case "number":
      return open(type, array(raw.enum).filter((value) => typeof value === "number"), "#OtherNumber")
    case "array":
      return {
        type: "array",
        items: schema(object(raw.items)),
        ...(listKeys(raw) === undefined ? {} : { listKeys: listKeys(raw) })
      }
    case "object":
      return isObject(raw.properties) && Object.keys(raw.properties).length > 0
        ? { type: "object", struct: struct(raw) }
        : isObject(raw.additionalProperties)
        ? { type: "object", additionalProperties: schema(raw.additionalProperties) }
        : Known.openRecord
    default:
      return {}
  }
}

/** The type that a schema names, or that its keywords are about. `["string", "null"]` is how OpenAPI 3.1 is nullable. */
const typeOf = (raw: JsonObject): unknown => {
  const type = Array.isArray(raw.type) ? raw.type.filter((one) => one !== "null") : [raw.type]
  if (type.length > 1) return undefined
  if (type[0] !== undefined) return type[0]
  const properties = isObject(raw.properties) && Object.keys(raw.properties).length > 0
  return properties || isObject(raw.additionalProperties) ? "object" : undefined
}

/** A whole object inside of another one: the server asks for its kind, and knows its metadata. */
const embedded = (raw: JsonObject): Struct => {
  const { open, properties } = struct({
    ...raw,
    required: [...texts(raw.required), "apiVersion", "kind"],
    properties: {
      ...object(raw.properties),
      apiVersion: { ...object(object(raw.properties).apiVersion), type: "string" },
      kind: { ...object(object(raw.properties).kind), type: "string" },
      metadata: { $ref: Known.objectMeta }
    }
  })
  const closed = open === undefined && Object.keys(object(raw.properties)).length > 0
  return { properties, ...(closed ? {} : { open: true }) }
}

const string = (raw: JsonObject): Schema => {
  if (raw.format === "byte") return { $ref: "#Bytes" }
  if (raw.format === "date-time") return { $ref: "#Time" }
  return open("string", texts(raw.enum), "#OtherString")
}

// Open, or the next version of the server would break the program.
const open = (
  type: "integer" | "number" | "string",
  values: ReadonlyArray<string | number>,
  other: string
): Schema =>
  values.length === 0
    ? { type }
    : { anyOf: [...[...new Set(values)].map((value) => ({ type, enum: [value] })), { $ref: other }] }

// As the server reads them: servers before 1.30 publish many lists with a patch strategy only.
const listKeys = (raw: JsonObject): ReadonlyArray<string> | undefined => {
  const listType = raw["x-kubernetes-list-type"]
  if (listType === "map") return texts(raw["x-kubernetes-list-map-keys"])
  const mergeKey = raw["x-kubernetes-patch-merge-key"]
  return listType === undefined && text(raw["x-kubernetes-patch-strategy"]).startsWith("merge") &&
      typeof mergeKey === "string"
    ? [mergeKey]
    : undefined
}

const mapType = (raw: JsonObject): "atomic" | "granular" | undefined => {
  const value = raw["x-kubernetes-map-type"]
  return value === "atomic" || value === "granular" ? value : undefined
}
