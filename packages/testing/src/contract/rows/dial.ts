/**
 * Rows about a custom dialler: every connection goes through it, once, with all of its bytes.
 */
import type { Dial, Endpoint } from "@effect-k8s/core/Endpoint"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { Adapter } from "../Adapter.ts"
import { ask, connect, digest, get, see, serve, type Server, upgraded } from "../exchange.ts"
import * as Pattern from "../Pattern.ts"
import { clientUser, Peer } from "../Peer.ts"
import { check, eventually, failsWith, group, type Row, same, settled, withTls } from "../Row.ts"

const { each, one } = group("dialler")

const needs = { needs: ["dial"] } as const
const mebibyte = 1024 * 1024

/** What went through a dialler. */
class Log {
  readonly addresses: Array<string> = []
  open = 0
  read = 0
  written = 0
}

/** Leads to one listener, whatever the address, and counts. */
const counting = (dial: Dial, to: Server, log: Log): Dial => (address) => {
  const socket = dial(to.listener.address)
  return Socket.make({
    reader: Effect.gen(function*() {
      log.addresses.push(`${address.host}:${address.port}`)
      const reader = yield* socket.reader
      yield* Effect.acquireRelease(Effect.sync(() => log.open++), () => Effect.sync(() => log.open--))
      return {
        ...reader,
        pull: Effect.tap(reader.pull, (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) log.read += chunk.length
          }))
      }
    }),
    writer: Effect.map(socket.writer, (writer) => ({
      write: (chunk) => {
        if (chunk instanceof Uint8Array) log.written += chunk.length
        return writer.write(chunk)
      },
      writeAll: (chunks) => {
        for (const chunk of chunks) log.written += chunk.length
        return writer.writeAll(chunks)
      }
    }))
  })
}

const over = [undefined, {}] as const
const scheme = (tls: (typeof over)[number]): string => tls === undefined ? "http" : "https"

/** A server that only the dialler can find: the host of the URL has no address. */
const hidden = Effect.fnUntraced(function*(tls: (typeof over)[number]) {
  const server = yield* serve({ tls })
  const { dial } = yield* Adapter
  const log = new Log()
  const endpoint: Endpoint = {
    ...server.endpoint,
    url: new URL(`${scheme(tls)}://cluster.test:6443`),
    dial: counting(dial, server, log)
  }
  return { server, log, endpoint }
})

const openError = (message: string) =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error(message) }) })

/** A socket of which only the opening is told. */
const opening = (reader: Socket.Socket["reader"]): Socket.Socket =>
  Socket.make({ reader, writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void }) })

export const rows: ReadonlyArray<Row> = [
  ...over.flatMap((tls) => [
    ...each(
      `makes the connection, once, and carries all bytes of ${scheme(tls)}`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint, log, server } = yield* hidden(tls)
        const seen = yield* see(yield* connect(endpoint), channel, get(endpoint, "seen"))
        yield* same(seen.serverName, tls === undefined ? undefined : "cluster.test", "server name")
        yield* same(log.addresses, ["cluster.test:6443"], "dialled")
        const { accepted } = yield* server.listener.stats
        yield* same(accepted, 1, "connections")
        yield* check(log.written > 50 && log.read > 50, `${log.written} bytes written, ${log.read} bytes read`)
      }),
      needs
    ),

    one(
      `dials once for each connection of ${scheme(tls)}`,
      Effect.gen(function*() {
        const { endpoint, log, server } = yield* hidden(tls)
        const transport = yield* connect(endpoint)
        for (let i = 0; i < 10; i++) yield* see(transport, "http", get(endpoint, "seen"))
        const requests = log.addresses.length
        yield* check(requests <= 2, `${requests} dials for 10 requests`)
        for (let i = 0; i < 3; i++) yield* see(transport, "upgrade", get(endpoint, "seen"))
        const { accepted } = yield* server.listener.stats
        yield* same([log.addresses.length, accepted], [requests + 3, requests + 3], "dials and connections")
      }),
      needs
    ),

    one(
      `carries 16 MiB each way, over ${scheme(tls)}`,
      Effect.gen(function*() {
        const { endpoint } = yield* hidden(tls)
        const connection = yield* upgraded(endpoint, "echo")
        const bytes = 16 * mebibyte
        const writing = yield* Effect.forkChild(Effect.andThen(
          Effect.forEach(
            Pattern.chunks(bytes),
            (chunk) => Effect.tap(connection.write([chunk]), () => Effect.sync(() => chunk.fill(0xee))),
            { discard: true }
          ),
          connection.end
        ))
        yield* same(yield* digest(connection), yield* Pattern.digestOf(bytes), "bytes")
        yield* Fiber.join(writing)
      }),
      needs
    ),

    one(
      `reads the answer after a half-close, over ${scheme(tls)}`,
      Effect.gen(function*() {
        const { endpoint } = yield* hidden(tls)
        const connection = yield* upgraded(endpoint, "sink?bytes=1000000")
        yield* connection.write([new Uint8Array(10)])
        yield* connection.end
        const { bytes } = yield* digest(connection)
        yield* check(bytes > 1_000_000, `${bytes} bytes came`)
      }),
      needs
    ),

    one(
      `pushes back both ways, over ${scheme(tls)}`,
      Effect.gen(function*() {
        const { endpoint, server } = yield* hidden(tls)
        const down = yield* upgraded(endpoint, `source?bytes=${96 * mebibyte}`)
        const sent = yield* settled(Effect.map(server.listener.stats, (stats) => stats.sent))
        yield* check(sent < 24 * mebibyte, `the peer could write ${sent} bytes with nobody reading`)
        yield* digest(down)

        const up = yield* upgraded(endpoint, "sink?hold")
        let taken = 0
        const fiber = yield* Effect.forkChild(Effect.andThen(
          Effect.forEach(
            Pattern.chunks(96 * mebibyte),
            (chunk) => Effect.tap(up.write([chunk]), () => Effect.sync(() => (taken += chunk.length))),
            { discard: true }
          ),
          up.end
        ))
        const held = yield* settled(Effect.sync(() => taken))
        yield* check(held < 24 * mebibyte, `${held} bytes were taken with nobody reading`)
        yield* server.listener.release
        yield* Fiber.join(fiber)
        yield* digest(up)
      }),
      needs
    ),

    one(
      `is released with the scope of an upgrade at once, although the peer of ${scheme(tls)} does not read`,
      Effect.gen(function*() {
        const { endpoint, log, server } = yield* hidden(tls)
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(upgraded(endpoint, "sink?hold"), scope)
        const written = () => log.written
        const fiber = yield* Effect.forkChild(
          Effect.exit(Effect.forEach(Pattern.chunks(96 * mebibyte), (chunk) => connection.write([chunk])))
        )
        yield* settled(Effect.sync(written))
        yield* Scope.close(scope, Exit.void)
        yield* check(Exit.isFailure(yield* Fiber.join(fiber)), "the suspended write succeeded")
        yield* eventually(Effect.suspend(() => check(log.open === 0, `${log.open} dialled sockets are held`)))
        yield* server.listener.release
      }),
      needs
    )
  ]),

  ...each(
    "carries mutual TLS with a server name",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: { name: "other.test", demandClient: true } })
      const { dial } = yield* Adapter
      const { cert, key } = (yield* Peer).certificates.clients["EC PKCS#8"]
      const endpoint = withTls(
        { ...server.endpoint, url: new URL("https://cluster.test"), dial: counting(dial, server, new Log()) },
        { serverName: "other.test", clientCertificate: { cert, key: Redacted.make(key) } }
      )
      const seen = yield* see(yield* connect(endpoint), channel, get(endpoint, "seen"))
      yield* same([seen.user, seen.serverName], [clientUser, "other.test"], "user and server name")
    }),
    { needs: ["dial", "clientCertificate", "serverName"] }
  ),

  ...each(
    "is not trusted: a certificate for another name is rejected",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: { name: "other.test" } })
      const { dial } = yield* Adapter
      const endpoint: Endpoint = {
        ...server.endpoint,
        url: new URL("https://cluster.test"),
        dial: counting(dial, server, new Log())
      }
      yield* failsWith(ask(yield* connect(endpoint), channel, get(endpoint, "seen")), "CertificateRejected")
    }),
    needs
  ),

  ...each(
    "that fails makes the server Unreachable, with the dialler's error as cause",
    Effect.fnUntraced(
      function*(channel) {
        for (const tls of over) {
          const endpoint: Endpoint = {
            url: new URL(`${scheme(tls)}://cluster.test`),
            dial: () => opening(Effect.fail(openError("the tunnel is down")))
          }
          const reason = yield* failsWith(ask(yield* connect(endpoint), channel, get(endpoint, "seen")), "Unreachable")
          yield* same(reason.address, { host: "cluster.test", port: tls === undefined ? 80 : 443 }, "address")
          yield* check(/the tunnel is down/.test(reason.message), `the message is: ${reason.message}`)
        }
      }
    ),
    needs
  ),

  ...each(
    "that cannot reach its address makes the server Unreachable",
    Effect.fnUntraced(function*(channel) {
      const { dial } = yield* Adapter
      for (const tls of over) {
        const endpoint: Endpoint = { url: new URL(`${scheme(tls)}://127.0.0.1:1`), dial }
        yield* failsWith(ask(yield* connect(endpoint), channel, get(endpoint, "seen")), "Unreachable")
      }
    }),
    needs
  ),

  ...each(
    "whose socket ends before an answer makes the connection lost",
    Effect.fnUntraced(function*(channel) {
      for (const how of ["close", "reset"]) {
        for (const tls of over) {
          const { endpoint } = yield* hidden(tls)
          yield* failsWith(ask(yield* connect(endpoint), channel, get(endpoint, how)), "ConnectionLost")
        }
      }
    }),
    needs
  ),

  ...over.map((tls) =>
    one(
      `is released when an upgrade over ${scheme(tls)} is interrupted while it dials`,
      Effect.gen(function*() {
        const dialling = yield* Deferred.make<void>()
        const released = yield* Deferred.make<void>()
        const endpoint: Endpoint = {
          url: new URL(`${scheme(tls)}://cluster.test`),
          dial: () => opening(never(dialling, released))
        }
        const transport = yield* connect(endpoint)
        const fiber = yield* Effect.forkChild(ask(transport, "upgrade", get(endpoint, "seen")))
        yield* Deferred.await(dialling)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(released)
      }),
      needs
    )
  ),

  ...each(
    "is released when the transport's scope ends while it dials",
    Effect.fnUntraced(function*(channel) {
      const dialling = yield* Deferred.make<void>()
      const released = yield* Deferred.make<void>()
      const endpoint: Endpoint = {
        url: new URL("https://cluster.test"),
        dial: () => opening(never(dialling, released))
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(endpoint)
        yield* Effect.forkChild(Effect.exit(ask(transport, channel, get(endpoint, "seen"))))
        yield* Deferred.await(dialling)
      }))
      yield* Deferred.await(released)
    }),
    needs
  ),

  ...each(
    "has its sockets released with the transport's scope",
    Effect.fnUntraced(function*(channel) {
      for (const tls of over) {
        const { endpoint, log } = yield* hidden(tls)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* see(yield* connect(endpoint), channel, get(endpoint, "seen"))
        }))
        yield* eventually(Effect.suspend(() => check(log.open === 0, `${log.open} dialled sockets are held`)))
      }
    }),
    needs
  )
]

const never = (
  dialling: Deferred.Deferred<void>,
  released: Deferred.Deferred<void>
): Socket.Socket["reader"] =>
  Effect.gen(function*() {
    yield* Deferred.succeed(dialling, undefined)
    return yield* Effect.onInterrupt(Effect.never, () => Deferred.succeed(released, undefined))
  })
