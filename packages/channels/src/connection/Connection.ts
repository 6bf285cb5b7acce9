/**
 * A remote command's connection, whatever protocol carries it: the seam between sessions and WebSocket or SPDY.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type { TerminalSize } from "../protocol/RemoteCommand.ts"

/** What the server sends. */
export type Inbound =
  /** Output: channel 1 is stdout, 2 is stderr. Views of read buffers, not copies; empty ones say nothing. */
  | { readonly _tag: "Output"; readonly channel: 1 | 2; readonly bytes: Uint8Array }
  /** A piece of the Status. */
  | { readonly _tag: "Status"; readonly bytes: Uint8Array }
  /** No more output comes. A protocol that cannot tell never says it. */
  | { readonly _tag: "OutputsEnded" }
  | { readonly _tag: "Pong" }
  /** The protocol's own goodbye. Without it, an end of the bytes is a loss. */
  | { readonly _tag: "Closed"; readonly code: number | undefined; readonly reason: string }
  /** The server broke the protocol; nothing follows. */
  | { readonly _tag: "Violation"; readonly description: string }

/** What carries a remote command. */
export type Transport = "websocket" | "spdy"

/** The streams that a remote command was asked for with. */
export interface Streams {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/**
 * An open connection. The scope that opened it destroys it. Writes are serialised: each is whole on the wire, and an
 * interrupted one goes on in the background, so the framing never breaks.
 */
export interface Connection {
  readonly transport: Transport
  /** The subprotocol: `v5.channel.k8s.io`. */
  readonly protocol: string
  /** Whether the end of stdin can be said. */
  readonly halfClose: boolean
  /** The next events in order; `Cause.Done` is the end of the bytes. */
  readonly receive: Pull.Pull<NonEmptyReadonlyArray<Inbound>, TransportError>
  /** Sends stdin; suspends while the peer does not take it. The chunks' memory is free again afterwards. */
  readonly sendStdin: (chunks: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<void, TransportError>
  /** Ends stdin. Only where `halfClose`. */
  readonly endStdin: Effect.Effect<void, TransportError>
  readonly resize: (size: TerminalSize) => Effect.Effect<void, TransportError>
  /** Asks for a pong. */
  readonly ping: Effect.Effect<void, TransportError>
  /** Sends what servers count as activity but ignore: it resets their idle limit, which a ping does not. */
  readonly keepAlive: Effect.Effect<void, TransportError>
  /** Says goodbye. Never fails; does not wait for an answer. */
  readonly close: Effect.Effect<void>
}
