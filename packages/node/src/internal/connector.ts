/**
 * Connections to an endpoint as it says: directly, by its dialler or through its proxy, with TLS or without.
 *
 * Each stage says why it failed, which the errors alone do not: a refused connection may be the proxy's.
 */
import * as Endpoint from "@effect-k8s/core/Endpoint"
import {
  ConnectionLost,
  ProxyRefused,
  TlsFailed,
  TransportError,
  type TransportErrorReason,
  Unreachable
} from "@effect-k8s/core/TransportError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Net from "node:net"
import type { Duplex } from "node:stream"
import { tlsReason } from "./classify.ts"
import * as SocketStream from "./socketStream.ts"
import * as Tcp from "./tcp.ts"
import * as Tls from "./tls.ts"
import * as Tunnel from "./tunnel.ts"

/** How long Go waits for a proxy's answer; a proxy may take long to connect, or never say a word. */
const tunnelSeconds = 60

/** Where a connection goes. */
export interface Target {
  readonly address: Endpoint.Address
  readonly secure: boolean
  /** Whether HTTP/2 may be negotiated. */
  readonly allowH2: boolean
}

/** Connects. A failure or an interruption leaves nothing open; what succeeds is the caller's to destroy first. */
export type Connector = (target: Target) => Effect.Effect<Net.Socket, TransportError>

const fail = (reason: TransportErrorReason): TransportError => new TransportError({ reason })

/**
 * Reads the endpoint's certificates and dials nothing. The scope ends all connections, those that are being made too.
 *
 * Fails with `TlsFailed` when the certificates cannot be used.
 */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint.Endpoint
): Effect.fn.Return<Connector, TransportError, Scope.Scope> {
  const { ca, clientCertificate, insecureSkipVerify = false, serverName } = endpoint.tls ?? {}
  const unusable = (cause: unknown): TransportError =>
    fail(new TlsFailed({ address: Endpoint.address(endpoint), cause }))
  const secure = yield* Tls.make({ ca, clientCertificate }, unusable)
  // As kubectl has it, the cluster's authority is the proxy's too. Who we are is not for the proxy.
  const secureProxy = yield* Tls.make({ ca }, unusable)

  const open = new Set<Duplex>()
  const closed = yield* Deferred.make<never, TransportError>()
  yield* Effect.addFinalizer(() => {
    const address = Endpoint.address(endpoint)
    for (const stream of open) stream.destroy()
    return Deferred.fail(closed, fail(new ConnectionLost({ address, cause: new Error("the transport is closed") })))
  })

  const byDial = (dial: Endpoint.Dial, address: Endpoint.Address, opened: Opened): Stage<Duplex> => {
    const unreachable = unreachableAt(address)
    const stream = SocketStream.open(dial(address)).pipe(
      Effect.map(opened),
      Effect.mapError((error) => unreachable(openCause(error)))
    )
    // There is no stream yet that the transport's scope could destroy.
    return Effect.raceFirst(Tcp.within(stream, Tcp.connectSeconds, unreachable), Deferred.await(closed))
  }

  const byProxy = Effect.fnUntraced(function*(
    proxy: Endpoint.Proxy,
    address: Endpoint.Address,
    opened: Opened
  ): Effect.fn.Return<Duplex, TransportError> {
    const refused = (why: { readonly status: number } | { readonly cause: unknown }): TransportError =>
      fail(new ProxyRefused({ proxy: proxy.url.host, ...why }))
    const failed = (cause: unknown): TransportError => refused({ cause })
    const at = Endpoint.address(proxy)
    const raw = yield* Tcp.connect(at, opened, failed)
    const tls = { host: at.host, serverName: undefined, insecureSkipVerify, protocols: ["http/1.1"] } as const
    const stream = proxy.url.protocol === "https:" ? yield* secureProxy(raw, tls, failed) : raw
    yield* Tcp.within(Effect.mapError(Tunnel.open(stream, proxy, address), refused), tunnelSeconds, failed)
    return stream
  })

  return ({ address, allowH2, secure: tls }) =>
    Effect.suspend(() => {
      const streams: Array<Duplex> = []
      const opened: Opened = (stream) => {
        streams.push(stream)
        open.add(stream)
        stream.on("error", () => {}).once("close", () => open.delete(stream))
        return stream
      }
      return Effect.gen(function*() {
        const stream = endpoint.dial !== undefined
          ? yield* byDial(endpoint.dial, address, opened)
          : endpoint.proxy !== undefined
          ? yield* byProxy(endpoint.proxy, address, opened)
          : yield* Tcp.connect(address, opened, unreachableAt(address))
        // Sound: undici uses a socket given to it as a Duplex; what else net.Socket has it tests for.
        if (!tls) return stream as Duplexlike as Net.Socket
        const protocols = allowH2 ? ["h2", "http/1.1"] as const : ["http/1.1"] as const
        const options = { host: address.host, serverName, insecureSkipVerify, protocols }
        return yield* secure(stream, options, (cause) => fail(tlsReason(address, cause)))
      }).pipe(Effect.onError(() => Effect.sync(() => streams.forEach((stream) => stream.destroy()))))
    })
})

/** Takes charge of a stream from before it is connected. */
type Opened = <S extends Duplex>(stream: S) => S

type Stage<S> = Effect.Effect<S, TransportError>

type Duplexlike = Duplex & Partial<Net.Socket>

const unreachableAt = (address: Endpoint.Address) => (cause: unknown): TransportError =>
  fail(new Unreachable({ address, cause }))

// The error of a socket that did not open says so and no more; what it holds says why.
const openCause = (error: Socket.SocketError): Error => {
  if (!("cause" in error.reason)) return error
  const { cause } = error.reason
  return cause instanceof Error ? cause : error
}
