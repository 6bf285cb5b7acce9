/**
 * One HTTP exchange, free of any server: what the handlers of TestCluster see and answer.
 *
 * The same handlers serve real sockets (`HttpFrontend`) and the in-memory transport, so a row on virtual time meets the
 * code that a row on real sockets does.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

/** A request. Header names are in lower case; repeated headers keep their values apart. */
export interface ServerRequest {
  readonly method: string
  readonly url: URL
  readonly headers: ReadonlyMap<string, ReadonlyArray<string>>
  /** The whole body; at most a few MiB, larger ones are refused before. Empty where it is to be read as it comes. */
  readonly body: Effect.Effect<Uint8Array>
  /** The body as it comes, of any length, where it was not read before: of a request to a `proxy`. To be read once. */
  readonly stream?: Stream.Stream<Uint8Array> | undefined
  /** The subject of a verified client certificate: its common name and organisations. */
  readonly certificate?: { readonly user: string; readonly groups: ReadonlyArray<string> } | undefined
}

/** The server's end of an upgraded connection. Closing its scope closes the socket. */
export interface ServerConnection extends ByteDuplex {
  /** Ends the connection with an RST, so that the peer loses what it has not read. In memory: a `ConnectionLost`. */
  readonly reset: Effect.Effect<void>
}

/** An answer with its whole body. */
export interface BodyResponse {
  readonly _tag: "Body"
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | string
}

/** An answer whose body is sent, and flushed, as it comes: a watch, a followed log. */
export interface StreamResponse {
  readonly _tag: "Stream"
  readonly status: number
  /** A value with line feeds is sent as a header line for each of its lines. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Stream.Stream<Uint8Array>
}

/** `101 Switching Protocols`, then `serve` owns the connection until it returns. */
export interface UpgradeResponse {
  readonly _tag: "Upgrade"
  readonly headers: Readonly<Record<string, string>>
  readonly serve: (connection: ServerConnection) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * Exact bytes in place of an HTTP answer, then the end of the connection: the bare 403 of a refused subprotocol, a
 * garbled answer, a reset.
 */
export interface RawResponse {
  readonly _tag: "Raw"
  readonly bytes: Uint8Array
  readonly end: "fin" | "reset" | "hold"
}

/** An answer. */
export type ServerResponse = BodyResponse | StreamResponse | UpgradeResponse | RawResponse

/** Answers one request. It never fails: every failure is an answer. The scope lasts as long as the exchange. */
export type Handler = (request: ServerRequest) => Effect.Effect<ServerResponse, never, Scope.Scope>

/** Wraps a handler: logging, authentication, faults. Nothing may hide the upgrade: a wrapper passes answers on as they are. */
export type Middleware = (next: Handler) => Handler
