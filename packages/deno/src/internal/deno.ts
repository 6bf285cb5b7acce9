/**
 * What this package uses of the global `Deno`, typed here: so types need no library of Deno's, and reading the file tells
 * what the package depends on.
 */

/** A host name or IP literal, and a port. */
export interface Address {
  readonly hostname: string
  readonly port: number
}

/** A connection of TCP. Closing it makes its pending reads and writes fail. */
export interface TcpConn {
  /** Bytes read, or `null` at the peer's end. */
  readonly read: (into: Uint8Array) => Promise<number | null>
  /** Bytes written, maybe less than all. */
  readonly write: (bytes: Uint8Array) => Promise<number>
  readonly closeWrite: () => Promise<void>
  readonly close: () => void
  readonly setNoDelay: (noDelay: boolean) => void
  readonly setKeepAlive: (keepAlive: boolean) => void
}

/** What listens. */
export interface TcpListener {
  readonly close: () => void
}

/** A certificate and its key, PEM text. */
export interface KeyPair {
  readonly cert: string
  readonly key: string
}

/** A pool of connections for `fetch`. */
export interface HttpClient {
  readonly close: () => void
}

/** Options of such a pool. */
export interface HttpClientOptions extends Partial<KeyPair> {
  readonly caCerts?: Array<string>
  /** In milliseconds. */
  readonly poolIdleTimeout?: number
}

/** The part of the global that is used. */
export interface Namespace {
  readonly connect: (options: Address & { readonly signal?: AbortSignal }) => Promise<TcpConn>
  readonly listen: (options: Address) => TcpListener
  readonly createHttpClient: (options: HttpClientOptions) => HttpClient
  /** Getting one fails without permission. */
  readonly env: { readonly get: (name: string) => string | undefined }
}

/** Options of `fetch` on Deno. */
export interface FetchInit extends RequestInit {
  readonly client: HttpClient
}

/** The global `Deno`. Reading a member fails on any other runtime. */
export const deno: Namespace = new Proxy({} as Namespace, {
  get: (_, name) => {
    const { Deno } = globalThis as { readonly Deno?: object }
    if (Deno === undefined) throw new Error("@effect-k8s/deno runs on Deno; use @effect-k8s/node here")
    return Reflect.get(Deno, name)
  }
})
