/**
 * How a connection has ended: what servers say of it may come late, and what was cut must not look whole.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { settle, timePasses } from "../support/execServer.ts"
import { after, brokenWords, reasonOf, start } from "../support/forwardSession.ts"

describe("the server's words about an end", () => {
  for (const whose of ["the connection's own", "another connection's"] as const) {
    it.effect(`count although they wait for long behind ${whose} unread bytes`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 })
        const broken = yield* forward.connect(80)
        const slow = whose === "another connection's" ? yield* forward.connect(81) : broken
        const [pair, slowPair = pair] = server.pairs
        // Fills the buffer, so that nothing is read any more.
        yield* slowPair!.send(new Uint8Array(128 * 1024))
        yield* pair!.end("data")
        yield* settle
        yield* pair!.say(brokenWords)
        yield* pair!.end("error")
        yield* after(60_000)
        const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(broken.read)))
        if (slow !== broken) yield* Effect.forkChild(Stream.runDrain(slow.read))
        yield* settle
        yield* after(1_000)
        assert.strictEqual(yield* Fiber.join(reading), "PortReset")
        yield* timePasses
      }))
  }

  it.effect("are waited for one second of reading, not of pauses", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 })
      const ending = yield* forward.connect(80)
      const slow = yield* forward.connect(81)
      const [pair, slowPair] = server.pairs
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(ending.read)))
      yield* pair!.end("data")
      yield* settle
      yield* after(600)
      yield* slowPair!.send(new Uint8Array(128 * 1024))
      yield* settle
      yield* after(8_000)
      yield* Effect.forkChild(Stream.runDrain(slow.read))
      yield* settle
      yield* after(399)
      assert.isUndefined(reading.pollUnsafe())
      yield* after(1)
      assert.strictEqual(yield* Fiber.join(reading), "success")
      yield* timePasses
    }))
})
