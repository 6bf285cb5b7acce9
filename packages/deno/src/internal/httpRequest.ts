/**
 * What `HttpClient` and upgrades have in common: a request of Effect's in terms of HTTP/1.1 and of `fetch`.
 */
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import type { HeaderLines } from "./http1.ts"

/** A failure of a request, with what the adapter makes of it as its cause. */
export const failed = (
  request: HttpClientRequest.HttpClientRequest,
  cause: unknown
): HttpClientError.HttpClientError =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })

/** A body: bytes, or a stream of them, maybe of a known length. */
export type Body = undefined | Uint8Array | {
  readonly stream: ReadableStream<Uint8Array>
  readonly length: number | undefined
}

const isBytes = (body: unknown): body is Uint8Array => body instanceof Uint8Array

/** The body of a request. Forms and bodies of another runtime's own kind are read into memory. */
export const bodyOf = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Body, HttpClientError.HttpClientError> => {
  const { body } = request
  switch (body._tag) {
    case "Empty":
      return Effect.undefined
    case "Uint8Array":
      return Effect.succeed(body.body)
    case "Stream":
      return Effect.map(Stream.toReadableStreamEffect(body.stream), (stream) => ({
        stream,
        length: body.contentLength
      }))
    case "FormData":
    case "Raw": {
      const raw = body._tag === "FormData" ? body.formData : body.body
      if (isBytes(raw)) return Effect.succeed(raw)
      return Effect.tryPromise({
        // Sound: the platform's own constructor says what it does not take.
        try: async () => new Uint8Array(await new Response(raw as BodyInit).arrayBuffer()),
        catch: (cause) =>
          new HttpClientError.HttpClientError({
            reason: new HttpClientError.EncodeError({ request, cause })
          })
      })
    }
  }
}

/** Headers as Effect has them: several values of a name are joined, but for cookies nobody has a use for them. */
export const toHeaders = (lines: HeaderLines): Headers.Headers => {
  const headers: Record<string, string> = {}
  for (const [name, value] of lines) headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  return Headers.fromInput(headers)
}
