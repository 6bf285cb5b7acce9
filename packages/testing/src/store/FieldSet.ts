/**
 * Sets of fields, as managers own them: pure.
 *
 * A field is a path of elements from the object down. Their texts are those of `fieldsV1`: `f:spec` names a member,
 * `k:{"name":"a"}` an element of a list by its keys, `v:"a"` one by its value, `i:0` one by its place.
 */
import * as Json from "./Json.ts"

/** A set, or the part of one below a path: whether the path itself is in it, and what is below. */
export interface FieldSet {
  readonly self: boolean
  readonly below: ReadonlyMap<string, FieldSet>
}

/** The set without a field. */
export const empty: FieldSet = { self: false, below: new Map() }

/** The path itself, and nothing below. */
export const leaf: FieldSet = { self: true, below: new Map() }

/** Whether there is no field. Parts without one are never kept. */
export const isEmpty = (set: FieldSet): boolean => !set.self && set.below.size === 0

/** A set from its parts. */
export const make = (self: boolean, below: Iterable<readonly [element: string, part: FieldSet]>): FieldSet => ({
  self,
  below: new Map(Array.from(below).filter(([, part]) => !isEmpty(part)))
})

/** The set of one path. */
export const path = (...elements: ReadonlyArray<string>): FieldSet =>
  elements.reduceRight<FieldSet>((below, element) => make(false, [[element, below]]), leaf)

/** What is in one set, or in the other. */
export const union = (a: FieldSet, b: FieldSet): FieldSet =>
  make(
    a.self || b.self,
    Array.from(new Set([...a.below.keys(), ...b.below.keys()]), (element) => [
      element,
      union(a.below.get(element) ?? empty, b.below.get(element) ?? empty)
    ])
  )

/** What is in both sets. */
export const intersection = (a: FieldSet, b: FieldSet): FieldSet =>
  make(
    a.self && b.self,
    Array.from(a.below, ([element, part]) => [element, intersection(part, b.below.get(element) ?? empty)])
  )

/** What is in the first set and not in the second. */
export const difference = (a: FieldSet, b: FieldSet): FieldSet =>
  make(
    a.self && !b.self,
    Array.from(a.below, ([element, part]) => [element, difference(part, b.below.get(element) ?? empty)])
  )

/** What is in the first set, and neither in the second nor below a field of it. */
export const without = (a: FieldSet, b: FieldSet): FieldSet =>
  b.self ? empty : make(
    a.self,
    Array.from(a.below, ([element, part]) => [element, without(part, b.below.get(element) ?? empty)])
  )

/** Equality of sets. */
export const equals = (a: FieldSet, b: FieldSet): boolean =>
  a.self === b.self && a.below.size === b.below.size &&
  Array.from(a.below).every(([element, part]) => equals(part, b.below.get(element) ?? empty))

// Members before keys before values before places.
const kinds = ["f", "k", "v", "i"]

const compare = (a: string, b: string): number =>
  kinds.indexOf(a.charAt(0)) - kinds.indexOf(b.charAt(0)) || (a < b ? -1 : a > b ? 1 : 0)

const sorted = (set: FieldSet): ReadonlyArray<readonly [string, FieldSet]> =>
  Array.from(set.below).sort(([a], [b]) => compare(a, b))

/**
 * All paths as messages show them, `.spec.containers[name="a"].image`, in the order of real servers: what is in the set
 * comes before what is below.
 */
export const paths = (set: FieldSet): ReadonlyArray<string> => {
  const parts = sorted(set)
  return [
    ...parts.filter(([, part]) => part.self).map(([element]) => shown(element)),
    ...parts.flatMap(([element, part]) => paths(part).map((rest) => shown(element) + rest))
  ]
}

/** An element as messages show it. */
export const shown = (element: string): string => {
  const text = element.slice(2)
  switch (element.charAt(0)) {
    case "f":
      return `.${text}`
    case "k": {
      const members = Object.entries(Json.object(parseText(text)))
      return `[${members.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}]`
    }
    case "v":
      return `[=${text}]`
    default:
      return `[${text}]`
  }
}

/** The element of a member. */
export const member = (name: string): string => `f:${name}`

/** The element of an item of a list by its keys. */
export const keyed = (keys: Json.JsonObject): string =>
  `k:${JSON.stringify(Object.fromEntries(Object.keys(keys).sort().map((key) => [key, keys[key]])))}`

/** The element of an item of a list by its value. */
export const valued = (value: Json.Json): string => `v:${JSON.stringify(value)}`

/** A set as `fieldsV1`. */
export const toJson = (set: FieldSet): Json.JsonObject => ({
  ...(set.self && set.below.size > 0 ? { ".": {} } : {}),
  ...Object.fromEntries(sorted(set).map(([element, part]) => [element, toJson(part)]))
})

/** A set from `fieldsV1`; nothing for what is none. */
export const fromJson = (json: Json.Json | undefined): FieldSet | undefined => {
  if (!Json.isObject(json)) return undefined
  const below: Array<readonly [string, FieldSet]> = []
  for (const [key, value] of Object.entries(json)) {
    if (key === ".") continue
    const part = fromJson(value)
    const element = elementOf(key)
    if (part === undefined || element === undefined) return undefined
    below.push([element, isEmpty(part) ? leaf : part])
  }
  return make(json["."] !== undefined, below)
}

/** An element in the one form that it has here: keys in order, without blanks. */
const elementOf = (key: string): string | undefined => {
  const text = key.slice(2)
  if (key.startsWith("f:")) return key
  if (key.startsWith("i:")) return /^-?\d+$/.test(text) ? key : undefined
  const value = parseText(text)
  if (value === undefined) return undefined
  if (key.startsWith("v:")) return valued(value)
  return key.startsWith("k:") && Json.isObject(value) ? keyed(value) : undefined
}

const parseText = (text: string): Json.Json | undefined => {
  const parsed = Json.parse(text)
  return parsed._tag === "Some" ? parsed.value : undefined
}
