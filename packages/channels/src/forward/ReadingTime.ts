/**
 * The time in which a link reads. It stands still while reading is paused: what the server says meanwhile waits for us,
 * and how long it does says nothing of the server.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

/** A clock that stands still between `pause` and `resume`. */
export interface ReadingTime {
  /** In milliseconds. */
  readonly now: () => number
  readonly pause: () => void
  readonly resume: () => void
  /** Waits for a moment. */
  readonly until: (moment: number) => Effect.Effect<void>
}

/** A clock that goes. */
export const make = (clock: Clock.Clock): ReadingTime => {
  // That of the day may be set.
  const monotonic = (): number => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  let pausedAt: number | undefined
  let pausedFor = 0
  const goes = Latch.makeUnsafe(true)
  const now = (): number => (pausedAt ?? monotonic()) - pausedFor
  return {
    now,
    pause: () => {
      pausedAt ??= monotonic()
      goes.closeUnsafe()
    },
    resume: () => {
      if (pausedAt !== undefined) pausedFor += monotonic() - pausedAt
      pausedAt = undefined
      goes.openUnsafe()
    },
    until: (moment) =>
      Effect.whileLoop({
        while: () => now() < moment,
        body: () => Effect.andThen(goes.await, Effect.suspend(() => Effect.sleep(Math.max(moment - now(), 0)))),
        step: () => {}
      })
  }
}
