/**
 * HTTP/1.1 upgrades, each on a connection of its own.
 *
 * undici writes the request and parses the answer. By `dispatch`, because a refusal's body must be readable and the
 * connection's own stream is needed: its write callback is what lets the codec above reuse memory, and only the stream
 * can be destroyed at once.
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
import type * as Net from "node:net"
import * as ByteDuplex from "./byteDuplex.ts"
import type { Connector } from "./connector.ts"
import { target, withRepeated } from "./dispatcher.ts"

/** Sends the request. The scope destroys the connection; interruption before the answer does so too. */
export const upgrade = Effect.fnUntraced(function*(
  undici: typeof Undici,
  connector: Connector,
  classify: (cause: unknown) => TransportError,
  request: HttpClientRequest.HttpClientRequest
): Effect.fn.Return<Upgraded | Refused, TransportError, Scope.Scope> {
  const url = yield* Url.make(request.url, request.urlParams, Option.getOrUndefined(request.hash)).pipe(
    Result.mapError(classify),
    Effect.fromResult
  )
  const socket = yield* Effect.uninterruptibleMask((restore) =>
    Effect.tap(
      restore(connector(target(url, false))),
      (socket) => Effect.addFinalizer(() => Effect.sync(() => void socket.destroy()))
    )
  )
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => new undici.Client(url.origin, { allowH2: false, connect: once(socket, classify) })),
    (client) => Effect.sync(() => client.destroy(new Error("the scope of the upgrade has ended"), () => {}))
  )
  const answer = yield* dispatch(client, classify, request, url)
  if (answer._tag === "Refused") socket.destroy()
  return answer
})

// The client may want to connect again: never for one that would be sent twice.
const once = (
  socket: Net.Socket,
  classify: (cause: unknown) => TransportError
): Undici.buildConnector.connector => {
  let used = false
  return (_, callback) =>
    // undici does not expect an answer before it has asked.
    queueMicrotask(() => {
      if (used || socket.destroyed) callback(classify(socket.errored ?? new Error("the connection is closed")), null)
      else callback(null, socket)
      used = true
    })
}

const dispatch = (
  dispatcher: Undici.Dispatcher,
  classify: (cause: unknown) => TransportError,
  request: HttpClientRequest.HttpClientRequest,
  url: URL
): Effect.Effect<Upgraded | Refused, TransportError> =>
  Effect.callback((resume) => {
    let refusal: { readonly status: number; readonly headers: Headers.Headers } | undefined
    const body: Array<Uint8Array> = []
    let size = 0

    const refused = (): void => {
      if (refusal === undefined) return
      resume(Effect.succeed({ _tag: "Refused", ...refusal, body: Buffer.concat(body).subarray(0, refusedBodyLimit) }))
    }

    dispatcher.dispatch({
      origin: url.origin,
      path: url.pathname + url.search,
      method: request.method,
      // undici writes these two itself.
      headers: withRepeated(Headers.removeMany(request.headers, ["connection", "upgrade"])),
      upgrade: request.headers["upgrade"] ?? "websocket",
      // The caller interrupts; see Transport.upgrade.
      headersTimeout: 0,
      bodyTimeout: 0
    }, {
      // undici takes a handler without it for one of its former interface.
      onRequestStart() {},
      onRequestUpgrade(_, _status, headers, stream) {
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
