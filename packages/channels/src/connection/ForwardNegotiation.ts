/**
 * Which protocol carries forwarded connections, and what a refusal means. Pure. Asking twice does no harm here, so
 * whatever may fare better is tried.
 */
import * as ForwardChannels from "../protocol/ForwardChannels.ts"
import * as ForwardPairs from "../protocol/ForwardPairs.ts"
import * as ForwardTunnel from "../protocol/ForwardTunnel.ts"
import type { Transport } from "./Connection.ts"
import { type Answer, isTransportRefused, mayHaveArrived } from "./Negotiation.ts"

/**
 * What carries forwarded connections: SPDY inside WebSocket messages (`tunnel`), SPDY, or WebSocket alone, which takes an
 * upgrade for each connection.
 */
export type ForwardTransport = "tunnel" | "spdy" | "websocket"

/** What the caller wants: one of them, or the first that works. */
export type Policy = ForwardTransport | "auto"

/** The subprotocol that each is asked for by. */
export const protocols: Readonly<Record<ForwardTransport, string>> = {
  tunnel: ForwardTunnel.protocol,
  spdy: ForwardPairs.protocol,
  websocket: ForwardChannels.protocol
}

/** What to try, in this order: what proxies let pass and what many connections share comes first. */
export const offers = (policy: Policy): ReadonlyArray<ForwardTransport> =>
  policy === "auto" ? ["tunnel", "spdy", "websocket"] : [policy]

/** Which of them: `tunnel SPDY/3.1+portforward.k8s.io`. */
export const describe = (transport: ForwardTransport): string => `${transport} ${protocols[transport]}`

/** The upgrade that each is. */
export const upgradeOf = (transport: ForwardTransport): Transport => transport === "spdy" ? "spdy" : "websocket"

/** The method that each is asked for by, of which roles know two verbs. */
export const methods: Readonly<Record<ForwardTransport, "GET" | "POST">> = {
  tunnel: "GET",
  spdy: "POST",
  websocket: "GET"
}

/** Whether another protocol may fare better. Final is what the API server says of the request. */
export const isWorthAnother = (answer: Answer): boolean => isTransportRefused(answer) || mayHaveArrived(answer)

/**
 * What is left to try after a refusal that is not final. A role that does not grant a verb for one protocol does not for
 * another by the same method.
 */
export const remaining = (
  rest: ReadonlyArray<ForwardTransport>,
  refused: ForwardTransport,
  { body, code }: Answer
): ReadonlyArray<ForwardTransport> =>
  code === 403 && body === "status" ? rest.filter((other) => methods[other] !== methods[refused]) : rest
