/**
 * Which headers a request can be sent with, for adapters: what is below them says it in its own way, some of them by an
 * exception, and some would write another line.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import { InvalidRequest, TransportError } from "./TransportError.ts"

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// RFC 9110 5.5: a byte for each character. Line feeds part the lines of one name, as the transport's contract says.
const value = /^[\t\n\x20-\x7e\x80-\xff]*$/

/** Fails with `InvalidRequest` for a request that cannot be sent. */
export const check = (request: HttpClientRequest.HttpClientRequest): Effect.Effect<void, TransportError> => {
  const wrong = Object.entries(request.headers).find(([name, text]) => !token.test(name) || !value.test(text))
  if (wrong === undefined) return Effect.void
  const [name] = wrong
  const description = token.test(name)
    ? `the header ${name} has a character above U+00FF, or one that controls`
    : `${JSON.stringify(name)} is no name of a header`
  return Effect.fail(new TransportError({ reason: new InvalidRequest({ description }) }))
}

/** A client whose requests fail with `EncodeError`, of which that is the cause, when they cannot be sent. */
export const checked = (client: HttpClient.HttpClient): HttpClient.HttpClient =>
  HttpClient.mapRequestEffect(client, (request) =>
    check(request).pipe(
      Effect.as(request),
      Effect.mapError((cause) =>
        new HttpClientError.HttpClientError({
          reason: new HttpClientError.EncodeError({ request, cause, description: cause.message })
        })
      )
    ))
