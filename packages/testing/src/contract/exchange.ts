/**
 * One exchange on any channel of a transport, so that rows can say the same of all three.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import { Platform, type Refused, type Transport, type Upgraded } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Pattern from "./Pattern.ts"
import { type Listener, Peer, type Seen, type ServerOptions } from "./Peer.ts"
import { type Channel, type Row, type RowError, Unmet } from "./Row.ts"

/** A transport's operations. */
export type Operations = Transport["Service"]

const decoder = new TextDecoder()

/** A server, and an endpoint that leads to it with what is needed to trust it. */
export interface Server {
  readonly listener: Listener
  readonly endpoint: Endpoint
}

/** Starts a server, and makes the endpoint that a kubeconfig with its CA would give. */
export const serve = Effect.fnUntraced(function*(
  options: Omit<ServerOptions, "_tag"> = {}
): Effect.fn.Return<Server, never, Peer | Scope.Scope> {
  const peer = yield* Peer
  const listener = yield* peer.listen({ _tag: "Server", ...options })
  return {
    listener,
    endpoint: {
      url: urlOf(listener, options.tls === undefined ? "http" : "https"),
      ...(options.tls === undefined ? {} : { tls: { ca: peer.certificates.ca } })
    }
  }
})

/** The URL of a listener, by its address. */
export const urlOf = ({ address: { host, port } }: Listener, scheme: "http" | "https"): URL =>
  new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`)

/** The adapter's transport to an endpoint. */
export const connect = (endpoint: Endpoint): Effect.Effect<Operations, TransportError, Platform | Scope.Scope> =>
  Effect.flatMap(Platform, (platform) => platform.transport(endpoint))

/** A GET of a behaviour below the endpoint. */
export const get = (endpoint: Endpoint, path: string): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.get(`${endpoint.url.href.replace(/\/$/, "")}/${path}`)

/** Fails as a caller of the transport would have it. */
export const classified = <A, R>(
  transport: Operations,
  effect: Effect.Effect<A, HttpClientError.HttpClientError, R>
): Effect.Effect<A, TransportError, R> =>
  Effect.mapError(effect, (error) => transport.classify(error.reason.cause ?? error.reason))

/** The head of the answer to a request that is not an upgrade. The scope ends the request. */
export const execute = (
  transport: Operations,
  channel: "http" | "streaming",
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<HttpClientResponse.HttpClientResponse, TransportError, Scope.Scope> =>
  classified(transport, HttpClient.withScope(transport[channel]).execute(request))

const toUpgrade = HttpClientRequest.setHeaders({ connection: "Upgrade", upgrade: "contract" })

/** Asks for an upgrade. */
export const upgrade = (
  transport: Operations,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Upgraded | Refused, TransportError, Scope.Scope> => transport.upgrade(toUpgrade(request))

/** Asks for an upgrade, and has no use for a refusal. */
export const upgraded = Effect.fnUntraced(function*(
  endpoint: Endpoint,
  path: string
): Effect.fn.Return<ByteDuplex, RowError, Platform | Scope.Scope> {
  const transport = yield* connect(endpoint)
  return yield* open(transport, get(endpoint, path))
})

/** The connection of an upgrade that must not be refused. */
export const open = Effect.fnUntraced(function*(
  transport: Operations,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<ByteDuplex, RowError, Scope.Scope> {
  const answer = yield* upgrade(transport, request)
  return answer._tag === "Upgraded"
    ? answer.connection
    : yield* new Unmet({ message: `the upgrade was refused with ${answer.status}` })
})

/** Reads a connection to its FIN. */
export const readAll = (connection: ByteDuplex): Effect.Effect<Uint8Array, TransportError> =>
  Effect.map(Stream.runCollect(Stream.fromPull(Effect.succeed(connection.pull))), Bytes.concat)

/** Reads to the FIN without keeping the bytes. */
export const digest = (connection: ByteDuplex): Effect.Effect<Pattern.Digest, TransportError> =>
  digestStream(Stream.fromPull(Effect.succeed(connection.pull)))

/** Reads a stream to its end without keeping the bytes. */
export const digestStream = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<Pattern.Digest, E, R> =>
  Effect.suspend(() => {
    const digester = Pattern.digester()
    return Effect.map(
      Stream.runForEachArray(stream, (chunks) => Effect.sync(() => chunks.forEach(digester.add))),
      digester.digest
    )
  })

/** The whole answer to a request, on any channel: the bytes to the FIN where it was an upgrade. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** Sends a request on a channel and reads the whole answer. */
export const ask = Effect.fnUntraced(function*(
  transport: Operations,
  channel: Channel,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Answer, RowError, Scope.Scope> {
  switch (channel) {
    case "http": {
      const response = yield* execute(transport, channel, request)
      return { status: response.status, body: yield* classified(transport, response.text) }
    }
    case "streaming": {
      const response = yield* execute(transport, channel, request)
      const body = Bytes.concat(yield* classified(transport, Stream.runCollect(response.stream)))
      return { status: response.status, body: decoder.decode(body) }
    }
    case "upgrade": {
      const answer = yield* upgrade(transport, request)
      return answer._tag === "Refused"
        ? { status: answer.status, body: decoder.decode(answer.body) }
        : { status: 101, body: decoder.decode(yield* readAll(answer.connection)) }
    }
  }
}, Effect.scoped)

/** What the server saw of a request to its behaviour `seen`. */
export const see = Effect.fnUntraced(function*(
  transport: Operations,
  channel: Channel,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Seen, RowError> {
  const answer = yield* ask(transport, channel, request)
  return answer.status === 200 || answer.status === 101
    // What the behaviour writes.
    ? JSON.parse(answer.body) as Seen
    : yield* new Unmet({ message: `the server answered ${answer.status}: ${answer.body}` })
})

/** What the server saw of one request through a transport of its own. */
export const seenThrough = Effect.fnUntraced(function*(
  endpoint: Endpoint,
  channel: Channel
): Effect.fn.Return<Seen, RowError, Platform | Scope.Scope> {
  return yield* see(yield* connect(endpoint), channel, get(endpoint, "seen"))
})

/** The environment of rows. */
export type Environment = Effect.Services<Row["run"]>
