/**
 * Forwarded connections on one upgraded connection, at the client's end, whatever protocol carries them: SPDY, SPDY inside
 * WebSocket messages, or WebSocket alone (protocol reference 4).
 *
 * Pure: bytes in, events out; what is to be sent is given back as bytes, to be written in their order.
 */
import type { Violation } from "./ProtocolError.ts"

/** What happened. `Closed` and `Violation` are the last event. */
export type Event =
  /** The server has taken the connection. It dials now; no success of that is told. */
  | { readonly _tag: "Accepted"; readonly pair: number }
  /** Bytes from the pod: a view of what was read. */
  | { readonly _tag: "Data"; readonly pair: number; readonly bytes: Uint8Array }
  /** The pod has closed the connection, and the server with it: nothing is sent or received any more. */
  | { readonly _tag: "Ended"; readonly pair: number }
  /** The server has begun to end the connection. `Ended` or `Failed` follows, unless it forgets. */
  | { readonly _tag: "Ending"; readonly pair: number }
  /** The connection has failed, in the server's words; none where it was reset without a word. */
  | { readonly _tag: "Failed"; readonly pair: number; readonly text: string; readonly accepted: boolean }
  | { readonly _tag: "Pong" }
  /** More may be sent than before. */
  | { readonly _tag: "Window" }
  /** The server's goodbye: what has not ended by now is lost. */
  | { readonly _tag: "Closed"; readonly code: number | undefined; readonly reason: string }
  | Violation

/** The client's end of one upgraded connection. */
export interface ForwardProtocol {
  /** The events of the next bytes from the server, which may be cut anywhere. Never throws. Ask for `replies` after it. */
  readonly receive: (chunk: Uint8Array) => ReadonlyArray<Event>
  /** What the protocol itself has to send, if anything. It is given once. */
  readonly replies: () => Uint8Array | undefined
  /** Asks for a connection to a port: its number here, and what is to be sent for it, before anything of a later one. */
  readonly open: (port: number) => { readonly pair: number; readonly bytes: Uint8Array }
  /** How many bytes may be sent now: 0 when the connection has ended or the peer's window is full. */
  readonly sendable: (pair: number) => number
  /** Bytes that a payload takes beyond its own, at most. */
  readonly overhead: number
  /** Writes a payload of at most 32 KiB as it is sent, into `target`, and counts it. Gives the offset after it. */
  readonly encodeInto: (target: Uint8Array, offset: number, pair: number, payload: Uint8Array) => number
  /**
   * Says the end of what is sent; nothing where that was said, or cannot be. Real servers cut the connection a second
   * later (protocol reference 4.5).
   */
  readonly end: (pair: number) => Uint8Array | undefined
  /**
   * What is said when nothing more is sent or wanted, and what was sent is to arrive: the end, or, where there is no word
   * for it, what the server answers when it has read what came before. `Ended` or `Failed` follows.
   */
  readonly leave: (pair: number) => Uint8Array | undefined
  /** Forgets a connection: what ends it at once and both ways, if it has not. */
  readonly release: (pair: number) => Uint8Array | undefined
  /** Takes what the server has said of the end of a connection for all of it. */
  readonly settle: (pair: number) => Event | undefined
  /** The owner has taken so many bytes of a connection. */
  readonly consumed: (pair: number, bytes: number) => void
  /** Asks for a pong. */
  readonly ping: () => Uint8Array
  /** What servers count as activity: it resets their idle limit. */
  readonly keepAlive: () => Uint8Array
  /** The last word: of an owner who wants nothing more, because servers drop what is on its way. */
  readonly goodbye: () => Uint8Array
}
