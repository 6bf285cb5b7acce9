/**
 * Schemas reduced to what decides a type. Everything else of OpenAPI is gone: one-element `allOf`, defaults that repeat
 * Go's zero values, validations, prose.
 */
import { array, isObject, object, text, texts } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import { by } from "../internal/order.ts"
import * as Known from "./Known.ts"

/** A schema that decides a type. Without `type`, `$ref` and `anyOf` it is `unknown`. */
export interface Schema {
  /** The name of a definition, or a name of the runtime with a `#` before it: `#Time`. */
  readonly $ref?: string | undefined
  readonly type?: "array" | "boolean" | "integer" | "number" | "object" | "string" | undefined
  readonly nullable?: true | undefined
  readonly enum?: ReadonlyArray<string> | undefined
  readonly anyOf?: ReadonlyArray<Schema> | undefined
  readonly items?: Schema | undefined
  readonly additionalProperties?: Schema | undefined
  /** The keys by which server-side apply merges the elements of a list; lists without are replaced, or are sets. */
  readonly listKeys?: ReadonlyArray<string> | undefined
  /** How server-side apply treats a map or struct; a property's own word wins over its definition's. */
  readonly mapType?: "atomic" | "granular" | undefined
}

/** A property of a definition. */
export interface Property {
  readonly name: string
  readonly schema: Schema
  readonly required: boolean
  /** The Go field is a struct without pointer (`default: {}`): the server writes it always, a client need not. */
  readonly present: boolean
  readonly deprecated: boolean
}

/** A group, version and kind. */
export interface GroupVersionKind {
  readonly group: string
  readonly version: string
  readonly kind: string
}

/** A named schema: a struct with properties, or another name for a schema. */
export interface Definition {
  readonly name: string
  readonly kinds: ReadonlyArray<GroupVersionKind>
  readonly mapType: "atomic" | "granular" | undefined
  /** By name; undefined for a definition that is not a struct. */
  readonly properties: ReadonlyArray<Property> | undefined
  readonly alias: Schema | undefined
}

/** Reduces a named schema. */
export const definition = (name: string, raw: JsonObject): Definition => {
  const kinds = array(raw["x-kubernetes-group-version-kind"]).map(groupVersionKind)
  const known = Known.definitions[name]
  const properties = isObject(raw.properties) && known === undefined ? raw.properties : undefined
  const required = texts(raw.required)
  return {
    name,
    kinds,
    mapType: mapType(raw),
    properties: properties === undefined
      ? undefined
      : Object.entries(properties).map(([name, value]) => property(name, object(value), required)).sort(
        by(({ name }) => name)
      ),
    alias: properties === undefined ? known ?? schema(raw) : undefined
  }
}

/** A group, version and kind from JSON. */
export const groupVersionKind = (raw: unknown): GroupVersionKind => {
  const { group, version, kind } = object(raw)
  return { group: text(group), version: text(version), kind: text(kind) }
}

const property = (name: string, raw: JsonObject, required: ReadonlyArray<string>): Property => ({
  name,
  schema: schema(raw),
  required: required.includes(name),
  present: isObject(raw.default) && Object.keys(raw.default).length === 0,
  // Upstream marks deprecation in prose only, always at the start.
  deprecated: raw.deprecated === true || /^Deprecated\b/.test(text(raw.description))
})

/**
 * Reduces a schema.
 *
 * Only the positions that hold schemas are visited (`items`, `additionalProperties`, one-element `allOf`): the properties
 * of JSONSchemaProps are called `$ref`, `enum` and `default`, and must not be taken for keywords.
 */
export const schema = (raw: JsonObject): Schema => ({
  ...bare(raw),
  ...(raw.nullable === true ? { nullable: true } : {}),
  ...(mapType(raw) === undefined ? {} : { mapType: mapType(raw) })
})

const bare = (raw: JsonObject): Schema => {
  if (typeof raw.$ref === "string") {
    const name = raw.$ref.slice(raw.$ref.lastIndexOf("/") + 1)
    return Known.references[name] ?? { $ref: name }
  }
  // A reference with siblings is written as an `allOf` of one.
  if (Array.isArray(raw.allOf) && raw.allOf.length === 1) return bare(object(raw.allOf[0]))
  if (raw.format === "int-or-string" || raw["x-kubernetes-int-or-string"] === true) return { $ref: "#IntOrString" }
  switch (raw.type) {
    case "string":
      return string(raw)
    case "boolean":
    case "integer":
    case "number":
      return { type: raw.type }
    case "array":
      return {
        type: "array",
        items: schema(object(raw.items)),
        ...(listKeys(raw) === undefined ? {} : { listKeys: listKeys(raw) })
      }
    case "object":
      return isObject(raw.additionalProperties)
        ? { type: "object", additionalProperties: schema(raw.additionalProperties) }
        : Known.openRecord
    default:
      return {}
  }
}

const string = (raw: JsonObject): Schema => {
  if (raw.format === "byte") return { $ref: "#Bytes" }
  if (raw.format === "date-time") return { $ref: "#Time" }
  const values = texts(raw.enum)
  // Open, or the next version of the server would break the program.
  return values.length === 0
    ? { type: "string" }
    : { anyOf: [...values.map((value) => ({ type: "string", enum: [value] } as const)), { $ref: "#OtherString" }] }
}

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
