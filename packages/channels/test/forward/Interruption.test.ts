/**
 * What is interrupted waits for nothing any more, wherever the interruption comes.
 */
import type * as PortForward from "@effect-k8s/channels/PortForward"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import { utf8 } from "../protocol/bytes.ts"
import { settle, timePasses } from "../support/execServer.ts"
import type * as ForwardServer from "../support/forwardServer.ts"
import { after, reasonOf, start } from "../support/forwardSession.ts"

// A fiber that gives way after fewer operations never gets on. With each of these it does so elsewhere.
const paces = [3, 4, 5]

/** Interrupts it before its first step, after it, and so on. Gives whether it was over at the last. */
const interruptedAnywhere = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
  let isOver = false
  for (const pace of paces) {
    for (let steps = 0; steps < 150; steps++) {
      const slow = Effect.provideService(Effect.exit(effect), Scheduler.MaxOpsBeforeYield, pace)
      const fiber = yield* Effect.forkChild(slow)
      for (let step = 0; step < steps; step++) yield* Effect.yieldNow
      isOver = fiber.pollUnsafe() !== undefined
      yield* Fiber.interrupt(fiber)
    }
  }
  return isOver
})

/** The pod sends more than the buffer holds, and ends; it is read a minute later. Gives how that ends. */
const readLate = Effect.fnUntraced(function*(connection: PortForward.Connection, pair: ForwardServer.ServerPair) {
  yield* pair.send(new Uint8Array(128 * 1024))
  yield* settle
  yield* pair.end("data")
  yield* pair.end("error")
  yield* after(60_000)
  return yield* reasonOf(Stream.runDrain(connection.read))
})

describe("a connection that nobody reads is not given up", () => {
  it.effect("for the sake of a write that was interrupted", () =>
    Effect.gen(function*() {
      const goes = Latch.makeUnsafe(true)
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 }, { onBytes: () => goes.await })
      const unread = yield* forward.connect(80)
      const other = yield* forward.connect(81)
      goes.closeUnsafe()
      // The server takes nothing, so none that comes later is over before it is interrupted.
      const stuck = yield* Effect.forkChild(Stream.run(Stream.succeed(new Uint8Array(1024 * 1024)), other.write))
      yield* settle
      assert.isFalse(yield* interruptedAnywhere(Stream.run(Stream.succeed(utf8("x")), unread.write)))
      goes.openUnsafe()
      yield* Fiber.join(stuck)
      assert.strictEqual(yield* readLate(unread, server.pairs[0]!), "success")
      yield* timePasses
    }))

  it.effect("for the sake of a connect that was interrupted", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 })
      const unread = yield* forward.connect(80)
      assert.isTrue(yield* interruptedAnywhere(Effect.scoped(Effect.asVoid(forward.connect(81)))))
      assert.strictEqual(yield* readLate(unread, server.pairs[0]!), "success")
      yield* timePasses
    }))
})
