import * as ChannelError from "@effect-k8s/channels/ChannelError"
import * as OutputBuffer from "@effect-k8s/channels/session/OutputBuffer"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const error = new ChannelError.ChannelError({
  reason: new ChannelError.ConnectionLost({ bytesReceived: 3 }),
  channel: { namespace: "n", pod: "p", container: undefined, command: "c", server: "s", protocol: "v5", attempts: [] }
})

const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)
const concat = (chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<number> => chunks.flatMap((chunk) => [...chunk])

/** Lets the other fibers go on until they wait. */
const settle = TestClock.adjust(0)

describe("an output buffer", () => {
  it.effect("gives what came before the reader and what comes after, in order, and ends", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1, 2))
      buffer.offer(bytes(3))
      const reading = yield* Effect.forkChild(Stream.runCollect(buffer.stream))
      yield* settle
      buffer.offer(bytes(4))
      buffer.end(Cause.done())
      assert.deepStrictEqual(concat(yield* Fiber.join(reading)), [1, 2, 3, 4])
    }))

  it.effect("gives all that waits as one batch", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      for (let i = 0; i < 5; i++) buffer.offer(bytes(i))
      buffer.end(Cause.done())
      const batches: Array<number> = []
      yield* Stream.runForEachArray(buffer.stream, (batch) => Effect.sync(() => batches.push(batch.length)))
      assert.deepStrictEqual(batches, [5])
    }))

  it.effect("counts its bytes", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      assert.strictEqual(buffer.size(), 0)
      buffer.offer(bytes(1, 2, 3))
      buffer.offer(bytes())
      buffer.offer(bytes(4))
      assert.strictEqual(buffer.size(), 4)
      yield* Stream.runHead(buffer.stream)
      assert.strictEqual(buffer.size(), 0)
    }))

  it.effect("is full at its limit, and has room when it was read", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(new Uint8Array(800))
      assert.isFalse(buffer.isFull())
      yield* buffer.room
      buffer.offer(new Uint8Array(800))
      assert.isTrue(buffer.isFull())
      const waiting = yield* Effect.forkChild(buffer.room)
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      yield* Stream.runHead(buffer.stream)
      yield* Fiber.join(waiting)
      assert.isFalse(buffer.isFull())
    }))

  it("is full of many tiny chunks long before their bytes fill it", () => {
    const buffer = OutputBuffer.make(10_000)
    let offered = 0
    while (!buffer.isFull() && offered < 10_000) {
      buffer.offer(bytes(1))
      offered++
    }
    assert.isAtMost(offered, 100)
    assert.strictEqual(buffer.size(), offered)
  })

  it.effect("holds no empty chunks", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(200)
      for (let i = 0; i < 100; i++) buffer.offer(bytes())
      assert.isFalse(buffer.isFull())
      buffer.end(Cause.done())
      assert.deepStrictEqual(yield* Stream.runCollect(buffer.stream), [])
    }))

  it.effect("gives what waits before the end, although the end follows at once on the room", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(10)
      buffer.offer(bytes(1, 2))
      assert.isTrue(buffer.isFull())
      // What waits for room may go on before the reader does.
      yield* Effect.forkChild(
        Effect.andThen(
          buffer.room,
          Effect.sync(() => {
            buffer.offer(bytes(3))
            buffer.end(Cause.done())
          })
        )
      )
      yield* settle
      assert.deepStrictEqual(concat(yield* Stream.runCollect(buffer.stream)), [1, 2, 3])
    }))

  it.effect("does not hold up what its reader waits for", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(10)
      const reading = yield* Effect.forkChild(Stream.runHead(buffer.stream))
      yield* settle
      buffer.offer(new Uint8Array(1000))
      assert.isFalse(buffer.isFull())
      assert.strictEqual(Option.getOrThrow(yield* Fiber.join(reading)).length, 1000)
    }))
})

describe("its end", () => {
  it.effect("comes behind what waits", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1))
      buffer.end(Effect.fail(error))
      const got: Array<number> = []
      const failure = yield* Effect.flip(
        Stream.runForEach(buffer.stream, (chunk) => Effect.sync(() => got.push(...chunk)))
      )
      assert.strictEqual(failure, error)
      assert.deepStrictEqual(got, [1])
    }))

  it.effect("wakes the reader", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(buffer.stream)))
      yield* settle
      buffer.end(Effect.fail(error))
      assert.strictEqual(yield* Fiber.join(reading), error)
    }))

  it.effect("is the first that was told, and nothing comes behind it", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.end(Cause.done())
      buffer.end(Effect.fail(error))
      buffer.offer(bytes(1))
      assert.strictEqual(buffer.size(), 0)
      assert.deepStrictEqual(yield* Stream.runCollect(buffer.stream), [])
    }))

  it.effect("is told again to a second reader", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1))
      buffer.end(Effect.fail(error))
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(buffer.stream)), error)
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(buffer.stream)), error)
    }))
})

describe("its reader", () => {
  it.effect("is there from its beginning to its end", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      assert.isFalse(buffer.hasReader())
      assert.isFalse(buffer.isAwaited())
      const reading = yield* Effect.forkChild(Stream.runDrain(buffer.stream))
      yield* settle
      assert.isTrue(buffer.hasReader())
      assert.isTrue(buffer.isAwaited())
      buffer.end(Cause.done())
      yield* Fiber.join(reading)
      assert.isFalse(buffer.hasReader())
      assert.isFalse(buffer.isAwaited())
    }))

  it.effect("is there, but waits for nothing, while it is busy with a batch", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1))
      const reading = yield* Effect.forkChild(Stream.runForEach(buffer.stream, () => Effect.never))
      yield* settle
      assert.isTrue(buffer.hasReader())
      assert.isFalse(buffer.isAwaited())
      yield* Fiber.interrupt(reading)
      assert.isFalse(buffer.hasReader())
    }))

  it.effect("leaves when it is interrupted, and the next one gets what comes", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      for (let i = 0; i < 20; i++) {
        const reading = yield* Effect.forkChild(Stream.runHead(buffer.stream))
        if (i % 2 === 0) yield* settle
        if (i % 3 === 0) buffer.offer(bytes(i))
        yield* Fiber.interrupt(reading)
        const exit = yield* Fiber.await(reading)
        if (i % 3 !== 0) buffer.offer(bytes(i))
        const got = exit._tag === "Success" ? exit.value : yield* Stream.runHead(buffer.stream)
        assert.deepStrictEqual([...Option.getOrThrow(got)], [i])
        assert.isFalse(buffer.hasReader())
        assert.isFalse(buffer.isAwaited())
      }
    }))

  it.effect("that left gives the rest to the next", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1))
      assert.deepStrictEqual(concat(yield* Stream.runCollect(Stream.take(buffer.stream, 1))), [1])
      buffer.offer(bytes(2))
      buffer.end(Cause.done())
      assert.deepStrictEqual(concat(yield* Stream.runCollect(buffer.stream)), [2])
    }))

  it.effect("may be one of two: together they get each byte once, and both see the end", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1_000_000)
      const got: Array<number> = []
      const reader = Stream.runForEach(buffer.stream, (chunk) => Effect.sync(() => got.push(...chunk)))
      const readers = yield* Effect.forEach([1, 2], () => Effect.forkChild(reader))
      yield* settle
      for (let i = 0; i < 10; i++) {
        buffer.offer(bytes(i))
        yield* settle
      }
      buffer.end(Cause.done())
      yield* Effect.forEach(readers, Fiber.join)
      assert.deepStrictEqual(got.toSorted((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }))

  it.effect.prop(
    "gets each byte once and in order, however it and the writer take turns",
    {
      turns: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: -1, maximum: 40 })))
    },
    ({ turns }) =>
      Effect.gen(function*() {
        const buffer = OutputBuffer.make(300)
        const got: Array<number> = []
        const reading = yield* Effect.forkChild(
          Stream.runForEach(buffer.stream, (chunk) => Effect.sync(() => got.push(...chunk)))
        )
        const sent: Array<number> = []
        for (const turn of turns) {
          if (turn < 0) yield* settle
          else {
            const chunk = Array.from({ length: turn }, (_, i) => (sent.length + i) & 0xff)
            sent.push(...chunk)
            buffer.offer(Uint8Array.from(chunk))
          }
        }
        buffer.end(Cause.done())
        yield* Fiber.join(reading)
        assert.deepStrictEqual(got, sent)
      })
  )

  it.effect("that is abandoned drops what waits, and fails whoever reads", () =>
    Effect.gen(function*() {
      const waited = OutputBuffer.make(1000)
      const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(waited.stream)))
      yield* settle
      waited.abandon(Effect.fail(error))
      assert.strictEqual(yield* Fiber.join(reading), error)

      const unread = OutputBuffer.make(3)
      unread.offer(bytes(1, 2, 3))
      unread.end(Cause.done())
      unread.abandon(Effect.fail(error))
      assert.deepStrictEqual([unread.size(), unread.isFull()], [0, false])
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(unread.stream)), error)
    }))

  it.effect("that is abandoned after all of it was read has ended as it did", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000)
      buffer.offer(bytes(1))
      buffer.end(Cause.done())
      yield* Stream.runDrain(buffer.stream)
      buffer.abandon(Effect.fail(error))
      assert.deepStrictEqual(concat(yield* Stream.runCollect(buffer.stream)), [])
    }))

  it.effect("gives no more than a piece at a time, or one chunk, and counts what was taken", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(1000, 4)
      const pieces: Array<ReadonlyArray<number>> = []
      buffer.offer(bytes(1, 2))
      buffer.offer(bytes(3))
      buffer.offer(bytes(4, 5))
      buffer.offer(bytes(6, 7, 8, 9, 10))
      buffer.offer(bytes(11))
      buffer.end(Cause.done())
      assert.strictEqual(buffer.taken(), 0)
      yield* Stream.runForEachArray(buffer.stream, (batch) =>
        Effect.sync(() => {
          pieces.push(concat(batch))
          assert.strictEqual(buffer.taken(), pieces.length)
        }))
      assert.deepStrictEqual(pieces, [[1, 2, 3], [4, 5], [6, 7, 8, 9, 10], [11]])
      assert.strictEqual(buffer.size(), 0)
    }))

  it.effect("that gives pieces has room as soon as it is below its limit", () =>
    Effect.gen(function*() {
      const buffer = OutputBuffer.make(3 * (128 + 2), 2)
      for (let i = 0; i < 3; i++) buffer.offer(bytes(i, i))
      assert.isTrue(buffer.isFull())
      const waiting = yield* Effect.forkChild(buffer.room)
      yield* Stream.runHead(buffer.stream)
      yield* Fiber.join(waiting)
      assert.deepStrictEqual([buffer.isFull(), buffer.size()], [false, 4])
    }))
})
