/**
 * A handler as the server of a transport in memory: no socket, no real time.
 *
 * Rows on virtual time run on it, against the handlers that real sockets are served by.
 */
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import { refusedBodyLimit } from "@effect-k8s/core/Transport"
import type { Platform } from "@effect-k8s/core/Transport"
import { ConnectionLost, NotHttp, TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import type * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Handler, RawResponse, ServerRequest, ServerResponse } from "./server/Exchange.ts"

const address = { host: "memory", port: 443 }
const lost = (why: string): TransportError =>
  new TransportError({ reason: new ConnectionLost({ address, cause: new Error(why) }) })

/** A transport's server that is this handler. */
export const server = (handler: Handler): MemoryTransport.Server => ({
  request: Effect.fnUntraced(function*(request, url) {
    const response = yield* handler(yield* toServerRequest(request, url))
    return yield* toWebResponse(response)
  }),
  upgrade: Effect.fnUntraced(function*(request) {
    const scope = yield* Scope.make()
    const close = Scope.close(scope, Exit.void)
    const url = Option.getOrThrow(HttpClientRequest.toUrl(request))
    const answer = Effect.flatMap(toServerRequest(request, url), handler)
    const response = yield* Effect.onError(Scope.provide(answer, scope), () => close)
    if (response._tag === "Upgrade") {
      return {
        _tag: "Accepted",
        headers: Headers.fromInput(response.headers),
        serve: (connection) => Effect.ensuring(Scope.provide(response.serve(connection), scope), close)
      }
    }
    return yield* Effect.ensuring(toRefused(response), close)
  })
})

/** A platform whose every transport leads to this handler. */
export const platform = (handler: Handler): Platform["Service"] => MemoryTransport.platform(server(handler))

const toServerRequest = Effect.fnUntraced(function*(
  request: HttpClientRequest.HttpClientRequest,
  url: URL
): Effect.fn.Return<ServerRequest, TransportError> {
  const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name, value.split("\n")]))
  const bytes = yield* readBody(request.body)
  return { method: request.method, url, headers, body: Effect.succeed(bytes) }
})

const readBody = (body: HttpBody.HttpBody): Effect.Effect<Uint8Array, TransportError> => {
  switch (body._tag) {
    case "Empty":
      return Effect.succeed(new Uint8Array(0))
    case "Uint8Array":
      return Effect.succeed(body.body)
    case "Stream":
      return Effect.mapError(Stream.mkUint8Array(body.stream), () => lost("the body of the request failed"))
    default:
      return Effect.die(new Error(`a body of the form ${body._tag} is not supported in memory`))
  }
}

// Statuses whose answers have no body.
const bodiless = [204, 205, 304]

const toWebResponse = Effect.fnUntraced(function*(
  response: ServerResponse
): Effect.fn.Return<Response, TransportError> {
  switch (response._tag) {
    case "Body": {
      const { headers, status } = response
      // A copy, so that the bytes are in a buffer of their own, as the web's types want.
      const body = typeof response.body === "string" ? response.body : new Uint8Array(response.body)
      return new Response(bodiless.includes(status) ? null : body, { status, headers })
    }
    case "Stream": {
      const { headers, status } = response
      const body = yield* Stream.toReadableStreamEffect(
        Stream.catchCause(response.body, () => Stream.fail(lost("the body was cut")))
      )
      return new Response(body, { status, headers })
    }
    case "Raw": {
      const { body, headers, status } = yield* parseRaw(response)
      return new Response(body, { status, headers })
    }
    case "Upgrade":
      return yield* Effect.die(new Error("the answer is an upgrade, but none was asked for"))
  }
})

const toRefused = Effect.fnUntraced(function*(
  response: ServerResponse
): Effect.fn.Return<MemoryRefused, TransportError> {
  const web = yield* toWebResponse(response)
  const body = yield* Effect.tryPromise({ try: () => web.arrayBuffer(), catch: () => lost("the body was cut") })
  return {
    _tag: "Refused",
    status: web.status,
    headers: Headers.fromInput(Object.fromEntries(web.headers)),
    body: new Uint8Array(body).subarray(0, refusedBodyLimit)
  }
})

type MemoryRefused = Exclude<Effect.Success<ReturnType<MemoryTransport.Server["upgrade"]>>, { _tag: "Accepted" }>

interface Parsed {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: string
}

// What a client makes of raw bytes: an answer, or none.
const parseRaw = (response: RawResponse): Effect.Effect<Parsed, TransportError> => {
  if (response.end === "hold") return Effect.never
  const text = new TextDecoder("latin1").decode(response.bytes)
  if (text === "" || response.end === "reset") return Effect.fail(lost("it ended without an answer"))
  return Effect.mapError(
    Effect.fromOption(parseHttp(text)),
    () => new TransportError({ reason: new NotHttp({ address }) })
  )
}

const parseHttp = (text: string): Option.Option<Parsed> => {
  const end = text.indexOf("\r\n\r\n")
  const [first = "", ...lines] = text.slice(0, end).split("\r\n")
  const status = /^HTTP\/1\.\d (\d{3})/.exec(first)?.[1]
  if (end < 0 || status === undefined) return Option.none()
  const headers = lines.map((line) => {
    const colon = line.indexOf(":")
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const
  })
  return Option.some({ status: Number(status), headers: Object.fromEntries(headers), body: text.slice(end + 4) })
}
