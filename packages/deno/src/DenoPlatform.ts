/**
 * The transports of Deno: `fetch` for requests, with HTTP/2 where the server speaks it, and an HTTP/1.1 of our own for
 * streams, for upgrades and for what `fetch` cannot reach.
 *
 * No unstable flag is needed. `--allow-net=HOST:PORT` of the API server, or of its proxy, is enough; a dialler needs what
 * it opens. What is missing is `PermissionDenied`, which names the flag.
 */
import { address, type Endpoint } from "@effect-k8s/core/Endpoint"
import * as RequestHeaders from "@effect-k8s/core/RequestHeaders"
import { Platform, Transport } from "@effect-k8s/core/Transport"
import { TlsFailed, TransportError, UnsupportedOption } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as AsyncContext from "./internal/asyncContext.ts"
import { classify } from "./internal/classify.ts"
import * as Connector from "./internal/connector.ts"
import type { HttpClientOptions } from "./internal/deno.ts"
import * as FetchClient from "./internal/fetchClient.ts"
import * as Http1Client from "./internal/http1Client.ts"
import * as Tcp from "./internal/tcp.ts"
import { upgrade } from "./internal/upgrade.ts"

const unsupported = (option: string, hint: string): TransportError =>
  new TransportError({ reason: new UnsupportedOption({ option, runtime: "Deno", hint }) })

/**
 * A transport to an endpoint. Requests, streams and upgrades have connections of their own, made when first needed; the
 * scope destroys them.
 *
 * Streams use HTTP/1.1, one connection each: over HTTP/2 Deno keeps a single connection, on which 250 watches would hold
 * up all others, and one stream that nobody reads would too. And `fetch` never probes a peer that is silent: a watch whose
 * server is gone without a word would wait for ever, as a request does by `fetch` that waits for its answer then. Peers of
 * streams are probed when they have been silent for a minute. Requests to an endpoint with a proxy, a dialler, a server
 * name or without verification use HTTP/1.1 as well, and so do those to a server whose certificate is its own authority.
 *
 * Fails with `UnsupportedOption` for a proxy together with a dialler; with `TlsFailed` when a certificate or key cannot
 * be used. A private authority is trusted beside those that Deno trusts anyway (`DENO_TLS_CA_STORE`).
 */
export const transport = Effect.fnUntraced(function*(
  endpoint: Endpoint
): Effect.fn.Return<Transport["Service"], TransportError, Scope.Scope> {
  AsyncContext.stopLeak()
  if (endpoint.proxy !== undefined && endpoint.dial !== undefined) {
    return yield* unsupported(
      "a proxy together with a dialler",
      "let the dialler connect through the proxy, or leave one of them out"
    )
  }
  if (endpoint.proxy !== undefined && !/^(?:https?|socks5):$/.test(endpoint.proxy.url.protocol)) {
    return yield* unsupported(
      `a ${endpoint.proxy.url.protocol.slice(0, -1)} proxy`,
      "use an http, https or socks5 proxy in proxy-url"
    )
  }
  const classifier = classify(endpoint)
  const connector = yield* Connector.make(endpoint, Tcp.connect)
  const send = yield* Http1Client.make(yield* Connector.make(endpoint, Tcp.connectProbed), classifier)
  const http = yield* FetchClient.make({
    client: fetchOptions(endpoint),
    classify: classifier,
    unusable: (cause) => new TransportError({ reason: new TlsFailed({ address: address(endpoint), cause }) }),
    instead: send,
    explain: (error) => explain(endpoint, connector, classifier, error)
  })
  const direct = endpoint.proxy === undefined && endpoint.dial === undefined &&
    endpoint.tls?.serverName === undefined && endpoint.tls?.insecureSkipVerify !== true && !FetchClient.mayUseProxy()
  const bySend = RequestHeaders.checked(HttpClient.make(send))
  return Transport.of({
    http: direct ? RequestHeaders.checked(http) : bySend,
    streaming: bySend,
    upgrade: (request) => Effect.andThen(RequestHeaders.check(request), upgrade(connector, classifier, request)),
    classify: classifier
  })
})

/** A server that wants to know who asks says so right after the handshake. */
const verdictMillis = 1000

// `fetch` hears a server that demands a client certificate only now and then; a handshake of our own hears it always.
const explain = (
  { tls, url }: Endpoint,
  connector: Connector.Connector,
  classify: (cause: unknown) => TransportError,
  error: TransportError
): Effect.Effect<TransportError> => {
  const clear = error.reason._tag !== "ConnectionLost" || url.protocol !== "https:"
  if (clear || tls?.clientCertificate !== undefined) return Effect.succeed(error)
  return Connector.acquire(connector).pipe(
    Effect.flatMap((stream) => Effect.tryPromise({ try: () => stream.read(), catch: classify })),
    Effect.scoped,
    Effect.timeoutOption(verdictMillis),
    Effect.as(error),
    Effect.catch((verdict) => Effect.succeed(verdict.reason._tag === "TlsFailed" ? verdict : error))
  )
}

const fetchOptions = ({ tls: { ca, clientCertificate } = {} }: Endpoint): HttpClientOptions => ({
  ...(ca === undefined ? {} : { caCerts: [ca] }),
  ...(clientCertificate === undefined
    ? {}
    : { cert: clientCertificate.cert, key: Redacted.value(clientCertificate.key) })
})

/** Deno as a `Platform`. */
export const layer: Layer.Layer<Platform> = Layer.succeed(Platform, Platform.of({ transport }))
