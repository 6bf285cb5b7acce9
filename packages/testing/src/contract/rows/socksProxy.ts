/**
 * Rows about proxies of SOCKS5.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { seenThrough, serve } from "../exchange.ts"
import { clientUser, Peer } from "../Peer.ts"
import { credentials, each, one, over, portOf, socksUrl, target, user } from "../proxied.ts"
import { channels, check, failsWith, type Row, same, withTls } from "../Row.ts"

const needs = { needs: ["socks5"] } as const

export const rows: ReadonlyArray<Row> = [
  ...over.flatMap((tls) => [
    ...each(
      `of SOCKS5 carry requests to ${target(tls)}, whose name only they must know`,
      Effect.fnUntraced(
        function*(channel) {
          const server = yield* serve({ tls })
          for (const host of ["127.0.0.1", "localhost"]) {
            const socks = yield* (yield* Peer).listen({ _tag: "Socks" })
            const url = new URL(server.endpoint.url)
            url.hostname = host
            const seen = yield* seenThrough({ ...server.endpoint, url, proxy: { url: socksUrl(socks) } }, channel)
            yield* same(seen.method, "GET", "method")
            const { heads } = yield* socks.stats
            yield* same(heads, [`${host}:${portOf(server)}`], "targets")
          }
        }
      ),
      needs
    ),
    ...each(
      `of SOCKS5 are told who asks for ${target(tls)}`,
      Effect.fnUntraced(function*(channel) {
        const server = yield* serve({ tls })
        const socks = yield* (yield* Peer).listen({ _tag: "Socks", user })
        const proxy = { url: socksUrl(socks), ...credentials }
        const seen = yield* seenThrough({ ...server.endpoint, proxy }, channel)
        yield* same(seen.method, "GET", "method")
      }),
      needs
    )
  ]),

  ...each(
    "of SOCKS5 fail with ProxyRefused and the cause where they want other credentials, or cannot reach the server",
    Effect.fnUntraced(
      function*(channel) {
        const server = yield* serve()
        const strict = yield* (yield* Peer).listen({ _tag: "Socks", user })
        for (const given of [{}, { username: user.name, password: Redacted.make("wrong") }]) {
          const proxy = { url: socksUrl(strict), ...given }
          const reason = yield* failsWith(seenThrough({ ...server.endpoint, proxy }, channel), "ProxyRefused")
          yield* same([reason.status, reason.proxy], [undefined, proxy.url.host], "status and proxy")
          yield* check(/password/.test(reason.message), `the message is: ${reason.message}`)
        }
        const open = yield* (yield* Peer).listen({ _tag: "Socks" })
        const dead = { url: new URL("http://127.0.0.1:1"), proxy: { url: socksUrl(open) } }
        const reason = yield* failsWith(seenThrough(dead, channel), "ProxyRefused")
        yield* check(reason.cause !== undefined, "there is no cause")
      }
    ),
    needs
  ),

  ...each(
    "of SOCKS5 are given an IPv6 address as one",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: {}, host: "::1" })
      const socks = yield* (yield* Peer).listen({ _tag: "Socks" })
      yield* seenThrough({ ...server.endpoint, proxy: { url: socksUrl(socks) } }, channel)
      const { heads } = yield* socks.stats
      yield* same(heads[0], `[0:0:0:0:0:0:0:1]:${portOf(server)}`, "target")
    }),
    needs
  ),

  ...each(
    "of SOCKS5 that want no password are not told it",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve()
      const socks = yield* (yield* Peer).listen({ _tag: "Socks" })
      const proxy = { url: socksUrl(socks), ...credentials }
      const seen = yield* seenThrough({ ...server.endpoint, proxy }, channel)
      yield* same(seen.method, "GET", "method")
    }),
    needs
  ),

  one(
    "of SOCKS5 carry mutual TLS",
    Effect.gen(function*() {
      const server = yield* serve({ tls: { demandClient: true } })
      const socks = yield* (yield* Peer).listen({ _tag: "Socks" })
      const { cert, key } = (yield* Peer).certificates.clients["EC PKCS#8"]
      const endpoint = withTls(
        { ...server.endpoint, proxy: { url: socksUrl(socks) } },
        { clientCertificate: { cert, key: Redacted.make(key) } }
      )
      for (const channel of channels) {
        yield* same((yield* seenThrough(endpoint, channel)).user, clientUser, "user")
      }
    }),
    needs
  )
]
