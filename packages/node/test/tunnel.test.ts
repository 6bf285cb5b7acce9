import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tunnel from "../src/internal/tunnel.ts"

const address = { host: "a.test", port: 6443 }
const socks = { url: new URL("socks5://proxy:1080") }
const http = { url: new URL("http://proxy:3128") }
const early = Buffer.from("early")
const accepted = Buffer.from([5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80])
const established = Buffer.from("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")

/** A connection to a proxy that says these chunks, whatever it is told, and then ends if it is to. */
const connected = (chunks: ReadonlyArray<Buffer>, end: boolean): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<readonly [Net.Server, Net.Socket]>((resume) => {
      const server = Net.createServer({ noDelay: true }, (socket) => {
        socket.on("error", () => {}).resume()
        const say = async (): Promise<void> => {
          for (const chunk of chunks) {
            await new Promise<void>((resolve) => socket.write(chunk, () => resolve()))
            await new Promise<void>((resolve) => setImmediate(resolve))
          }
          if (end) socket.end()
        }
        void say()
      })
      server.listen(0, "127.0.0.1", () => {
        const bound = server.address()
        const port = typeof bound === "object" && bound !== null ? bound.port : 0
        const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true })
        socket.once("connect", () => resume(Effect.succeed([server, socket])))
      })
    }),
    ([server, socket]) =>
      Effect.callback<void>((resume) => {
        socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(([, socket]) => socket))

const readAll = (socket: Net.Socket): Effect.Effect<string> =>
  Effect.callback((resume) => {
    const chunks: Array<Buffer> = []
    socket.on("data", (chunk: Buffer) => chunks.push(chunk))
    socket.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
  })

const listeners = (socket: Net.Socket) =>
  ["readable", "error", "end", "close"].map((event) => socket.listenerCount(event))

const bytewise = (bytes: Buffer): ReadonlyArray<Buffer> => Array.from(bytes, (byte) => Buffer.from([byte]))

describe("a tunnel", () => {
  for (const [kind, proxy, answer] of [["SOCKS5", socks, accepted], ["CONNECT", http, established]] as const) {
    const whole = Buffer.concat([answer, early])
    for (const [how, chunks] of [["at once", [whole]], ["a byte at a time", bytewise(whole)]] as const) {
      it.live(`of ${kind} gives what came with the answer first, from a proxy that speaks ${how}`, () =>
        Effect.gen(function*() {
          const socket = yield* connected(chunks, true)
          const before = listeners(socket)
          yield* Tunnel.open(socket, proxy, address)
          assert.deepStrictEqual(listeners(socket), before)
          assert.strictEqual(yield* readAll(socket), "early")
        }))
    }

    it.live(`of ${kind} is none where the proxy ends before it has answered`, () =>
      Effect.gen(function*() {
        const socket = yield* connected([answer.subarray(0, 7)], true)
        const refusal = yield* Effect.flip(Tunnel.open(socket, proxy, address))
        assert.match("cause" in refusal ? refusal.cause.message : "", /the connection ended/)
      }))
  }

  it.live("of SOCKS5 is refused in words, and of CONNECT with the status", () =>
    Effect.gen(function*() {
      const bySocks = yield* connected([Buffer.from([5, 0, 5, 2, 0, 1])], false)
      const words = yield* Effect.flip(Tunnel.open(bySocks, socks, address))
      assert.match("cause" in words ? words.cause.message : "", /a\.test:6443: its rules do not allow it/)
      const byConnect = yield* connected([Buffer.from("HTTP/1.1 403 Forbidden\r\n\r\n")], false)
      assert.deepStrictEqual(yield* Effect.flip(Tunnel.open(byConnect, http, address)), { status: 403 })
    }))

  it.live("is not asked for what SOCKS5 has no form for", () =>
    Effect.gen(function*() {
      const socket = yield* connected([], false)
      const refusal = yield* Effect.flip(Tunnel.open(socket, socks, { host: "x".repeat(256), port: 1 }))
      assert.match("cause" in refusal ? refusal.cause.message : "", /no host name of more than 255 bytes/)
      assert.strictEqual(socket.bytesWritten, 0)
    }))
})
