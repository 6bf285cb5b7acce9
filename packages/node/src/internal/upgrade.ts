/**
 * HTTP/1.1 upgrades by undici.
 *
 * Written against `dispatch` because a refusal's body must be readable and the connection's own stream is needed: its
 * write callback is what lets the codec above reuse memory, and only the stream can be destroyed at once.
 */
import { type Refused, refusedBodyLimit, type Upgraded } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type * as Undici from "@effect/platform-node/Undici"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Url from "effect/http/Url"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"
import * as ByteDuplex from "./byteDuplex.ts"

/** Sends the request. The scope destroys the connection; interruption before the answer does so too. */
export const upgrade = Effect.fnUntraced(function*(
  dispatcher: Undici.Dispatcher,
  classify: (cause: unknown) => TransportError,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Upgraded | Refused, TransportError, Scope.Scope> {
  const url = yield* Url.make(request.url, request.urlParams, Option.getOrUndefined(request.hash)).pipe(
    Result.mapError(classify),
    Effect.fromResult
  )
  // Owned by the scope from before it exists, so that no interruption can fall between the 101 and its owner.
  const owner: Owner = { closed: false, controller: undefined, stream: undefined }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      owner.closed = true
      if (owner.stream === undefined) owner.controller?.abort(new Error("the upgrade was interrupted"))
      else owner.stream.destroy()
    })
  )
  return yield* dispatch(dispatcher, classify, request, url, owner)
})

interface Owner {
  closed: boolean
  controller: Undici.Dispatcher.DispatchController | undefined
  stream: Duplex | undefined
}

const dispatch = (
  dispatcher: Undici.Dispatcher,
  classify: (cause: unknown) => TransportError,
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  owner: Owner
): Effect.Effect<Upgraded | Refused, TransportError> =>
  Effect.callback((resume) => {
    let refusal: { readonly status: number; readonly headers: Headers.Headers } | undefined
    const body: Array<Uint8Array> = []
    let size = 0

    const refused = () => {
      if (refusal === undefined) return
      resume(Effect.succeed({ _tag: "Refused", ...refusal, body: Buffer.concat(body).subarray(0, refusedBodyLimit) }))
    }

    dispatcher.dispatch({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      // undici writes these two itself.
      headers: Headers.removeMany(request.headers, ["connection", "upgrade"]),
      upgrade: request.headers["upgrade"] ?? "websocket",
      // The caller interrupts; see Transport.upgrade.
      headersTimeout: 0,
      bodyTimeout: 0
    }, {
      onRequestStart(controller) {
        owner.controller = controller
        if (owner.closed) controller.abort(new Error("the upgrade was interrupted"))
      },
      onRequestUpgrade(_, _status, headers, stream) {
        owner.stream = stream
        if (owner.closed) {
          stream.on("error", () => {}).destroy()
          return
        }
        const connection = ByteDuplex.make(stream, classify)
        resume(Effect.succeed({ _tag: "Upgraded", headers: Headers.fromInput(headers), connection }))
      },
      onResponseStart(_, status, headers) {
        if (status >= 200) refusal = { status, headers: Headers.fromInput(headers) }
      },
      onResponseData(controller, chunk) {
        body.push(chunk)
        size += chunk.length
        if (size < refusedBodyLimit) return
        refused()
        controller.abort(new Error("the body of the refusal is too long"))
      },
      onResponseEnd: refused,
      // A refusal that breaks off is one all the same: its status is known.
      onResponseError(_, cause) {
        if (refusal === undefined) resume(Effect.fail(classify(cause)))
        else refused()
      }
    })
  })
