/**
 * HTTP/1.1 upgrades, each on a connection of its own.
 */
import { type Refused, refusedBodyLimit, type Upgraded } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Url from "effect/http/Url"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as ByteDuplex from "./byteDuplex.ts"
import * as Connector from "./connector.ts"
import * as Http1 from "./http1.ts"
import { toHeaders } from "./httpRequest.ts"
import { type RawStream, withUnread } from "./rawStream.ts"

/** Sends the request. The scope destroys the connection; interruption before the answer does so too. */
export const upgrade = Effect.fnUntraced(function*(
  connector: Connector.Connector,
  classify: (cause: unknown) => TransportError,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Upgraded | Refused, TransportError, Scope.Scope> {
  const url = yield* Url.make(request.url, request.urlParams, Option.getOrUndefined(request.hash)).pipe(
    Result.mapError(classify),
    Effect.fromResult
  )
  const head = yield* Effect.try({
    try: () =>
      Http1.requestHead({
        method: request.method,
        target: url.pathname + url.search,
        host: url.host,
        headers: request.headers,
        body: undefined,
        upgrade: request.headers["upgrade"] ?? "websocket"
      }),
    catch: classify
  })
  const stream = yield* Connector.acquire(connector)
  // What the stream fails with when an interruption destroys it goes nowhere.
  const answer = yield* Effect.tryPromise({
    try: () => exchange(stream, head, request.method),
    catch: classify
  }).pipe(
    // The caller's scope may last, and ask again.
    Effect.tapError(() => Effect.sync(() => stream.destroy()))
  )
  if (answer._tag === "Upgraded") {
    return { ...answer, connection: ByteDuplex.make(withUnread(stream, answer.rest), classify) }
  }
  stream.destroy()
  return answer
})

const exchange = async (
  stream: RawStream,
  head: Uint8Array,
  method: string
): Promise<Omit<Upgraded, "connection"> & { readonly rest: Uint8Array } | Refused> => {
  const parser = new Http1.AnswerParser(method)
  // What the peer has said before it went away tells more than that it is gone.
  await stream.write(head).catch(() => {})
  let refusal: Pick<Refused, "status" | "headers"> | undefined
  const body: Array<Uint8Array> = []
  let size = 0
  const refused = (parts: Pick<Refused, "status" | "headers">): Refused => ({
    _tag: "Refused",
    ...parts,
    body: Bytes.concat(body).subarray(0, refusedBodyLimit)
  })
  try {
    while (true) {
      const bytes = await stream.read()
      for (const part of bytes === null ? parser.end() : parser.push(bytes)) {
        if (part._tag === "Head") {
          refusal = { status: part.status, headers: toHeaders(part.headers) }
        } else if (part._tag === "Body") {
          body.push(part.bytes)
          size += part.bytes.length
          if (size >= refusedBodyLimit && refusal !== undefined) return refused(refusal)
        } else if (refusal !== undefined) {
          return refusal.status === 101
            ? { _tag: "Upgraded", headers: refusal.headers, rest: part.rest }
            : refused(refusal)
        }
      }
    }
  } catch (cause) {
    // A refusal that breaks off is one all the same: its status is known.
    if (refusal === undefined) throw cause
    return refused(refusal)
  }
}
