/**
 * A server's end of an exec's connection, whatever protocol it speaks: what it may say, and what it makes of what the
 * client says.
 */
import type * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Effect from "effect/Effect"
import type { ServerConnection } from "../server/Exchange.ts"
import * as ExecCodec from "./ExecCodec.ts"
import type { End } from "./ExecPipes.ts"
import type { Act, ExecWire } from "./ExecWire.ts"
import * as Wire from "./ExecWire.ts"

/** Something that the client sent: a part of a message, or what is about the connection itself. */
export type Received = Exclude<WebSocketFrame.Event, WebSocketFrame.Data> | RemoteCommand.ClientMessage

/** A connection that was just accepted. */
export interface ExecLine {
  readonly transport: "websocket" | "spdy"
  readonly subprotocol: string
  readonly wire: ExecWire
  /** What the next bytes mean. */
  readonly receive: (chunk: Uint8Array) => ReadonlyArray<Received>
  /** What the protocol itself has to say about them. */
  readonly answer: Act
  /** Whether the client has opened all that it asked for. */
  readonly isOpen: () => boolean
  /** What is said of an end, if anything, in the words that belong to the subprotocol. */
  readonly status: (end: End, command: ReadonlyArray<string>) => Uint8Array | undefined
}

/** Settings of a WebSocket. */
export interface WebSocketOptions {
  readonly connection: ServerConnection
  readonly subprotocol: string
  /** The most payload bytes in one message of output. */
  readonly messageBytes: number
  /** Whether each fragment is taken for a message. */
  readonly misreadsFragments?: boolean | undefined
  /** The longest message that is taken; any unless told. */
  readonly maxMessageBytes?: number | undefined
}

/** The server's end of a WebSocket. */
export const webSocket = (options: WebSocketOptions): ExecLine => {
  const { connection, maxMessageBytes, messageBytes, misreadsFragments, subprotocol } = options
  const codec = ExecCodec.make(subprotocol)
  const decoder = WebSocketFrame.makeDecoder({ role: "server", maxMessageBytes })
  return {
    transport: "websocket",
    subprotocol,
    wire: Wire.make({ codec, connection, messageBytes, subprotocol }),
    receive: (chunk) =>
      decoder.decode(chunk).flatMap((event): ReadonlyArray<Received> => {
        if (event._tag !== "Data") return [event]
        const message = codec.read(misreadsFragments === true ? { ...event, first: event.frame } : event)
        if (message !== undefined) return [message]
        // An empty message says nothing, and shows that somebody is there.
        return event.first && event.last && event.payload.length === 0 ? [{ _tag: "Ignored", channel: 0, size: 0 }] : []
      }),
    answer: Effect.void,
    isOpen: () => true,
    status: codec.status
  }
}
