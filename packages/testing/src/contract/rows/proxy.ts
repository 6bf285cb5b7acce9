/**
 * Rows about proxies of both kinds, CONNECT and SOCKS5: what each must do alike, and what happens when it does not answer.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as TestClock from "effect/testing/TestClock"
import { ask, connect, digest, get, seenThrough, serve, type Server, upgraded, urlOf } from "../exchange.ts"
import * as Pattern from "../Pattern.ts"
import { Peer, type ProxyOptions } from "../Peer.ts"
import { each, one, over, socksUrl, target, type Through, through } from "../proxied.ts"
import { type Channel, check, eventually, failsWith, type Need, type Row, same, settled, Unmet } from "../Row.ts"

const mebibyte = 1024 * 1024
/** What buffers may hold: here those of two connections in a row, each of about 10 MiB on a loopback. */
const bufferBound = 48 * mebibyte
const tooMuch = 2 * bufferBound

const kinds = ["CONNECT", "SOCKS5"] as const
type Kind = (typeof kinds)[number]

const needsOf = (kind: Kind): { readonly needs: ReadonlyArray<Need> } => ({
  needs: [kind === "CONNECT" ? "proxy" : "socks5"]
})

/** Starts a proxy that does something else than its work, and leads an endpoint through it. */
const faulty = Effect.fnUntraced(function*(
  kind: Kind,
  server: Server,
  fault: NonNullable<ProxyOptions["fault"]>
): Effect.fn.Return<Through, never, Effect.Services<Row["run"]>> {
  if (kind === "CONNECT") return yield* through(server, { fault })
  const proxy = yield* (yield* Peer).listen({ _tag: "Socks", fault })
  return { proxy, endpoint: { ...server.endpoint, proxy: { url: socksUrl(proxy) } } }
})

/** How long a proxy may take for its answer. */
const limit = "60 seconds"

export const rows: ReadonlyArray<Row> = [
  ...kinds.flatMap((kind) =>
    (["garbage", "close"] as const).flatMap((fault) =>
      each(
        `fails with ProxyRefused where the proxy of ${kind} answers with ${fault}`,
        Effect.fnUntraced(function*(channel) {
          for (const tls of over) {
            const { endpoint } = yield* faulty(kind, yield* serve({ tls }), fault)
            const reason = yield* failsWith(seenThrough(endpoint, channel), "ProxyRefused")
            yield* same(reason.status, undefined, "status")
            yield* check(reason.cause !== undefined, "there is no cause")
          }
        }),
        needsOf(kind)
      )
    )
  ),

  ...kinds.flatMap((kind) =>
    each(
      `fails with ProxyRefused where the proxy of ${kind} says nothing for a minute`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint, proxy } = yield* faulty(kind, yield* serve({ tls: {} }), "silence")
        const asked = Effect.flatMap(proxy.stats, ({ heads }) => check(heads.length === 1, "the proxy was not asked"))
        // The row waits by the clock of the wall, the adapter by one that is moved.
        const wall = yield* Effect.clockWith(Effect.succeed)
        const reason = yield* Effect.provide(
          Effect.gen(function*() {
            const asking = yield* Effect.forkChild(Effect.exit(seenThrough(endpoint, channel)))
            yield* Effect.provideService(eventually(asked), Clock.Clock, wall)
            yield* TestClock.adjust(limit)
            return yield* failsWith(yield* Fiber.join(asking), "ProxyRefused")
          }),
          TestClock.layer()
        )
        yield* same([reason.status, reason.proxy], [undefined, endpoint.proxy?.url.host], "status and proxy")
        yield* check(reason.cause !== undefined, "there is no cause")
        yield* eventually(Effect.flatMap(proxy.stats, ({ open }) => check(open === 0, "the connection was left open")))
      }),
      needsOf(kind)
    )
  ),

  ...kinds.flatMap((kind) =>
    over.map((tls) =>
      one(
        `of ${kind} give early bytes first, and push back both ways, before ${target(tls)}`,
        Effect.gen(function*() {
          const server = yield* serve({ tls })
          const url = kind === "CONNECT"
            ? urlOf((yield* through(server)).proxy, "http")
            : socksUrl(yield* (yield* Peer).listen({ _tag: "Socks" }))
          const endpoint = { ...server.endpoint, proxy: { url } }
          const early = yield* upgraded(endpoint, "early?bytes=100000")
          const seen = Pattern.digester()
          while (seen.digest().bytes < 100_000) {
            const chunks = yield* Pull.catchDone(
              early.pull,
              () => Effect.fail(new Unmet({ message: "the early bytes ended" }))
            )
            for (const chunk of chunks) seen.add(chunk)
          }
          yield* same(seen.digest(), yield* Pattern.digestOf(100_000), "early bytes")

          const down = yield* upgraded(endpoint, `source?bytes=${tooMuch}`)
          const sent = yield* settled(Effect.map(server.listener.stats, (stats) => stats.sent))
          yield* check(sent < bufferBound, `the peer could write ${sent} bytes with nobody reading`)
          yield* same(yield* digest(down), yield* Pattern.digestOf(tooMuch), "bytes")

          const up = yield* upgraded(endpoint, "sink?hold")
          let taken = 0
          const writing = yield* Effect.forkChild(Effect.andThen(
            Effect.forEach(
              Pattern.chunks(tooMuch),
              (chunk) => Effect.tap(up.write([chunk]), () => Effect.sync(() => (taken += chunk.length))),
              { discard: true }
            ),
            up.end
          ))
          const held = yield* settled(Effect.sync(() => taken))
          yield* check(held < bufferBound, `${held} bytes were taken with nobody reading`)
          yield* server.listener.release
          yield* Fiber.join(writing)
          yield* digest(up)
        }),
        needsOf(kind)
      )
    )
  ),

  ...kinds.map((kind) =>
    one(
      `of ${kind} are left when an upgrade is interrupted before they answer`,
      Effect.gen(function*() {
        const { endpoint, proxy } = yield* faulty(kind, yield* serve(), "silence")
        const transport = yield* connect(endpoint)
        const fiber = yield* Effect.forkChild(ask(transport, "upgrade", get(endpoint, "seen")))
        yield* eventually(
          Effect.flatMap(proxy.stats, ({ heads }) => check(heads.length === 1, "the proxy was not asked"))
        )
        yield* Fiber.interrupt(fiber)
        yield* eventually(Effect.flatMap(proxy.stats, ({ open }) => check(open === 0, "the connection was left open")))
      }),
      needsOf(kind)
    )
  ),

  ...kinds.flatMap((kind) =>
    each(
      `of ${kind} are left when the transport's scope ends before they answer`,
      Effect.fnUntraced(function*(channel: Channel) {
        const { endpoint, proxy } = yield* faulty(kind, yield* serve(), "silence")
        yield* Effect.scoped(Effect.gen(function*() {
          const transport = yield* connect(endpoint)
          yield* Effect.forkChild(Effect.exit(ask(transport, channel, get(endpoint, "seen"))))
          yield* eventually(
            Effect.flatMap(proxy.stats, ({ heads }) => check(heads.length === 1, "the proxy was not asked"))
          )
        }))
        yield* eventually(Effect.flatMap(proxy.stats, ({ open }) => check(open === 0, "the connection was left open")))
      }),
      needsOf(kind)
    )
  )
]
