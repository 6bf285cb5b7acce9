/**
 * The first document of a YAML text, with errors that quote nothing of it: a text with credentials can be broken in the
 * middle of one.
 */
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"

/** Why a text is not YAML. `line` counts from 1. */
export interface Failure {
  readonly line: number
  readonly problem: string
}

// As kubectl does, later documents are not looked at, whatever they hold. Lines keep their numbers.
const firstDocument = (text: string): string => {
  const lines = text.split("\n")
  let started = false
  for (const [index, line] of lines.entries()) {
    if (/^(?:---|\.\.\.)(?:\s|$)/.test(line)) {
      if (started) return lines.slice(0, index).join("\n")
      started = true
    } else if (!/^\s*(?:#|%|$)/.test(line)) {
      started = true
    }
  }
  return text
}

const read = (text: string): Result.Result<unknown, string> =>
  Result.try({
    try: () => Yaml.parse(text),
    catch: (cause) => cause instanceof Error ? cause.message : "unknown problem"
  })

const failsWith = (text: string, message: string): boolean =>
  Result.match(read(text), { onFailure: (other) => other === message, onSuccess: () => false })

// The parser tells the line of some errors only. For the others it is the last line of the shortest beginning of the
// text that fails in the same way.
const lineOf = (text: string, message: string): number => {
  const told = /at line (\d+)$/.exec(message)?.[1]
  if (told !== undefined) return Number(told)
  const lines = text.split("\n")
  let low = 1
  let high = lines.length
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (failsWith(lines.slice(0, middle).join("\n"), message)) high = middle
    else low = middle + 1
  }
  return low
}

// The parser quotes keys, aliases and escapes, which may be part of a secret.
const withoutQuotes = (message: string): string =>
  message
    .replace(/ at (?:line|flow offset) \d+$/, "")
    .replace(/ '.{2,}'/su, "")
    .replace(/^./u, (first) => first.toLowerCase())

const tag = "tags are not supported; leave the tag out, or put a text that begins with ! in quotes"

// The parser takes a tag for the beginning of a text. In the place of its mark this begins an alias, which nobody can have
// defined: where a value begins with one, the parser fails, and what is quoted or further on stays a text.
const alias = "*\0"

const taggedValue = (text: string): number | undefined => {
  const marked = text.replaceAll("!", alias)
  return Result.match(read(marked), {
    onFailure: (message) => message.includes(alias) ? lineOf(marked, message) : undefined,
    onSuccess: () => undefined
  })
}

/** Keys at any depth; what several aliases stand for is looked at once. */
const keysOf = (value: unknown, seen = new Set<unknown>()): ReadonlyArray<string> => {
  if (typeof value !== "object" || value === null || seen.has(value)) return []
  seen.add(value)
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  return [...keys, ...Object.values(value).flatMap((member) => keysOf(member, seen))]
}

// An alias is none where a key begins, but a key is in the text as it is: behind a quote, if it is quoted.
const taggedKey = (text: string, document: unknown): number | undefined => {
  for (const key of keysOf(document)) {
    if (!key.startsWith("!")) continue
    for (let at = text.indexOf(key); at !== -1; at = text.indexOf(key, at + 1)) {
      if (!/["']$/.test(text.slice(0, at))) return text.slice(0, at).split("\n").length
    }
  }
  return undefined
}

/** Reads the first document of a text. A byte order mark and CRLF are accepted; an empty document is `null`. */
export const parseFirst = (text: string): Result.Result<unknown, Failure> => {
  const document = firstDocument(text)
  const failsByTag = (line: number) => Result.fail({ line, problem: tag })
  const ofValue = document.includes("!") ? taggedValue(document) : undefined
  if (ofValue !== undefined) return failsByTag(ofValue)
  return Result.match(read(document), {
    onFailure: (message) => Result.fail({ line: lineOf(document, message), problem: withoutQuotes(message) }),
    onSuccess: (value) => {
      const ofKey = document.includes("!") ? taggedKey(document, value) : undefined
      return ofKey === undefined ? Result.succeed(value) : failsByTag(ofKey)
    }
  })
}
