/**
 * Which protocols to offer for a command, and what a refusal means. Pure: the intent and the answers in, the next step
 * out. A command is never started twice, so nothing is offered that could start it in a form it cannot use.
 */
import * as RemoteCommand from "../protocol/RemoteCommand.ts"

/** What the command needs of its connection. */
export interface Intent {
  /** The user writes stdin, and its end must reach the command. */
  readonly stdin: boolean
  readonly tty: boolean
  /** Much data: worth a protocol that servers carry cheaply. */
  readonly bulk: boolean
  readonly supervised: boolean
}

/** Subprotocols in one handshake, most wanted first. */
export type Offer = readonly [RemoteCommand.Subprotocol, ...ReadonlyArray<RemoteCommand.Subprotocol>]

/** A refusal: its HTTP status, and whether it came without a body. */
export interface Refusal {
  readonly offer: Offer
  readonly code: number
  readonly emptyBody: boolean
}

/** What to do next. */
export type Step =
  | { readonly _tag: "Offer"; readonly offer: Offer }
  /** No protocol is left in which the end of stdin can be said. */
  | { readonly _tag: "HalfCloseUnsupported" }
  /** The refusal is final. */
  | { readonly _tag: "Refused" }

// One round trip serves every server: those that know v5 choose it.
const either: Offer = [RemoteCommand.v5, RemoteCommand.v4]
// A v4 answer would have started the command, without a way to end its stdin.
const halfCloseable: Offer = [RemoteCommand.v5]
// Real servers report truncated output of v5 as success; the v4 of the runtimes does not lose it.
const outputOnly: Offer = [RemoteCommand.v4]

/** The first offer. */
export const first = (intent: Intent): Offer =>
  intent.tty ? either : intent.stdin ? halfCloseable : intent.supervised ? either : outputOnly

/** A subprotocol that the server does not know is refused with a 403 without a body; RBAC answers with a Status. */
const isSubprotocolRefused = (refusal: Refusal): boolean => refusal.code === 403 && refusal.emptyBody

/** After a refusal. Nothing was started by it. */
export const next = (intent: Intent, refusal: Refusal): Step => {
  if (!isSubprotocolRefused(refusal)) return { _tag: "Refused" }
  if (intent.stdin && !intent.tty) return { _tag: "HalfCloseUnsupported" }
  return refusal.offer === outputOnly ? { _tag: "Offer", offer: halfCloseable } : { _tag: "Refused" }
}
