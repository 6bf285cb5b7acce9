/**
 * What stands around the handlers of the API server. None of them may hide an upgrade: they can be put in any order.
 */
import * as Effect from "effect/Effect"
import { gzip } from "node:zlib"
import * as Failure from "../store/Failure.ts"
import type { Middleware, ServerRequest, ServerResponse } from "./Exchange.ts"
import * as Respond from "./Respond.ts"

/** A handler that dies is a bug here; the client sees what a server that panics answers. */
export const recovered: Middleware = (next) => (request) =>
  Effect.catchDefect(next(request), (defect) =>
    Effect.as(
      Effect.logError("the test cluster failed to answer a request", defect),
      Respond.failure(Failure.internal(`Internal error occurred: ${String(defect)}`))
    ))

/** The headers of every answer that is HTTP. An upgrade has none but its own. */
export const audited: Middleware = (next) => (request) =>
  Effect.map(next(request), (response) => {
    if (response._tag === "Raw" || response._tag === "Upgrade") return response
    const headers = {
      "Audit-Id": request.headers.get("audit-id")?.[0] ?? crypto.randomUUID(),
      "Cache-Control": "no-cache, private",
      ...response.headers
    }
    return { ...response, headers }
  })

// What a real API server does: lists and large objects, and nothing of a watch or a log.
const compressedFrom = 128 * 1024

/** Large bodies are sent as gzip to clients that take it. */
export const compressed: Middleware = (next) => (request) =>
  takesGzip(request) ? Effect.flatMap(next(request), compress) : next(request)

const takesGzip = ({ headers }: ServerRequest): boolean =>
  headers.get("accept-encoding")?.some((value) => /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(value)) ?? false

const compress = (response: ServerResponse): Effect.Effect<ServerResponse> =>
  response._tag !== "Body" || response.body.length < compressedFrom
    ? Effect.succeed(response)
    : Effect.callback((resume) =>
      gzip(response.body, { level: 1 }, (error, body) =>
        resume(Effect.succeed(
          error === null
            ? {
              ...response,
              body,
              headers: { ...response.headers, "Content-Encoding": "gzip", Vary: "Accept-Encoding" }
            }
            : response
        )))
    )
