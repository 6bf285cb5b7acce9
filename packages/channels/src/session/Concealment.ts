/**
 * Takes secrets out of what a server says: some quote the command in a Status, or the address of the request in a
 * refusal. Pure. Only what is for people to read is changed, so a short secret cannot spoil what is read by programs.
 */
import type * as ExitStatus from "../protocol/ExitStatus.ts"
import * as JsonObject from "../protocol/JsonObject.ts"

/** Hides the same secrets in different things. */
export interface Concealment {
  readonly text: (text: string) => string
  /** In a text that was cut, which may end with the beginning of one. */
  readonly cut: (text: string) => string
  /** In what a Status comes to, and in its messages. */
  readonly outcome: (outcome: ExitStatus.Outcome) => ExitStatus.Outcome
  /** In the body of an answer, which may be a Status. */
  readonly body: (body: string) => string
}

const hidden = "<redacted>"
const none: Concealment = {
  text: (same) => same,
  cut: (same) => same,
  outcome: (same) => same,
  body: (same) => same
}

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)
const inGoJson = (text: string): string => JsonObject.stringify({ "": text }).slice(5, -2)
const escaped = (text: string, others: RegExp): string =>
  encodeURIComponent(text.toWellFormed()).replace(
    others,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )

/** The forms in which a text is quoted. */
const formsOf = (secret: string): ReadonlyArray<string> => [
  secret,
  inJson(secret),
  inGoJson(secret),
  inJson(inJson(secret)),
  // In an address: as JavaScript and Go write it, and in forms of browsers.
  escaped(secret, /$^/g),
  escaped(secret, /[!'()*]/g),
  escaped(secret, /[!'()*]/g).replaceAll("%20", "+"),
  escaped(secret, /[!'()~]/g).replaceAll("%20", "+")
]

/** How many of the last characters of a text are the first of another, but not all of it. */
const overlap = (text: string, other: string): number => {
  let length = Math.min(text.length, other.length - 1)
  while (length > 0 && !text.endsWith(other.slice(0, length))) length--
  return length
}

/** Hides these. */
export const make = (secrets: ReadonlyArray<string>): Concealment => {
  // The longest first, because a form can be a part of another.
  const forms = [...new Set(secrets.filter((secret) => secret !== "").flatMap(formsOf))]
    .toSorted((a, b) => b.length - a.length)
  const text = (quoting: string): string => forms.reduce((rest, form) => rest.replaceAll(form, hidden), quoting)
  const cut = (quoting: string): string => {
    // A character that was cut in two is none of a secret's.
    const rest = text(quoting).replace(/\ufffd+$/, "")
    const length = Math.max(...forms.map((form) => overlap(rest, form)))
    return length === 0 ? rest : rest.slice(0, -length) + hidden
  }
  const value = (key: string, of: unknown): unknown =>
    typeof of === "string"
      ? key === "message" ? text(of) : of
      : Array.isArray(of)
      ? of.map((item) => value("", item))
      : JsonObject.isObject(of)
      ? status(of)
      : of
  // The message of an exit code is a number, for programs.
  const status = (object: JsonObject.JsonObject): JsonObject.JsonObject =>
    object["reason"] === "ExitCode"
      ? object
      : Object.fromEntries(Object.entries(object).map(([key, of]) => [key, value(key, of)]))
  if (forms.length === 0) return none
  return {
    text,
    cut,
    outcome: (outcome) => {
      switch (outcome._tag) {
        case "Exited":
          return { ...outcome, status: status(outcome.status) }
        case "Failed":
          return { ...outcome, message: text(outcome.message), status: status(outcome.status) }
        case "Unreadable":
          // Some cannot be read because they broke off.
          return { ...outcome, text: cut(outcome.text) }
        case "Missing":
          return outcome
      }
    },
    body: (body) => {
      const object = JsonObject.parse(body)
      return object === undefined ? text(body) : JSON.stringify(status(object))
    }
  }
}
