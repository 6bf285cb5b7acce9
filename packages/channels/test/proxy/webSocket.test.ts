/**
 * WebSockets of whole messages, from servers that cut them as they like.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocket from "@effect-k8s/channels/proxy/webSocket"
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { concat, utf8 } from "../protocol/bytes.ts"
import { settle } from "../support/execServer.ts"

const { Opcode } = WebSocketFrame
const limit = 1024 * 1024

/** A WebSocket whose server sends what the test says. */
const opened = Effect.gen(function*() {
  const sent = yield* Queue.unbounded<Uint8Array>()
  const duplex: ByteDuplex = {
    pull: Effect.map(Queue.take(sent), (chunk) => [chunk] as const),
    write: () => Effect.void,
    end: Effect.void
  }
  const { pull } = yield* WebSocket.toSocket(Effect.succeed(duplex), limit).reader
  return { pull, serverSends: (chunk: Uint8Array) => Effect.asVoid(Queue.offer(sent, chunk)) }
})

const frame = (opcode: WebSocketFrame.Opcode, payload: Uint8Array, fin: boolean): Uint8Array =>
  WebSocketFrame.encode({ opcode, payload, fin }, undefined)

/** A message, in fragments of so many bytes. */
const fragments = (opcode: WebSocketFrame.Opcode, message: Uint8Array, size: number): Uint8Array => {
  const frames: Array<Uint8Array> = []
  for (let at = 0; at === 0 || at < message.length; at += size) {
    const fin = at + size >= message.length
    frames.push(frame(at === 0 ? opcode : Opcode.Continuation, message.subarray(at, at + size), fin))
  }
  return concat(...frames)
}

describe("messages", () => {
  const long = new Uint8Array(limit).map((_, i) => i * 7)
  for (const size of [1, 3, 1000, 100_000, limit]) {
    it.effect(`are whole, and each by itself, in fragments of ${size} bytes and chunks of any`, () =>
      Effect.gen(function*() {
        const { pull, serverSends } = yield* opened
        const bytes = concat(
          fragments(Opcode.Text, utf8("grüße, 世界"), size),
          fragments(Opcode.Binary, Uint8Array.of(1, 2, 3), size),
          fragments(Opcode.Text, new Uint8Array(0), size),
          fragments(Opcode.Binary, long.subarray(0, size < 10 ? 50_000 : limit), size),
          fragments(Opcode.Text, utf8("last"), size)
        )
        for (let at = 0, n = 1; at < bytes.length; at += n, n = n * 3 % 65_521) {
          yield* serverSends(bytes.slice(at, at + n))
        }
        const messages: Array<Uint8Array | string> = []
        while (messages.length < 5) messages.push(...(yield* pull))
        assert.deepStrictEqual([messages[0], messages[2], messages[4]], ["grüße, 世界", "", "last"])
        // In memory of its own, which later ones leave alone.
        assert.deepStrictEqual(messages[1], Uint8Array.of(1, 2, 3))
        assert.strictEqual(
          Buffer.compare(messages[3] as Uint8Array, long.subarray(0, size < 10 ? 50_000 : limit)),
          0
        )
      }))
  }
})

describe("what is held of a message that does not end", () => {
  setFlagsFromString("--expose-gc")
  const gc: () => void = runInNewContext("gc")
  setFlagsFromString("--no-expose-gc")
  const used = Effect.promise(async () => {
    for (let i = 0; i < 3; i++) {
      gc()
      await new Promise((resume) => setImmediate(resume))
    }
    const { external, heapUsed } = process.memoryUsage()
    return external + heapUsed
  })
  // What tests take for themselves meanwhile.
  const allowance = 4 * 1024 * 1024

  const servers: ReadonlyArray<readonly [name: string, payload: Uint8Array, fragments: number]> = [
    ["empty fragments", new Uint8Array(0), 2_000_000],
    ["fragments of one byte", Uint8Array.of(97), limit - 1]
  ]
  for (const [name, payload, count] of servers) {
    it.effect(`is in proportion to its limit, from a server that sends ${name}`, () =>
      Effect.gen(function*() {
        const { pull, serverSends } = yield* opened
        const pulling = yield* Effect.forkChild(pull)
        const one = frame(Opcode.Continuation, payload, false)
        const many = 20_000
        yield* serverSends(frame(Opcode.Text, Uint8Array.of(97), false))
        const before = yield* used
        for (let left = count - 1; left > 0; left -= many) {
          yield* serverSends(concat(...Array.from({ length: Math.min(many, left) }, () => one)))
          yield* settle
        }
        assert.isBelow((yield* used) - before, limit + allowance)
        assert.isUndefined(pulling.pollUnsafe())
        yield* Fiber.interrupt(pulling)
      }))
  }
})
