/**
 * A server's end of a WebSocket in the hands of a test: what goes out is said byte by byte if need be, and what comes in
 * is seen as it came. It runs on any `ServerConnection`, on sockets and in memory.
 */
import type { ClientMessage } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ExecCall } from "./ExecCall.ts"
import * as ExecCodec from "./ExecCodec.ts"
import type { End } from "./ExecPipes.ts"
import type { Act, ExecWire } from "./ExecWire.ts"
import * as Wire from "./ExecWire.ts"

/** Something that the client sent: a control frame, or a part of a message. */
export type Received = Exclude<WebSocketFrame.Event, WebSocketFrame.Data> | ClientMessage

/** A server's end, after the 101. It does nothing of itself: no first message, no pongs, no close. */
export interface Peer extends ExecWire {
  readonly call: ExecCall
  /** What the client sent next. Fails when the connection is lost, and with `Done` after the client's FIN. */
  readonly receive: Effect.Effect<Received, TransportError | Cause.Done>
  /** Receives until something matches, and gives that. */
  readonly receiveUntil: <A extends Received>(
    matches: (received: Received) => received is A
  ) => Effect.Effect<A, TransportError | Cause.Done>
  /** The next bytes as they came, past all that `receive` has looked at. */
  readonly pull: ServerConnection["pull"]
  /** Output as text, in one message. */
  readonly say: (channel: 1 | 2, text: string) => Act
  /** A frame of any kind; with a mask, as only clients may. */
  readonly frame: (frame: WebSocketFrame.Frame, mask?: number) => Act
  /** The Status of an end, in the words that belong to the subprotocol. */
  readonly statusOf: (end: End) => Uint8Array
  /** What a server does at the end of a command: Status, close 1000, end of the connection. */
  readonly finish: (code?: number) => Act
}

/** Settings of a peer. */
export interface Options {
  readonly connection: ServerConnection
  readonly subprotocol: string
  readonly call: ExecCall
  readonly messageBytes: number
}

/** The server's end of a connection that was just accepted. */
export const make = ({ call, connection, messageBytes, subprotocol }: Options): Peer => {
  const codec = ExecCodec.make(subprotocol)
  const wire = Wire.make({ codec, connection, messageBytes, subprotocol })
  const decoder = WebSocketFrame.makeDecoder({ role: "server" })
  let received: Array<Received> = []

  const see = (chunk: Uint8Array): void => {
    for (const event of decoder.decode(chunk)) {
      const message = event._tag === "Data" ? codec.read(event) : event
      if (message !== undefined) received.push(message)
    }
  }
  const receive: Peer["receive"] = Effect.suspend(() => {
    const next = received.shift()
    return next === undefined
      ? Effect.andThen(Effect.map(connection.pull, (chunks) => chunks.forEach(see)), receive)
      : Effect.succeed(next)
  })
  const statusOf = (end: End): Uint8Array => codec.status(end, call.command) ?? new Uint8Array(0)
  return {
    ...wire,
    call,
    receive,
    receiveUntil: Effect.fnUntraced(function*(matches) {
      while (true) {
        const next = yield* receive
        if (matches(next)) return next
      }
    }),
    pull: Effect.suspend(() => {
      received = []
      return connection.pull
    }),
    say: (channel, text) => wire.send(channel, new TextEncoder().encode(text)),
    frame: (frame, mask) => wire.bytes(WebSocketFrame.encode(frame, mask)),
    statusOf,
    finish: Effect.fnUntraced(function*(code = 0) {
      yield* wire.status(statusOf({ _tag: "Exited", code }))
      yield* wire.close(1000)
      yield* wire.end
    })
  }
}
