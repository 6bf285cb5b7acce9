/**
 * How a request to an API server fails: one error, with a reason by the server's Status.
 *
 * Recover by reason: `Effect.catchReason("KubeError", "NotFound", () => ...)`. Messages say what was asked, what came
 * back and what to try. No error holds a credential, a request header or a request body.
 */
import * as Data from "effect/Data"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import type { CredentialsError } from "./Credentials.ts"
import * as Status from "./Status.ts"
import type { TransportError } from "./TransportError.ts"

const TypeId = "~@effect-k8s/core/KubeError"

/** What was asked, in words for messages and spans. */
export interface RequestInfo {
  /** The Kubernetes verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `exec`, ... */
  readonly verb: string
  /** The plural resource name, with its subresource: `pods`, `deployments/scale`. */
  readonly resource: string
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  /** The server's URL, without user information. */
  readonly server: string
}

const describe = (info: RequestInfo): string =>
  `${info.verb} ${info.resource}${info.name === undefined ? "" : ` "${info.name}"`}${
    info.namespace === undefined ? "" : ` in namespace "${info.namespace}"`
  } at ${info.server}`

interface FromStatus {
  readonly status: Status.Status
  /** The HTTP status code. */
  readonly code: number
}

const said = (self: FromStatus): string => self.status.message ?? self.status.reason ?? `HTTP ${self.code}`

/** The object, or the kind of object, does not exist (404). */
export class NotFound extends Data.TaggedError("NotFound")<FromStatus> {
  override get message(): string {
    return `${said(this)}; check the name, the namespace and the context`
  }
}

/** An object of that name exists already (409). */
export class AlreadyExists extends Data.TaggedError("AlreadyExists")<FromStatus> {
  override get message(): string {
    return `${said(this)}; use replace, patch or apply to change it`
  }
}

/** The object changed since it was read, or another manager owns a field (409). */
export class Conflict extends Data.TaggedError("Conflict")<FromStatus> {
  override get message(): string {
    const isOwned = this.status.details?.causes?.some(({ reason }) => reason === "FieldManagerConflict") === true
    const advice = isOwned
      ? "leave these fields out, or take them with force"
      : "read the object again and repeat the change"
    return `${said(this)}; ${advice}`
  }
}

/** The role does not allow it (403). */
export class Forbidden extends Data.TaggedError("Forbidden")<FromStatus> {
  override get message(): string {
    return `${said(this)}; ask for a role that grants this verb on this resource`
  }
}

/** The server does not know who is asking (401). */
export class Unauthorized extends Data.TaggedError("Unauthorized")<FromStatus> {
  override get message(): string {
    return `the server did not accept the credentials (${said(this)}); log in again or check the user of the context`
  }
}

/** The object does not pass validation (422). `causes` name the fields. */
export class Invalid
  extends Data.TaggedError("Invalid")<FromStatus & { readonly causes: ReadonlyArray<Status.Cause> }>
{
  override get message(): string {
    return `${said(this)}; correct the fields named`
  }
}

/** The server cannot make sense of the request (400). */
export class BadRequest extends Data.TaggedError("BadRequest")<FromStatus> {
  override get message(): string {
    return said(this)
  }
}

/** The pod has no such container, or several and none was named. */
export class ContainerNotFound extends Data.TaggedError("ContainerNotFound")<{
  readonly pod: string
  /** The name that was asked for, if one was. */
  readonly container?: string | undefined
  /** The containers that the pod has, where they are known. */
  readonly containers: ReadonlyArray<string>
  /** What the server said, where it was the server that refused. */
  readonly status?: Status.Status | undefined
}> {
  override get message(): string {
    const known = this.containers.length === 0 ? "" : `; choose one of ${this.containers.join(", ")}`
    return this.container === undefined
      ? `pod "${this.pod}" needs a container name${known}`
      : `pod "${this.pod}" has no container "${this.container}"${known}`
  }
}

/** The container does not run, so there is nothing to attach to. */
export class ContainerNotRunning extends Data.TaggedError("ContainerNotRunning")<{
  readonly pod: string
  readonly container: string
  readonly state: "waiting" | "terminated"
  /** Its reason in the pod's status: `ContainerCreating`, `CrashLoopBackOff`, `Completed, exit code 0`. */
  readonly detail: string
}> {
  override get message(): string {
    const { container, detail, pod, state } = this
    return `container "${container}" of pod "${pod}" does not run: it is ${state} (${detail}); ${
      state === "waiting" ? "wait until it runs" : "read its log instead"
    }`
  }
}

/** The container was started without a stdin, or without a terminal: servers would accept, and nothing would arrive. */
export class NoSuchStream extends Data.TaggedError("NoSuchStream")<{
  readonly pod: string
  readonly container: string
  readonly stream: "stdin" | "tty"
}> {
  override get message(): string {
    const { container, pod, stream } = this
    const what = stream === "stdin" ? "a stdin" : "a terminal"
    return `container "${container}" of pod "${pod}" has no ${
      stream === "stdin" ? "stdin" : "terminal"
    }; set ${stream}: true in its specification to give it ${what}, or attach without`
  }
}

/** The resource version or continue token is too old (410): list again. */
export class Expired extends Data.TaggedError("Expired")<FromStatus> {
  override get message(): string {
    return `${said(this)}; list again and watch from the version of that list`
  }
}

/** The server asks to slow down (429). */
export class TooManyRequests extends Data.TaggedError("TooManyRequests")<
  FromStatus & {
    /** Milliseconds to wait before another try, when the server said so. */
    readonly retryAfterMillis?: number | undefined
  }
> {
  override get message(): string {
    return this.retryAfterMillis === undefined
      ? `${said(this)}; try again later`
      : `${said(this)}; try again in ${this.retryAfterMillis} ms`
  }
}

/** The server ran out of time (408, 504, or a Status that says so). */
export class Timeout extends Data.TaggedError("Timeout")<FromStatus> {
  override get message(): string {
    return `${said(this)}; the change may have been made all the same`
  }
}

/** The server failed (5xx). */
export class ServerFailure extends Data.TaggedError("ServerFailure")<FromStatus> {
  override get message(): string {
    return `the server failed with ${this.code}: ${said(this)}`
  }
}

/** An answer without a Status, or with one that has no reason of its own here. */
export class UnexpectedStatus extends Data.TaggedError("UnexpectedStatus")<{
  readonly code: number
  readonly status?: Status.Status | undefined
  /** The beginning of the body, where it was no Status. */
  readonly body: string
}> {
  override get message(): string {
    const text = this.status?.message ?? (this.body === "" ? "no body" : this.body)
    return this.status === undefined
      ? `HTTP ${this.code} without a Kubernetes Status (${text}); check that the URL is a Kubernetes API server and that no proxy answers in its place`
      : `HTTP ${this.code}: ${text}`
  }
}

/** No usable answer came: the reason is below HTTP. */
export class Transport extends Data.TaggedError("Transport")<{ readonly error: TransportError }> {
  override get message(): string {
    return this.error.message
  }
}

/** The answer is not what the API promises: not JSON, or not an object of the kind. */
export class Decode extends Data.TaggedError("Decode")<{
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.description}; check that the URL is a Kubernetes API server and that no proxy answers in its place`
  }
}

/** The request could not be built: a value cannot be sent. */
export class Encode extends Data.TaggedError("Encode")<{ readonly description: string; readonly cause?: unknown }> {
  override get message(): string {
    return this.description
  }
}

/** The credentials could not be had. */
export class Credentials extends Data.TaggedError("Credentials")<{ readonly error: CredentialsError }> {
  override get message(): string {
    return this.error.message
  }
}

/** One try at opening a channel. */
export interface UpgradeAttempt {
  /** What was offered: `websocket v5.channel.k8s.io`. */
  readonly protocol: string
  /** The HTTP status of the refusal; nothing where the handshake broke off without an answer. */
  readonly code: number | undefined
  /** The beginning of its body, or what is wrong with the answer. */
  readonly body: string
}

/** A try in words: `websocket v5.channel.k8s.io: HTTP 403`. */
export const describeAttempt = ({ code, protocol }: UpgradeAttempt): string =>
  `${protocol}: ${code === undefined ? "no answer" : `HTTP ${code}`}`

const tried = (attempts: ReadonlyArray<UpgradeAttempt>): string =>
  attempts.map((attempt) => describeAttempt(attempt) + (attempt.body === "" ? "" : ` (${attempt.body})`)).join("; ")

/**
 * The server did not open the channel, and did not say why in a Status.
 *
 * A refusal has started nothing. After 502 to 504, and after a 101 that answers another handshake (its `body` says what is
 * wrong with it), the command may have been started.
 */
export class UpgradeRefused extends Data.TaggedError("UpgradeRefused")<{
  readonly attempts: ReadonlyArray<UpgradeAttempt>
  /** What the refusals have in common, when it is known. */
  readonly hint?: string | undefined
}> {
  override get message(): string {
    const misread = this.attempts.some(({ code }) => code === 101 || code === undefined)
      ? "; the command may have been started"
      : ""
    return `the channel was refused (${tried(this.attempts)}); ${
      this.hint ?? `check that every proxy on the way passes upgrades${misread}`
    }`
  }
}

/**
 * The server offers no protocol in which the end of stdin can be said, and the command needs it: v5 over WebSocket was
 * refused, and SPDY too, unless the caller wanted WebSocket alone. Nothing was started.
 */
export class HalfCloseUnsupported extends Data.TaggedError("HalfCloseUnsupported")<{
  readonly attempts: ReadonlyArray<UpgradeAttempt>
}> {
  override get message(): string {
    return `the server speaks no protocol that tells when stdin ends (${
      tried(this.attempts)
    }); Kubernetes before 1.30 can do it over SPDY alone, so let proxies on the way pass it, run the command without stdin, or write the data to a file of the pod in another way`
  }
}

/** The image has no `sh`, and the command requires a verified outcome. Nothing was started. */
export class SupervisorUnavailable extends Data.TaggedError("SupervisorUnavailable")<{
  /** What the server said. */
  readonly description: string
}> {
  override get message(): string {
    return `the container has no sh to supervise the command (${this.description}), so its outcome could not be verified; use an image with sh, or supervise: "preferred" or "never" to run without`
  }
}

/** There is no pod that connections could be forwarded to: none is selected, or none runs. */
export class PodUnavailable extends Data.TaggedError("PodUnavailable")<{ readonly description: string }> {
  override get message(): string {
    return `${this.description}; connections are forwarded to running pods alone`
  }
}

/** No such port can be forwarded: it has no such name, belongs to no service, or is not TCP. */
export class PortUnavailable extends Data.TaggedError("PortUnavailable")<{
  readonly port: string
  readonly description: string
}> {
  override get message(): string {
    return this.description
  }
}

/** Why a request failed. */
export type KubeErrorReason =
  | NotFound
  | AlreadyExists
  | Conflict
  | Forbidden
  | Unauthorized
  | Invalid
  | BadRequest
  | ContainerNotFound
  | ContainerNotRunning
  | NoSuchStream
  | Expired
  | TooManyRequests
  | Timeout
  | ServerFailure
  | UnexpectedStatus
  | Transport
  | Decode
  | Encode
  | Credentials
  | UpgradeRefused
  | HalfCloseUnsupported
  | SupervisorUnavailable
  | PodUnavailable
  | PortUnavailable

/** A failed request, or a channel that did not come to be. */
export class KubeError extends Data.TaggedError("KubeError")<{
  readonly reason: KubeErrorReason
  readonly request: RequestInfo
  /** A channel's: the protocols in which it was asked for, the last one included. Nothing where one was enough. */
  readonly attempts?: ReadonlyArray<UpgradeAttempt> | undefined
}> {
  readonly [TypeId] = TypeId

  override get message(): string {
    const { attempts, reason, request } = this
    // Some reasons tell them themselves.
    const others = attempts === undefined || "attempts" in reason
      ? ""
      : ` (tried ${attempts.map(describeAttempt).join("; ")})`
    return `Could not ${describe(request)}: ${reason.message}${others}`
  }
}

/** Whether a value is a `KubeError`. */
export const isKubeError = (u: unknown): u is KubeError => Predicate.hasProperty(u, TypeId)

/** The beginning of a body in one line, for messages: 200 characters at most, and `...` where there is more. */
export const bodyExcerpt = (body: string): string => {
  const text = body.trim().replaceAll(/\s+/g, " ")
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
}

/** An answer in the terms of the reasons: status code, body text, and the delay of a `Retry-After` header if any. */
export interface Answer {
  readonly code: number
  readonly body: string
  readonly retryAfterMillis?: number | undefined
}

/**
 * The reason that a failed answer stands for. The Status decides where there is one; its `code` and `reason` win over
 * the HTTP status, because events of a watch carry a Status under HTTP 200.
 */
export const reasonFromAnswer = (answer: Answer): KubeErrorReason =>
  Option.match(Status.fromText(answer.body), {
    onNone: () => {
      const { code, retryAfterMillis } = answer
      const body = bodyExcerpt(answer.body)
      // The API server itself answers these two in plain text, before it looks at what is asked.
      if (code === 401) return new Unauthorized({ code, status: { message: body || "Unauthorized" } })
      if (code === 429) {
        return new TooManyRequests({ code, status: { message: body || "Too many requests" }, retryAfterMillis })
      }
      return new UnexpectedStatus({ code, body })
    },
    onSome: (status) => reasonFromStatus(status, answer)
  })

/** The reason that a Status stands for. */
export const reasonFromStatus = (
  status: Status.Status,
  answer: { readonly code?: number | undefined; readonly retryAfterMillis?: number | undefined } = {}
): KubeErrorReason => {
  const code = status.code ?? answer.code ?? 500
  const props = { status, code }
  switch (status.reason) {
    case "NotFound":
      return new NotFound(props)
    case "AlreadyExists":
      return new AlreadyExists(props)
    case "Conflict":
      return new Conflict(props)
    case "Forbidden":
      return new Forbidden(props)
    case "Unauthorized":
      return new Unauthorized(props)
    case "Invalid":
      return new Invalid({ ...props, causes: status.details?.causes ?? [] })
    case "Expired":
    case "Gone":
      return new Expired(props)
    case "Timeout":
    case "ServerTimeout":
      return new Timeout(props)
  }
  if (code === 400) return new BadRequest(props)
  if (code === 401) return new Unauthorized(props)
  if (code === 403) return new Forbidden(props)
  if (code === 404) return new NotFound(props)
  if (code === 409) return new Conflict(props)
  if (code === 410) return new Expired(props)
  if (code === 408 || code === 504) return new Timeout(props)
  if (code === 422) return new Invalid({ ...props, causes: status.details?.causes ?? [] })
  if (code === 429) return new TooManyRequests({ ...props, retryAfterMillis: retryAfter(status, answer) })
  if (code >= 500) return new ServerFailure(props)
  return new UnexpectedStatus({ code, status, body: "" })
}

const retryAfter = (
  status: Status.Status,
  answer: { readonly retryAfterMillis?: number | undefined }
): number | undefined => {
  if (answer.retryAfterMillis !== undefined) return answer.retryAfterMillis
  const seconds = status.details?.retryAfterSeconds
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1000
}
