/**
 * What the errors of Node and undici mean.
 */
import * as Endpoint from "@effect-k8s/core/Endpoint"
import * as TransportError from "@effect-k8s/core/TransportError"

const unreachable = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ETIMEDOUT",
  "EADDRNOTAVAIL",
  "EACCES",
  "UND_ERR_CONNECT_TIMEOUT"
])

const certificate = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "HOSTNAME_MISMATCH",
  "PATH_LENGTH_EXCEEDED"
])

const isCertificate = (code: string): boolean =>
  certificate.has(code) || code.startsWith("CERT_") || code.startsWith("UNABLE_TO_")

interface Chain {
  readonly name: string
  readonly code: string
  readonly message: string
  readonly status: number | undefined
}

// Errors wrap one another: fetch failed -> socket error -> ECONNRESET. The first known code decides.
const chain = (cause: unknown): ReadonlyArray<Chain> => {
  const links: Array<Chain> = []
  for (let error = cause; error instanceof Error && links.length < 8; error = error.cause) {
    const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown }
    links.push({
      name: error.name,
      code: typeof code === "string" ? code : "",
      message: error.message,
      status: typeof statusCode === "number" ? statusCode : undefined
    })
  }
  return links
}

/** The reason for a failure on the way to `endpoint`. */
export const classify = (endpoint: Endpoint.Endpoint) => (cause: unknown): TransportError.TransportError => {
  if (TransportError.isTransportError(cause)) return cause
  return new TransportError.TransportError({ reason: reason(endpoint, cause) })
}

const reason = (endpoint: Endpoint.Endpoint, cause: unknown): TransportError.TransportErrorReason => {
  const address = Endpoint.address(endpoint)
  for (const link of chain(cause)) {
    const refused = /^Proxy response \((\d+)\)/.exec(link.message)
    if (refused !== null) {
      return new TransportError.ProxyRefused({
        proxy: endpoint.proxy?.url.host ?? "",
        status: Number(refused[1])
      })
    }
    if (unreachable.has(link.code)) {
      // Through a proxy it is the proxy that we could not reach: the target is its business.
      return endpoint.proxy === undefined
        ? new TransportError.Unreachable({ address, cause })
        : new TransportError.ProxyRefused({ proxy: endpoint.proxy.url.host, cause })
    }
    if (isCertificate(link.code)) return new TransportError.CertificateRejected({ address, cause })
    if (link.code.startsWith("ERR_SSL_") || link.code === "EPROTO" || link.code.startsWith("ERR_TLS_")) {
      return new TransportError.TlsFailed({ address, cause })
    }
    // undici leaves the code off for bytes that do not even begin like HTTP.
    if (link.name === "HTTPParserError" || link.code.startsWith("HPE_")) {
      return new TransportError.NotHttp({ address, cause })
    }
  }
  return new TransportError.ConnectionLost({ address, cause })
}
