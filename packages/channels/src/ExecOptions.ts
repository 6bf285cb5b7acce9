/**
 * How a command is run.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type { Transport } from "./connection/Connection.ts"
import type { Fallback } from "./connection/Negotiation.ts"
import type { Subprotocol, TerminalSize } from "./protocol/RemoteCommand.ts"

/** Options of a command. */
export interface ExecOptions {
  /**
   * Whether the command has a stdin that you write: `"ignore"` unless told, and `"pipe"` inside a pipeline behind
   * another stage or with `Exec.feed`.
   */
  readonly stdin?: "pipe" | "ignore" | undefined
  /** `"pipe"` unless told. What nobody reads is better ignored: a full buffer holds up the other output. */
  readonly stdout?: "pipe" | "ignore" | undefined
  readonly stderr?: "pipe" | "ignore" | undefined
  /** Runs on a terminal: one output, stdin with line editing, never supervised. */
  readonly tty?: boolean | undefined
  /** The terminal's size at the start. */
  readonly size?: TerminalSize | undefined
  /** The working directory; set by the supervisor. */
  readonly cwd?: string | undefined
  /**
   * Variables added to the container's; set by the supervisor. `Redacted` values travel on stdin, so that audit logs do
   * not record them; others are part of the request. Names that begin with `ek_` are refused: they are the supervisor's own.
   */
  readonly env?: Readonly<Record<string, string | Redacted.Redacted | undefined>> | undefined
  /**
   * Whether `sh` in the container supervises the command, so that its outcome can be trusted:
   * - `"preferred"` (unless told): where the image has no `sh`, the command runs without, and says `verified: false`.
   * - `"required"` (in pipelines): fails with `SupervisorUnavailable` then, before anything has run.
   * - `"never"`: audit logs and admission policies see the command itself instead of `sh -c`.
   */
  readonly supervise?: "required" | "preferred" | "never" | undefined
  /**
   * What the end of the scope means for a supervised command that has not ended by then: `"end"` unless told; kubectl
   * leaves it. One without stdin is ended by the supervisor, which sees that its client has gone, and does so even when
   * the client dies. One with stdin is ended by a second exec before the connection is closed, so that it does not take
   * the end of its stdin for the end of good input; the scope waits ten seconds at most for that to be begun (two where
   * the connection was lost), and a failure is only logged. Both get SIGTERM and, two seconds later, SIGKILL,
   * at once in an image without `sleep`; the children of a command without stdin that had to be killed, a second after it.
   */
  readonly onClose?: "end" | "leave" | undefined
  /** Much data: lets the protocol be chosen by cost. Pipelines set it. */
  readonly bulk?: boolean | undefined
  /**
   * What carries it. `"auto"` (unless told) is WebSocket, and SPDY for bulk, which servers carry at twice the rate; each
   * falls back to the other when a server, a proxy or a role refuses it. What was used is on the handle.
   */
  readonly transport?: Transport | "auto" | undefined
  /**
   * Whether another protocol is tried after a 502 to 504, a 200 or a handshake that broke off, behind which the command may have
   * been started. `"safe"` unless told: it is not, so that no command is ever started twice. `"always"`, for commands that
   * may run twice, as kubectl does it.
   */
  readonly fallback?: Fallback | undefined
  /** Bytes that are buffered of each output before reading pauses, more than 0; 1 MiB unless told. */
  readonly bufferBytes?: number | undefined
  /**
   * How long an output without a reader may hold up what somebody waits for; 10 seconds unless told. In pipelines there
   * is no limit unless told, because a later stage may begin to read when it likes.
   */
  readonly unreadGrace?: Duration.Input | undefined
  /** How long the server may take to answer the handshake; 30 seconds unless told. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** How long the supervisor may then take to report that it has started; 1 minute unless told. */
  readonly startTimeout?: Duration.Input | undefined
  /** Life signs; see `Heartbeat`. */
  readonly heartbeat?: Heartbeat | undefined
  /**
   * Offers these subprotocols instead of choosing by what the command needs. For tests and diagnosis. Fails with `Encode`
   * when that is v4 over WebSocket for a stdin whose end must be told.
   */
  readonly protocols?: readonly [Subprotocol, ...ReadonlyArray<Subprotocol>] | undefined
}

/** Life signs of a silent connection, times more than 0. A command may be silent for as long as it likes. */
export interface Heartbeat {
  /** Silence after which the server is asked for a sign of life; 10 seconds unless told. */
  readonly after?: Duration.Input | undefined
  /** How long it may take to give one, when nothing excuses it; 30 seconds unless told. */
  readonly within?: Duration.Input | undefined
  /** Time without data after which the server's idle limit (4 hours) is reset; 1 hour unless told. */
  readonly keepAliveAfter?: Duration.Input | undefined
}
