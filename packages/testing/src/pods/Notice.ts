/**
 * Waiting for something that callbacks and fibers change: no lost wake-ups, no polling.
 */
import * as Effect from "effect/Effect"

/** A place to wait at. */
export interface Notice {
  /** Something has changed: those whose condition holds now go on. */
  readonly notify: () => void
  /** Waits until a condition holds; at once if it does. It is looked at again on each `notify`. */
  readonly until: (ready: () => boolean) => Effect.Effect<void>
}

/** A place to wait at. */
export const make = (): Notice => {
  const waiting = new Set<{ readonly ready: () => boolean; readonly resume: () => void }>()
  return {
    notify: () => {
      for (const waiter of waiting) {
        if (!waiter.ready()) continue
        waiting.delete(waiter)
        waiter.resume()
      }
    },
    until: (ready) =>
      Effect.callback((resume) => {
        const go = (): void => resume(Effect.void)
        if (ready()) return go()
        const waiter = { ready, resume: go }
        waiting.add(waiter)
        return Effect.sync(() => waiting.delete(waiter))
      })
  }
}
