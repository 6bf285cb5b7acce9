/**
 * Values that are a number or a text: a port or its name, a count or a percentage. Servers never take one for the other:
 * `"8080"` is not a port but the name of one.
 */
import * as Option from "effect/Option"
import type { IntOrString } from "./Resource.ts"

/**
 * The number that a count or a percentage of a total stands for; nothing when it is neither. Kubernetes rounds surges
 * up, and what may be unavailable down.
 *
 * @example
 * ```ts
 * import * as IntOrString from "@effect-k8s/core/IntOrString"
 * import * as Option from "effect/Option"
 *
 * IntOrString.scaled("25%", 10, "up") // => Option.some(3)
 * IntOrString.scaled(2, 10, "up") // => Option.some(2)
 * IntOrString.scaled("2", 10, "up") // => Option.none()
 * ```
 */
export const scaled = (value: IntOrString, total: number, round: "up" | "down"): Option.Option<number> => {
  if (typeof value === "number") return Option.some(value)
  const percent = percentage(value)
  const rounded = round === "up" ? Math.ceil : Math.floor
  return Option.map(percent, (percent) => rounded(percent * total / 100))
}

/** The number of a percentage such as `25%`; nothing for other texts. */
export const percentage = (text: string): Option.Option<number> =>
  /^-?\d{1,9}%$/.test(text) ? Option.some(Number(text.slice(0, -1))) : Option.none()

/** The port that a number or a name stands for, among named ones; nothing when there is no such name. */
export const port = (
  value: IntOrString,
  ports: ReadonlyArray<{ readonly name?: string | undefined; readonly containerPort: number }>
): Option.Option<number> =>
  typeof value === "number"
    ? Option.some(value)
    : Option.fromUndefinedOr(ports.find(({ name }) => name === value)?.containerPort)
