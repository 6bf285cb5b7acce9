/**
 * The one contract that runtime adapters implement: requests, long-lived streams and upgrades to one endpoint.
 *
 * Every channel runs on it, so TLS, proxies and custom diallers are the same for a list, a watch and an exec.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as Scope from "effect/Scope"
import type { ByteDuplex } from "./ByteDuplex.ts"
import type { Endpoint } from "./Endpoint.ts"
import type { TransportError } from "./TransportError.ts"

/** A refused upgrade's body is kept up to this many bytes. */
export const refusedBodyLimit = 64 * 1024

/** The server answered `101 Switching Protocols`: the connection is ours, early bytes included. */
export interface Upgraded {
  readonly _tag: "Upgraded"
  readonly headers: Headers.Headers
  readonly connection: ByteDuplex
}

/** The server answered the upgrade with an ordinary response; its connection is closed. */
export interface Refused {
  readonly _tag: "Refused"
  readonly status: number
  readonly headers: Headers.Headers
  /** At most `refusedBodyLimit` bytes. */
  readonly body: Uint8Array
}

/**
 * Connections to one endpoint.
 *
 * - `http`: unary requests. Responses of every status are successes.
 * - `streaming`: the same for watch and log streams, which may live for hours and must not starve `http`.
 * - `upgrade`: an HTTP/1.1 request with `Connection: Upgrade` and the headers of the protocol. Closing the scope
 *   destroys the connection. It has no deadline of its own: interrupt it.
 *
 * Request URLs are absolute and on the endpoint's origin. A header value with line feeds is sent as one header line per
 * part: `Headers` of Effect hold one value a name, and `Impersonate-Group` may be repeated. Each character of it is a byte
 * (Latin-1); what HTTP does not allow fails with `InvalidRequest`, and nothing is sent (`RequestHeaders` says so).
 */
export class Transport extends Context.Service<Transport, {
  readonly http: HttpClient.HttpClient
  readonly streaming: HttpClient.HttpClient
  readonly upgrade: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<Upgraded | Refused, TransportError, Scope.Scope>
  /** What a failed request of `http` or `streaming` means on this runtime. */
  readonly classify: (cause: unknown) => TransportError
}>()("@effect-k8s/core/Transport") {}

/**
 * What a runtime adapter provides: a `Transport` for an endpoint. Building one dials nothing; the scope ends its
 * connections.
 */
export class Platform extends Context.Service<Platform, {
  readonly transport: (endpoint: Endpoint) => Effect.Effect<Transport["Service"], TransportError, Scope.Scope>
}>()("@effect-k8s/core/Transport/Platform") {}
