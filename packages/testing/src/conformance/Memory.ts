/**
 * How much memory an effect takes, at most.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const interval = "10 millis"
// How many bytes pass between two moments is up to the machine, so those that have passed are collected by their number. What
// has waited for its reader is old, so all of it is looked at, which takes a few milliseconds.
const bytesPerCollection = 1024 * 1024

/** Collects garbage, where the runtime was started so that a program may. */
const collect = (): void => {
  if ("gc" in globalThis && typeof globalThis.gc === "function") globalThis.gc({ type: "major" })
}

/** What an effect gives, and what it took. */
export interface Measured<A> {
  readonly value: A
  /** By how much the resident memory of this process was larger than before, at most. */
  readonly bytes: number
}

/** Runs an effect, which says of the bytes that it moves how many there were, and measures. */
export const growth = Effect.fnUntraced(function*<A, E, R>(
  move: (moved: (bytes: number) => void) => Effect.Effect<A, E, R>
): Effect.fn.Return<Measured<A>, E, R> {
  const before = process.memoryUsage.rss()
  let peak = before
  const look = (): void => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  let uncollected = 0
  const moved = (bytes: number): void => {
    uncollected += bytes
    if (uncollected < bytesPerCollection) return
    uncollected = 0
    look()
    collect()
  }
  const value = yield* Effect.raceFirst(
    move(moved),
    Effect.andThen(Effect.repeat(Effect.sync(look), Schedule.spaced(interval)), Effect.never)
  )
  return { value, bytes: peak - before }
})

/** Collects garbage. A runtime that cannot be told to meanwhile is a defect: what is left would be nothing. */
const collectOnDemand = Effect.sync((): void => {
  setFlagsFromString("--expose-gc")
  const gc: unknown = runInNewContext("gc")
  if (typeof gc !== "function") throw new Error("this runtime cannot be told to collect garbage")
  gc()
  gc()
})

/** Connections that have ended linger for seconds, and what they hold is not left by them. */
const settling = { schedule: Schedule.spaced("250 millis"), times: 24 }

/**
 * What an effect leaves on the heap, in bytes. What is more than is allowed is looked at again, for some seconds.
 */
export const retained = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  allowed: number
): Effect.fn.Return<Measured<A>, E, R> {
  const used = Effect.map(
    Effect.andThen(Effect.sleep("100 millis"), collectOnDemand),
    () => process.memoryUsage().heapUsed
  )
  const before = yield* used
  const value = yield* effect
  const after = yield* Effect.repeat(used, { ...settling, until: (bytes) => bytes - before <= allowed })
  return { value, bytes: Math.max(0, after - before) }
})
