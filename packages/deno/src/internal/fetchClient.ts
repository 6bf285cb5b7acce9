/**
 * Requests by `fetch`, over the connections of one `Deno.HttpClient`.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type * as Scope from "effect/Scope"
import { isBlocked } from "./classify.ts"
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

/** Makes a client. The scope ends its requests and its connections. `instead` sends what `fetch` will not. */
export const make = Effect.fnUntraced(function*(
  options: HttpClientOptions,
  classify: (cause: unknown) => TransportError,
  instead: Send
): Effect.fn.Return<HttpClient.HttpClient, TransportError, Scope.Scope> {
  const client = yield* Effect.acquireRelease(
    Effect.try({
      try: () => deno.createHttpClient({ poolIdleTimeout: keepAliveMillis, ...options }),
      catch: classify
    }),
    (client) => Effect.sync(() => client.close())
  )
  const closed = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort(new Error("the transport is closed")))
  )

  return HttpClient.make((request, url, signal) =>
    Effect.gen(function*() {
      const body = yield* bodyOf(request)
      const init: FetchInit & { readonly duplex?: "half" } = {
        client,
        method: request.method,
        headers: headersOf(request.headers),
        redirect: "manual",
        signal: AbortSignal.any([signal, closed.signal]),
        ...(body === undefined ? {} : body instanceof Uint8Array
          ? { body: body as Uint8Array<ArrayBuffer> }
          : { body: body.stream, duplex: "half" })
      }
      const response = yield* Effect.tryPromise({
        try: () => fetch(url, init),
        catch: (cause) => failed(request, isBlocked(cause) ? cause : classify(cause))
      })
      return HttpClientResponse.fromWeb(request, response)
    }).pipe(
      Effect.catchIf((error) => isBlocked(error.reason.cause), () => instead(request, url, signal))
    )
  )
})

// Appended one by one they go out as header lines of their own, as the transport's contract says. What `fetch` forbids
// or writes by itself it leaves out.
const headersOf = (headers: Readonly<Record<string, string>>): Headers => {
  const out = new Headers()
  for (const [name, value] of Object.entries(headers)) {
    if (name === "content-length") continue
    for (const part of value.split("\n")) out.append(name, part)
  }
  return out
}
