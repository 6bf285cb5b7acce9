/**
 * Rows about proxies: every channel goes through the one that the endpoint names, and the proxy learns no secret.
 */
import type { Endpoint, Proxy } from "@effect-k8s/core/Endpoint"
import * as ProxyRules from "@effect-k8s/core/Proxy"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Adapter } from "../Adapter.ts"
import { ask, connect, get, see, seenThrough, serve, type Server, urlOf } from "../exchange.ts"
import { clientUser, type Listener, Peer, type ProxyOptions } from "../Peer.ts"
import { type Channel, channels, check, eventually, failsWith, group, type Row, same, withTls } from "../Row.ts"

const { each, one } = group("proxies")

const needs = { needs: ["proxy"] } as const

interface Through {
  readonly proxy: Listener
  readonly endpoint: Endpoint
}

/** Starts a proxy, and leads an endpoint through it. */
const through = Effect.fnUntraced(function*(
  { endpoint }: Server,
  options: Omit<ProxyOptions, "_tag"> = {},
  credentials: Omit<Proxy, "url"> = {}
): Effect.fn.Return<Through, never, Effect.Services<Row["run"]>> {
  const proxy = yield* (yield* Peer).listen({ _tag: "Proxy", ...options })
  const url = urlOf(proxy, options.tls === undefined ? "http" : "https")
  return { proxy, endpoint: { ...endpoint, proxy: { url, ...credentials } } }
})

const secretly = HttpClientRequest.setHeaders({ authorization: "Bearer secret", cookie: "session=secret" })
const socksUrl = ({ address: { host, port } }: Listener): URL => new URL(`socks5://${host}:${port}`)

/** Sets a variable of this process until the scope ends. */
const environmentVariable = (name: string, value: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env[name]
      process.env[name] = value
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      })
  ))

const names = (headers: ReadonlyArray<readonly [string, string]>) => headers.map(([name]) => name)

const user = { name: "ünal", password: "p:ss w@rd" }
const credentials = { username: user.name, password: Redacted.make(user.password) }

const over = [undefined, {}] as const
const target = (tls: (typeof over)[number]): string => tls === undefined ? "an http server" : "an https server"

const port = ({ endpoint }: Server): string => endpoint.url.port

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
            [`CONNECT 127.0.0.1:${port(server)} HTTP/1.1`],
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

  ...(["garbage", "close"] as const).flatMap((fault) =>
    each(
      `fails with ProxyRefused where the proxy answers with ${fault}`,
      Effect.fnUntraced(function*(channel) {
        for (const tls of over) {
          const { endpoint } = yield* through(yield* serve({ tls }), { fault })
          const reason = yield* failsWith(seenThrough(endpoint, channel), "ProxyRefused")
          yield* same(reason.status, undefined, "status")
        }
      }),
      needs
    )
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
      yield* same(heads[0]?.split(" ")[1], `[::1]:${port(server)}`, "target")
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
  ),

  one(
    "are left when an upgrade is interrupted before they answer",
    Effect.gen(function*() {
      const { endpoint, proxy } = yield* through(yield* serve(), { fault: "silence" })
      const transport = yield* connect(endpoint)
      const fiber = yield* Effect.forkChild(ask(transport, "upgrade", get(endpoint, "seen")))
      yield* eventually(
        Effect.flatMap(proxy.stats, ({ heads }) => check(heads.length === 1, "the proxy was not asked"))
      )
      yield* Fiber.interrupt(fiber)
      yield* eventually(Effect.flatMap(proxy.stats, ({ open }) => check(open === 0, "the connection was left open")))
    }),
    needs
  ),

  ...each(
    "are left when the transport's scope ends before they answer",
    Effect.fnUntraced(function*(channel: Channel) {
      const { endpoint, proxy } = yield* through(yield* serve(), { fault: "silence" })
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* connect(endpoint)
        yield* Effect.forkChild(Effect.exit(ask(transport, channel, get(endpoint, "seen"))))
        yield* eventually(
          Effect.flatMap(proxy.stats, ({ heads }) => check(heads.length === 1, "the proxy was not asked"))
        )
      }))
      yield* eventually(Effect.flatMap(proxy.stats, ({ open }) => check(open === 0, "the connection was left open")))
    }),
    needs
  ),

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
            yield* same(heads, [`${host}:${port(server)}`], "targets")
          }
        }
      ),
      { needs: ["socks5"] }
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
      { needs: ["socks5"] }
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
    { needs: ["socks5"] }
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
    { needs: ["socks5"] }
  ),

  ...each(
    "that NO_PROXY takes out are not asked, and others are",
    Effect.fnUntraced(function*(channel) {
      const server = yield* serve({ tls: {} })
      const { proxy } = yield* through(server)
      // Go never takes a loopback address to a proxy; a name shows what the rules do.
      const environment = { httpsProxy: urlOf(proxy, "http").href, noProxy: ".other.test,kubernetes.test:443" }
      const choose = (url: string) => Effect.orDie(Effect.fromResult(ProxyRules.choose(new URL(url), environment)))
      yield* same(yield* choose("https://api.other.test"), undefined, "the proxy of a host that is taken out")
      const chosen = yield* choose("https://kubernetes.test:6443")
      yield* same(chosen?.url.href, urlOf(proxy, "http").href, "the proxy of another port")
      yield* seenThrough({ ...server.endpoint, proxy: yield* choose("https://api.other.test") }, channel)
      yield* same((yield* proxy.stats).heads.length, 0, "requests to the proxy")
      yield* seenThrough({ ...server.endpoint, proxy: chosen }, channel)
      yield* same((yield* proxy.stats).heads.length, 1, "requests to the proxy")
    }),
    needs
  ),

  ...each(
    "of the process's environment are not asked when the endpoint names none",
    Effect.fnUntraced(
      function*(channel) {
        const { proxy } = yield* through(yield* serve())
        const address = urlOf(proxy, "http").href
        for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]) {
          yield* environmentVariable(name, address)
        }
        for (const tls of over) yield* seenThrough((yield* serve({ tls })).endpoint, channel)
        yield* same((yield* proxy.stats).accepted, 0, "connections to the proxy")
      }
    )
  ),

  one(
    "exclude a dialler",
    Effect.gen(function*() {
      const { endpoint } = yield* through(yield* serve())
      const dial = () => {
        throw new Error("dialled")
      }
      const reason = yield* failsWith(Effect.scoped(connect({ ...endpoint, dial })), "UnsupportedOption")
      yield* check(/dial/.test(reason.option), `the option is called ${reason.option}`)
    })
  )
]
