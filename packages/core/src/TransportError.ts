/**
 * Why a connection could not be made or was lost, independent of the runtime.
 */
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import type { Address } from "./Endpoint.ts"

const TypeId = "~@effect-k8s/core/TransportError"

const at = (address: Address): string =>
  address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`

const because = (cause: unknown): string => {
  const text = cause instanceof Error ? cause.message : undefined
  return text === undefined || text === "" ? "" : ` (${text})`
}

/** The address could not be connected to: unknown host, refused, no route, timed out, or the dialler failed. */
export class Unreachable extends Data.TaggedError("Unreachable")<{
  readonly address: Address
  readonly cause?: unknown
}> {
  override get message(): string {
    return `could not connect to ${at(this.address)}${
      because(this.cause)
    }; check the server address, and that the cluster is running and reachable from here`
  }
}

/** The server's certificate did not verify: unknown authority, wrong name, expired. */
export class CertificateRejected extends Data.TaggedError("CertificateRejected")<{
  readonly address: Address
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the certificate of ${at(this.address)} did not verify${
      because(this.cause)
    }; check certificate-authority and tls-server-name`
  }
}

/** TLS failed for another reason, for example because the server demands a client certificate. */
export class TlsFailed extends Data.TaggedError("TlsFailed")<{
  readonly address: Address
  readonly cause?: unknown
}> {
  override get message(): string {
    return `TLS with ${at(this.address)} failed${
      because(this.cause)
    }; check the client certificate, and that the server speaks TLS on this port`
  }
}

/** The proxy could not be used: it refused the CONNECT, or spoke something else. */
export class ProxyRefused extends Data.TaggedError("ProxyRefused")<{
  readonly proxy: string
  /** The status of the answer to CONNECT, where there was one. */
  readonly status?: number | undefined
  readonly cause?: unknown
}> {
  override get message(): string {
    const what = this.status === undefined ? `failed${because(this.cause)}` : `answered ${this.status} to CONNECT`
    return `the proxy ${this.proxy} ${what}; check proxy-url, its user and password, and NO_PROXY`
  }
}

/** The connection ended or was reset before the answer, or the stream, was complete. */
export class ConnectionLost extends Data.TaggedError("ConnectionLost")<{
  readonly address: Address
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the connection to ${at(this.address)} was lost${because(this.cause)}`
  }
}

/** Something answered, but not with HTTP. */
export class NotHttp extends Data.TaggedError("NotHttp")<{
  readonly address: Address
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${at(this.address)} did not answer with HTTP${
      because(this.cause)
    }; check that the address and the scheme (http or https) are those of a Kubernetes API server`
  }
}

/** The server did not answer in time. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{
  readonly address: Address
  readonly timeoutMillis: number
}> {
  override get message(): string {
    return `${at(this.address)} did not answer within ${this.timeoutMillis} ms`
  }
}

/** This runtime cannot honour an option of the endpoint. */
export class UnsupportedOption extends Data.TaggedError("UnsupportedOption")<{
  readonly option: string
  readonly runtime: string
  readonly hint: string
}> {
  override get message(): string {
    return `${this.option} is not supported on ${this.runtime}; ${this.hint}`
  }
}

/** This process was started without a permission that the connection needs. Deno knows permissions. */
export class PermissionDenied extends Data.TaggedError("PermissionDenied")<{
  readonly address: Address
  /** What grants it: `--allow-net=10.0.0.1:6443`. */
  readonly flag: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `this process may not connect to ${at(this.address)}; run it with ${this.flag}`
  }
}

/** The request is none that HTTP allows, or the runtime takes. Nothing was sent. */
export class InvalidRequest extends Data.TaggedError("InvalidRequest")<{
  /** What is wrong with it: names of headers, and never their values, which may be secrets. */
  readonly description: string
}> {
  override get message(): string {
    return `the request cannot be sent: ${this.description}`
  }
}

/** Why a transport failed. */
export type TransportErrorReason =
  | Unreachable
  | CertificateRejected
  | TlsFailed
  | ProxyRefused
  | ConnectionLost
  | NotHttp
  | NoAnswer
  | UnsupportedOption
  | PermissionDenied
  | InvalidRequest

/**
 * A failure below HTTP. Adapters translate their runtime's errors into one of the reasons; nothing of the request, and
 * so no secret, is kept.
 */
export class TransportError extends Data.TaggedError("TransportError")<{
  readonly reason: TransportErrorReason
}> {
  readonly [TypeId] = TypeId

  override get message(): string {
    return this.reason.message
  }
}

/** Whether a value is a `TransportError`. */
export const isTransportError = (u: unknown): u is TransportError => Predicate.hasProperty(u, TypeId)
