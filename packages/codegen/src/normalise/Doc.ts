/**
 * What the documents say about a type in words, without what only repeats the type.
 */
import { array, isObject, object, text, texts } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"

/** The text of a documentation comment. It is the document's: it may hold anything. */
export interface Doc {
  readonly text: string
  /** A default that means something, in JSON. */
  readonly default?: string | undefined
}

/** What a schema says of itself; undefined when it says nothing. */
export const fromSchema = (raw: JsonObject): Doc | undefined => {
  const words = [text(raw.description).trim(), ...alternatives(raw), ...unions(raw)].filter((one) => one !== "")
  const value = defaultOf(raw)
  return words.length === 0 && value === undefined
    ? undefined
    : { text: words.join("\n\n"), ...(value === undefined ? {} : { default: value }) }
}

/** Whether a text is a notice of deprecation: upstream has no other mark for it. */
export const isDeprecation = (text: string): boolean => /^Deprecated\b/.test(text)

// Go's zero values are defaults of nearly everything, and say nothing.
const defaultOf = ({ default: value }: JsonObject): string | undefined =>
  value === undefined || value === "" || value === 0 || value === false || value === null ||
    (typeof value === "object" && Object.keys(value).length === 0)
    ? undefined
    : JSON.stringify(value)

/** Rules that no type of ours says: which of some fields exclude each other. */
const alternatives = (raw: JsonObject): ReadonlyArray<string> =>
  (["oneOf", "anyOf"] as const).flatMap((keyword) => {
    const options = array(raw[keyword]).map((option) => texts(object(option).required))
    if (options.length < 2 || options.some((names) => names.length === 0)) return []
    const names = options.map((names) => names.map((name) => `\`${name}\``).join(" and ")).join(", ")
    return [`${keyword === "oneOf" ? "Exactly" : "At least"} one of: ${names}.`]
  })

const unions = (raw: JsonObject): ReadonlyArray<string> =>
  array(raw["x-kubernetes-unions"]).filter(isObject).flatMap((union) => {
    const names = Object.keys(object(union["fields-to-discriminateBy"])).map((name) => `\`${name}\``).join(", ")
    const discriminator = text(union.discriminator)
    return names === "" ? [] : [
      `At most one of: ${names}${discriminator === "" ? "" : `; \`${discriminator}\` tells which`}.`
    ]
  })
