/**
 * Two ends for interoperation tests: `ws`, an independent implementation, and this package's handshake and codec on a
 * bare socket.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createHash, randomBytes, randomInt } from "node:crypto"
import { once } from "node:events"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { WebSocket, WebSocketServer } from "ws"
import type { ServerOptions } from "ws"

/** Our end of a connection. */
export interface Peer {
  readonly subprotocol: string | undefined
  readonly send: (bytes: Uint8Array) => void
  /** A mask as this end needs it: random for a client, none for a server. */
  readonly mask: () => number | undefined
  /** Ends the connection, as the server does after the close frames. */
  readonly end: () => void
  /** The next event, or `undefined` at the end of the connection. */
  readonly next: Effect.Effect<WebSocketFrame.Event | undefined>
}

const makePeer = (
  role: WebSocketFrame.Role,
  socket: Duplex,
  head: Uint8Array,
  subprotocol: string | undefined
): Peer => {
  const decoder = WebSocketFrame.makeDecoder({ role })
  const events: Array<WebSocketFrame.Event | undefined> = []
  let wake = (): void => {}
  const push = (chunk: Uint8Array): void => {
    for (const event of decoder.decode(chunk)) events.push(event)
    wake()
  }
  push(head)
  socket.on("data", push)
  socket.on("error", () => {})
  socket.on("close", () => {
    events.push(undefined)
    wake()
  })
  return {
    subprotocol,
    send: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    mask: () => role === "client" ? randomInt(2 ** 32) : undefined,
    next: Effect.callback((resume) => {
      const take = (): void => {
        wake = () => {}
        if (events.length === 0) wake = take
        else resume(Effect.succeed(events[0] === undefined ? undefined : events.shift()))
      }
      take()
    })
  }
}

const accept = (key: string): string => createHash("sha1").update(WebSocketHandshake.acceptInput(key)).digest("base64")

const portOf = (address: AddressInfo | string | null): number =>
  typeof address === "object" && address !== null ? address.port : 0

/** A `ws` server. Gives its port. */
export const wsServer = (
  onConnection: (socket: WebSocket) => void,
  options?: ServerOptions
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, ...options })
      server.on("connection", (socket) => {
        socket.on("error", () => {})
        onConnection(socket)
      })
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        for (const socket of server.clients) socket.terminate()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map((server) => portOf(server.address())))

/** Our client, connected to a port. Dies when the answer is not one to its request. */
export const ourClient = (
  port: number,
  subprotocols: readonly [string, ...ReadonlyArray<string>]
): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Duplex; readonly peer: Peer }>((resume) => {
      const key = randomBytes(16).toString("base64")
      const request = http.request({
        host: "127.0.0.1",
        port,
        headers: { ...WebSocketHandshake.requestHeaders(key, subprotocols) }
      })
      request.on("upgrade", (response, socket, head) => {
        const headers: Record<string, string> = {}
        for (const [name, value] of Object.entries(response.headers)) {
          headers[name] = Array.isArray(value) ? value.join(", ") : value ?? ""
        }
        const result = WebSocketHandshake.checkResponse(
          { status: response.statusCode ?? 0, headers },
          { accept: accept(key), subprotocols }
        )
        resume(
          result._tag === "Accepted"
            ? Effect.succeed({ socket, peer: makePeer("client", socket, head, result.subprotocol) })
            : Effect.die(result.error)
        )
      })
      request.on("response", (response) => resume(Effect.die(`answered with ${response.statusCode}`)))
      request.on("error", (error) => resume(Effect.die(error)))
      request.end()
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  ).pipe(Effect.map(({ peer }) => peer))

/** Our server, to which a `ws` client is connected. */
export const wsClientOfOurs = (
  supported: ReadonlyArray<string>,
  offered: Array<string>,
  options?: { readonly maxPayload?: number }
): Effect.Effect<{ readonly peer: Peer; readonly socket: WebSocket }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly peer: Peer
      readonly socket: WebSocket
      readonly duplex: Duplex
      readonly server: http.Server
    }>((resume) => {
      const server = http.createServer()
      server.on("upgrade", (request, duplex, head) => {
        const opening = WebSocketHandshake.parseRequest({
          method: request.method ?? "",
          headers: new Map(
            Object.entries(request.headersDistinct).map(([name, values]) => [name, values ?? []])
          )
        })
        const chosen = opening._tag === "Opening"
          ? WebSocketHandshake.chooseSubprotocol(opening.subprotocols, supported)
          : undefined
        if (opening._tag === "Refusal" || chosen === undefined) return resume(Effect.die("refused"))
        const headers = Object.entries(WebSocketHandshake.responseHeaders(accept(opening.key), chosen))
        const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`)
        duplex.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`)
        const peer = makePeer("server", duplex, head, chosen)
        socket.on("open", () => resume(Effect.succeed({ peer, socket, duplex, server })))
      })
      let socket: WebSocket
      server.listen(0, "127.0.0.1", () => {
        socket = new WebSocket(`ws://127.0.0.1:${portOf(server.address())}`, offered, {
          perMessageDeflate: false,
          ...options
        })
        socket.on("error", () => {})
      })
    }),
    ({ duplex, server, socket }) =>
      Effect.callback<void>((resume) => {
        socket.terminate()
        duplex.destroy()
        server.close(() => resume(Effect.void))
      })
  )

/** The next message of a `ws` socket. */
export const nextMessage = (
  socket: WebSocket
): Effect.Effect<{ readonly text: boolean; readonly bytes: Uint8Array }> =>
  Effect.callback((resume) => {
    socket.once("message", (data, isBinary) => {
      if (data instanceof Buffer) resume(Effect.succeed({ text: !isBinary, bytes: data }))
      else resume(Effect.die("ws gave something else than a Buffer"))
    })
  })

/** The close that a `ws` socket was told. */
export const closed = (socket: WebSocket): Effect.Effect<{ readonly code: number; readonly reason: string }> =>
  Effect.callback((resume) => {
    socket.once("close", (code, reason) => resume(Effect.succeed({ code, reason: reason.toString() })))
  })
