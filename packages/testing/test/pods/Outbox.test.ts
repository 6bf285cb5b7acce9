import * as Outbox from "@effect-k8s/testing/pods/Outbox"
import { assert, describe, it } from "@effect/vitest"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** A connection that takes a write when it is told to, and looks at its memory only then. */
const make = Effect.gen(function*() {
  const taken: Array<string> = []
  const going: Array<{ readonly chunks: NonEmptyReadonlyArray<Uint8Array>; readonly latch: Latch.Latch }> = []
  const outbox = yield* Outbox.make({
    write: (chunks) =>
      Effect.suspend(() => {
        const latch = Latch.makeUnsafe(false)
        going.push({ chunks, latch })
        return latch.await
      })
  })
  const takeOne = Effect.gen(function*() {
    while (going.length === 0) yield* Effect.yieldNow
    const { chunks, latch } = going.shift()!
    taken.push(chunks.map(text).join(""))
    yield* latch.open
  })
  return { outbox, taken, going, takeOne }
})

const flush = (outbox: Outbox.Outbox) => Effect.forkChild(outbox.flush, { startImmediately: true })

describe("an outbox", () => {
  it.effect("writes in one what was put while the write before ran, in order", () =>
    Effect.gen(function*() {
      const { going, outbox, taken, takeOne } = yield* make
      outbox.put(bytes("a"))
      const first = yield* flush(outbox)
      outbox.put(bytes("b"), bytes("c"))
      const second = yield* flush(outbox)
      outbox.put(bytes("d"))
      const third = yield* flush(outbox)
      assert.strictEqual(going.length, 1)
      yield* takeOne
      yield* Fiber.join(first)
      yield* takeOne
      yield* Fiber.join(second)
      yield* Fiber.join(third)
      assert.deepStrictEqual(taken, ["a", "bcd"])
      assert.strictEqual(going.length, 0)
    }))

  it.effect("writes to the end what somebody does not wait for any more, before what comes behind it", () =>
    Effect.gen(function*() {
      const { outbox, taken, takeOne } = yield* make
      outbox.put(bytes("a"), bytes("b"))
      yield* Fiber.interrupt(yield* flush(outbox))
      outbox.put(bytes("c"), bytes("d"))
      const second = yield* flush(outbox)
      yield* takeOne
      yield* takeOne
      yield* Fiber.join(second)
      assert.deepStrictEqual(taken, ["ab", "cd"])
    }))

  it.effect("writes chunks of any size, and nothing of none", () =>
    Effect.gen(function*() {
      const written: Array<Uint8Array> = []
      const outbox = yield* Outbox.make({
        write: (chunks) => Effect.sync(() => void written.push(...chunks.map((chunk) => chunk.slice())))
      })
      yield* outbox.flush
      assert.strictEqual(written.length, 0)
      const chunks = [1, 300 * 1024, 200 * 1024, 100 * 1024, 0, 1].map((size, i) => new Uint8Array(size).fill(i))
      outbox.put(...chunks)
      yield* outbox.flush
      assert.deepStrictEqual(Buffer.concat(written), Buffer.concat(chunks))
    }))
})
