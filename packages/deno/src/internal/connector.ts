/**
 * Connections to an endpoint as it says: directly, by its dialler or through its proxy, with TLS or without.
 *
 * Each stage says why it failed, which the errors alone do not: a refused connection may be the proxy's.
 */
import * as Endpoint from "@effect-k8s/core/Endpoint"
import {
  ConnectionLost,
  ProxyRefused,
  TransportError,
  type TransportErrorReason
} from "@effect-k8s/core/TransportError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { tlsReason, unreachable } from "./classify.ts"
import * as NodeTls from "./nodeTls.ts"
import * as ProxyTunnel from "./proxyTunnel.ts"
import type * as RawStream from "./rawStream.ts"
import * as SocketStream from "./socketStream.ts"
import type * as Tcp from "./tcp.ts"

/** Connects, for HTTP/1.1. A failure or an interruption leaves nothing open; what succeeds is the caller's to destroy. */
export type Connector = () => Effect.Effect<RawStream.RawStream, TransportError>

/** How long client-go waits for a connection, and for a handshake. */
const connectSeconds = 30
const handshakeSeconds = 10
/** How long Go waits for a proxy's answer; a proxy may take long to connect, or never say a word. */
const tunnelSeconds = 60

/** Connects until the scope ends. */
export const acquire = (connector: Connector): Effect.Effect<RawStream.RawStream, TransportError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.tap(restore(connector()), (stream) => Effect.addFinalizer(() => Effect.sync(stream.destroy)))
  )

const fail = (reason: TransportErrorReason): TransportError => new TransportError({ reason })

/** Fails unless the effect ends within so many seconds. */
const within = <A>(
  effect: Effect.Effect<A, TransportError>,
  seconds: number,
  failed: (cause: unknown) => TransportError
): Effect.Effect<A, TransportError> =>
  Effect.timeoutOrElse(effect, {
    duration: seconds * 1000,
    orElse: () => Effect.fail(failed(new Error(`it took more than ${seconds} s`)))
  })

/** The attempt to make one connection, and then that connection with all that it runs over. */
class Attempt {
  readonly #all: Set<Attempt>
  readonly #streams: Array<RawStream.RawStream> = []
  #over = false

  constructor(all: Set<Attempt>) {
    this.#all = all
    all.add(this)
  }

  /** Takes charge of a stream. One that comes too late is destroyed. */
  opened<S extends RawStream.RawStream>(stream: S): S {
    if (this.#over) stream.destroy()
    else this.#streams.push(stream)
    return stream
  }

  /** Ends everything, the latest first. */
  readonly destroy = (): void => {
    this.#over = true
    this.#all.delete(this)
    for (const stream of this.#streams.splice(0).toReversed()) stream.destroy()
  }
}

const promise = <A>(
  run: (signal: AbortSignal) => Promise<A>,
  failed: (cause: unknown) => TransportError
): Effect.Effect<A, TransportError> => Effect.tryPromise({ try: run, catch: failed })

/**
 * Dials nothing yet; `connectTcp` is how it will. The scope ends all connections, those that are being made too.
 */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint.Endpoint,
  connectTcp: typeof Tcp.connect
): Effect.fn.Return<Connector, never, Scope.Scope> {
  const { ca, insecureSkipVerify } = endpoint.tls ?? {}
  const address = Endpoint.address(endpoint)
  const secure = endpoint.url.protocol === "https:"

  const attempts = new Set<Attempt>()
  const closed = yield* Deferred.make<never, TransportError>()
  yield* Effect.addFinalizer(() => {
    for (const attempt of attempts) attempt.destroy()
    return Deferred.fail(closed, fail(new ConnectionLost({ address, cause: new Error("the transport is closed") })))
  })

  type Opening = Effect.Effect<RawStream.RawStream, TransportError>

  const tcp = (attempt: Attempt, at: Endpoint.Address, failed: (cause: unknown) => TransportError): Opening =>
    within(
      promise(async (signal) => attempt.opened(await connectTcp(at, signal)), failed),
      connectSeconds,
      failed
    )

  const overTls = (
    attempt: Attempt,
    stream: RawStream.RawStream,
    options: NodeTls.Options,
    failed: (cause: unknown) => TransportError
  ): Opening =>
    within(
      promise(async () => attempt.opened(await NodeTls.connect(stream, options)), failed),
      handshakeSeconds,
      failed
    )

  const unreached = (cause: unknown): TransportError => fail(unreachable(address, cause))
  const tlsFailed = (cause: unknown): TransportError => fail(tlsReason(address, cause))

  const byDial = (dial: Endpoint.Dial, attempt: Attempt): Opening =>
    within(
      SocketStream.open(dial(address)).pipe(
        Effect.map((stream) => attempt.opened(stream)),
        Effect.mapError((error) => unreached(openCause(error)))
      ),
      connectSeconds,
      unreached
    )

  const byProxy = Effect.fnUntraced(function*(
    proxy: Endpoint.Proxy,
    attempt: Attempt
  ): Effect.fn.Return<RawStream.RawStream, TransportError> {
    const failed = (cause: unknown): TransportError => {
      const why = unreachable(address, cause)
      if (why._tag === "PermissionDenied") return fail(why)
      const status = cause instanceof ProxyTunnel.Refusal ? cause.status : undefined
      return fail(new ProxyRefused({ proxy: proxy.url.host, ...(status === undefined ? { cause } : { status }) }))
    }
    const at = Endpoint.address(proxy)
    const bare = yield* tcp(attempt, at, failed)
    // As kubectl has it, the cluster's authority is the proxy's too. Who we are is not for the proxy.
    const stream = proxy.url.protocol === "https:"
      ? yield* overTls(attempt, bare, { ca, insecureSkipVerify, host: at.host }, failed)
      : bare
    return yield* within(promise(() => ProxyTunnel.open(stream, proxy, address), failed), tunnelSeconds, failed)
  })

  const connect = Effect.fnUntraced(function*(
    attempt: Attempt
  ): Effect.fn.Return<RawStream.RawStream, TransportError> {
    const stream = endpoint.dial !== undefined
      ? yield* byDial(endpoint.dial, attempt)
      : endpoint.proxy !== undefined
      ? yield* byProxy(endpoint.proxy, attempt)
      : yield* tcp(attempt, address, unreached)
    return secure
      ? yield* overTls(attempt, stream, { ...endpoint.tls, host: address.host }, tlsFailed)
      : stream
  })

  return () =>
    Effect.suspend(() => {
      const attempt = new Attempt(attempts)
      return Effect.raceFirst(connect(attempt), Deferred.await(closed)).pipe(
        Effect.map((stream) => ({ ...stream, destroy: attempt.destroy })),
        Effect.onError(() => Effect.sync(attempt.destroy))
      )
    })
})

// The error of a socket that did not open says so and no more; what it holds says why.
const openCause = (error: Socket.SocketError): Error => {
  if (!("cause" in error.reason)) return error
  const { cause } = error.reason
  return cause instanceof Error ? cause : error
}
