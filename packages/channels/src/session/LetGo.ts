/**
 * An end that lets go of whoever waits for something else.
 *
 * A race with a latch would say the same with three fibers for each wait, and a write of stdin is one for each 64 KiB.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Something that ends once. */
export interface LetGo {
  readonly isOver: () => boolean
  /** It is over: waiting effects are interrupted, and come to `undefined`. */
  readonly end: () => void
  /** Runs an effect, unless it is over before: `undefined`. */
  readonly unlessOver: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A | undefined, E, R>
}

/** One that has not ended. */
export const make = (): LetGo => {
  let over = false
  const waiting = new Set<() => void>()
  return {
    isOver: () => over,
    end: () => {
      over = true
      for (const letGo of waiting) letGo()
    },
    unlessOver: (effect) =>
      Effect.flatMap(Effect.forkChild(effect, { startImmediately: true }), (fiber) =>
        Effect.callback((resume) => {
          const letGo = (): void => {
            waiting.delete(letGo)
            resume(Effect.as(Fiber.interrupt(fiber), undefined))
          }
          if (over) return letGo()
          waiting.add(letGo)
          fiber.addObserver((exit) => {
            if (waiting.delete(letGo)) resume(exit)
          })
          return Effect.suspend(() => {
            waiting.delete(letGo)
            return Fiber.interrupt(fiber)
          })
        }))
  }
}
