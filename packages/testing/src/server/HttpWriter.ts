/**
 * Puts answers on the wire of a Node HTTP server.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ServerResponse as NodeResponse } from "node:http"
import type { Socket } from "node:net"
import { Cut } from "./Cut.ts"
import type { BodyResponse, RawResponse, ServerResponse, StreamResponse, UpgradeResponse } from "./Exchange.ts"
import * as SocketConnection from "./SocketConnection.ts"

/** Where an answer goes. */
export interface Wire {
  readonly response: NodeResponse
  readonly socket: Socket
  /** Ends the connection with an RST. */
  readonly reset: () => void
  /** The bytes that came right after an upgrade request; `undefined` for any other request. */
  readonly head: Uint8Array | undefined
}

/** The answer to a body above the limit. */
export const tooLarge = (limit: number): BodyResponse => ({
  _tag: "Body",
  status: 413,
  headers: { "Content-Type": "text/plain; charset=utf-8", "Connection": "close" },
  body: `Request entity too large: limit is ${limit}\n`
})

/** Writes an answer to its end: the kernel has taken all of it. */
export const write = (
  wire: Wire,
  response: Exclude<ServerResponse, UpgradeResponse>
): Effect.Effect<void, never, Scope.Scope> => {
  switch (response._tag) {
    case "Body":
      return writeBody(wire, response)
    case "Stream":
      return writeStream(wire, response)
    case "Raw":
      return writeRaw(wire, response)
  }
}

const writeHead = (wire: Wire, response: BodyResponse | StreamResponse): void => {
  wire.response.statusCode = response.status
  for (const [name, value] of Object.entries(response.headers)) {
    wire.response.setHeader(name, value.includes("\n") ? value.split("\n") : value)
  }
}

// An upgrade that is refused leaves the socket without an owner: after the answer it is ended here.
const finish = (wire: Wire): Effect.Effect<void> =>
  Effect.callback((resume) => {
    wire.response.end(() => {
      if (wire.head !== undefined) endSocket(wire.socket)
      resume(Effect.void)
    })
  })

// The FIN goes out at once. What the client still sends is read and dropped until it closes its side: closing with
// unread bytes would be an RST, and could cost the client the answer.
const endSocket = (socket: Socket): void => {
  socket.end()
  socket.resume()
}

const writeBody = (wire: Wire, response: BodyResponse): Effect.Effect<void> =>
  Effect.suspend(() => {
    writeHead(wire, response)
    if (response.body.length > 0) {
      wire.response.setHeader("Content-Length", Buffer.byteLength(response.body))
      wire.response.write(response.body)
    }
    return finish(wire)
  })

const writeStream = Effect.fnUntraced(function*(wire: Wire, response: StreamResponse): Effect.fn.Return<void> {
  writeHead(wire, response)
  wire.response.flushHeaders()
  const exit = yield* Effect.exit(Stream.runForEachArray(response.body, (chunks) => writeChunks(wire.response, chunks)))
  if (Exit.isSuccess(exit)) return yield* finish(wire)
  const defect = Cause.squash(exit.cause)
  if (defect instanceof Cut && defect.end === "reset") wire.reset()
  else wire.socket.destroy()
})

const writeChunks = (response: NodeResponse, chunks: ReadonlyArray<Uint8Array>): Effect.Effect<void> =>
  Effect.callback((resume) => {
    chunks.forEach((chunk, i) => response.write(chunk, i === chunks.length - 1 ? () => resume(Effect.void) : undefined))
  })

const writeRaw = (wire: Wire, response: RawResponse): Effect.Effect<void> =>
  Effect.andThen(
    Effect.callback<void>((resume) => {
      wire.response.detachSocket(wire.socket)
      wire.socket.write(response.bytes, () => resume(Effect.void))
    }),
    Effect.suspend(() => {
      switch (response.end) {
        case "fin":
          return Effect.sync(() => endSocket(wire.socket))
        case "reset":
          return Effect.sync(wire.reset)
        case "hold":
          // Nobody else reads a socket that asked for an upgrade; its end must be seen.
          if (wire.head !== undefined) wire.socket.resume()
          return Effect.never
      }
    })
  )

/** Answers `101` with exactly the given headers, and serves the connection until the protocol is done with it. */
export const upgrade = Effect.fnUntraced(function*(
  wire: Wire,
  response: UpgradeResponse
): Effect.fn.Return<void, never, Scope.Scope> {
  const { head, socket } = wire
  if (head === undefined) return yield* Effect.die(new Error("the answer is an upgrade, but none was asked for"))
  wire.response.detachSocket(socket)
  const lines = Object.entries(response.headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`)
  const connection = yield* SocketConnection.make(socket, head, wire.reset)
  yield* response.serve(connection)
})
