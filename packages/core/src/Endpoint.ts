/**
 * Where an API server is and how to reach it: data, plus an optional dialler.
 *
 * An `Endpoint` carries nothing that expires. Credentials, client certificates included, come from `Credentials`.
 */
import type * as Redacted from "effect/Redacted"
import type * as Socket from "effect/socket/Socket"

/** A TCP address: a host name or IP literal without brackets, and a port. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** A client certificate for mutual TLS, both parts as PEM text. */
export interface ClientCertificate {
  readonly cert: string
  readonly key: Redacted.Redacted
}

/** TLS settings of an endpoint. Without `ca` the runtime's own trust store is used. */
export interface Tls {
  /**
   * PEM text of the certificate authorities to trust. They alone are trusted, but for requests by `fetch` of Deno, which
   * trusts those beside them that the runtime trusts anyway (`DENO_TLS_CA_STORE`).
   */
  readonly ca?: string | undefined
  /** The name to send (SNI) and to verify instead of the host of the URL (`tls-server-name`). */
  readonly serverName?: string | undefined
  /** Accepts any server certificate (`insecure-skip-tls-verify`). */
  readonly insecureSkipVerify?: boolean | undefined
  /** Presented when the server asks for one. `KubeClient` fills it in from `Credentials`. */
  readonly clientCertificate?: ClientCertificate | undefined
}

/** An HTTP(S) or SOCKS5 proxy. The API server's credentials are never sent to it. */
export interface Proxy {
  /** `http:`, `https:` or `socks5:`, without user information. */
  readonly url: URL
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted | undefined
}

/** Opens the byte connection to an address: a tunnel, an agent, a forwarded port. Called once per connection. */
export type Dial = (address: Address) => Socket.Socket

/**
 * How to reach an API server.
 *
 * A path prefix of the URL is kept (`https://host/k8s/clusters/x`). With a `dial`, TLS runs over what it opens; `proxy`
 * and `dial` exclude each other.
 */
export interface Endpoint {
  readonly url: URL
  readonly tls?: Tls | undefined
  readonly proxy?: Proxy | undefined
  readonly dial?: Dial | undefined
}

/**
 * The address that an endpoint's, or a proxy's, connections go to, with the scheme's default port filled in: that of `socks5:` is 1080.
 *
 * @example
 * ```ts
 * import * as Endpoint from "@effect-k8s/core/Endpoint"
 *
 * Endpoint.address({ url: new URL("https://[::1]/prefix") }) // => { host: "::1", port: 443 }
 * ```
 */
export const address = ({ url }: Endpoint): Address => ({
  host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
  port: url.port === "" ? defaultPort(url.protocol) : Number(url.port)
})

// That of SOCKS5 is by RFC 1928 3.
const defaultPort = (protocol: string): number => protocol === "http:" ? 80 : protocol === "socks5:" ? 1080 : 443
