/**
 * Connections that share a socket do not wait for long for one whose reader has stopped, and always for one that is slow.
 */
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { text, utf8 } from "../protocol/bytes.ts"
import { settle, timePasses } from "../support/execServer.ts"
import { after, reasonOf, start } from "../support/forwardSession.ts"

/** Two connections on one socket: the first is sent without end, the second has something behind that. */
const shared = Effect.fnUntraced(function*(
  options: ForwardOptions,
  consume: (chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
) {
  const { forward, server } = yield* start({ sockets: 1, bufferBytes: 256 * 1024, ...options })
  const first = yield* forward.connect(80)
  const second = yield* forward.connect(81)
  const reading = yield* Effect.forkChild(reasonOf(Stream.runForEachArray(first.read, consume)))
  yield* Effect.forkChild(Effect.forever(server.pairs[0]!.send(new Uint8Array(16 * 1024))))
  // Until the buffers on the way are full too.
  yield* Effect.repeat(settle, { times: 10 })
  const waiting = yield* Effect.forkChild(Stream.runHead(Stream.map(second.read, text)))
  yield* Effect.forkChild(server.pairs[1]!.send(utf8("hello")))
  yield* settle
  return { first, reading, waiting }
})

describe("a connection that others wait for", () => {
  for (const unreadGrace of [undefined, "3 seconds"] as const) {
    it.effect(`is given up when its reader has stopped for ${unreadGrace ?? "10 seconds"}`, () =>
      Effect.gen(function*() {
        const { first, waiting } = yield* shared({ unreadGrace }, () => Effect.never)
        yield* after(unreadGrace === undefined ? 9_999 : 2_999)
        assert.isUndefined(waiting.pollUnsafe())
        yield* after(1)
        assert.deepInclude(yield* Fiber.join(waiting), { value: "hello" })
        assert.strictEqual(yield* reasonOf(Stream.runDrain(first.read)), "UnreadConnection")
        yield* timePasses
      }))
  }

  it.effect("is waited for as long as its reader takes a piece now and then", () =>
    Effect.gen(function*() {
      const sizes: Array<number> = []
      const { reading } = yield* shared({}, (chunks) => {
        sizes.push(chunks.reduce((size, { length }) => size + length, 0))
        return Effect.sleep("9 seconds")
      })
      for (let i = 0; i < 60; i++) yield* after(3_000)
      assert.isUndefined(reading.pollUnsafe())
      assert.isAtLeast(sizes.length, 20)
      assert.isAtMost(Math.max(...sizes), 64 * 1024)
      yield* timePasses
    }))
})
