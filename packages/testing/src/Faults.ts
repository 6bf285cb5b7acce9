/**
 * Faults: what can go wrong with a request, told per test.
 *
 * A fault is a wrapper around the server; it is put on the requests that match, from the n-th on, so many times.
 *
 * ```ts
 * yield* cluster.faults.inject({ verb: "list", resource: "pods" }, Faults.tooManyRequests(1))
 * yield* cluster.faults.inject({ verb: "watch" }, Faults.cut(1000, "reset"), { skip: 1, times: Infinity })
 * ```
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as FaultPlans from "./FaultPlans.ts"
import * as RequestLog from "./RequestLog.ts"
import type { UserInfo } from "./server/Authorization.ts"
import { Cut } from "./server/Cut.ts"
import type { BodyResponse, Middleware, RawResponse, ServerRequest, ServerResponse } from "./server/Exchange.ts"
import * as Respond from "./server/Respond.ts"
import * as Failure from "./store/Failure.ts"
import * as Json from "./store/Json.ts"

/** What goes wrong: wraps the handler that would have answered. */
export type Fault = Middleware

export type {
  /** A fault in place. */
  Injected,
  /** On which of the matching requests a fault is. */
  Schedule
} from "./FaultPlans.ts"

/** The faults of a cluster. */
export interface Faults {
  /** Puts a fault on requests. Of several that match, the one that was injected first and is not used up is taken. */
  readonly inject: (
    match: RequestLog.Match,
    fault: Fault,
    schedule?: FaultPlans.Schedule
  ) => Effect.Effect<FaultPlans.Injected>
  /** Removes all. */
  readonly clear: Effect.Effect<void>
}

/** The faults of a cluster, and the middleware that does them. */
export const make = (
  identify: (request: ServerRequest) => UserInfo | undefined
): { readonly faults: Faults; readonly middleware: Middleware } => {
  const { choose, clear, inject, isEmpty } = FaultPlans.make<RequestLog.Match, Fault, RequestLog.RequestRecord>(
    RequestLog.matches
  )
  return {
    faults: { inject, clear },
    middleware: (next) => (request) =>
      Effect.suspend(() => {
        const fault = isEmpty() ? undefined : choose(RequestLog.describe(request, identify(request)))
        return (fault === undefined ? next : fault(next))(request)
      })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers in place of the server's
// ---------------------------------------------------------------------------------------------------------------------

/** Answers this instead. The request does not reach the server. */
export const respond = (response: ServerResponse): Fault => () => () => Effect.succeed(response)

/** Answers with an HTTP status and a body that is no `Status`: a proxy in the way. */
export const status = (code: number, body = "", headers: Readonly<Record<string, string>> = {}): Fault =>
  respond({ _tag: "Body", status: code, headers: { "Content-Type": "text/plain", ...headers }, body })

/** Answers with a `Status` of the API server. */
export const failure = (code: number, reason: string, message: string): Fault =>
  respond(Respond.failure(new Failure.Failure({ status: { code, reason, message } })))

/** 429 with `Retry-After`, in seconds. */
export const tooManyRequests = (retryAfterSeconds: number): Fault =>
  respond(Respond.failure(
    Failure.tooManyRequests(
      "the server has received too many requests and has asked us to try again later",
      retryAfterSeconds
    )
  ))

/** 401, as for a token that has expired. */
export const unauthorized: Fault = respond(Respond.failure(Failure.unauthorized))

/** 410: the resource version or continue token is no longer known. */
export const expired: Fault = respond(Respond.failure(Failure.expired("too old resource version: 1 (2)")))

/** 200, and something that is not JSON. */
export const garbage: Fault = respond({
  _tag: "Body",
  status: 200,
  headers: { "Content-Type": "application/json" },
  body: "<html><body>It works!</body></html>"
})

/** Exactly these bytes in place of an HTTP answer, and then the end of the connection. */
export const raw = (bytes: Uint8Array | string, end: RawResponse["end"] = "fin"): Fault =>
  respond({ _tag: "Raw", bytes: typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, end })

/** Resets the connection without an answer. */
export const reset: Fault = raw("", "reset")

/** Closes the connection without an answer. */
export const close: Fault = raw("")

/** Never answers, and keeps the connection. */
export const hang: Fault = () => () => Effect.never

// ---------------------------------------------------------------------------------------------------------------------
// Changes to what the server does
// ---------------------------------------------------------------------------------------------------------------------

/** Answers later. */
export const delay = (duration: Duration.Input): Fault => (next) => (request) => Effect.delay(next(request), duration)

/** Does what was asked, and then resets the connection: the client cannot know. */
export const loseAnswer: Fault = (next) => (request) =>
  Effect.as(next(request), { _tag: "Raw", bytes: new Uint8Array(0), end: "reset" })

/** Cuts the answer after so many bytes of its body. */
export const cut = (bytes: number, end: "fin" | "reset" = "fin"): Fault =>
  onBody((response) => {
    const length = response._tag === "Body" ? String(sizeOf(response.body)) : undefined
    return {
      _tag: "Stream",
      status: response.status,
      headers: { ...response.headers, ...(length === undefined ? {} : { "Content-Length": length }) },
      body: Stream.concat(
        takeBytes(response._tag === "Body" ? Stream.make(toBytes(response.body)) : response.body, bytes),
        Stream.fromEffect(Effect.die(new Cut({ end })))
      )
    }
  })

/** Sends a list whose `items` are null, as some servers did. */
export const nullItems: Fault = onBody((response) => {
  if (response._tag !== "Body") return response
  const parsed = Json.parse(typeof response.body === "string" ? response.body : new TextDecoder().decode(response.body))
  return Option.isSome(parsed) && Json.isObject(parsed.value) && parsed.value["items"] !== undefined
    ? { ...response, body: `${JSON.stringify({ ...parsed.value, items: null })}\n` }
    : response
})

/** Leaves the bookmarks out of a watch. */
export const withoutBookmarks: Fault = dropLines((line) => line.startsWith("{\"type\":\"BOOKMARK\""))

/** Leaves events out of a watch, by their line of JSON. */
export function dropLines(drop: (line: string) => boolean): Fault {
  return onBody((response) =>
    response._tag === "Stream"
      ? { ...response, body: Stream.filter(response.body, (line) => !drop(new TextDecoder().decode(line))) }
      : response
  )
}

/** Sends a stream in pieces of so many bytes, so that events are cut anywhere. */
export const split = (bytes: number): Fault =>
  onBody((response) =>
    response._tag === "Stream"
      ? { ...response, body: Stream.mapArray(response.body, (lines) => rechunk(lines, bytes)) }
      : response
  )

function onBody(
  change: (response: Exclude<ServerResponse, { readonly _tag: "Raw" | "Upgrade" }>) => ServerResponse
): Fault {
  return (next) => (request) =>
    Effect.map(
      next(request),
      (response) => response._tag === "Body" || response._tag === "Stream" ? change(response) : response
    )
}

const toBytes = (body: BodyResponse["body"]): Uint8Array =>
  typeof body === "string" ? new TextEncoder().encode(body) : body

const sizeOf = (body: BodyResponse["body"]): number => toBytes(body).length

const takeBytes = (body: Stream.Stream<Uint8Array>, limit: number): Stream.Stream<Uint8Array> =>
  Stream.suspend(() => {
    let left = limit
    return body.pipe(
      Stream.map((chunk) => {
        const taken = chunk.subarray(0, left)
        left -= taken.length
        return taken
      }),
      Stream.takeUntil(() => left === 0)
    )
  })

const rechunk = (
  lines: readonly [Uint8Array, ...ReadonlyArray<Uint8Array>],
  size: number
): readonly [Uint8Array, ...ReadonlyArray<Uint8Array>] => {
  const all = Buffer.concat(lines)
  const rest: Array<Uint8Array> = []
  for (let i = size; i < all.length; i += size) rest.push(all.subarray(i, i + size))
  return [all.subarray(0, size), ...rest]
}
