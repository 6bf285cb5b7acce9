/** Reading parsed JSON whose shape is not known: what is not of the asked type reads as empty. */

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

export const object = (value: unknown): JsonObject => isObject(value) ? value : {}

export const text = (value: unknown): string => typeof value === "string" ? value : ""

export const array = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

export const texts = (value: unknown): ReadonlyArray<string> =>
  array(value).filter((item): item is string => typeof item === "string")
