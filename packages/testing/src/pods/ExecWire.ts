/**
 * What a server puts on an exec's connection, act by act. A fault is a wire that acts otherwise.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { ServerConnection } from "../server/Exchange.ts"
import type { Output } from "./BackendPipe.ts"
import type { ExecCodec } from "./ExecCodec.ts"

/** An act on the wire. */
export type Act = Effect.Effect<void, TransportError>

/** The acts. Each is written whole before the next. */
export interface ExecWire {
  /** The subprotocol that was agreed on. */
  readonly subprotocol: string
  /** A message. */
  readonly send: (channel: number, bytes: Uint8Array) => Act
  /** Bytes as they are, behind what was written. */
  readonly bytes: (bytes: Uint8Array) => Act
  /** The empty message by which a server says that it is there. */
  readonly ready: (channel: number) => Act
  /** Output of the command, in messages of limited size. */
  readonly output: (output: Output) => Act
  /** That no more output comes, where the protocol can say it. */
  readonly endOutputs: Act
  /** The Status. */
  readonly status: (status: Uint8Array) => Act
  readonly pong: (payload: Uint8Array) => Act
  /** A close frame; without a code an empty one. */
  readonly close: (code?: number) => Act
  /** The end of the TCP connection, after what was written. */
  readonly end: Act
  /** A reset of the TCP connection. */
  readonly reset: Effect.Effect<void>
}

/** What `make` takes. */
export interface Options {
  readonly connection: ServerConnection
  readonly subprotocol: string
  readonly codec: ExecCodec
  /** The most payload bytes in one message of output. */
  readonly messageBytes: number
}

/** The wire of a server of WebSocket that is in order. */
export const make = ({ codec, connection, messageBytes, subprotocol }: Options): ExecWire => {
  const lock = Semaphore.makeUnsafe(1)
  const write = (chunks: Arr.NonEmptyReadonlyArray<Uint8Array>): Act => lock.withPermits(1)(connection.write(chunks))
  const bytes = (some: Uint8Array): Act => write([some])
  const encode = (channel: number, payload: Uint8Array): Uint8Array =>
    WebSocketFrame.encode(codec.encode(channel, payload), undefined)
  const send = (channel: number, payload: Uint8Array): Act => bytes(encode(channel, payload))
  return {
    subprotocol,
    send,
    bytes,
    ready: (channel) => send(channel, new Uint8Array(0)),
    output: ({ bytes, channel }) =>
      write(
        Arr.makeBy(Math.ceil(bytes.length / messageBytes), (i) =>
          encode(channel, bytes.subarray(i * messageBytes, (i + 1) * messageBytes)))
      ),
    endOutputs: Effect.void,
    status: (status) => send(3, status),
    pong: (payload) => bytes(WebSocketFrame.encode({ opcode: WebSocketFrame.Opcode.Pong, payload }, undefined)),
    close: (code) => bytes(WebSocketFrame.encodeClose(code, "", undefined)),
    end: lock.withPermits(1)(connection.end),
    reset: connection.reset
  }
}
