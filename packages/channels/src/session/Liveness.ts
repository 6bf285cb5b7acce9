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
 * - The supervisor writes its last record to both outputs at once. One may come long before the other, behind a backlog of
 *   the other output, but then that comes too. So a session that has one of them, reads on and hears nothing for
 *   `otherRecordWithin` will not get the other: it was lost in the container or on the way.
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

/**
 * How long nothing may come, in milliseconds, while one of the two last records is missing: from a server that has answered
 * a ping meanwhile, and from one that has not. Both are longer than networks and nodes hang that come back.
 */
export const otherRecordWithin = { answered: 2 * 60 * 1000, unanswered: 10 * 60 * 1000 }

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
  /** The last data from the peer, or the moment from which on we let it come. */
  readonly heardAt: number
  /** Whether a pong has come since. */
  readonly answered: boolean
  /** Whether one of the supervisor's two last records is here. */
  readonly halfTold: boolean
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
  heardAt: now,
  answered: false,
  halfTold: false,
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
  /** One of the supervisor's two last records is here. */
  | { readonly _tag: "HalfTold" }
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
        heardAt: event.data ? now : state.heardAt,
        answered: !event.data && (state.answered || event.pong),
        // Any byte shows that the peer lives; only a pong shows that it has read what was sent before the ping.
        pingAt: undefined,
        stdinUnconfirmed: state.stdinUnconfirmed && !(event.pong && !state.stdinSincePing)
      }
    case "HalfTold":
      return { ...state, halfTold: true }
    case "SentStdin":
      return { ...state, dataAt: now, stdinUnconfirmed: true, stdinSincePing: true, armed: false }
    case "Paused":
      return { ...state, paused: true }
    case "Resumed":
      // What arrives next was held up by us, not by the peer.
      return {
        ...state,
        paused: false,
        receivedAt: now,
        heardAt: now,
        answered: false,
        pingAt: state.pingAt === undefined ? undefined : now
      }
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
  /** The other record will not come. */
  | { readonly _tag: "HalfTold"; readonly quietMillis: number }

/** Decides. Nothing wakes who waits, so no wait is longer than any silence that calls for something. */
export const decide = (settings: Settings, state: State, now: number): Action => {
  const longest = Math.min(settings.pingAfter, otherRecordWithin.answered)
  const wait = (millis: number): Action => ({ _tag: "Wait", millis: Math.min(millis, longest) })
  if (state.silent || state.paused) return wait(longest)
  const quietMillis = now - state.heardAt
  const quietWithin = state.answered
    ? otherRecordWithin.answered
    : Math.max(otherRecordWithin.unanswered, settings.pingAfter + settings.pongWithin)
  if (state.halfTold && quietMillis >= quietWithin) return { _tag: "HalfTold", quietMillis }
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
