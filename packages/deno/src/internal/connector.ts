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
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import { tlsReason, unreachable } from "./classify.ts"
import { deno, type TcpConn } from "./deno.ts"
import * as NodeTls from "./nodeTls.ts"
import * as ProxyTunnel from "./proxyTunnel.ts"
import * as RawStream from "./rawStream.ts"
import * as SocketStream from "./socketStream.ts"

/** Connects, for HTTP/1.1. A failure or an interruption leaves nothing open; what succeeds is the caller's to destroy. */
export type Connector = Effect.Effect<RawStream.RawStream, TransportError>

/** How long client-go waits for a connection, and for a handshake. */
const connectSeconds = 30
const handshakeSeconds = 10

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

/** A stream, and the connection of TCP below it where there is nothing between. */
interface Stage {
  readonly stream: RawStream.RawStream
  readonly tcp?: TcpConn | undefined
  readonly secured?: boolean | undefined
}

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
    for (const stream of this.#streams.splice(0).reverse()) stream.destroy()
  }
}

const promise = <A>(
  run: (signal: AbortSignal) => Promise<A>,
  failed: (cause: unknown) => TransportError
): Effect.Effect<A, TransportError> => Effect.tryPromise({ try: run, catch: failed })

/** Dials nothing yet. The scope ends all connections, those that are being made too. */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint.Endpoint
): Effect.fn.Return<Connector, never, Scope.Scope> {
  const { ca, clientCertificate, insecureSkipVerify, serverName } = endpoint.tls ?? {}
  const address = Endpoint.address(endpoint)
  const secure = endpoint.url.protocol === "https:"

  const attempts = new Set<Attempt>()
  const closed = yield* Deferred.make<never, TransportError>()
  yield* Effect.addFinalizer(() => {
    for (const attempt of attempts) attempt.destroy()
    return Deferred.fail(closed, fail(new ConnectionLost({ address, cause: new Error("the transport is closed") })))
  })

  const tcp = (attempt: Attempt, at: Endpoint.Address, failed: (cause: unknown) => TransportError) =>
    within(
      promise(async (signal): Promise<Stage> => {
        const conn = await deno.connect({ hostname: at.host, port: at.port, signal })
        const stream = attempt.opened(RawStream.fromConn(conn))
        conn.setNoDelay(true)
        conn.setKeepAlive(true)
        return { stream, tcp: conn }
      }, failed),
      connectSeconds,
      failed
    )

  const byDial = (dial: Endpoint.Dial, attempt: Attempt): Effect.Effect<Stage, TransportError> => {
    const failed = (cause: unknown): TransportError => fail(unreachable(address, cause))
    const stream = SocketStream.open(dial(address)).pipe(
      Effect.map((stream) => ({ stream: attempt.opened(stream) })),
      Effect.mapError((error) => failed(openCause(error)))
    )
    return within(stream, connectSeconds, failed)
  }

  const byProxy = Effect.fnUntraced(function*(
    proxy: Endpoint.Proxy,
    attempt: Attempt
  ): Effect.fn.Return<Stage, TransportError> {
    const failed = (cause: unknown): TransportError => {
      const why = unreachable(address, cause)
      if (why._tag === "PermissionDenied") return fail(why)
      const status = cause instanceof ProxyTunnel.Refusal ? cause.status : undefined
      return fail(new ProxyRefused({ proxy: proxy.url.host, ...(status === undefined ? { cause } : { status }) }))
    }
    const at = Endpoint.address(proxy)
    const bare = yield* tcp(attempt, at, failed)
    // As kubectl has it, the cluster's authority is the proxy's too. Who we are is not for the proxy.
    const settings = { ca, insecureSkipVerify, host: at.host }
    const stage = proxy.url.protocol === "https:" ? yield* overTls(bare, settings, attempt, failed) : bare
    const stream = yield* promise(() => ProxyTunnel.open(stage.stream, proxy, address), failed)
    return stream === stage.stream ? stage : { stream }
  })

  const tlsFailed = (cause: unknown): TransportError => fail(tlsReason(address, cause))

  const direct = (attempt: Attempt): Effect.Effect<Stage, TransportError> => {
    const failed = (cause: unknown): TransportError => fail(unreachable(address, cause))
    if (!secure || clientCertificate === undefined || serverName !== undefined || insecureSkipVerify === true) {
      return tcp(attempt, address, failed)
    }
    // The one way to present a certificate without node:tls. It connects and leaves the handshake for later.
    return within(
      promise(async () => {
        const conn = await deno.connectTls({
          hostname: address.host,
          port: address.port,
          ...trust(ca),
          cert: clientCertificate.cert,
          key: Redacted.value(clientCertificate.key)
        })
        const stream = attempt.opened(RawStream.fromConn(conn))
        return { stream, handshake: () => conn.handshake() }
      }, failed),
      connectSeconds,
      failed
    ).pipe(
      Effect.flatMap(({ handshake, stream }) =>
        Effect.as(within(promise(handshake, tlsFailed), handshakeSeconds, tlsFailed), { stream, secured: true })
      )
    )
  }

  const connect = Effect.fnUntraced(function*(attempt: Attempt): Effect.fn.Return<Stage, TransportError> {
    const stage = endpoint.dial !== undefined
      ? yield* byDial(endpoint.dial, attempt)
      : endpoint.proxy !== undefined
      ? yield* byProxy(endpoint.proxy, attempt)
      : yield* direct(attempt)
    return !secure || stage.secured === true
      ? stage
      : yield* overTls(stage, { ...endpoint.tls, host: address.host }, attempt, tlsFailed)
  })

  return Effect.suspend(() => {
    const attempt = new Attempt(attempts)
    return Effect.raceFirst(connect(attempt), Deferred.await(closed)).pipe(
      Effect.map(({ stream }) => ({ ...stream, destroy: attempt.destroy })),
      Effect.onError(() => Effect.sync(attempt.destroy))
    )
  })
})

/** TLS over a stage: by Deno itself where it can do what is asked for, else by `node:tls`. */
const overTls = (
  { stream, tcp }: Stage,
  options: NodeTls.Options,
  attempt: Attempt,
  failed: (cause: unknown) => TransportError
): Effect.Effect<Stage, TransportError> =>
  within(
    promise(async () => {
      if (tcp === undefined || options.clientCertificate !== undefined || options.insecureSkipVerify === true) {
        return { stream: attempt.opened(await NodeTls.connect(stream, options)) }
      }
      const conn = await deno.startTls(tcp, { ...trust(options.ca), hostname: options.serverName ?? options.host })
      const secured = attempt.opened(RawStream.fromConn(conn))
      await conn.handshake()
      return { stream: secured }
    }, failed),
    handshakeSeconds,
    failed
  )

const trust = (ca: string | undefined): { readonly caCerts?: Array<string>; readonly alpnProtocols: Array<string> } => ({
  ...(ca === undefined ? {} : { caCerts: [ca] }),
  alpnProtocols: ["http/1.1"]
})

// The error of a socket that did not open says so and no more; what it holds says why.
const openCause = (error: Socket.SocketError): Error => {
  if (!("cause" in error.reason)) return error
  const { cause } = error.reason
  return cause instanceof Error ? cause : error
}
