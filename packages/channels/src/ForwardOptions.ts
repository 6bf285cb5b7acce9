/**
 * How connections are forwarded.
 */
import type * as Duration from "effect/Duration"
import type { Policy } from "./connection/ForwardNegotiation.ts"
import type { Heartbeat } from "./ExecOptions.ts"

/** Options of a port-forward. */
export interface ForwardOptions {
  /**
   * What carries the connections: the first that works of SPDY inside WebSocket messages (`"tunnel"`), `"spdy"`, and
   * `"websocket"` unless told.
   */
  readonly transport?: Policy | undefined
  /**
   * The most upgraded connections that share the forwarded ones; 4 unless told. Bytes that nobody reads hold up what
   * comes behind them on the same one, so connections are spread. WebSocket alone takes one for each connection.
   */
  readonly sockets?: number | undefined
  /** Bytes that are buffered of each connection before reading pauses; 1 MiB unless told. */
  readonly bufferBytes?: number | undefined
  /**
   * How long a connection may hold up others, because its buffer is full and nobody takes anything from it, before it is
   * reset and fails with `UnreadConnection`; 10 seconds unless told. That concerns connections without a reader and those
   * whose reader has stopped: a client of `listen` that reads no more, a paused `Duplex`, a stream's consumer that is busy
   * for so long. A reader gets at most 64 KiB at a time, and one that asks for more in that time is never failed. Nor is
   * any connection for whose sake no other one waits.
   */
  readonly unreadGrace?: Duration.Input | undefined
  /**
   * When the server is told that a connection's writing side has ended. `"when-the-pod-has-ended"` unless told, because
   * servers cut the connection a second after they are told, and drop an answer that comes later with a clean end.
   * `"at-once-and-lose-late-answers"` is for servers that answer the end of their input within that second.
   */
  readonly tellEnd?: "when-the-pod-has-ended" | "at-once-and-lose-late-answers" | undefined
  /**
   * How long what was sent may take to arrive after the connection's scope has ended in success, if its end was reached:
   * the sink has completed, or the socket's writer was released. Then the connection is reset, and what the pod has not
   * read by then is lost. 30 seconds unless told.
   *
   * Servers end a connection within a second after they have passed all of it on, so it takes longer only for a pod that
   * reads slowly, or not at all. Nobody waits for it but the end of the session, where that is in success; an
   * interruption ends the wait.
   */
  readonly lingerTimeout?: Duration.Input | undefined
  /** How long the server may take to answer the handshake, and to take a connection; 30 seconds unless told. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** How long a running pod of a service, deployment or stateful set is waited for; 1 minute unless told. */
  readonly podTimeout?: Duration.Input | undefined
  /** Life signs; see `Heartbeat`. */
  readonly heartbeat?: Heartbeat | undefined
}
