/**
 * A socket whose connections come and go.
 */
import * as ReopenedSocket from "@effect-k8s/channels/connection/reopenedSocket"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { settle } from "../support/execServer.ts"

/** A socket, and what has been written to which of its connections. */
const make = () => {
  const written: Array<string> = []
  let opened = 0
  const socket = ReopenedSocket.make(Effect.sync(() => {
    const name = ++opened
    return {
      pull: Effect.never,
      writeAll: (chunks) => Effect.sync(() => written.push(`${chunks.join("")} to ${name}`)),
      end: () => Effect.sync(() => written.push(`end to ${name}`))
    }
  }))
  return { socket, written }
}

describe("what is written", () => {
  it.effect("waits for a connection, and for the next one when that is gone", () =>
    Effect.gen(function*() {
      const { socket, written } = make()
      const { write } = yield* socket.writer
      for (const words of ["one", "two"]) {
        const writing = yield* Effect.forkChild(write(words))
        yield* settle
        assert.isUndefined(writing.pollUnsafe())
        yield* Effect.scoped(Effect.andThen(socket.reader, Fiber.join(writing)))
      }
      assert.deepStrictEqual(written, ["one to 1", "two to 2"])
    }))

  it.effect("goes to the newest connection, although an older one is released only then", () =>
    Effect.gen(function*() {
      const { socket, written } = make()
      const [older, newer] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(socket.reader, older)
      yield* Scope.provide(socket.reader, newer)
      yield* Scope.close(older, Exit.void)
      yield* Effect.scoped(Effect.gen(function*() {
        const { write } = yield* socket.writer
        const writing = yield* Effect.forkChild(write("words"))
        yield* settle
        assert.deepStrictEqual(written, ["words to 2"])
        yield* Fiber.join(writing)
      }))
      assert.deepStrictEqual(written, ["words to 2", "end to 2"])
      yield* Scope.close(newer, Exit.void)
    }))
})
