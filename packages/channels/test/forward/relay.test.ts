/**
 * How local connections end in front of forwarded ones, on virtual time.
 */
import type * as ForwardConnection from "@effect-k8s/channels/forward/ForwardConnection"
import { relay } from "@effect-k8s/channels/forward/relay"
import { assert, describe, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { text, utf8 } from "../protocol/bytes.ts"
import { settle } from "../support/execServer.ts"

const after = (duration: Duration.Input) => Effect.andThen(TestClock.adjust(duration), settle)

const ended = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })

/** A relay between a local peer that asks and ends its way at once, and a pod in the hands of the test. */
const start = Effect.gen(function*() {
  const log: Array<string> = []
  const asked = [utf8("question")]
  /** Whether the local peer reads. */
  const reads = Latch.makeUnsafe(true)
  const write = (chunks: ReadonlyArray<Uint8Array | string>) =>
    reads.whenOpen(Effect.sync(() => {
      for (const chunk of chunks) log.push(typeof chunk === "string" ? chunk : text(chunk))
    }))
  const socket = Socket.make({
    reader: Effect.succeed({
      pull: Effect.suspend(() => {
        const question = asked.pop()
        return question === undefined ? Effect.fail(ended) : Effect.succeed([question] as const)
      }),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.acquireRelease(
      Effect.succeed({ write: (chunk) => Socket.isCloseEvent(chunk) ? Effect.void : write([chunk]), writeAll: write }),
      () => Effect.sync(() => log.push("FIN"))
    )
  })
  const answer = yield* Queue.unbounded<Uint8Array, Cause.Done>()
  const connection: ForwardConnection.Owned = {
    port: 80,
    transport: "spdy",
    read: Stream.fromQueue(answer),
    write: Sink.drain,
    stats: Effect.succeed({ sent: 0, received: 0 }),
    send: () => Effect.succeed(true),
    endSending: Effect.void
  }
  const reset = Effect.sync(() => log.push("RST"))
  const fiber = yield* relay({ socket, reset }, { connect: Effect.succeed(connection), linger: Duration.minutes(1) })
    .pipe(
      Effect.match({ onFailure: ({ message }) => message, onSuccess: () => "in order" }),
      Effect.forkChild
    )
  yield* settle
  return {
    log,
    reads,
    podSays: (words: string) => Effect.andThen(Queue.offer(answer, utf8(words)), settle),
    podEnds: Effect.andThen(Queue.end(answer), settle),
    isOver: () => fiber.pollUnsafe() !== undefined,
    over: Fiber.join(fiber)
  }
})

describe("a local connection whose peer has ended its way", () => {
  it.effect("gets the answer, and its end when the pod ends, however long that takes with less silence", () =>
    Effect.gen(function*() {
      const { isOver, log, over, podEnds, podSays } = yield* start
      for (const words of ["one", "two", "three"]) {
        yield* after("59 seconds")
        yield* podSays(words)
      }
      assert.isFalse(isOver())
      yield* podEnds
      assert.strictEqual(yield* over, "in order")
      assert.deepStrictEqual(log, ["one", "two", "three", "FIN"])
    }))

  it.effect("is reset, not ended in order, when the pod falls silent in the middle of an answer, and says why", () =>
    Effect.gen(function*() {
      const { isOver, log, over, podSays } = yield* start
      yield* after("30 seconds")
      yield* podSays("half of it")
      yield* after("59 seconds")
      assert.isFalse(isOver())
      yield* after("1 second")
      assert.include(yield* over, "the pod was silent for 60000 ms")
      assert.deepStrictEqual(log, ["half of it", "RST"])
    }))

  it.effect("gets all of the answer although it takes longer to read than the pod may be silent", () =>
    Effect.gen(function*() {
      const { isOver, log, over, podEnds, podSays, reads } = yield* start
      reads.closeUnsafe()
      yield* podSays("one")
      yield* podSays("two")
      yield* after("1 hour")
      assert.isFalse(isOver())
      reads.openUnsafe()
      yield* settle
      yield* after("59 seconds")
      assert.isFalse(isOver())
      yield* podEnds
      assert.strictEqual(yield* over, "in order")
      assert.deepStrictEqual(log, ["one", "two", "FIN"])
    }))
})
