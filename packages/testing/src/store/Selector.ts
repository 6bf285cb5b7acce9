/**
 * Label and field selectors: what lists, watches and collection deletes are narrowed by.
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as Json from "./Json.ts"
import type { StoredObject } from "./KubeObject.ts"

/** Whether an object is selected. */
export type Predicate = (object: StoredObject) => boolean

type Labels = Readonly<Record<string, string>>

interface Requirement {
  readonly key: string
  readonly matches: (value: string | undefined) => boolean
}

const wordCharacter = /[^\s,()=!<>]/

/** The symbols and words of a label selector. The end is an empty word. */
const tokens = (text: string): Array<string> => {
  const found: Array<string> = []
  let i = 0
  while (i < text.length) {
    const char = text.charAt(i)
    if (/\s/.test(char)) {
      i++
      continue
    }
    if ("=!<>,()".includes(char)) {
      const two = text.slice(i, i + 2)
      const symbol = two === "==" || two === "!=" ? two : char
      found.push(symbol)
      i += symbol.length
      continue
    }
    let end = i
    while (end < text.length && wordCharacter.test(text.charAt(end))) end++
    found.push(text.slice(i, end))
    i = end
  }
  return found
}

const isWord = (token: string): boolean => token !== "" && wordCharacter.test(token.charAt(0))

const operators = ["in", "notin", "=", "==", "!=", "gt", "lt", ">", "<"]

/** The requirements of a label selector: `a=b,c in (d,e),f,!g`. The empty selector has none and selects everything. */
const parseLabels = (text: string): Result.Result<ReadonlyArray<Requirement>, Failure.Failure> => {
  const all = tokens(text)
  let at = 0
  const peek = (): string => all[at] ?? ""
  const next = (): string => all[at++] ?? ""
  const refuse = (found: string, expected: string) =>
    Result.fail(Failure.badRequest(`unable to parse requirement: found '${found}', expected: ${expected}`))
  const requirements: Array<Requirement> = []
  if (all.length === 0) return Result.succeed(requirements)

  const values = (): Result.Result<ReadonlyArray<string>, Failure.Failure> => {
    if (next() !== "(") return refuse(all[at - 1] ?? "", "'('")
    const list: Array<string> = []
    for (let expectValue = true;;) {
      const token = next()
      if (expectValue && isWord(token)) {
        list.push(token)
        expectValue = false
      } else if (token === ",") {
        if (expectValue) list.push("")
        expectValue = true
      } else if (token === ")") {
        if (expectValue) list.push("")
        return Result.succeed(list)
      } else return refuse(token, "',' or ')'")
    }
  }

  for (;;) {
    const absent = peek() === "!"
    if (absent) at++
    const key = next()
    if (!isWord(key)) return refuse(key, absent ? "identifier" : "!, identifier, or 'end of string'")
    const ending = peek()
    if (absent || ending === "" || ending === ",") {
      requirements.push({ key, matches: (value) => (value === undefined) === absent })
    } else {
      const operator = next()
      if (!operators.includes(operator)) return refuse(operator, "in, notin, =, ==, !=, gt, lt")
      if (operator === "in" || operator === "notin") {
        const list = values()
        if (Result.isFailure(list)) return Result.fail(list.failure)
        const wanted = list.success
        requirements.push({
          key,
          matches: operator === "in"
            ? (value) => value !== undefined && wanted.includes(value)
            : (value) => value === undefined || !wanted.includes(value)
        })
      } else {
        const wanted = isWord(peek()) ? next() : ""
        requirements.push({ key, matches: compare(operator, wanted) })
      }
    }
    const separator = next()
    if (separator === "") return Result.succeed(requirements)
    if (separator !== ",") return refuse(separator, "',' or 'end of string'")
  }
}

const compare = (operator: string, wanted: string): Requirement["matches"] => {
  switch (operator) {
    case "!=":
      return (value) => value !== wanted
    case "gt":
    case ">":
      return (value) => value !== undefined && Number(value) > Number(wanted)
    case "lt":
    case "<":
      return (value) => value !== undefined && Number(value) < Number(wanted)
    default:
      return (value) => value === wanted
  }
}

/** A label selector as a predicate. Fails with 400 when it cannot be read. */
export const labels = (text: string): Result.Result<Predicate, Failure.Failure> =>
  Result.map(parseLabels(text), (requirements) => (object) => {
    const own: Labels = object.metadata.labels ?? {}
    return requirements.every((requirement) => requirement.matches(own[requirement.key]))
  })

/**
 * `spec.selector` of a workload as a predicate on labels: `matchLabels` and `matchExpressions`. Nothing in it selects
 * everything.
 */
export const fromObject = (selector: Json.Json | undefined): (labels: Labels) => boolean => {
  const exact = Object.entries(Json.stringMap(Json.get(selector, "matchLabels")))
  const expressions = Json.array(Json.get(selector, "matchExpressions"))
  return (labels) =>
    exact.every(([key, value]) => labels[key] === value) &&
    expressions.every((expression) => {
      const value = labels[Json.string(Json.get(expression, "key")) ?? ""]
      const values = Json.strings(Json.get(expression, "values"))
      switch (Json.get(expression, "operator")) {
        case "In":
          return value !== undefined && values.includes(value)
        case "NotIn":
          return value === undefined || !values.includes(value)
        case "Exists":
          return value !== undefined
        case "DoesNotExist":
          return value === undefined
        default:
          return false
      }
    })
}

/** A selector object as text, as `Scale` reports it. */
export const toText = (selector: Json.Json | undefined): string =>
  Object.entries(Json.stringMap(Json.get(selector, "matchLabels"))).map(([key, value]) => `${key}=${value}`).join(",")

/** Fields that a kind can be selected by, besides name and namespace: their names, and what they are without a value. */
export type SelectableFields = Readonly<Record<string, string>>

const split = (text: string): Array<string> => {
  const terms: Array<string> = [""]
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i)
    const last = terms.length - 1
    if (char === "\\") terms[last] += char + text.charAt(++i)
    else if (char === ",") terms.push("")
    else terms[last] += char
  }
  return terms.filter((term) => term !== "")
}

const unescape = (text: string): string => text.replaceAll(/\\([\\,=])/g, "$1")

/**
 * A field selector as a predicate: `metadata.name=a,status.phase!=Running`. Fails with 400 when it cannot be read, or
 * when the kind has no such field.
 */
export const fields = (
  text: string,
  selectable: SelectableFields | undefined
): Result.Result<Predicate, Failure.Failure> =>
  Result.gen(function*() {
    const tests: Array<Predicate> = []
    for (const term of split(text)) {
      const match = /^((?:\\.|[^\\=!])*)(==|!=|=)(.*)$/.exec(term)
      if (match === null) {
        return yield* Result.fail(Failure.badRequest(`invalid selector: '${text}'; can't understand '${term}'`))
      }
      const [, field = "", operator, value = ""] = match
      const fallback = field === "metadata.name" || field === "metadata.namespace" ? "" : selectable?.[field]
      if (fallback === undefined) {
        return yield* Result.fail(Failure.badRequest(
          selectable === undefined
            ? `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`
            : `field label not supported: ${field}`
        ))
      }
      const path = field.split(".")
      const wanted = unescape(value)
      const same = (object: StoredObject): boolean => {
        const found = Json.get(object, ...path)
        return (found === undefined || found === null || typeof found === "object" ? fallback : String(found)) ===
          wanted
      }
      tests.push(operator === "!=" ? (object) => !same(object) : same)
    }
    return (object: StoredObject) => tests.every((test) => test(object))
  })
