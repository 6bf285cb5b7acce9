import * as Effect from "effect/Effect"

// Polls on the wall clock: the rows that need this run real sockets, which know no test clock.
const pause = Effect.promise(() => new Promise((resume) => setTimeout(resume, 10)))
const attempts = 1000

/** Reads a value until the check passes; fails with the check's own error when it never does. */
export const eventually = <A, E, R>(
  read: Effect.Effect<A, E, R>,
  check: (value: A) => void,
  left = attempts
): Effect.Effect<A, E, R> =>
  Effect.flatMap(read, (value) => {
    try {
      check(value)
      return Effect.succeed(value)
    } catch (cause) {
      return left === 0 ? Effect.die(cause) : Effect.andThen(pause, eventually(read, check, left - 1))
    }
  })
