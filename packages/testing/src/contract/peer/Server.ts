/**
 * An HTTP server of the contract on real sockets: HTTP/1.1, and HTTP/2 where TLS negotiates it.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Tls from "node:tls"
import { clientCertificate } from "../../server/clientCertificate.ts"
import { Cut } from "../../server/Cut.ts"
import type { ServerResponse } from "../../server/Exchange.ts"
import * as HttpWriter from "../../server/HttpWriter.ts"
import type { Listener, Seen } from "../Peer.ts"
import * as Behaviour from "./Behaviour.ts"
import * as Sockets from "./Sockets.ts"

/** What an API server allows on a connection. */
const maxConcurrentStreams = 100

type Message = Http.IncomingMessage | Http2.Http2ServerRequest

/** Starts a server; the scope ends it and its connections. */
export const make = Effect.fnUntraced(function*(
  host: string,
  tls: Tls.TlsOptions | undefined
): Effect.fn.Return<Listener, never, Scope.Scope> {
  const state = new Behaviour.State()
  let exchanges = 0
  const run = yield* FiberSet.makeRuntime<never, void>()
  const begin = (exchange: Effect.Effect<void, never, Scope.Scope>): void => {
    run(Effect.acquireUseRelease(
      Effect.sync(() => exchanges++),
      () => Effect.scoped(exchange),
      () => Effect.sync(() => exchanges--)
    ))
  }

  // Neither listens: connections are handed to the one whose protocol they speak.
  const http1 = Http.createServer({ keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 })
  const http2 = Http2.createServer({ settings: { maxConcurrentStreams } })
  const sockets = yield* Sockets.listen(host, tls, (socket) => {
    socket.on("error", () => {})
    if (socket instanceof Tls.TLSSocket && socket.alpnProtocol === "h2") {
      http2.emit("connection", socket)
    } else {
      socket.allowHalfOpen = true
      http1.emit("connection", socket)
    }
  })

  const serve = (message: Http.IncomingMessage, response: Http.ServerResponse, head?: Uint8Array): void => {
    const { socket } = message
    const wire: HttpWriter.Wire = { response, socket, reset: () => sockets.reset(socket), head }
    begin(Effect.gen(function*() {
      const upgrading = head !== undefined
      const answer = yield* unlessClosed(socket, handle(state, message, socket), upgrading)
      // An upgraded connection sees its end itself.
      if (answer?._tag === "Upgrade") return yield* HttpWriter.upgrade(wire, answer)
      const written = answer === undefined
        ? undefined
        : yield* unlessClosed(socket, Effect.as(HttpWriter.write(wire, answer), true), upgrading)
      // The client has left; a half-open socket is ours to close.
      if (written === undefined) socket.destroy()
    }))
  }
  http1.on("request", (message, response) => serve(message, response))
  http1.on("upgrade", (message, socket, head) => {
    socket.on("error", () => {})
    const response = new Http.ServerResponse(message)
    response.shouldKeepAlive = false
    response.assignSocket(message.socket)
    serve(message, response, head)
  })
  http2.on("sessionError", () => {})
  http2.on("request", (message, response) => {
    response.stream.on("error", () => {})
    begin(Effect.gen(function*() {
      const answer = yield* unlessClosed(response.stream, handle(state, message, message.stream.session?.socket))
      if (answer !== undefined) yield* unlessClosed(response.stream, writeHttp2(response, answer))
    }))
  })

  return sockets.listener(
    () => ({ exchanges, received: state.received, sent: state.sent }),
    state.released.open
  )
})

// The client that leaves ends its request. Where it may half-close, its FIN shows only when somebody reads.
const unlessClosed = <A>(
  connection: Duplex,
  effect: Effect.Effect<A, never, Scope.Scope>,
  halfOpen = false
): Effect.Effect<A | undefined, never, Scope.Scope> =>
  Effect.raceFirst(
    effect,
    Effect.callback<undefined>((resume) => {
      const onEnd = (): void => resume(Effect.undefined)
      const onReadable = (): void => {
        if (connection.readableLength === 0) connection.read(0)
      }
      if (connection.closed || connection.destroyed || connection.readableEnded) return onEnd()
      connection.once("close", onEnd)
      if (halfOpen) connection.once("end", onEnd).on("readable", onReadable)
      return Effect.sync(() => connection.off("close", onEnd).off("end", onEnd).off("readable", onReadable))
    })
  )

const handle = (
  state: Behaviour.State,
  message: Message,
  socket: Socket | Tls.TLSSocket | undefined
): Effect.Effect<ServerResponse, never, Scope.Scope> => {
  const path = message.url ?? "/"
  const headerLines: Array<Seen["headers"][number]> = []
  const headers = new Map<string, Array<string>>()
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2) {
    const name = message.rawHeaders[i]?.toLowerCase() ?? ""
    const value = message.rawHeaders[i + 1] ?? ""
    if (name.startsWith(":")) continue
    headerLines.push([name, value])
    headers.set(name, [...headers.get(name) ?? [], value])
  }
  const secure = socket instanceof Tls.TLSSocket ? socket : undefined
  return Behaviour.handle(state, {
    method: message.method ?? "GET",
    url: new URL(path, "http://localhost"),
    headers,
    headerLines,
    path,
    body: readBody(message),
    httpVersion: message.httpVersion,
    serverName: typeof secure?.servername === "string" ? secure.servername : undefined,
    certificate: socket === undefined ? undefined : clientCertificate(socket)
  })
}

const readBody = (message: Message): Effect.Effect<Uint8Array> =>
  Effect.callback((resume) => {
    const chunks: Array<Uint8Array> = []
    message.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    message.on("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
    message.on("error", () => {})
  })

const writeHttp2 = (response: Http2.Http2ServerResponse, answer: ServerResponse): Effect.Effect<void> => {
  switch (answer._tag) {
    case "Body":
      return Effect.callback((resume) => {
        response.writeHead(answer.status, answer.headers)
        response.end(answer.body, () => resume(Effect.void))
      })
    case "Stream":
      return Effect.gen(function*() {
        response.writeHead(answer.status, answer.headers)
        yield* Stream.runForEach(answer.body, (chunk) =>
          Effect.callback<void>((resume) => {
            response.write(chunk, () => resume(Effect.void))
          }))
        response.end()
      }).pipe(
        // A body that dies is cut off: the client sees the stream reset.
        Effect.catchDefect((defect) => {
          const code = defect instanceof Cut ? defect.http2Code : undefined
          return Effect.sync(() => response.stream.close(code ?? Http2.constants.NGHTTP2_INTERNAL_ERROR))
        })
      )
    default:
      // What is below HTTP has no meaning in a stream of HTTP/2.
      return Effect.sync(() => response.stream.session?.destroy())
  }
}
