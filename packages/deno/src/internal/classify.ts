/**
 * What the errors of Deno mean: they come as texts of the libraries below it, with hardly a code.
 */
import * as Endpoint from "@effect-k8s/core/Endpoint"
import * as TransportError from "@effect-k8s/core/TransportError"
import * as Permission from "./permission.ts"

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

/** What `fetch` says of requests that it makes to no server, because of the port; nothing was sent. */
export const isBlocked = (cause: unknown): boolean =>
  chain(cause).some(({ message }) => /ports? .*blocked/.test(message))

/**
 * What `fetch` says of a certificate that is its own authority, whether it is trusted or not: rustls accepts none. Nothing
 * was sent.
 */
export const isOwnAuthority = (cause: unknown): boolean =>
  chain(cause).some(({ message }) => message.includes("CaUsedAsEndEntity"))

// rustls says so in one sentence; node:tls has the names of OpenSSL and Node.
const isCertificate = ({ code, message }: Link): boolean =>
  message.includes("invalid peer certificate") ||
  code.startsWith("CERT_") || code.startsWith("UNABLE_TO_") || code === "ERR_TLS_CERT_ALTNAME_INVALID" ||
  code === "SELF_SIGNED_CERT_IN_CHAIN" || code === "DEPTH_ZERO_SELF_SIGNED_CERT"

const isTls = ({ code, message }: Link): boolean =>
  code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO" ||
  /received (?:fatal alert|corrupt message|unexpected)|peer is incompatible|peer misbehaved|cannot decrypt/.test(
    message
  )

// An option that node:tls does not take.
const isOption = ({ code }: Link): boolean => code.startsWith("ERR_INVALID_ARG_")

const isNotHttp = ({ message, name }: Link): boolean =>
  name === "NotHttpAnswer" || /invalid HTTP (?:version|header|status)|invalid .*parsed/.test(message)

const isUnreachable = ({ message }: Link): boolean => /tcp connect error|dns error/.test(message)

const denied = (address: Endpoint.Address, cause: unknown): TransportError.TransportErrorReason | undefined => {
  const flag = Permission.flagOf(cause)
  return flag === undefined ? undefined : new TransportError.PermissionDenied({ address, flag, cause })
}

/** Why no connection was made. */
export const unreachable = (address: Endpoint.Address, cause: unknown): TransportError.TransportErrorReason =>
  denied(address, cause) ?? new TransportError.Unreachable({ address, cause })

/** Why a TLS handshake failed. */
export const tlsReason = (address: Endpoint.Address, cause: unknown): TransportError.TransportErrorReason => {
  const links = chain(cause)
  if (links.some(isCertificate)) return new TransportError.CertificateRejected({ address, cause })
  if (links.some((link) => isTls(link) || isOption(link))) return new TransportError.TlsFailed({ address, cause })
  return new TransportError.ConnectionLost({ address, cause })
}

// `fetch` says that it failed, and no more; its cause says why, behind what was asked for.
const requested = /^error sending request(?: for url \(\S*\))?: (?:client error \(\w+\): )?/

const told = (error: unknown): unknown =>
  error instanceof TypeError && error.cause instanceof Error && requested.test(error.cause.message)
    ? new Error(error.cause.message.replace(requested, ""))
    : error

const reason = (address: Endpoint.Address, error: unknown): TransportError.TransportErrorReason => {
  const links = chain(error)
  const cause = told(error)
  if (links.some(isCertificate)) return new TransportError.CertificateRejected({ address, cause })
  // In TLS 1.3 the server's verdict on the client's certificate comes after the handshake.
  if (links.some(isTls)) return new TransportError.TlsFailed({ address, cause })
  const invalid = links.find(({ name }) => name === "InvalidRequestHead")
  if (invalid !== undefined) return new TransportError.InvalidRequest({ description: invalid.message })
  if (links.some(isNotHttp)) return new TransportError.NotHttp({ address, cause })
  if (links.some(isUnreachable)) return new TransportError.Unreachable({ address, cause })
  return denied(address, error) ?? new TransportError.ConnectionLost({ address, cause })
}

/** The reason for a failure of a connection to `endpoint`. */
export const classify = (endpoint: Endpoint.Endpoint) => (cause: unknown): TransportError.TransportError =>
  TransportError.isTransportError(cause)
    ? cause
    : new TransportError.TransportError({ reason: reason(Endpoint.address(endpoint), cause) })
