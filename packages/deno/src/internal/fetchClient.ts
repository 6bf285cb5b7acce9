/**
 * Requests by `fetch`, over the connections of one `Deno.HttpClient`.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import { toHttpClientResponse } from "@effect-k8s/core/WebResponse"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { isBlocked, isOwnAuthority } from "./classify.ts"
import { deno, type FetchInit, type HttpClientOptions } from "./deno.ts"
import type { Send } from "./http1Client.ts"
import { bodyOf, failed } from "./httpRequest.ts"

// API servers keep idle connections for minutes; a client that polls should not pay a handshake each time.
const keepAliveMillis = 60_000

const proxyVariables = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].flatMap((name) => [name, name.toLowerCase()])

/**
 * Whether `fetch` would ask a proxy of the environment, which cannot be switched off: the endpoint alone says which proxy
 * is to be used. Also where this process may not read the environment; `fetch` may.
 */
export const mayUseProxy = (): boolean => {
  try {
    return proxyVariables.some((name) => (deno.env.get(name) ?? "") !== "")
  } catch {
    return true
  }
}

/** What `make` takes. */
export interface Options {
  readonly client: HttpClientOptions
  readonly classify: (cause: unknown) => TransportError
  /** What certificates and keys that cannot be used mean. */
  readonly unusable: (cause: unknown) => TransportError
  /** Sends what `fetch` will not. */
  readonly instead: Send
  /** Tells more of a failure before the answer, where it can. */
  readonly explain: (error: TransportError) => Effect.Effect<TransportError>
}

/** Makes a client. The scope ends its requests and its connections. */
export const make = Effect.fnUntraced(function*(
  { classify, client: options, explain, instead, unusable }: Options
): Effect.fn.Return<HttpClient.HttpClient, TransportError, Scope.Scope> {
  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () => deno.createHttpClient({ poolIdleTimeout: keepAliveMillis, ...options }),
      catch: unusable
    }),
    (client) => Effect.sync(() => client.close())
  )
  const closed = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort(new Error("the transport is closed")))
  )

  // No request need be told twice that `fetch` knows no such certificate.
  let avoided = false

  return HttpClient.make((request, url, signal) => {
    // `fetch` joins repeated headers with commas, which would make one group of two.
    if (avoided || Object.values(request.headers).some((value) => value.includes("\n"))) {
      return instead(request, url, signal)
    }
    return Effect.gen(function*() {
      const body = yield* bodyOf(request)
      const init = (): FetchInit & { readonly duplex?: "half" } => ({
        client,
        method: request.method,
        headers: headersOf(request.headers),
        redirect: "manual",
        signal: AbortSignal.any([signal, closed.signal]),
        ...(body === undefined ? {} : body instanceof Uint8Array
          ? { body: body as Uint8Array<ArrayBuffer> }
          : { body: body.stream, duplex: "half" })
      })
      const answer = yield* Effect.result(
        Effect.tryPromise({ try: () => fetch(url, init()), catch: (cause) => ({ cause }) })
      )
      if (Result.isSuccess(answer)) return toHttpClientResponse(request, answer.success)
      const { cause } = answer.failure
      // A self-signed certificate that is trusted verifies by node:tls, and any other is rejected there too.
      const isOwn = isOwnAuthority(cause)
      if (isOwn) avoided = true
      if (isOwn || isBlocked(cause)) return yield* instead(request, url, signal)
      return yield* failed(request, yield* explain(classify(cause)))
    })
  })
})

// `fetch` writes the length itself.
const headersOf = (headers: Readonly<Record<string, string>>): Headers => {
  const out = new Headers(headers)
  out.delete("content-length")
  return out
}
