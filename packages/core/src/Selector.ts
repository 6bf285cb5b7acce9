/**
 * Selectors as the API takes them in text form: `app=web,tier!=cache,env in (a,b)`.
 *
 * A value with a comma would be another selector, and select what nobody meant to. So keys and values of labels are
 * checked, and values of fields are escaped.
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"

/** What a label must be. */
export type Term =
  | { readonly _tag: "In"; readonly values: ReadonlyArray<string> }
  | { readonly _tag: "NotIn"; readonly values: ReadonlyArray<string> }
  | { readonly _tag: "Exists" }
  | { readonly _tag: "NotExists" }

/** One of some values. */
export const isIn = (...values: ReadonlyArray<string>): Term => ({ _tag: "In", values })

/** None of some values; objects without the label are selected, too. */
export const notIn = (...values: ReadonlyArray<string>): Term => ({ _tag: "NotIn", values })

/** Not that value; objects without the label are selected, too. */
export const not = (value: string): Term => notIn(value)

/** Any value. */
export const exists: Term = { _tag: "Exists" }

/** No such label. */
export const notExists: Term = { _tag: "NotExists" }

/** Terms by label; a text stands for that value. */
export type Labels = Readonly<Record<string, string | Term>>

/** A key or value that no label can have, or no values to choose from. */
export class InvalidSelector extends Data.TaggedError("InvalidSelector")<{
  readonly key: string
  readonly description: string
}> {
  override get message(): string {
    return `the selector of ${JSON.stringify(this.key)} ${this.description}`
  }
}

const keySyntax =
  /^(?:(?=.{1,253}\/)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const valueSyntax = /^(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/

/**
 * The text of a label selector. Fails with `InvalidSelector` when a key or value cannot be one of a label.
 *
 * @example
 * ```ts
 * import * as Selector from "@effect-k8s/core/Selector"
 * import * as Result from "effect/Result"
 *
 * Selector.labels({ app: "web", tier: Selector.not("cache"), env: Selector.isIn("a", "b"), old: Selector.notExists })
 * // => Result.succeed("app=web,tier!=cache,env in (a,b),!old")
 * ```
 */
export const labels = (labels: Labels): Result.Result<string, InvalidSelector> =>
  Result.map(
    Result.all(Object.entries(labels).map(([key, term]) => requirement(key, term))),
    (requirements) => requirements.join(",")
  )

/** As `labels`, for what is written in the program itself: throws an `InvalidSelector`. */
export const labelsUnsafe = (terms: Labels): string => Result.getOrThrow(labels(terms))

const requirement = (key: string, given: string | Term): Result.Result<string, InvalidSelector> => {
  const term = typeof given === "string" ? isIn(given) : given
  const values = "values" in term ? term.values : []
  const fail = (description: string) => Result.fail(new InvalidSelector({ key, description }))
  if (!keySyntax.test(key)) return fail("has a key that no label can have")
  const wrong = values.find((value) => !valueSyntax.test(value))
  if (wrong !== undefined) return fail(`has a value that no label can have: ${JSON.stringify(wrong)}`)
  const [only, ...others] = values
  switch (term._tag) {
    case "Exists":
      return Result.succeed(key)
    case "NotExists":
      return Result.succeed(`!${key}`)
    case "In":
    case "NotIn": {
      if (only === undefined) return fail("has no values to choose from")
      const negated = term._tag === "NotIn"
      return Result.succeed(
        others.length === 0
          ? `${key}${negated ? "!=" : "="}${only}`
          : `${key} ${negated ? "notin" : "in"} (${values.join(",")})`
      )
    }
  }
}

/** A label selector as objects hold it, in the `selector` of a deployment. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>> | undefined
  readonly matchExpressions?:
    | ReadonlyArray<{
      readonly key: string
      readonly operator: string
      readonly values?: ReadonlyArray<string> | undefined
    }>
    | undefined
}

/**
 * The text of a selector that an object holds: what to list its pods by. An empty one selects everything. Fails with
 * `InvalidSelector` when it has an operator that there is not.
 */
export const fromObject = (selector: LabelSelector): Result.Result<string, InvalidSelector> =>
  Result.map(
    Result.all([
      ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => requirement(key, value)),
      ...(selector.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
        switch (operator) {
          case "In":
            return requirement(key, isIn(...values))
          case "NotIn":
            return requirement(key, notIn(...values))
          case "Exists":
            return requirement(key, exists)
          case "DoesNotExist":
            return requirement(key, notExists)
          default:
            return Result.fail(new InvalidSelector({ key, description: `has an unknown operator: ${operator}` }))
        }
      })
    ]),
    (requirements) => requirements.join(",")
  )

/** What a field must be. */
export type FieldTerm = string | { readonly _tag: "Not"; readonly value: string }

/** Not that value. */
export const notField = (value: string): FieldTerm => ({ _tag: "Not", value })

/**
 * The text of a field selector, with any values.
 *
 * @example
 * ```ts
 * import * as Selector from "@effect-k8s/core/Selector"
 *
 * Selector.fields({ "spec.nodeName": "node-1", "status.phase": Selector.notField("Running") })
 * // => "spec.nodeName=node-1,status.phase!=Running"
 * ```
 */
export const fields = (terms: Readonly<Record<string, FieldTerm>>): string =>
  Object.entries(terms).map(([field, term]) =>
    typeof term === "string" ? `${field}=${escapeField(term)}` : `${field}!=${escapeField(term.value)}`
  ).join(",")

const escapeField = (value: string): string => value.replaceAll(/[\\,=]/g, "\\$&")
