/**
 * JSON values as the store keeps them: never changed in place, so that a snapshot, an event and an answer may share
 * them.
 */
import * as Option from "effect/Option"

/** A JSON value. */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/** A JSON object; reading an absent member gives `undefined`. */
export interface JsonObject {
  readonly [key: string]: Json | undefined
}

/** An object without members. */
export const empty: JsonObject = {}

/** Whether a value is a JSON array. */
export const isArray = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

/** Whether a value is a JSON object: no array, not null. */
export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !isArray(value)

/** The value if it is an object, else an empty one. */
export const object = (value: Json | undefined): JsonObject => (isObject(value) ? value : empty)

/** The value if it is an array, else an empty one. */
export const array = (value: Json | undefined): ReadonlyArray<Json> => (isArray(value) ? value : [])

/** The value if it is a text, else nothing. */
export const string = (value: Json | undefined): string | undefined => (typeof value === "string" ? value : undefined)

/** The value if it is a number, else nothing. */
export const number = (value: Json | undefined): number | undefined => (typeof value === "number" ? value : undefined)

/** The texts in an array; everything else in it is left out. */
export const strings = (value: Json | undefined): ReadonlyArray<string> =>
  array(value).filter((item) => typeof item === "string")

/** The members whose values are texts: labels, annotations, match labels. */
export const stringMap = (value: Json | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(object(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string")
  )

/** What is found by following member names. */
export const get = (value: Json | undefined, ...path: ReadonlyArray<string>): Json | undefined =>
  path.reduce<Json | undefined>((current, key) => object(current)[key], value)

/** A copy without some members. */
export const omit = (value: JsonObject, ...keys: ReadonlyArray<string>): JsonObject =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)))

/** A copy without the members that are absent, null or, if objects or arrays, without content. */
export const compact = (value: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(value).filter(([, member]) =>
      member !== undefined && member !== null &&
      (typeof member !== "object" || Object.keys(member).length > 0)
    )
  )

/** Equality of content; the order of members does not count, an absent member equals one that is `undefined`. */
export const equals = (a: Json | undefined, b: Json | undefined): boolean => {
  if (a === b) return true
  if (isArray(a)) return isArray(b) && a.length === b.length && a.every((item, i) => equals(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  return Object.keys(a).every((key) => equals(a[key], b[key])) &&
    Object.keys(b).every((key) => b[key] === undefined || a[key] !== undefined)
}

/** Parses a text; the error's text is the runtime's. */
export const parse: (text: string) => Option.Option<Json> = Option.liftThrowable((text) =>
  // `JSON.parse` makes nothing but JSON values.
  JSON.parse(text) as Json
)
