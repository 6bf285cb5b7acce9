/**
 * undici dispatchers for an endpoint: TLS, proxy and dialler as the endpoint says.
 */
import { address, type Endpoint } from "@effect-k8s/core/Endpoint"
import { TlsFailed, TransportError } from "@effect-k8s/core/TransportError"
import type * as Undici from "@effect/platform-node/Undici"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import { SocketStream } from "./socketStream.ts"

type Connector = Undici.buildConnector.connector

// API servers keep idle connections for minutes; a client that polls should not pay a handshake each time.
const keepAliveMillis = 60_000
// The default for TLS is one record, which costs a pause and a resume for each 16 KiB of a fast stream. undici passes it
// on to Node, though its types do not list it.
const buffering = { highWaterMark: 256 * 1024 }

/** What a dispatcher is for: upgrades need HTTP/1.1. */
export interface Options {
  readonly allowH2: boolean
}

const tlsOptions = (endpoint: Endpoint) => ({
  ...(endpoint.tls?.ca === undefined ? {} : { ca: endpoint.tls.ca }),
  ...(endpoint.tls?.clientCertificate === undefined ? {} : {
    cert: endpoint.tls.clientCertificate.cert,
    key: Redacted.value(endpoint.tls.clientCertificate.key)
  }),
  ...(endpoint.tls?.serverName === undefined ? {} : { servername: endpoint.tls.serverName }),
  ...(endpoint.tls?.insecureSkipVerify === true ? { rejectUnauthorized: false } : {})
})

/**
 * Fails when TLS cannot use the certificates or the key. Node finds that out when it connects, and throws where nobody
 * catches.
 */
export const checkTls = (endpoint: Endpoint): Effect.Effect<void, TransportError> =>
  endpoint.tls === undefined ? Effect.void : Effect.try({
    try: () => void Tls.createSecureContext(tlsOptions(endpoint)),
    catch: (cause) => new TransportError({ reason: new TlsFailed({ address: address(endpoint), cause }) })
  })

// With `httpSocket`, undici's connector runs TLS over the stream we give it.
const dialConnector = (
  undici: typeof Undici,
  endpoint: Endpoint,
  dial: NonNullable<Endpoint["dial"]>,
  options: Options,
  fork: ConstructorParameters<typeof SocketStream>[1]
): Connector => {
  const secure = undici.buildConnector({ ...tlsOptions(endpoint), allowH2: options.allowH2, ...buffering })
  return (target, callback) => {
    const tls = target.protocol === "https:"
    const port = target.port === "" ? (tls ? 443 : 80) : Number(target.port)
    const host = target.hostname.replace(/^\[(.*)\]$/, "$1")
    const stream: SocketStream = new SocketStream(dial({ host, port }), fork, (error) => {
      if (error !== undefined) return callback(error, null)
      // Sound: undici and node:tls use a socket given to them as a Duplex; what else net.Socket has they test for.
      const socket = stream as Duplexlike as Net.Socket
      if (tls) secure({ ...target, httpSocket: socket }, callback)
      else callback(null, socket)
    })
    stream.on("error", () => {})
  }
}

type Duplexlike = SocketStream & Partial<Net.Socket>

/** A dispatcher of its own connections; the scope destroys them. */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint,
  options: Options
): Effect.fn.Return<Undici.Dispatcher, never, Scope.Scope> {
  const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
  const context = yield* Effect.context()
  const fork = Effect.runForkWith(context)
  const shared = { allowH2: options.allowH2, keepAliveTimeout: keepAliveMillis, keepAliveMaxTimeout: keepAliveMillis }
  const tls = tlsOptions(endpoint)
  const { proxy } = endpoint

  return yield* Effect.acquireRelease(
    Effect.sync((): Undici.Dispatcher => {
      if (proxy !== undefined) {
        return new undici.ProxyAgent({
          ...shared,
          uri: proxy.url.href,
          ...(proxy.username === undefined ? {} : {
            token: basic(proxy.username, proxy.password === undefined ? "" : Redacted.value(proxy.password))
          }),
          proxyTunnel: true,
          requestTls: { ...tls, ...buffering },
          ...(endpoint.tls?.ca === undefined ? {} : { proxyTls: { ca: endpoint.tls.ca } })
        })
      }
      return new undici.Agent({
        ...shared,
        connect: endpoint.dial === undefined
          ? { ...tls, ...buffering }
          : dialConnector(undici, endpoint, endpoint.dial, options, fork)
      })
    }),
    (dispatcher) => Effect.promise(() => dispatcher.destroy())
  )
})

const basic = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`

/** Sends a header value with line feeds as one header line per part, as the transport's contract says. */
export const withRepeatedHeaders = (dispatcher: Undici.Dispatcher): Undici.Dispatcher =>
  dispatcher.compose((dispatch) => (options, handler) => {
    const { headers } = options
    if (headers === null || headers === undefined || Array.isArray(headers) || Symbol.iterator in headers) {
      return dispatch(options, handler)
    }
    const entries = Object.entries(headers)
    return dispatch(
      entries.some(([, value]) => isRepeated(value))
        ? {
          ...options,
          headers: Object.fromEntries(
            entries.map(([name, value]) => [name, isRepeated(value) ? value.split("\n") : value])
          )
        }
        : options,
      handler
    )
  })

const isRepeated = (value: unknown): value is string => typeof value === "string" && value.includes("\n")
