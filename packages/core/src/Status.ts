/**
 * `metav1.Status`: how the API server says no, and sometimes yes.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** One cause of a failure: the field at fault, or an exit code. */
export const Cause = Schema.Struct({
  reason: Schema.optional(Schema.String),
  message: Schema.optional(Schema.String),
  field: Schema.optional(Schema.String)
})
/** One cause of a failure: the field at fault, or an exit code. */
export interface Cause extends Schema.Schema.Type<typeof Cause> {}

/** Details of a Status: what it is about, and why. */
export const Details = Schema.Struct({
  name: Schema.optional(Schema.String),
  group: Schema.optional(Schema.String),
  kind: Schema.optional(Schema.String),
  uid: Schema.optional(Schema.String),
  causes: Schema.optional(Schema.NullOr(Schema.Array(Cause))),
  retryAfterSeconds: Schema.optional(Schema.Int)
})
/** Details of a Status: what it is about, and why. */
export interface Details extends Schema.Schema.Type<typeof Details> {}

/**
 * A Status. Only `status` or `message` or `reason` can be relied on to be there in some combination: channel 3 of an
 * exec has no `kind`, and a non-zero exit has no `code` (protocol reference 2.9).
 */
export const Status = Schema.Struct({
  kind: Schema.optional(Schema.String),
  apiVersion: Schema.optional(Schema.String),
  status: Schema.optional(Schema.String),
  message: Schema.optional(Schema.String),
  reason: Schema.optional(Schema.String),
  details: Schema.optional(Schema.NullOr(Details)),
  code: Schema.optional(Schema.Int)
})
/** A Status. */
export interface Status extends Schema.Schema.Type<typeof Status> {}

const decode = Schema.decodeUnknownOption(Status)

/** A Status from a parsed body, or nothing when the body is something else. A body must say that it is one. */
export const fromUnknown = (body: unknown): Option.Option<Status> =>
  Option.filter(decode(body), (status) => status.kind === "Status" || status.status === "Failure")

/**
 * A Status from the text of a body.
 *
 * @example
 * ```ts
 * import * as Status from "@effect-k8s/core/Status"
 * import * as Option from "effect/Option"
 *
 * Option.isNone(Status.fromText("<html>502 Bad Gateway</html>")) // => true
 * ```
 */
export const fromText = (text: string): Option.Option<Status> => {
  if (!text.trimStart().startsWith("{")) return Option.none()
  return Option.flatMap(parseJson(text), fromUnknown)
}

const parseJson = Option.liftThrowable((text: string): unknown => JSON.parse(text))
