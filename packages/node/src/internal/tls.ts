/**
 * TLS over a stream that is connected.
 */
import type * as Endpoint from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import * as Tls from "node:tls"
import * as Tcp from "./tcp.ts"

/** How long client-go waits for a handshake. */
const handshakeSeconds = 10

/** What a connection over TLS is to be. */
export interface Options {
  /** The host to verify, unless `serverName` says otherwise. */
  readonly host: string
  readonly serverName: string | undefined
  readonly insecureSkipVerify: boolean
  /** Application protocols, best first. */
  readonly protocols: ReadonlyArray<"h2" | "http/1.1">
}

/** Makes connections with the same certificates. */
export type Secure = <E>(
  stream: Duplex,
  options: Options,
  failed: (cause: unknown) => E
) => Effect.Effect<Tls.TLSSocket, E>

/** Reads certificates and keys, once for all connections. Sessions are resumed. */
export const make = <E>(
  tls: Pick<Endpoint.Tls, "ca" | "clientCertificate">,
  failed: (cause: unknown) => E
): Effect.Effect<Secure, E> =>
  Effect.map(Effect.try({ try: () => secureContext(tls), catch: failed }), (secureContext): Secure => {
    let session: Buffer | undefined
    return (stream, options, failed) =>
      Tcp.within(
        Effect.suspend(() => {
          const name = options.serverName ?? options.host
          const connectOptions = {
            // Sound: node:tls takes any Duplex for the stream below.
            socket: stream as Duplexlike as Net.Socket,
            // An address cannot be asked for, and Node throws where it is to: it is verified by `host`.
            host: name,
            ...(Net.isIP(name) === 0 ? { servername: name } : {}),
            secureContext,
            rejectUnauthorized: !options.insecureSkipVerify,
            ALPNProtocols: [...options.protocols],
            ...(session === undefined ? {} : { session }),
            ...Tcp.buffering
          }
          return Effect.flatMap(
            Effect.try({ try: () => Tls.connect(connectOptions), catch: failed }),
            (socket) => {
              socket.on("session", (latest) => {
                session = latest
              })
              return Tcp.until(socket, "secureConnect", failed)
            }
          )
        }),
        handshakeSeconds,
        failed
      )
  })

type Duplexlike = Duplex & Partial<Net.Socket>

const secureContext = ({ ca, clientCertificate }: Pick<Endpoint.Tls, "ca" | "clientCertificate">): Tls.SecureContext =>
  Tls.createSecureContext({
    // As in Go, each certificate that is given is one to trust, also where it is an intermediate alone.
    ...(ca === undefined ? {} : { ca, allowPartialTrustChain: true }),
    ...(clientCertificate === undefined ? {} : {
      cert: clientCertificate.cert,
      key: Redacted.value(clientCertificate.key)
    })
  })
