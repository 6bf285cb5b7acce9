/**
 * Points in time as RFC 3339 writes them.
 */
import * as Option from "effect/Option"

const syntax = /^(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))$/

/** Microseconds since 1970; nothing when the text is no time, or there is no such day. What is finer is cut off. */
export const epochMicros = (text: string): Option.Option<bigint> => {
  const match = syntax.exec(text)
  if (match === null) return Option.none()
  const [, day = "", clock = "", fraction = "", sign, hours = "0", minutes = "0"] = match
  const millis = Date.parse(`${day}T${clock}Z`)
  // JavaScript takes the thirtieth of February for the second of March.
  if (Number.isNaN(millis) || new Date(millis).toISOString().slice(0, 10) !== day || Number(minutes) > 59) {
    return Option.none()
  }
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === "-" ? -1 : 1)
  return Option.some(BigInt(millis - offset) * 1000n + BigInt(fraction.slice(0, 6).padEnd(6, "0")))
}
