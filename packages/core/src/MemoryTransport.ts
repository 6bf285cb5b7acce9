/**
 * A transport without sockets: two bounded queues for each upgraded connection, and a function for requests.
 *
 * Tests on virtual time run on it, and it shows that nothing above the transport knows a runtime.
 */
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { ByteDuplex } from "./ByteDuplex.ts"
import * as Endpoint from "./Endpoint.ts"
import * as RequestHeaders from "./RequestHeaders.ts"
import * as Transport from "./Transport.ts"
import { ConnectionLost, isTransportError, TransportError } from "./TransportError.ts"
import { toHttpClientResponse } from "./WebResponse.ts"

/** One end of a connection in memory. */
export interface MemoryConnection extends ByteDuplex {
  /** Ends the connection like an RST: the peer loses what it has not read, and both ends fail with `ConnectionLost`. */
  readonly reset: Effect.Effect<void>
  /** Ends the connection like `close(2)`: what was written arrives, then the FIN; the peer's writes fail. */
  readonly close: Effect.Effect<void>
}

// 16 chunks of 16 KiB are a pipe of 256 KiB, about what a loopback socket holds.
const chunkBytes = 16 * 1024
const pipeChunks = 16

interface Pipe {
  readonly queue: Queue.Queue<Uint8Array, TransportError | Cause.Done>
  reset: boolean
}

const makePipe: Effect.Effect<Pipe> = Effect.map(
  Queue.bounded<Uint8Array, TransportError | Cause.Done>(pipeChunks),
  (queue) => ({ queue, reset: false })
)

/**
 * Two connected ends. What one end writes the other pulls, at most 256 KiB ahead.
 *
 * @example
 * ```ts
 * import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
 * import * as Effect from "effect/Effect"
 *
 * const program = Effect.gen(function*() {
 *   const [left, right] = yield* MemoryTransport.pair({ host: "memory", port: 1 })
 *   yield* left.write([new TextEncoder().encode("hello")])
 *   const [first] = yield* right.pull
 *   return new TextDecoder().decode(first)
 * })
 * await Effect.runPromise(program) // => "hello"
 * ```
 */
export const pair = Effect.fnUntraced(function*(
  address: Endpoint.Address
): Effect.fn.Return<readonly [MemoryConnection, MemoryConnection]> {
  const there = yield* makePipe
  const back = yield* makePipe
  return [end(address, back, there), end(address, there, back)]
})

const end = (address: Endpoint.Address, incoming: Pipe, outgoing: Pipe): MemoryConnection => {
  const lost = (text: string) => new TransportError({ reason: new ConnectionLost({ address, cause: new Error(text) }) })
  // Failing keeps what was not read yet, and those who wait to write; shutting down lets go of both.
  const fail = (pipe: Pipe, text: string) =>
    Effect.andThen(Queue.fail(pipe.queue, lost(text)), Queue.shutdown(pipe.queue))
  return {
    // The queue forgets a failure that comes behind its end.
    pull: Effect.suspend(() => incoming.reset ? Effect.fail(lost("reset")) : Queue.takeAll(incoming.queue)),
    write: (chunks) => {
      const late = Effect.fail(lost("write after the end"))
      return Effect.suspend(() =>
        outgoing.reset
          ? late
          : Effect.flatMap(
            Queue.offerAll(outgoing.queue, chunks.flatMap(split)),
            (rest) => rest.length === 0 ? Effect.void : late
          )
      )
    },
    end: Effect.asVoid(Queue.end(outgoing.queue)),
    // Both ways at once: whoever one failure wakes must not get through the other way.
    reset: Effect.suspend(() => {
      outgoing.reset = true
      incoming.reset = true
      return Effect.asVoid(Effect.andThen(fail(outgoing, "reset by peer"), fail(incoming, "reset")))
    }),
    close: Effect.asVoid(Effect.andThen(Queue.end(outgoing.queue), Queue.shutdown(incoming.queue)))
  }
}

// Copies, because a write gives its memory back to the caller. The slice of a Buffer of Node is none.
const split = (chunk: Uint8Array): Array<Uint8Array> =>
  chunk.length <= chunkBytes
    ? [new Uint8Array(chunk)]
    : Arr.makeBy(
      Math.ceil(chunk.length / chunkBytes),
      (i) => new Uint8Array(chunk.subarray(i * chunkBytes, (i + 1) * chunkBytes))
    )

/** The server's answer to an upgrade: `serve` owns its end of the connection until it returns. */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly headers: Transport.Upgraded["headers"]
  readonly serve: (connection: MemoryConnection) => Effect.Effect<void>
}

/** What answers in place of a server. */
export interface Server {
  readonly request: (
    request: HttpClientRequest.HttpClientRequest,
    url: URL
  ) => Effect.Effect<Response, TransportError, Scope.Scope>
  readonly upgrade: (
    request: HttpClientRequest.HttpClientRequest
  ) => Effect.Effect<Accepted | Transport.Refused, TransportError>
}

/** A transport to `server`. The scope ends the fibers that serve its connections. */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint.Endpoint,
  server: Server
): Effect.fn.Return<Transport.Transport["Service"], never, Scope.Scope> {
  const scope = yield* Effect.scope
  const address = Endpoint.address(endpoint)

  const http = RequestHeaders.checked(HttpClient.make((request, url, signal) =>
    Effect.gen(function*() {
      const exchange = yield* Scope.fork(scope)
      const run = Effect.runForkWith(yield* Effect.context())
      signal.addEventListener("abort", () => run(Scope.close(exchange, Exit.void)), { once: true })
      const response = yield* Scope.provide(server.request(request, url), exchange)
      return toHttpClientResponse(request, response)
    }).pipe(
      Effect.mapError((cause) =>
        new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
      )
    )
  ))

  return Transport.Transport.of({
    http,
    streaming: http,
    upgrade: Effect.fnUntraced(function*(request) {
      yield* RequestHeaders.check(request)
      const answer = yield* server.upgrade(request)
      if (answer._tag === "Refused") return answer
      const [client, peer] = yield* Effect.acquireRelease(pair(address), ([client]) => client.close)
      yield* Effect.forkIn(Effect.ensuring(answer.serve(peer), peer.close), scope)
      return { _tag: "Upgraded", headers: answer.headers, connection: client }
    }),
    classify: (cause) =>
      isTransportError(cause) ? cause : new TransportError({ reason: new ConnectionLost({ address, cause }) })
  })
})

/** A platform whose transports all lead to `server`. */
export const platform = (server: Server): Transport.Platform["Service"] =>
  Transport.Platform.of({ transport: (endpoint) => make(endpoint, server) })
