/**
 * A server's end of an exec's connection in the hands of a test: what goes out is said byte by byte if need be, and what comes in
 * is seen as it came. It runs on any `ServerConnection`, on sockets and in memory.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ExecCall } from "./ExecCall.ts"
import type * as ExecLine from "./ExecLine.ts"
import type { End } from "./ExecPipes.ts"
import type { Act, ExecWire } from "./ExecWire.ts"

/** Something that the client sent: a control frame, or a part of a message. */
export type Received = ExecLine.Received

/** A server's end, after the 101. It does nothing of itself: no first message, no pongs, no close. */
export interface Peer extends ExecWire {
  readonly transport: "websocket" | "spdy"
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
  /** A frame of WebSocket of any kind; with a mask, as only clients may. */
  readonly frame: (frame: WebSocketFrame.Frame, mask?: number) => Act
  /** The Status of an end, in the words that belong to the subprotocol. */
  readonly statusOf: (end: End) => Uint8Array
  /** What a server does at the end of a command: Status, close 1000, end of the connection. */
  readonly finish: (code?: number) => Act
}

/** Settings of a peer. */
export interface Options {
  readonly connection: ServerConnection
  readonly line: ExecLine.ExecLine
  readonly call: ExecCall
}

/** The server's end of a connection that was just accepted. Over SPDY it waits until the client has opened its streams. */
export const make = Effect.fnUntraced(function*(
  { call, connection, line }: Options
): Effect.fn.Return<Peer, TransportError | Cause.Done> {
  const { transport, wire } = line
  let received: Array<Received> = []

  const pull = Effect.gen(function*() {
    for (const chunk of yield* connection.pull) {
      received.push(...line.receive(chunk))
      yield* line.answer
    }
  })
  while (!line.isOpen()) yield* pull

  const receive: Peer["receive"] = Effect.suspend(() => {
    const next = received.shift()
    return next === undefined ? Effect.andThen(pull, receive) : Effect.succeed(next)
  })
  const statusOf = (end: End): Uint8Array => line.status(end, call.command) ?? new Uint8Array(0)
  return {
    ...wire,
    transport,
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
      yield* wire.endOutputs
      yield* wire.status(statusOf({ _tag: "Exited", code }))
      yield* wire.close(1000)
      yield* wire.end
    })
  }
})
