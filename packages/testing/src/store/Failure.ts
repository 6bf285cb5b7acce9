/**
 * How the API server says no: one error that carries the `Status` to answer with.
 *
 * Texts, reasons and details are those of a real server (1.34), because clients compare them.
 */
import * as Data from "effect/Data"
import type { Json, JsonObject } from "./Json.ts"
import type { ResourceRow } from "./ResourceRow.ts"

/** One cause of a failure: the field at fault. */
export interface Cause {
  readonly reason: string
  readonly message: string
  readonly field?: string | undefined
}

/** `metav1.Status` of a failure. */
export interface FailureStatus {
  readonly message: string
  /** Empty where the server gives none. */
  readonly reason?: string | undefined
  readonly code: number
  readonly details?: JsonObject | undefined
  readonly metadata?: JsonObject | undefined
}

/** A request that the server refuses. */
export class Failure extends Data.TaggedError("Failure")<{ readonly status: FailureStatus }> {
  override get message(): string {
    return this.status.message
  }
}

/** Whether a value is a `Failure`. */
export const isFailure = (u: unknown): u is Failure => u instanceof Failure

const make = (
  code: number,
  reason: string | undefined,
  message: string,
  details?: JsonObject
): Failure => new Failure({ status: { code, reason, message, details } })

/** The Status as it is sent. */
export const toJson = (status: FailureStatus): JsonObject => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: status.metadata ?? {},
  status: "Failure",
  message: status.message,
  ...(status.reason === undefined ? {} : { reason: status.reason }),
  ...(status.details === undefined ? {} : { details: status.details }),
  code: status.code
})

/** `deployments.apps`, and `pods` in the core group. */
export const qualified = (row: Pick<ResourceRow, "group" | "plural">): string =>
  row.group === "" ? row.plural : `${row.plural}.${row.group}`

const detailsOf = (group: string, kind: string, name: string): JsonObject => ({
  ...(name === "" ? {} : { name }),
  ...(group === "" ? {} : { group }),
  kind
})

/** 404: no object of that name. */
export const notFound = (row: Pick<ResourceRow, "group" | "plural">, name: string): Failure =>
  make(404, "NotFound", `${qualified(row)} "${name}" not found`, detailsOf(row.group, row.plural, name))

/** 404: no such resource, version or subresource. */
export const noSuchResource: Failure = make(
  404,
  "NotFound",
  "the server could not find the requested resource",
  {}
)

/** 405: the resource has no such verb. */
export const methodNotAllowed: Failure = make(
  405,
  "MethodNotAllowed",
  "the server does not allow this method on the requested resource",
  {}
)

/** 409: an object of that name exists. */
export const alreadyExists = (row: ResourceRow, name: string): Failure =>
  make(409, "AlreadyExists", `${qualified(row)} "${name}" already exists`, detailsOf(row.group, row.plural, name))

/** 409: the change cannot be made to the object as it is now. */
export const conflict = (row: ResourceRow, name: string, why: string): Failure =>
  make(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(row)} "${name}": ${why}`,
    detailsOf(row.group, row.plural, name)
  )

/** 409: the object is newer than the change. */
export const modified = (row: ResourceRow, name: string): Failure =>
  conflict(row, name, "the object has been modified; please apply your changes to the latest version and try again")

/** 409 of an apply: others own the fields. */
export const fieldConflict = (message: string, causes: ReadonlyArray<Cause>): Failure =>
  make(409, "Conflict", message, { causes: causes.map((cause): Json => ({ ...cause })) })

/** 409 of a delete whose precondition does not hold. It names the kind where the others name the resource. */
export const precondition = (row: ResourceRow, name: string, why: string): Failure => {
  const kind = row.group === "" ? row.kind : `${row.kind}.${row.group}`
  return make(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${kind} "${name}": ${why}`,
    detailsOf(row.group, row.kind, name)
  )
}

/** 422: fields do not pass validation. There must be a cause. */
export const invalid = (
  row: Pick<ResourceRow, "group" | "kind">,
  name: string,
  causes: ReadonlyArray<Cause>
): Failure => {
  const texts = causes.map((cause) => (cause.field === undefined ? cause.message : `${cause.field}: ${cause.message}`))
  const kind = row.group === "" ? row.kind : `${row.kind}.${row.group}`
  return make(
    422,
    "Invalid",
    `${kind} "${name}" is invalid: ${texts.length === 1 ? texts[0] ?? "" : `[${texts.join(", ")}]`}`,
    { ...detailsOf(row.group, row.kind, name), causes: causes.map((cause): Json => ({ ...cause })) }
  )
}

/** 422 of request options: `ListOptions`, `DeleteOptions`. */
export const invalidOptions = (kind: string, cause: Cause): Failure =>
  invalid({ group: "meta.k8s.io", kind }, "", [cause])

/** 422 without a word: a JSON patch that does not apply. */
export const patchRejected: Failure = make(
  422,
  "Invalid",
  "the server rejected our request due to an error in our request",
  {}
)

/** 400: the request makes no sense. */
export const badRequest = (message: string): Failure => make(400, "BadRequest", message)

/** 400: the object has another name than the URL. */
export const otherName = (name: string, asked: string): Failure =>
  badRequest(`the name of the object (${name}) does not match the name on the URL (${asked})`)

/** 400: an apply would make an object, and does not say its name. */
export const noName = (asked: string): Failure =>
  badRequest(`the name of the object (${asked} based on URL) was undeterminable: name must be provided`)

/** 401: nobody the server knows. */
export const unauthorized: Failure = make(401, "Unauthorized", "Unauthorized")

/** 403: somebody the server knows, but may not. The message is HTML-escaped, as a real server's. */
export const forbidden = (
  row: Pick<ResourceRow, "group" | "plural"> | undefined,
  name: string,
  message: string,
  causes: ReadonlyArray<Cause> = []
): Failure =>
  make(403, "Forbidden", escapeHtml(message), {
    ...(row === undefined ? {} : detailsOf(row.group, row.plural, name)),
    ...(causes.length === 0 ? {} : { causes: causes.map((cause): Json => ({ ...cause })) })
  })

const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** 406: no representation that the client accepts. */
export const notAcceptable: Failure = make(
  406,
  "NotAcceptable",
  "406: Not Acceptable\n\nAvailable representations: application/json",
  {}
)

/** 415: a patch of a type that no resource takes. */
export const unknownPatch: Failure = make(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})

/** 415: a strategic merge patch of a custom resource. */
export const notStrategic: Failure = make(
  415,
  "UnsupportedMediaType",
  "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
)

/** 415: an object in a format that the server does not read. */
export const unknownFormat: Failure = make(
  415,
  "UnsupportedMediaType",
  "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
)

/** 500, with or without a reason. */
export const internal = (message: string): Failure => make(500, undefined, message)

/** 501: part of an API server that is not here. */
export const notImplemented = (message: string): Failure => make(501, "NotImplemented", message)

/** 410: the version is no longer known. `token` continues a list without its snapshot. */
export const expired = (message: string, token?: string): Failure =>
  new Failure({
    status: {
      code: 410,
      reason: "Expired",
      message,
      ...(token === undefined ? {} : { metadata: { continue: token } })
    }
  })

/** 504: a version from the future. */
export const resourceVersionTooLarge = (asked: number, current: number): Failure =>
  make(504, "Timeout", `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1
  })

/** 429: slow down. */
export const tooManyRequests = (message: string, retryAfterSeconds: number): Failure =>
  make(429, "TooManyRequests", message, { retryAfterSeconds })
