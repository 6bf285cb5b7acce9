/**
 * Answers of `fetch` for transports that are made of them.
 */
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"

const nothing = (): ReadableStream<Uint8Array> => new ReadableStream({ start: (controller) => controller.close() })

/**
 * The answer to a request. One without a body is an empty stream, as the log of a container that has said nothing must
 * be: Effect's `HttpClientResponse.fromWeb` fails with `EmptyBodyError` where it is read as a stream.
 */
export const toHttpClientResponse = (
  request: HttpClientRequest.HttpClientRequest,
  response: Response
): HttpClientResponse.HttpClientResponse => {
  // Not a `Response` with an empty body: for some statuses (204) there can be none.
  if (response.body === null) Object.defineProperty(response, "body", { get: nothing })
  return HttpClientResponse.fromWeb(request, response)
}
