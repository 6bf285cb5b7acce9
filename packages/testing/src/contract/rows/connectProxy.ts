/**
 * Rows about proxies of HTTP: requests go through by CONNECT, and the proxy learns no secret.
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import { Adapter } from "../Adapter.ts"
import { ask, connect, get, see, seenThrough, serve } from "../exchange.ts"
import { clientUser, Peer } from "../Peer.ts"
import { credentials, each, one, over, portOf, target, through, user } from "../proxied.ts"
import { check, failsWith, type Row, same, withTls } from "../Row.ts"

const needs = { needs: ["proxy"] } as const

const secretly = HttpClientRequest.setHeaders({ authorization: "Bearer secret", cookie: "session=secret" })
const names = (headers: ReadonlyArray<readonly [string, string]>) => headers.map(([name]) => name)

export const rows: ReadonlyArray<Row> = [
  ...over.flatMap((tls) => [
    ...each(
      `carries requests to ${target(tls)} in a tunnel, and keeps credentials from the proxy`,
      Effect.fnUntraced(
        function*(channel) {
          const server = yield* serve({ tls })
          const { endpoint, proxy } = yield* through(server)
          const seen = yield* see(yield* connect(endpoint), channel, secretly(get(endpoint, "seen")))
          yield* check(names(seen.headers).includes("authorization"), "the server saw no credentials")
          yield* check(
            !names(seen.headers).some((name) => name.startsWith("proxy-")),
            "the server saw the proxy's headers"
          )
          const { heads, transcript } = yield* proxy.stats
          yield* same(
            heads.map((head) => head.split("\r\n")[0]),
            [`CONNECT 127.0.0.1:${portOf(server)} HTTP/1.1`],
            "requests"
          )
          yield* check(!heads.some((head) => /secret|authorization/i.test(head)), "the proxy was told the credentials")
          // Without TLS the tunnel carries the request in clear.
          if (tls !== undefined) yield* check(!transcript.includes("secret"), "the proxy saw the credentials")
        }
      ),
      needs
    ),

    ...each(
      `says who it is to a proxy before ${target(tls)}, and to nobody else`,
      Effect.fnUntraced(function*(channel) {
        const server = yield* serve({ tls })
        const { endpoint, proxy } = yield* through(server, { user }, credentials)
        const transport = yield* connect(endpoint)
        const seen = yield* see(transport, channel, get(endpoint, "seen"))
        yield* check(
          !names(seen.headers).some((name) => name.startsWith("proxy-")),
          "the server saw the proxy's headers"
        )
        const { heads } = yield* proxy.stats
        yield* same(heads.length, 1, "requests to the proxy")
      }),
      needs
    )
  ]),

  ...each(
    "fails with ProxyRefused and the status where the proxy wants other credentials",
    Effect.fnUntraced(
      function*(channel) {
        for (const tls of over) {
          const server = yield* serve({ tls })
          for (const given of [{}, { username: user.name, password: Redacted.make("wrong") }]) {
            const { endpoint, proxy } = yield* through(server, { user }, given)
            const reason = yield* failsWith(seenThrough(endpoint, channel), "ProxyRefused")
            yield* same([reason.status, reason.proxy], [407, `127.0.0.1:${proxy.address.port}`], "status and proxy")
          }
        }
      }
    ),
    needs
  ),

  ...each(
    "fails with ProxyRefused and the status where the proxy cannot reach the server",
    Effect.fnUntraced(
      function*(channel) {
        const server = yield* serve()
        const dead = { ...server, endpoint: { url: new URL("http://127.0.0.1:1") } }
        const { endpoint } = yield* through(dead)
        const reason = yield* failsWith(seenThrough(endpoint, channel), "ProxyRefused")
        yield* same(reason.status, 502, "status")
      }
    ),
    needs
  ),

  ...each(
    "fails with ProxyRefused and the cause where the proxy cannot be reached",
    Effect.fnUntraced(
      function*(channel) {
        const server = yield* serve({ tls: {} })
        for (const proxy of ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://no-such-proxy.invalid:3128"]) {
          const url = new URL(proxy)
          const reason = yield* failsWith(seenThrough({ ...server.endpoint, proxy: { url } }, channel), "ProxyRefused")
          yield* same([reason.status, reason.proxy], [undefined, url.host], "status and proxy")
          yield* check(reason.cause !== undefined, "there is no cause")
        }
      }
    ),
    needs
  ),

  ...each(
    "goes through an https proxy, by its name and by its address",
    Effect.fnUntraced(function*(channel) {
      for (const tls of over) {
        const server = yield* serve({ tls })
        const { certificates } = yield* Peer
        const { endpoint, proxy } = yield* through(server, { tls: {}, user }, credentials)
        for (const host of ["127.0.0.1", "localhost"]) {
          const url = new URL(`https://${host}:${proxy.address.port}`)
          const seen = yield* see(
            yield* connect({
              ...endpoint,
              tls: { ca: certificates.ca },
              proxy: { url, ...credentials }
            }),
            channel,
            get(endpoint, "seen")
          )
          yield* same(seen.method, "GET", "method")
        }
      }
    }),
    needs
  ),

  ...each(
    "fails with ProxyRefused where the certificate of an https proxy does not verify",
    Effect.fnUntraced(
      function*(channel) {
        const { certificates } = yield* Peer
        for (const name of ["cluster.test", "other.test"] as const) {
          const ca = name === "cluster.test" ? certificates.otherCa : certificates.ca
          const { endpoint } = yield* through(yield* serve(), { tls: { name } })
          const reason = yield* failsWith(seenThrough({ ...endpoint, tls: { ca } }, channel), "ProxyRefused")
          yield* check(reason.cause !== undefined, "there is no cause")
        }
      }
    ),
    needs
  ),

  ...each(
    "verifies the server, and not the proxy, by the endpoint's TLS settings",
    Effect.fnUntraced(
      function*(channel) {
        const { certificates } = yield* Peer
        const server = yield* serve({ tls: { name: "other.test", demandClient: true } })
        const { endpoint } = yield* through(server, { tls: {} })
        const rejected = yield* failsWith(seenThrough(endpoint, channel), "CertificateRejected")
        yield* same(rejected.address, server.listener.address, "address")
        const { cert, key } = certificates.clients["EC PKCS#8"]
        const right = { serverName: "other.test", clientCertificate: { cert, key: Redacted.make(key) } }
        const seen = yield* seenThrough(withTls(endpoint, right), channel)
        yield* same([seen.user, seen.serverName], [clientUser, "other.test"], "user and server name")
      }
    ),
    { needs: ["proxy", "clientCertificate", "serverName"] }
  ),

  ...each(
    "fails with TlsFailed where a server behind the proxy demands a client certificate",
    Effect.fnUntraced(
      function*(channel) {
        const { endpoint } = yield* through(yield* serve({ tls: { demandClient: true } }))
        yield* failsWith(seenThrough(endpoint, channel), "TlsFailed")
      }
    ),
    needs
  ),

  ...each(
    "fails as without a proxy where the server behind it goes away or speaks no HTTP",
    Effect.fnUntraced(
      function*(channel) {
        for (const tls of over) {
          const { endpoint } = yield* through(yield* serve({ tls }))
          const transport = yield* connect(endpoint)
          yield* failsWith(ask(transport, channel, get(endpoint, "close")), "ConnectionLost")
          if (tls === undefined || channel === "upgrade") {
            yield* failsWith(ask(transport, channel, get(endpoint, "garbage")), "NotHttp")
          }
        }
      }
    ),
    needs
  ),

  ...each(
    "names an IPv6 address to the proxy in brackets",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: {}, host: "::1" })
      const { endpoint, proxy } = yield* through(server)
      yield* seenThrough(endpoint, channel)
      const { heads } = yield* proxy.stats
      yield* same(heads[0]?.split(" ")[1], `[::1]:${portOf(server)}`, "target")
    }),
    needs
  ),

  one(
    "carry requests of HTTP/2 where the adapter can, and upgrades of HTTP/1.1",
    Effect.gen(function*() {
      const { endpoint } = yield* through(yield* serve({ tls: {} }))
      const http = yield* seenThrough(endpoint, "http")
      const upgrade = yield* seenThrough(endpoint, "upgrade")
      const { proxiedHttpVersion } = yield* Adapter
      yield* same([http.httpVersion, upgrade.httpVersion], [proxiedHttpVersion, "1.1"], "versions")
    }),
    needs
  ),

  one(
    "are asked once for each connection",
    Effect.gen(function*() {
      const server = yield* serve()
      const { endpoint, proxy } = yield* through(server)
      const transport = yield* connect(endpoint)
      for (let i = 0; i < 10; i++) yield* see(transport, "http", get(endpoint, "seen"))
      for (let i = 0; i < 3; i++) yield* see(transport, "upgrade", get(endpoint, "seen"))
      const { heads } = yield* proxy.stats
      const { accepted } = yield* server.listener.stats
      yield* same(heads.length, accepted, "requests to the proxy, and connections to the server")
      yield* check(accepted <= 5, `${accepted} connections for 10 requests and 3 upgrades`)
    }),
    needs
  )
]
