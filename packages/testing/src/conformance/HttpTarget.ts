/**
 * An HTTP server on a port of this machine, which the pods of a TestCluster share: what rows on proxies ask.
 *
 * - `/echo`: gives back the body as it comes, with the method and the header `x-ask` in its headers.
 * - `/slow`: says `one`, and `two` when asked for by `/next`.
 * - `/redirect`: leads to `/echo`.
 * - `/status/CODE`: answers with this code and the body of a `Status`, which it is not.
 * - a WebSocket at `/socket`: gives back messages; `close` closes with 4001, `drop` without a word; `refuse` is a 418.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Answers from "../pods/upgradeAnswers.ts"

/** A request that was seen. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Http.IncomingHttpHeaders
}

/** The server. */
export interface HttpTarget {
  readonly port: number
  readonly seen: ReadonlyArray<Seen>
  /** How many connections are open. */
  readonly open: () => number
}

const answer = (request: Http.IncomingMessage, response: Http.ServerResponse, slow: Set<Http.ServerResponse>): void => {
  const { pathname } = new URL(request.url ?? "/", "http://target")
  const [, kind = "", argument = ""] = pathname.split("/")
  switch (kind) {
    case "echo":
      response.setHeader("Set-Cookie", ["a=1", "b=2"])
      response.writeHead(200, { "X-Method": request.method, "X-Asked": request.headers["x-ask"] ?? "" })
      response.flushHeaders()
      request.pipe(response)
      return
    case "slow":
      response.writeHead(200).write("one\n")
      slow.add(response)
      return
    case "next":
      for (const waiting of slow) waiting.end("two\n")
      slow.clear()
      response.end()
      return
    case "redirect":
      response.writeHead(302, { Location: "/echo/again?x=1" }).end()
      return
    case "status":
      response.writeHead(Number(argument), { "Content-Type": "application/json" })
        .end(
          JSON.stringify({ kind: "Status", apiVersion: "example.org/v1", status: "Failure", message: "of the target" })
        )
      return
    default:
      response.writeHead(404).end("no such page\n")
  }
}

const { Opcode } = WebSocketFrame

const webSocket = (request: Http.IncomingMessage, socket: Duplex, head: Uint8Array): void => {
  socket.on("error", () => {})
  const opening = WebSocketHandshake.parseRequest({
    method: request.method ?? "",
    headers: new Map(Object.entries(request.headers).map(([name, value]) => [name, [String(value)]]))
  })
  if (opening._tag === "Refusal" || request.url !== "/socket") {
    socket.end("HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nno socket")
    return
  }
  const accept = Answers.accept(opening.key)
  const headers = WebSocketHandshake.responseHeaders(accept, opening.subprotocols[0])
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines}\r\n`)
  const decoder = WebSocketFrame.makeDecoder({ role: "server" })
  let parts: Array<Uint8Array> = []
  const take = (chunk: Uint8Array): void => {
    for (const event of decoder.decode(chunk)) {
      if (event._tag === "Close") {
        socket.end(WebSocketFrame.encodeClose(event.code ?? 1000, "", undefined))
      }
      if (event._tag === "Ping") {
        socket.write(WebSocketFrame.encode({ opcode: Opcode.Pong, payload: event.payload }, undefined))
      }
      if (event._tag !== "Data") continue
      parts.push(event.payload.slice())
      if (!event.last) continue
      const payload = Buffer.concat(parts)
      parts = []
      if (payload.toString() === "close") socket.write(WebSocketFrame.encodeClose(4001, "as you like", undefined))
      else if (payload.toString() === "drop") socket.end()
      else {
        // A ping between, and the message in two frames, as a server may.
        const opcode = event.text ? Opcode.Text : Opcode.Binary
        const half = payload.length >> 1
        socket.write(WebSocketFrame.encode({ opcode, fin: false, payload: payload.subarray(0, half) }, undefined))
        socket.write(WebSocketFrame.encode({ opcode: Opcode.Ping, payload: new Uint8Array(0) }, undefined))
        socket.write(WebSocketFrame.encode({ opcode: Opcode.Continuation, payload: payload.subarray(half) }, undefined))
      }
    }
  }
  if (head.length > 0) take(head.slice())
  socket.on("data", (chunk: Uint8Array) => take(chunk))
}

/** Starts the server on a free port. The scope ends it with all its connections. */
export const make: Effect.Effect<HttpTarget, never, Scope.Scope> = Effect.gen(function*() {
  const seen: Array<Seen> = []
  const slow = new Set<Http.ServerResponse>()
  const sockets = new Set<Socket>()
  const note = ({ headers, method = "", url = "" }: Http.IncomingMessage): void => {
    seen.push({ method, url, headers })
  }
  const server = yield* Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        note(request)
        answer(request, response, slow)
      })
      server.on("upgrade", (request, socket, head) => {
        note(request)
        webSocket(request, socket, head)
      })
      server.on("connection", (socket) => {
        sockets.add(socket)
        socket.once("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
  )
  return { port: (server.address() as AddressInfo).port, seen, open: () => sockets.size }
})
