/**
 * The turns of writes, whenever who waits for one is interrupted.
 */
import * as FrameWriter from "@effect-k8s/channels/connection/FrameWriter"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"

// More than any fiber here takes from its beginning to its end.
const steps = 40

const letRun = (times: number): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: times }), () => Effect.yieldNow, { discard: true })

/** Whether an effect ends. */
const ends = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<boolean> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let i = 0; i < steps && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
    return fiber.pollUnsafe() !== undefined
  })

/**
 * Runs a scenario once for each step that fibers may have got to: `often` lets one yield after a few operations, as it does
 * after thousands elsewhere, and different numbers make it yield between different ones.
 */
const atEachStep = <E>(
  scenario: (
    step: number,
    often: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<void, E, Scope.Scope>
): Effect.Effect<void, E> =>
  Effect.gen(function*() {
    for (let operations = 5; operations < 12; operations++) {
      for (let step = 0; step < steps; step++) {
        const often = Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)
        yield* Effect.scoped(scenario(step, often))
      }
    }
  })

describe("a write whose caller is interrupted", () => {
  it.effect("lets the next one have its turn, at whichever step it was", () =>
    atEachStep(Effect.fnUntraced(function*(step, often) {
      const { exclusively } = yield* FrameWriter.make
      const caller = yield* Effect.forkChild(often(exclusively(Effect.void)))
      yield* letRun(step)
      yield* Fiber.interrupt(caller)
      assert.isTrue(yield* ends(exclusively(Effect.void)), `step ${step}`)
    })))

  it.effect("goes on to its end once it has begun, and is not made before, at whichever step it was", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      yield* atEachStep(Effect.fnUntraced(function*(step, often) {
        const { exclusively } = yield* FrameWriter.make
        const first = Latch.makeUnsafe(false)
        yield* Effect.forkChild(exclusively(first.await))
        yield* letRun(1)
        const log: Array<string> = []
        const write = Effect.sync(() => log.push("begun")).pipe(
          Effect.andThen(Effect.yieldNow),
          Effect.andThen(Effect.sync(() => log.push("over")))
        )
        const caller = yield* Effect.forkChild(often(exclusively(Effect.asVoid(write))))
        yield* letRun(10)
        first.openUnsafe()
        yield* letRun(step)
        yield* Fiber.interrupt(caller)
        assert.isTrue(yield* ends(exclusively(Effect.void)), `step ${step}`)
        assert.include([0, 2], log.length, `step ${step}`)
        seen.add(log.join(", "))
      }))
      assert.sameMembers([...seen], ["", "begun, over"])
    }))
})

describe("a write in the background", () => {
  it.effect("that the end of the scope overtakes lets the last word be said, at whichever step it was", () =>
    atEachStep(Effect.fnUntraced(function*(step, often) {
      const scope = yield* Scope.make()
      const { later, lastly } = yield* Scope.provide(FrameWriter.make, scope)
      yield* Effect.forkChild(often(later(Effect.void)))
      yield* letRun(step)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(yield* ends(lastly(Effect.void)), `step ${step}`)
    })))
})

describe("answers to the peer", () => {
  it.effect("are given on when the reader that had to give one was interrupted, at whichever step it was", () =>
    atEachStep(Effect.fnUntraced(function*(step, often) {
      const scope = yield* Effect.scope
      const sent: Array<number> = []
      const asked: Array<Uint8Array> = []
      const answer = FrameWriter.answering(scope, () => asked.shift(), ([question]) =>
        Effect.sync(() => {
          sent.push(question ?? 0)
        }))
      asked.push(Uint8Array.of(1))
      const reader = yield* Effect.forkChild(often(answer))
      yield* letRun(step)
      yield* Fiber.interrupt(reader)
      asked.push(Uint8Array.of(2))
      yield* answer
      yield* letRun(steps)
      assert.deepStrictEqual(sent, [1, 2], `step ${step}`)
    })))
})
