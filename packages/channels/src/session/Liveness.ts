/**
 * When a session says something for the sake of the connection, and when it takes the peer for dead. Pure: the state, a
 * moment, and what to do.
 *
 * - Any byte received is a sign of life; a ping goes out only in silence.
 * - Nothing goes out while reading is paused or the session has ended: a byte that arrives after the server closed makes
 *   its kernel drop what we have not read yet (protocol reference 8.1).
 * - A late pong counts against the peer only if the peer can answer: real servers do not while the process leaves its
 *   stdin unread, nor does a pong pass a backlog that we do not read. So the deadline runs only when a pong has confirmed
 *   all stdin that was sent, and stands still while reading is paused.
 * - Servers end a session after four hours without data, whatever the pings: an empty message in time prevents that.
 */
import * as Duration from "effect/Duration"
import type { Heartbeat } from "../ExecOptions.ts"

/** Times in milliseconds. */
export interface Settings {
  /** Silence after which a ping is sent. */
  readonly pingAfter: number
  /** How long the answer may take. */
  readonly pongWithin: number
  /** Time without data in either direction after which an empty message is sent. */
  readonly keepAliveAfter: number
}

/** kubectl pings every 5 s and gives up after 61 s; real idle limits of proxies begin at 60 s. */
export const defaults: Settings = { pingAfter: 10_000, pongWithin: 30_000, keepAliveAfter: 60 * 60 * 1000 }

/** The settings that were asked for; what was left open is as in `defaults`. */
export const settings = (heartbeat: Heartbeat | undefined): Settings => {
  const millis = (input: Duration.Input | undefined, otherwise: number): number =>
    input === undefined ? otherwise : Duration.toMillis(Duration.fromInputUnsafe(input))
  return {
    pingAfter: millis(heartbeat?.after, defaults.pingAfter),
    pongWithin: millis(heartbeat?.within, defaults.pongWithin),
    keepAliveAfter: millis(heartbeat?.keepAliveAfter, defaults.keepAliveAfter)
  }
}

/** What is known of the connection. Moments in milliseconds of any clock. */
export interface State {
  /** The last byte from the peer. */
  readonly receivedAt: number
  /** The last data in either direction. */
  readonly dataAt: number
  /** The ping that is not answered yet. */
  readonly pingAt: number | undefined
  /** Whether the deadline runs for that ping. */
  readonly armed: boolean
  /** Whether stdin was sent that no pong has confirmed: the peer may be blocked by it. */
  readonly stdinUnconfirmed: boolean
  /** Whether some of it was sent after the last ping: the next pong says nothing of it. */
  readonly stdinSincePing: boolean
  /** Reading is paused, because the consumer is slow. */
  readonly paused: boolean
  /** Nothing may be sent any more: the status is here, or the command is bare and its stdin has ended. */
  readonly silent: boolean
}

/** A connection just opened. */
export const initial = (now: number): State => ({
  receivedAt: now,
  dataAt: now,
  pingAt: undefined,
  armed: false,
  stdinUnconfirmed: false,
  stdinSincePing: false,
  paused: false,
  silent: false
})

/** Something happened. */
export type Event =
  | { readonly _tag: "Received"; readonly data: boolean; readonly pong: boolean }
  | { readonly _tag: "SentStdin" }
  | { readonly _tag: "Paused" }
  | { readonly _tag: "Resumed" }
  | { readonly _tag: "Silenced" }
  | { readonly _tag: "Pinged" }
  | { readonly _tag: "KeptAlive" }

/** The state after an event. */
export const step = (state: State, now: number, event: Event): State => {
  switch (event._tag) {
    case "Received":
      return {
        ...state,
        receivedAt: now,
        dataAt: event.data ? now : state.dataAt,
        // Any byte shows that the peer lives; only a pong shows that it has read what was sent before the ping.
        pingAt: undefined,
        stdinUnconfirmed: state.stdinUnconfirmed && !(event.pong && !state.stdinSincePing)
      }
    case "SentStdin":
      return { ...state, dataAt: now, stdinUnconfirmed: true, stdinSincePing: true, armed: false }
    case "Paused":
      return { ...state, paused: true }
    case "Resumed":
      // What arrives next was held up by us, not by the peer.
      return { ...state, paused: false, receivedAt: now, pingAt: state.pingAt === undefined ? undefined : now }
    case "Silenced":
      return { ...state, silent: true, pingAt: undefined }
    case "Pinged":
      return { ...state, pingAt: now, armed: !state.stdinUnconfirmed, stdinSincePing: false }
    case "KeptAlive":
      return { ...state, dataAt: now }
  }
}

/** What to do now, or when to look again (milliseconds from now). */
export type Action =
  | { readonly _tag: "Wait"; readonly millis: number }
  | { readonly _tag: "Ping" }
  | { readonly _tag: "KeepAlive" }
  | { readonly _tag: "Dead"; readonly silentMillis: number }

/** Decides. Nothing wakes who waits, so no wait is longer than the silence that calls for a ping. */
export const decide = (settings: Settings, state: State, now: number): Action => {
  const wait = (millis: number): Action => ({ _tag: "Wait", millis: Math.min(millis, settings.pingAfter) })
  if (state.silent || state.paused) return wait(settings.pingAfter)
  const keepAliveIn = settings.keepAliveAfter - (now - state.dataAt)
  if (keepAliveIn <= 0) return { _tag: "KeepAlive" }
  if (state.pingAt === undefined) {
    const pingIn = settings.pingAfter - (now - state.receivedAt)
    return pingIn <= 0 ? { _tag: "Ping" } : wait(Math.min(pingIn, keepAliveIn))
  }
  if (!state.armed) return wait(keepAliveIn)
  const deadIn = settings.pongWithin - (now - state.pingAt)
  return deadIn <= 0
    ? { _tag: "Dead", silentMillis: now - state.receivedAt }
    : wait(Math.min(deadIn, keepAliveIn))
}
