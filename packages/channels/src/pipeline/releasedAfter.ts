/**
 * Letting go of what is read only after something else.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * A stream that is released after `first` has run when its reader leaves before its end, also one that is interrupted
 * while it waits. `first` gets what there is still to read.
 */
export const releasedAfter = <A, E>(
  stream: Stream.Stream<A, E>,
  first: (rest: Pull.Pull<NonEmptyReadonlyArray<A>, E>) => Effect.Effect<void>
): Stream.Stream<A, E> =>
  Stream.unwrap(Effect.gen(function*() {
    const inner = yield* Scope.fork(yield* Effect.scope)
    const pull = yield* Scope.provide(Stream.toPull(stream), inner)
    let isOver = false
    // In a fiber of its own, because an interrupted pull is what releases most streams. The next one goes on with it.
    let pulling: Fiber.Fiber<Effect.Success<typeof pull>, Effect.Error<typeof pull>> | undefined
    const next: typeof pull = Effect.flatMap(
      Effect.suspend(() =>
        pulling === undefined ? Effect.forkIn(pull, inner, { startImmediately: true }) : Effect.succeed(pulling)
      ),
      (fiber) => {
        pulling = fiber
        return Effect.flatMap(Fiber.await(fiber), (exit) => {
          pulling = undefined
          isOver = Exit.isFailure(exit)
          return exit
        })
      }
    )
    yield* Effect.addFinalizer(() => isOver ? Effect.void : first(next))
    return Stream.fromPull(Effect.succeed(next))
  }))
