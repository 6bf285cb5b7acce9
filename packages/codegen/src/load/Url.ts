/**
 * Documents from a URL: a single one, or all that an index lists.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import { CodegenError, InvalidConfig, UrlFailed } from "../CodegenError.ts"
import * as Content from "./Content.ts"
import type { Document } from "./Document.ts"
import * as OpenApiIndex from "./OpenApiIndex.ts"

/** Whether a source is a URL that can be fetched. */
export const isUrl = (text: string): boolean => /^https?:\/\//.test(text)

/**
 * The documents of a URL: definitions of custom resources, an OpenAPI document, or those of an index when the path ends
 * in `/openapi/v3`. A user and password in it are sent, and appear nowhere: neither in names nor in errors.
 *
 * Fails with `InvalidConfig` when it is no URL, with `UrlFailed`, and with `InvalidDocument` when there is nothing to
 * generate from.
 */
export const load = Effect.fnUntraced(function*(address: string, options: OpenApiIndex.Options) {
  const url = yield* Effect.try({
    try: () => new URL(address),
    catch: () => notUrl(address)
  })
  const login = yield* Effect.try({ try: () => loginOf(url), catch: () => notUrl(address) })
  url.username = ""
  url.password = ""
  const get = getter(yield* HttpClient.HttpClient, login)
  const end = /\/openapi\/v3\/?$/.exec(url.pathname)
  if (end !== null) {
    const base = `${url.origin}${url.pathname.slice(0, end.index)}`
    const fetched = yield* OpenApiIndex.fetch(
      { name: base, address: base, get: (path) => get(`${base}${path}`) },
      options
    )
    return { ...fetched, name: base }
  }
  const name = url.href
  const document = yield* Content.read(name, yield* get(name))
  if (document === undefined) return yield* Content.nothing(name)
  const documents: ReadonlyArray<Document> = [document]
  return { documents, cached: 0, name }
})

interface Login {
  readonly user: string
  readonly password: Redacted.Redacted
}

/** Throws when they are not encoded as URLs are. */
const loginOf = ({ password, username }: URL): Login | undefined =>
  username === "" && password === ""
    ? undefined
    : { user: decodeURIComponent(username), password: Redacted.make(decodeURIComponent(password)) }

const notUrl = (address: string): CodegenError =>
  new CodegenError({
    reason: new InvalidConfig({
      // What cannot be read may hold a password anywhere before its last @.
      path: JSON.stringify(address.replace(/\/\/.*@/s, "//")),
      description: "is not a URL; encode what may not stand in one, such as blanks by %20"
    })
  })

const getter = (client: HttpClient.HttpClient, login: Login | undefined) => {
  const ok = HttpClient.filterStatusOk(
    login === undefined
      ? client
      : HttpClient.mapRequest(client, HttpClientRequest.basicAuth(login.user, login.password))
  )
  return (url: string): Effect.Effect<Uint8Array, CodegenError> =>
    ok.get(url, { accept: "application/json, */*;q=0.5" }).pipe(
      Effect.flatMap((response) => response.arrayBuffer),
      Effect.map((buffer) => new Uint8Array(buffer)),
      Effect.mapError((cause: HttpClientError.HttpClientError) =>
        new CodegenError({ reason: new UrlFailed({ url, cause: innermost(cause.reason) }) })
      )
    )
}

/** `fetch` says of everything that it failed, and its cause says why. */
const innermost = (cause: Error): Error => cause.cause instanceof Error ? innermost(cause.cause) : cause
