import * as TransportError from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ByteDuplex from "../src/internal/byteDuplex.ts"
import type { RawStream } from "../src/internal/rawStream.ts"

const lost = (cause: unknown): TransportError.TransportError =>
  new TransportError.TransportError({
    reason: new TransportError.ConnectionLost({ address: { host: "peer", port: 1 }, cause })
  })

describe("byteDuplex", () => {
  it.live("reads what has come while writes are taken at once", () =>
    Effect.gen(function*() {
      let written = 0
      const stream: RawStream = {
        // As Deno does it: reads resolve in a turn of the event loop, writes at once while there is room.
        read: () => new Promise((resolve) => void setImmediate(resolve, Uint8Array.of(1))),
        write: () => {
          written++
          return Promise.resolve()
        },
        closeWrite: () => Promise.resolve(),
        destroy: () => {}
      }
      const duplex = ByteDuplex.make(stream, lost)
      const write = duplex.write([Uint8Array.of(2)])
      const writing = yield* Effect.forkChild(Effect.gen(function*() {
        for (let i = 0; i < 1000; i++) yield* write
      }))
      assert.deepStrictEqual(yield* duplex.pull, [Uint8Array.of(1)])
      assert.isAtMost(written, 2)
      yield* Fiber.interrupt(writing)
    }))
})
