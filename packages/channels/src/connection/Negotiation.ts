/**
 * Which protocols to offer for a command, and what a refusal means. Pure: the intent and the answers in, the next step
 * out. A command is never started twice, so nothing is offered that could start it in a form it cannot use, and nothing
 * more after an answer that may have started it.
 */
import * as JsonObject from "../protocol/JsonObject.ts"
import * as RemoteCommand from "../protocol/RemoteCommand.ts"
import type { Transport } from "./Connection.ts"

/** What the command needs of its connection. */
export interface Intent {
  /** v4 will not do: the end of stdin must be told, or it would tell one that nobody means. */
  readonly halfClose: boolean
  readonly tty: boolean
  /** Much data: worth a protocol that servers carry cheaply. */
  readonly bulk: boolean
  readonly supervised: boolean
}

/** Subprotocols, most wanted first. */
export type Protocols = readonly [RemoteCommand.Subprotocol, ...ReadonlyArray<RemoteCommand.Subprotocol>]

/** What is offered in one request. */
export interface Offer {
  readonly transport: Transport
  readonly protocols: Protocols
}

/** Offers in the order in which they are tried. */
export type Offers = readonly [Offer, ...ReadonlyArray<Offer>]

/** What the caller wants: a transport, or the one that suits the command; and in tests, subprotocols. */
export interface Policy {
  readonly transport: Transport | "auto"
  readonly protocols?: Protocols | undefined
}

/**
 * What may be tried after an answer that may have started the command, or after none: nothing (`"safe"`), or what is left
 * (`"always"`), for what may be asked for twice.
 */
export type Fallback = "safe" | "always"

/** An answer that is no upgrade: its HTTP status, and what its body is. */
export interface Answer {
  readonly code: number
  readonly body: "empty" | "text" | "status"
  /** The message of the Status. */
  readonly message?: string | undefined
}

/** A refusal of what was offered. */
export interface Refusal extends Answer {
  readonly offer: Offer
}

// One round trip serves every server: those that know v5 choose it.
const either: Offer = { transport: "websocket", protocols: [RemoteCommand.v5, RemoteCommand.v4] }
// A v4 answer would have started the command, without a way to end its stdin.
const halfCloseable: Offer = { transport: "websocket", protocols: [RemoteCommand.v5] }
const outputOnly: Offer = { transport: "websocket", protocols: [RemoteCommand.v4] }
// Every server answers v4; a stream of SPDY can be ended under each.
const spdy: Offer = { transport: "spdy", protocols: [RemoteCommand.v5, RemoteCommand.v4] }

/** The offer in words: `websocket v5.channel.k8s.io, v4.channel.k8s.io`. */
export const describe = (offer: Offer): string => `${offer.transport} ${offer.protocols.join(", ")}`

/**
 * What serves a command, best first. Interactive work prefers WebSocket, bulk SPDY, which servers carry at twice the
 * rate. A bare command without a stdin is offered v5 last: real servers report its truncated output as success.
 */
export const offers = (intent: Intent, policy: Policy): Offers => {
  const { protocols, transport } = policy
  if (protocols !== undefined) return [{ transport: transport === "spdy" ? "spdy" : "websocket", protocols }]
  const isBare = !intent.tty && !intent.halfClose && !intent.supervised
  const first = intent.halfClose ? halfCloseable : isBare ? outputOnly : either
  switch (transport) {
    case "spdy":
      return [spdy]
    case "websocket":
      return isBare ? [first, halfCloseable] : [first]
    case "auto":
      return [...intent.bulk ? [spdy, first] as const : [first, spdy] as const, ...isBare ? [halfCloseable] : []]
  }
}

/** Why a command cannot be asked for as the caller wants, as a sentence; `undefined` if it can. */
export const problem = ({ halfClose }: Intent, { protocols, transport }: Policy): string | undefined =>
  halfClose && transport !== "spdy" && protocols?.includes(RemoteCommand.v4) === true
    ? `the end of stdin cannot be said in ${RemoteCommand.v4} over WebSocket; offer ${RemoteCommand.v5} alone, or choose transport: "spdy"`
    : undefined

/** A subprotocol that a WebSocket server does not know is refused with a 403 without a body; RBAC sends a Status. */
export const isSubprotocolRefused = ({ body, code, offer }: Refusal): boolean =>
  code === 403 && (body === "empty" || offer.transport === "spdy" && body === "text")

/**
 * Whether the refusal is of the transport, so that another may fare better: a 403, because GET and POST are two verbs,
 * of which a role may grant only one; and what proxies and servers say that do not know the upgrade.
 */
export const isTransportRefused = ({ body, code, message }: Answer): boolean =>
  code === 403 ||
  (body === "status"
    // A proxy on the way has removed the header; it may know the other upgrade.
    ? code === 400 && message === "Upgrade request required"
    : code === 400 || code === 405 || code === 426 || code === 501)

/** Whether what stands before the server has failed, which says nothing of what the server speaks. */
export const isGatewayFailure = ({ code }: Answer): boolean => code >= 502 && code <= 504

/**
 * Whether a server behind the one that answered may have got what was asked: that one has failed over it, or takes the
 * request for none to upgrade. Another transport may fare better, for what may be asked for twice.
 */
export const mayHaveArrived = (answer: Answer): boolean =>
  isGatewayFailure(answer) || answer.body !== "status" && answer.code < 300

const ofAnother = (rest: ReadonlyArray<Offer>, failed: Offer): ReadonlyArray<Offer> =>
  rest.filter(({ transport }) => transport !== failed.transport)

/**
 * What is left to try after a refusal. Nothing was started by it, unless it may have arrived. All else is final: no such
 * pod, unknown credentials, too many requests.
 */
export const remaining = (
  rest: ReadonlyArray<Offer>,
  refusal: Refusal,
  fallback: Fallback = "safe"
): ReadonlyArray<Offer> =>
  isSubprotocolRefused(refusal)
    ? rest
    : isTransportRefused(refusal) || fallback === "always" && mayHaveArrived(refusal)
    ? ofAnother(rest, refusal.offer)
    : []

/** What is left to try after a handshake that broke: the command may have been started. */
export const remainingAfterBreak = (
  rest: ReadonlyArray<Offer>,
  broken: Offer,
  fallback: Fallback
): ReadonlyArray<Offer> => fallback === "always" ? ofAnother(rest, broken) : []

// What the servers between say when they never got through to the one that would have started it (protocol reference
// 8.6). Not "unable to upgrade connection": so the API server passes on what the kubelet has refused by itself.
const neverOpened = /error sending request|server gave HTTP response to HTTPS client|error dialing backend/

/**
 * Whether a Status, sent first of all on a connection that the server had upgraded, says that no stream to the runtime
 * was opened: nothing was started, and the other transport takes another way there.
 */
export const isNeverOpened = (status: string): boolean => {
  const parsed = JsonObject.parse(status)
  return parsed?.["reason"] === "InternalError" && typeof parsed["message"] === "string" &&
    neverOpened.test(parsed["message"])
}

/** Whether the refusals leave no protocol in which the end of stdin can be said, and that is all that they say. */
export const isHalfCloseUnsupported = (intent: Intent, refusals: ReadonlyArray<Refusal>): boolean =>
  intent.halfClose && refusals.some((refusal) =>
    refusal.offer.transport === "websocket" && isSubprotocolRefused(refusal)
  ) && refusals.every((refusal) => refusal.body !== "status" && isTransportRefused(refusal))
