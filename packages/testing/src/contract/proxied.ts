/**
 * What the rows about proxies have in common: their group, proxies to go through, and who asks them.
 */
import type { Endpoint, Proxy } from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { type Server, urlOf } from "./exchange.ts"
import { type Listener, Peer, type ProxyOptions } from "./Peer.ts"
import { group, type Row } from "./Row.ts"

/** Make the rows of the group `proxies`. */
export const { each, one } = group("proxies")

/** A proxy, and the endpoint of a server that leads through it. */
export interface Through {
  readonly proxy: Listener
  readonly endpoint: Endpoint
}

/** Starts a proxy of CONNECT, and leads the endpoint of a server through it. */
export const through = Effect.fnUntraced(function*(
  { endpoint }: Server,
  options: Omit<ProxyOptions, "_tag"> = {},
  credentials: Omit<Proxy, "url"> = {}
): Effect.fn.Return<Through, never, Effect.Services<Row["run"]>> {
  const proxy = yield* (yield* Peer).listen({ _tag: "Proxy", ...options })
  const url = urlOf(proxy, options.tls === undefined ? "http" : "https")
  return { proxy, endpoint: { ...endpoint, proxy: { url, ...credentials } } }
})

/** The URL of a proxy of SOCKS5. */
export const socksUrl = ({ address: { host, port } }: Listener): URL => new URL(`socks5://${host}:${port}`)

/** Somebody whom proxies may know. The name and the password have what a URL and a header must not lose. */
export const user = { name: "ünal", password: "p:ss w@rd" }

/** The same, as an endpoint has it. */
export const credentials = { username: user.name, password: Redacted.make(user.password) }

/** The server behind the proxy: without TLS, and with it. */
export const over = [undefined, {}] as const

/** Such a server in words. */
export const target = (tls: (typeof over)[number]): string => tls === undefined ? "an http server" : "an https server"

/** The port of a server, as its URL has it. */
export const portOf = ({ endpoint }: Server): string => endpoint.url.port
