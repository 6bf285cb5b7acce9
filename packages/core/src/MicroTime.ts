/**
 * Times with microseconds (`metav1.MicroTime`): those of leases and events. Servers refuse any other number of digits
 * than six.
 */
import * as DateTime from "effect/DateTime"
import type * as Option from "effect/Option"
import type * as Ordering from "effect/Order"
import { epochMicros } from "./internal/rfc3339.ts"
import type { MicroTime } from "./Resource.ts"
import * as Time from "./Time.ts"

/** Microseconds since 1970; nothing when the text is no time. What is finer is cut off. */
export const parse = (text: string): Option.Option<bigint> => epochMicros(text)

/**
 * The text of microseconds since 1970, in UTC.
 *
 * @example
 * ```ts
 * import * as MicroTime from "@effect-k8s/core/MicroTime"
 *
 * MicroTime.format(1_767_323_045_000_070n) // => "2026-01-02T03:04:05.000070Z"
 * ```
 */
export const format = (micros: bigint): MicroTime => {
  const fraction = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, -5)
  return `${seconds}.${String(fraction).padStart(6, "0")}Z`
}

/** The text of a time, whose microseconds are zero behind the milliseconds. */
export const fromDateTime = (time: DateTime.DateTime): MicroTime => format(BigInt(DateTime.toEpochMillis(time)) * 1000n)

/** Orders texts by the time they stand for; those that are none come first. */
export const Order: Ordering.Order<MicroTime> = Time.Order
