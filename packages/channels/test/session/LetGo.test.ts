import * as LetGo from "@effect-k8s/channels/session/LetGo"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

describe("an end that lets go", () => {
  it.effect("gives what an effect comes to before it, a failure too", () =>
    Effect.gen(function*() {
      const { unlessOver } = LetGo.make()
      assert.strictEqual(yield* unlessOver(Effect.succeed(1)), 1)
      assert.strictEqual(yield* unlessOver(Effect.as(Effect.yieldNow, 2)), 2)
      assert.strictEqual(yield* Effect.flip(unlessOver(Effect.fail("no"))), "no")
    }))

  it.effect("interrupts those who wait, and whoever comes later", () =>
    Effect.gen(function*() {
      const over = LetGo.make()
      const interrupted = yield* Deferred.make<void>()
      const waits = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const fiber = yield* Effect.forkChild(over.unlessOver(waits), { startImmediately: true })
      assert.isFalse(over.isOver())
      over.end()
      assert.isUndefined(yield* Fiber.join(fiber))
      assert.isTrue(yield* Deferred.isDone(interrupted))
      assert.isTrue(over.isOver())
      assert.isUndefined(yield* over.unlessOver(Effect.never))
    }))

  it.effect("interrupts what it runs when its waiter is interrupted", () =>
    Effect.gen(function*() {
      const { unlessOver } = LetGo.make()
      const interrupted = yield* Deferred.make<void>()
      const waits = Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
      const fiber = yield* Effect.forkChild(unlessOver(waits), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* Deferred.isDone(interrupted))
    }))
})
