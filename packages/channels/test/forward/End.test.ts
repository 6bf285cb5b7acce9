/**
 * How a connection has ended: what servers say of it may come late, and what was cut must not look whole.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { text, utf8 } from "../protocol/bytes.ts"
import { settle, timePasses } from "../support/execServer.ts"
import { after, brokenWords, reasonOf, say, start } from "../support/forwardSession.ts"

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

describe("the end of a connection's scope", () => {
  for (const isEnded of [true, false]) {
    it.effect(`fails whoever still reads it, ${isEnded ? "after" : "before"} the end of what is sent`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start()
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(forward.connect(80), scope)
        if (isEnded) yield* say(connection, "request")
        const seen: Array<string> = []
        const reading = yield* Effect.forkChild(
          reasonOf(Stream.runForEach(connection.read, (bytes) => Effect.sync(() => void seen.push(text(bytes)))))
        )
        yield* settle
        yield* server.pairs[0]!.send(utf8("one part"))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        // What comes now is dropped, and so the end is none in order.
        yield* server.pairs[0]!.send(utf8("another"))
        yield* server.pairs[0]!.end("data")
        yield* server.pairs[0]!.end("error")
        yield* settle
        assert.strictEqual(yield* Fiber.join(reading), "ConnectionLost")
        assert.deepStrictEqual(seen, ["one part"])
        assert.strictEqual(yield* reasonOf(Stream.runDrain(connection.read)), "ConnectionLost")
        yield* timePasses
      }))
  }

  it.effect("is no end in order of what was not read by then", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      const scope = yield* Scope.make()
      const connection = yield* Scope.provide(forward.connect(80), scope)
      yield* server.pairs[0]!.send(utf8("all there is"))
      yield* server.pairs[0]!.end("data")
      yield* server.pairs[0]!.end("error")
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(connection.read)), "ConnectionLost")
      yield* timePasses
    }))

  it.effect("fails a pull of its socket that waits", () =>
    Effect.gen(function*() {
      const { forward } = yield* start()
      const socket = forward.socket(80)
      const scope = yield* Scope.make()
      const { pull } = yield* Scope.provide(socket.reader, scope)
      yield* Effect.scoped(Effect.flatMap(socket.writer, ({ write }) => write("request")))
      const pulling = yield* Effect.forkChild(reasonOf(pull))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(yield* Fiber.join(pulling), "SocketReadError")
      yield* timePasses
    }))
})
