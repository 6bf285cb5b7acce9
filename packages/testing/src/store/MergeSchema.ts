/**
 * How values are merged, by their schema: pure. Both ways to merge read the same OpenAPI: strategic merge patches of
 * built-in kinds, and server-side apply of all.
 *
 * What a schema says of lists and maps is what a real server makes of it (`schemaconv` of kube-openapi).
 */
import * as Json from "./Json.ts"

/** A schema, its reference followed. */
export interface MergeSchema {
  readonly raw: Json.JsonObject
  /** By name. */
  readonly definitions: Json.JsonObject
  /** Whether a schema above keeps unknown fields: those below do so, too. */
  readonly preserves: boolean
  /** Whether real servers hold the value in a struct of Go, as those of built-in kinds. */
  readonly isGo: boolean
}

/** What a schema hands down to those inside of it. */
type Inherited = Pick<MergeSchema, "isGo" | "preserves">

/** The schema of a value about which nothing is known: objects are merged by member, lists are replaced. */
export const untyped: MergeSchema = { raw: {}, definitions: {}, preserves: false, isGo: false }

const prefix = "#/components/schemas/"

// One value each, whatever their schemas say: a number is a quantity, too, and a raw object is not merged.
const opaque: ReadonlyArray<string> = [
  "io.k8s.apimachinery.pkg.api.resource.Quantity",
  "io.k8s.apimachinery.pkg.runtime.RawExtension"
]

const nothing: Inherited = { isGo: false, preserves: false }

/** A schema with its definitions, by name. */
export const make = (
  raw: Json.JsonObject,
  definitions: Json.JsonObject,
  inherited: Inherited = nothing
): MergeSchema => {
  const { $ref, allOf, ...rest } = raw
  const only = Json.isArray(allOf) && allOf.length === 1 ? Json.string(Json.object(allOf[0])["$ref"]) : undefined
  const ref = Json.string($ref) ?? only
  if (ref === undefined) {
    const preserves = inherited.preserves || raw["x-kubernetes-preserve-unknown-fields"] === true
    return { raw, definitions, preserves, isGo: inherited.isGo }
  }
  const name = ref.slice(prefix.length)
  const isGo = name.startsWith("io.k8s.")
  // What stands beside the reference wins: the relation of a map, a patch strategy, a default.
  return opaque.includes(name)
    ? { raw: { ...rest, type: "opaque" }, definitions, preserves: false, isGo }
    : make({ ...Json.object(definitions[name]), ...rest }, definitions, { isGo, preserves: false })
}

/** The definition of a name. */
export const named = (name: string, definitions: Json.JsonObject): MergeSchema =>
  make({ $ref: prefix + name }, definitions)

/** What values a schema takes; `any` where it does not say, `scalar` for one value of any type. */
export const typeOf = (
  { raw }: MergeSchema
): "any" | "array" | "boolean" | "number" | "object" | "scalar" | "string" => {
  switch (raw["type"]) {
    case "object":
    case "array":
    case "boolean":
      return raw["type"]
    case "integer":
    case "number":
      return "number"
    case "string":
      return raw["format"] === "date-time" || raw["format"] === "int-or-string" ? "scalar" : "string"
    case "opaque":
      return "scalar"
    default:
      return "any"
  }
}

/** Whether an object is one value. */
export const isAtomic = ({ raw }: MergeSchema): boolean => raw["x-kubernetes-map-type"] === "atomic"

/** Whether a schema declares a member by its name. */
export const declares = ({ raw }: MergeSchema, name: string): boolean =>
  Object.hasOwn(Json.object(raw["properties"]), name)

/** The schema of a member; nothing when there may be none of that name. */
export const member = (schema: MergeSchema, name: string): MergeSchema | undefined => {
  const { definitions, preserves, raw } = schema
  const properties = Json.object(raw["properties"])
  const own = Object.hasOwn(properties, name) ? properties[name] : undefined
  if (own !== undefined) return make(Json.object(own), definitions, schema)
  const rest = raw["additionalProperties"]
  if (Json.isObject(rest)) return make(rest, definitions, schema)
  return rest === true || rest === undefined && (preserves || Object.keys(properties).length === 0)
    ? untyped
    : undefined
}

/** The schema of the elements of a list. */
export const items = (schema: MergeSchema): MergeSchema => {
  const inner = schema.raw["items"]
  return Json.isObject(inner) ? make(inner, schema.definitions, schema) : untyped
}

/** How the elements of a list are told apart: by keys, by their values, or not at all, as the list is one value. */
export type ListRelation =
  | { readonly _tag: "Atomic" }
  | { readonly _tag: "Set" }
  | { readonly _tag: "Map"; readonly keys: ReadonlyArray<string> }

/** The relation of the elements of a list. */
export const listRelation = ({ raw }: MergeSchema): ListRelation => {
  const keys = Json.strings(raw["x-kubernetes-list-map-keys"])
  switch (raw["x-kubernetes-list-type"]) {
    case "map":
      return { _tag: "Map", keys }
    case "set":
      return { _tag: "Set" }
    case undefined: {
      if (!strategies(raw).includes("merge")) return { _tag: "Atomic" }
      const key = Json.string(raw["x-kubernetes-patch-merge-key"])
      return key === undefined ? { _tag: "Set" } : { _tag: "Map", keys: [key] }
    }
    default:
      return { _tag: "Atomic" }
  }
}

const strategies = (raw: Json.JsonObject): ReadonlyArray<string> =>
  (Json.string(raw["x-kubernetes-patch-strategy"]) ?? "").split(",")

/** How a strategic merge patch treats a member: a list that is merged has a key, or is one of plain values. */
export interface PatchRule {
  readonly merges: boolean
  /** Nothing for a list of plain values. */
  readonly mergeKey: string | undefined
  /** The member is replaced as a whole, whatever it is. */
  readonly replaces: boolean
}

/** The rule of a schema. */
export const patchRule = ({ raw }: MergeSchema): PatchRule => ({
  merges: strategies(raw).includes("merge"),
  mergeKey: Json.string(raw["x-kubernetes-patch-merge-key"]),
  replaces: strategies(raw).includes("replace")
})

/** The value that stands for a member that is not there, in the keys of an element; nothing when there is none. */
export const defaultOf = ({ raw }: MergeSchema): Json.Json | undefined => raw["default"]

/**
 * An object as Go writes it: with the structs in it that are no pointers, which are never absent (`default: {}`), and
 * with null for lists and maps that are required.
 */
export const asGo = (value: Json.Json, schema: MergeSchema): Json.Json => {
  if (Json.isArray(value)) {
    const inner = items(schema)
    return value.map((item) => asGo(item, inner))
  }
  if (!Json.isObject(value)) return value
  const filled: Record<string, Json.Json> = {}
  for (const [name, inner] of Object.entries(value)) {
    const own = member(schema, name)
    if (inner !== undefined) filled[name] = own === undefined ? inner : asGo(inner, own)
  }
  const required = schema.isGo ? Json.strings(schema.raw["required"]) : []
  for (const name of Object.keys(Json.object(schema.raw["properties"]))) {
    const own = member(schema, name)
    if (filled[name] !== undefined || own === undefined) continue
    if (isEmptyObject(own.raw["default"])) filled[name] = asGo({}, own)
    else if (required.includes(name) && ["array", "object"].includes(typeOf(own))) filled[name] = null
  }
  return filled
}

const isEmptyObject = (value: Json.Json | undefined): boolean => Json.isObject(value) && Object.keys(value).length === 0
