/**
 * The servers and proxies that the rows of the contract connect to, as the rows see them: data and a few effects.
 *
 * They may run in this process, in another one, or in memory.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A certificate and its private key as PEM text. */
export interface Identity {
  readonly cert: string
  readonly key: string
}

/** The ways a private key is written: the algorithm, and the PEM label it comes under. */
export type KeyForm = "EC PKCS#8" | "EC SEC1" | "RSA PKCS#8" | "RSA PKCS#1"

/** Certificates that the peers hold or believe. */
export interface Certificates {
  /** The authority of the servers' and the clients' certificates. */
  readonly ca: string
  /** An authority that signed none of them. */
  readonly otherCa: string
  /** An authority that `ca` has signed. */
  readonly intermediateCa: string
  /** Certificates of servers that are their own authority. */
  readonly selfSigned: Readonly<Record<ServerName, string>>
  /** Client certificates of the user `contract`, group `rows`. */
  readonly clients: Readonly<Record<KeyForm, Identity>>
}

/** The user in each client certificate. */
export const clientUser = "contract"

/**
 * A port of the loopback on which nobody listens: it takes privileges. One that was free a moment ago may be another
 * program's by now, and answer nothing.
 */
export const closedPort = 1

/** The name in a server certificate, besides the loopback addresses. */
export type ServerName = "cluster.test" | "other.test"

/** TLS of a server. */
export interface TlsOptions {
  /**
   * The only DNS name in the certificate. With `cluster.test` the addresses 127.0.0.1 and ::1 and the name localhost are
   * in it too.
   */
  readonly name?: ServerName | undefined
  /** Who has signed the certificate: `ca` unless told. The server sends the certificate of an intermediate too. */
  readonly signedBy?: "intermediateCa" | "itself" | undefined
  /** Whether a connection without a client certificate is refused. One is always asked for. */
  readonly demandClient?: boolean | undefined
  /** The highest version offered; 1.3 unless told. */
  readonly version?: "TLSv1.2" | "TLSv1.3" | undefined
  /** The application protocols offered, best first; both unless told, as an API server does. */
  readonly protocols?: ReadonlyArray<"h2" | "http/1.1"> | undefined
}

/** An HTTP server with the behaviours of `Behaviour`. */
export interface ServerOptions {
  readonly _tag: "Server"
  readonly tls?: TlsOptions | undefined
  readonly host?: "127.0.0.1" | "::1" | undefined
}

/** A proxy of HTTP, by CONNECT. */
export interface ProxyOptions {
  readonly _tag: "Proxy"
  readonly tls?: TlsOptions | undefined
  /** Who may use it; anybody unless told. */
  readonly user?: { readonly name: string; readonly password: string } | undefined
  /** Where it connects whatever it is asked for; there unless told. */
  readonly to?: Address | undefined
  /** What it does with a CONNECT in place of connecting. */
  readonly fault?: "garbage" | "close" | "silence" | undefined
}

/** A proxy of SOCKS5 (RFC 1928). Its heads are the targets it was asked for, names as they came. */
export interface SocksOptions {
  readonly _tag: "Socks"
  /** Who may use it; anybody unless told, and then nobody is asked who he is. */
  readonly user?: { readonly name: string; readonly password: string } | undefined
  /** What it does with a greeting in place of answering. */
  readonly fault?: ProxyOptions["fault"]
}

/** A TCP server that accepts, and says nothing. */
export interface SilentOptions {
  readonly _tag: "Silent"
}

/** What to listen with. */
export type ListenOptions = ServerOptions | ProxyOptions | SocksOptions | SilentOptions

/** What a listener has seen. */
export interface Stats {
  /** Connections since the start. */
  readonly accepted: number
  /** Connections that are open. */
  readonly open: number
  /** Requests and upgraded connections that are not over. */
  readonly exchanges: number
  /** Bytes of upgraded connections that behaviours have read. */
  readonly received: number
  /** Bytes that behaviours have written, and the kernel has taken. */
  readonly sent: number
  /** The first 64 KiB that clients sent to a proxy, tunnelled bytes included, as Latin-1 text. */
  readonly transcript: string
  /** The heads of the requests to a proxy. */
  readonly heads: ReadonlyArray<string>
}

/** A listening server or proxy on the loopback. */
export interface Listener {
  readonly address: Address
  readonly stats: Effect.Effect<Stats>
  /** Lets behaviours that wait for it go on. */
  readonly release: Effect.Effect<void>
}

/** A request as a server saw it; the answer of the behaviour `seen`. */
export interface Seen {
  readonly method: string
  /** Path and query. */
  readonly path: string
  /** Names in lower case, in order of arrival; repeated ones come as they came. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly body: string
  /** The version of HTTP: `1.1` or `2.0`. */
  readonly httpVersion: string
  /** The name that the client asked for in TLS. */
  readonly serverName?: string | undefined
  /** The user of the client certificate. */
  readonly user?: string | undefined
}

/** Starts servers and proxies. */
export class Peer extends Context.Service<Peer, {
  readonly certificates: Certificates
  /** Listens on a free port until the scope ends. */
  readonly listen: (options: ListenOptions) => Effect.Effect<Listener, never, Scope.Scope>
}>()("@effect-k8s/testing/contract/Peer") {}
