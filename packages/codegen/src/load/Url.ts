/**
 * Documents from a URL: a single one, or all that an index lists.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import { CodegenError, UrlFailed } from "../CodegenError.ts"
import * as Content from "./Content.ts"
import type { Document } from "./Document.ts"
import { invalid } from "./Document.ts"
import * as OpenApiIndex from "./OpenApiIndex.ts"

/** Whether a source is a URL that can be fetched. */
export const isUrl = (text: string): boolean => /^https?:\/\//.test(text)

/**
 * The documents of a URL: definitions of custom resources, an OpenAPI document, or those of an index when the path ends
 * in `/openapi/v3`.
 *
 * Fails with `UrlFailed`, and with `InvalidDocument` when there is nothing to generate from.
 */
export const load = Effect.fnUntraced(function*(address: string, options: OpenApiIndex.Options) {
  const url = new URL(address)
  const end = /\/openapi\/v3\/?$/.exec(url.pathname)
  if (end !== null) {
    const base = `${url.origin}${url.pathname.slice(0, end.index)}`
    const client = yield* HttpClient.HttpClient
    return yield* OpenApiIndex.fetch(
      { name: base, address: base, get: (path) => get(client, `${base}${path}`) },
      options
    )
  }
  const document = yield* Content.read(address, yield* get(yield* HttpClient.HttpClient, address))
  if (document === undefined) {
    return yield* invalid(address, "has neither an OpenAPI document nor a definition of a custom resource")
  }
  const documents: ReadonlyArray<Document> = [document]
  return { documents, cached: 0 }
})

const get = (client: HttpClient.HttpClient, url: string): Effect.Effect<Uint8Array, CodegenError> =>
  HttpClient.filterStatusOk(client).get(url, { accept: "application/json, */*;q=0.5" }).pipe(
    Effect.flatMap((response) => response.arrayBuffer),
    Effect.map((buffer) => new Uint8Array(buffer)),
    Effect.mapError((cause: HttpClientError.HttpClientError) =>
      new CodegenError({ reason: new UrlFailed({ url, cause }) })
    )
  )
