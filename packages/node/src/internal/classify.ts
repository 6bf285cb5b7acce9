/**
 * What the errors of Node and undici mean, once there is a connection: those of making one are told by `connector`.
 */
import * as Endpoint from "@effect-k8s/core/Endpoint"
import * as TransportError from "@effect-k8s/core/TransportError"

// Names that OpenSSL and Node give to the ways in which a certificate does not verify.
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

const isTls = (code: string): boolean => code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO"

// An option that node:tls does not take.
const isOption = (code: string): boolean => code.startsWith("ERR_INVALID_ARG_")

// What undici refuses to send. Its words have names of headers, and no values.
const invalidRequest = new Set([
  "UND_ERR_INVALID_ARG",
  "UND_ERR_NOT_SUPPORTED",
  "UND_ERR_REQ_CONTENT_LENGTH_MISMATCH"
])

interface Link {
  readonly name: string
  readonly code: string
  readonly message: string
}

// Errors wrap one another: the first that is known decides.
const chain = (cause: unknown): ReadonlyArray<Link> => {
  const links: Array<Link> = []
  for (let error = cause; error instanceof Error && links.length < 8; error = error.cause) {
    const { code } = error as { readonly code?: unknown }
    links.push({ name: error.name, code: typeof code === "string" ? code : "", message: error.message })
  }
  return links
}

/** Why a TLS handshake failed. */
export const tlsReason = (address: Endpoint.Address, cause: unknown): TransportError.TransportErrorReason => {
  const links = chain(cause)
  if (links.some(({ code }) => isCertificate(code))) return new TransportError.CertificateRejected({ address, cause })
  if (links.some(({ code }) => isTls(code) || isOption(code))) return new TransportError.TlsFailed({ address, cause })
  return new TransportError.ConnectionLost({ address, cause })
}

const reason = (address: Endpoint.Address, cause: unknown): TransportError.TransportErrorReason => {
  for (const { code, message, name } of chain(cause)) {
    if (invalidRequest.has(code)) return new TransportError.InvalidRequest({ description: message })
    // In TLS 1.3 the server's verdict on the client's certificate comes after the handshake.
    if (isTls(code)) return new TransportError.TlsFailed({ address, cause })
    // undici leaves the code off for bytes that do not even begin like HTTP.
    if (name === "HTTPParserError" || code.startsWith("HPE_")) return new TransportError.NotHttp({ address, cause })
  }
  return new TransportError.ConnectionLost({ address, cause })
}

/** The reason for a failure on a connection to `endpoint`. */
export const classify = (endpoint: Endpoint.Endpoint) => (cause: unknown): TransportError.TransportError =>
  TransportError.isTransportError(cause)
    ? cause
    : new TransportError.TransportError({ reason: reason(Endpoint.address(endpoint), cause) })
