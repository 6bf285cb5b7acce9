import * as Certificates from "@effect-k8s/testing/server/Certificates"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import * as Tls from "node:tls"
import { deno, type KeyPair, type TcpConn } from "../src/internal/deno.ts"
import * as NodeTls from "../src/internal/nodeTls.ts"
import * as RawStream from "../src/internal/rawStream.ts"

const host = "localhost"

/** A server that counts what it is sent, and says how much it was at the end; a stream to it that keeps its ciphertext. */
const connect = Effect.gen(function*() {
  const authority = yield* Certificates.make
  const { cert, key } = yield* authority.issueServer([host])
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = Tls.createServer({ cert, key: Redacted.value(key) }, (socket) => {
        let count = 0
        socket.on("data", (bytes) => {
          count += bytes.length
        })
        socket.on("end", () => socket.end(String(count)))
        socket.on("error", () => {})
      })
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) => Effect.sync(() => server.close())
  )
  const { port } = server.address() as AddressInfo
  const ciphertext: Array<Uint8Array> = []
  const stream = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const raw = RawStream.fromConn(await deno.connect({ hostname: "127.0.0.1", port }))
      const kept: RawStream.RawStream = {
        ...raw,
        write: (bytes) => {
          ciphertext.push(bytes)
          return raw.write(bytes)
        }
      }
      return NodeTls.connect(kept, { host, ca: authority.cert })
    }),
    ({ destroy }) => Effect.sync(destroy)
  )
  return { ciphertext, stream }
})

it.live("TLS keeps no memory of what is written, and leaves the plaintext to its owner", () =>
  Effect.gen(function*() {
    const { ciphertext, stream } = yield* connect
    const before = ciphertext.splice(0).length
    assert.isAbove(before, 0, "records of the handshake")
    const plaintext = new Uint8Array(64 * 1024).fill(7)
    yield* Effect.promise(async () => {
      for (let i = 0; i < 16; i++) await stream.write(plaintext)
    })
    assert.isAbove(ciphertext.length, 15)
    assert.deepStrictEqual(ciphertext.map(({ length }) => length).filter((length) => length >= 16 * 1024), [])
    assert.deepStrictEqual([plaintext.length, plaintext[0], plaintext.at(-1)], [64 * 1024, 7, 7])
    const answer = yield* Effect.promise(async () => {
      await stream.closeWrite()
      return stream.read()
    })
    assert.strictEqual(new TextDecoder().decode(answer ?? undefined), String(16 * plaintext.length))
  }).pipe(Effect.scoped))

interface DenoServer {
  readonly listenTls: (options: { readonly hostname: string; readonly port: number } & KeyPair) => {
    readonly addr: { readonly port: number }
    readonly accept: () => Promise<TcpConn>
    readonly close: () => void
  }
  readonly memoryUsage: () => { readonly external: number }
}

/** A server of one connection, which makes nothing that is counted, and a stream to it. */
const connectTo = Effect.fnUntraced(function*(serve: (conn: TcpConn) => Promise<void>) {
  const { Deno } = globalThis as typeof globalThis & { readonly Deno: DenoServer }
  const authority = yield* Certificates.make
  const { cert, key } = yield* authority.issueServer([host])
  const listener = yield* Effect.acquireRelease(
    Effect.sync(() => Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key: Redacted.value(key) })),
    (listener) => Effect.sync(() => listener.close())
  )
  const serving = listener.accept().then((conn) => serve(conn).finally(() => conn.close()))
  const stream = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const raw = RawStream.fromConn(await deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }))
      return NodeTls.connect(raw, { host, ca: authority.cert })
    }),
    ({ destroy }) => Effect.sync(destroy)
  )
  return { external: () => Deno.memoryUsage().external, serving, stream }
})

const pieceBytes = 64 * 1024
const pieces = 32

it.live("TLS has given back all that it has made of a write, before V8 collects", () =>
  Effect.gen(function*() {
    const into = new Uint8Array(pieceBytes)
    const { external, serving, stream } = yield* connectTo(async (conn) => {
      while (await conn.read(into) !== null);
    })
    const plaintext = new Uint8Array(pieceBytes)
    const growths: Array<number> = []
    yield* Effect.promise(async () => {
      await stream.write(plaintext)
      for (let i = 0; i < pieces; i++) {
        const before = external()
        await stream.write(plaintext)
        growths.push(external() - before)
      }
      await stream.closeWrite()
      await serving
    })
    assert.isBelow(Math.max(...growths), pieceBytes / 2, "bytes that stay of a write of 64 KiB")
  }).pipe(Effect.scoped))

it.live("TLS keeps nothing of a read but what it has read, before V8 collects", () =>
  Effect.gen(function*() {
    const { external, serving, stream } = yield* connectTo(async (conn) => {
      const piece = new Uint8Array(pieceBytes)
      for (let i = 0; i < 2 * pieces; i++) {
        for (let from = 0; from < piece.length;) from += await conn.write(piece.subarray(from))
      }
    })
    const growths: Array<number> = []
    let count = 0
    yield* Effect.promise(async () => {
      for (let bytes = await stream.read(); bytes !== null;) {
        count += bytes.length
        const before = external()
        bytes = await stream.read()
        if (bytes !== null) growths.push(external() - before - bytes.buffer.byteLength)
      }
      await serving
    })
    assert.strictEqual(count, 2 * pieces * pieceBytes)
    const middle = growths.toSorted((a, b) => a - b)[Math.floor(growths.length / 2)]
    assert.isBelow(middle ?? 0, pieceBytes / 4, "bytes beside those that were read")
  }).pipe(Effect.scoped))
