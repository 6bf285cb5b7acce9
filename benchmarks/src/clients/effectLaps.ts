/**
 * Repeated work of clients that are written with Effect.
 */
import * as Effect from "effect/Effect"

/** Runs `once` so many times, one after the other, and times each. */
export const laps = <E, R>(
  count: number,
  once: Effect.Effect<unknown, E, R>
): Effect.Effect<ReadonlyArray<number>, E, R> =>
  Effect.gen(function*() {
    const times: Array<number> = []
    for (let i = 0; i < count; i++) {
      const begun = performance.now()
      yield* once
      times.push(performance.now() - begun)
    }
    return times
  })
