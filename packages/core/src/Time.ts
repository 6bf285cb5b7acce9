/**
 * Times of the API: RFC 3339 text with seconds (`metav1.Time`).
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Ordering from "effect/Order"
import { epochMicros } from "./internal/rfc3339.ts"
import type { Time } from "./Resource.ts"

/**
 * Reads a time; nothing when it is none. Any offset and any fraction are understood; what is finer than milliseconds is
 * cut off.
 *
 * @example
 * ```ts
 * import * as Time from "@effect-k8s/core/Time"
 * import * as Option from "effect/Option"
 *
 * Option.map(Time.parse("2026-01-02T05:04:05+02:00"), Time.format) // => Option.some("2026-01-02T03:04:05Z")
 * ```
 */
export const parse = (text: string): Option.Option<DateTime.Utc> =>
  Option.flatMap(epochMicros(text), (micros) => DateTime.make(Math.floor(Number(micros) / 1000))).pipe(
    Option.map(DateTime.toUtc)
  )

/** The text of a time, in UTC, with whole seconds: what servers write. The rest of a second is cut off. */
export const format = (time: DateTime.DateTime): Time =>
  `${new Date(DateTime.toEpochMillis(time)).toISOString().slice(0, -5)}Z`

/** Orders texts by the time they stand for; those that are none come first. */
export const Order: Ordering.Order<Time> = Ordering.mapInput(Option.makeOrder(Ordering.BigInt), epochMicros)
