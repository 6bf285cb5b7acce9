/**
 * What is remembered of a cluster: which offers it refuses, so that they are tried last, and a circuit breaker for a
 * transport whose upgrades keep breaking. Pure: the state, a moment, and the order of the offers. Commands and forwarded
 * ports have offers of their own, and the circuit breaker in common.
 *
 * It only changes an order. Every offer is still made when the others are refused, so a memory that is out of date costs
 * a request, and no command.
 */
import type { Transport } from "./Connection.ts"
import * as ForwardNegotiation from "./ForwardNegotiation.ts"
import * as Negotiation from "./Negotiation.ts"

/** How long a refusal is remembered, in milliseconds: roles are edited, clusters upgraded. */
export const refusedForMillis = 10 * 60_000
/** So many upgrades in a row that broke or were not answered let a transport be tried last. */
export const failuresToAvoid = 3
/** For so long, in milliseconds. */
export const avoidedForMillis = 30 * 60_000
// Refusals of a role are told apart by namespace; a program may see many.
const maxRefused = 256

/** What is known. Moments in milliseconds of any clock. */
export interface State {
  /** Until when an offer is remembered as refused. */
  readonly refused: ReadonlyMap<string, number>
  /** Failures in a row. */
  readonly failures: Readonly<Record<Transport, number>>
  /** Until when a transport is avoided. */
  readonly avoided: Readonly<Record<Transport, number>>
}

/** Nothing is known. */
export const initial: State = {
  refused: new Map(),
  failures: { websocket: 0, spdy: 0 },
  avoided: { websocket: Number.NEGATIVE_INFINITY, spdy: Number.NEGATIVE_INFINITY }
}

/** What happened to a request in a namespace. */
export type Event<Offer, Refusal> =
  /** An offer was taken, after these refusals. */
  | {
    readonly _tag: "Opened"
    readonly offer: Offer
    readonly refusals: ReadonlyArray<Refusal>
    readonly namespace: string
  }
  /** The upgrade broke, was not answered in time, or was answered by what is none. */
  | { readonly _tag: "Failed"; readonly transport: Transport }

/** The memory of offers of one kind. */
export interface Memory<Offer, Refusal extends { readonly offer: Offer }> {
  /** The state after an event. */
  readonly step: (state: State, now: number, event: Event<Offer, Refusal>) => State
  /** The offers with those last that are not expected to be taken. */
  readonly order: (state: State, now: number, offers: ReadonlyArray<Offer>, namespace: string) => ReadonlyArray<Offer>
}

/** What there is to know of the offers of one kind. */
interface Kind<Offer, Refusal extends { readonly offer: Offer }> {
  /** Tells an offer from all others, those of other kinds too. */
  readonly describe: (offer: Offer) => string
  readonly transportOf: (offer: Offer) => Transport
  /** Whether a refusal is of what the server speaks, which is the same in all namespaces; a role is granted for one. */
  readonly isOfServer: (refusal: Refusal) => boolean
}

const make = <Offer, Refusal extends { readonly offer: Offer }>(
  { describe, isOfServer, transportOf }: Kind<Offer, Refusal>
): Memory<Offer, Refusal> => {
  const keyOf = (offer: Offer, namespace: string | undefined): string =>
    namespace === undefined ? describe(offer) : `${describe(offer)} in ${namespace}`

  return {
    step: (state, now, event) => {
      switch (event._tag) {
        case "Opened": {
          const { namespace, offer, refusals } = event
          const transport = transportOf(offer)
          const refused = new Map(state.refused)
          refused.delete(keyOf(offer, undefined))
          refused.delete(keyOf(offer, namespace))
          for (const refusal of refusals) {
            const key = keyOf(refusal.offer, isOfServer(refusal) ? undefined : namespace)
            // At the end again, so that the oldest come first.
            refused.delete(key)
            refused.set(key, now + refusedForMillis)
          }
          for (const [key, until] of refused) {
            if (refused.size > maxRefused || until <= now) refused.delete(key)
          }
          return {
            refused,
            failures: { ...state.failures, [transport]: 0 },
            avoided: { ...state.avoided, [transport]: Number.NEGATIVE_INFINITY }
          }
        }
        case "Failed": {
          const { transport } = event
          const failures = state.failures[transport] + 1
          return {
            ...state,
            failures: { ...state.failures, [transport]: failures },
            avoided: failures < failuresToAvoid
              ? state.avoided
              : { ...state.avoided, [transport]: now + avoidedForMillis }
          }
        }
      }
    },
    order: (state, now, offers, namespace) => {
      const isDoubtful = (offer: Offer): boolean =>
        state.avoided[transportOf(offer)] > now ||
        [keyOf(offer, undefined), keyOf(offer, namespace)].some((key) => (state.refused.get(key) ?? now) > now)
      return [...offers.filter((offer) => !isDoubtful(offer)), ...offers.filter(isDoubtful)]
    }
  }
}

/** Of commands, and of attaching to containers. */
export const commands: Memory<Negotiation.Offer, Negotiation.Refusal> = make({
  describe: Negotiation.describe,
  transportOf: ({ transport }) => transport,
  isOfServer: Negotiation.isSubprotocolRefused
})

/** A refusal of what carries forwarded connections. */
export interface ForwardRefusal extends Negotiation.Answer {
  readonly offer: ForwardNegotiation.ForwardTransport
}

/** Of forwarded connections. */
export const forwards: Memory<ForwardNegotiation.ForwardTransport, ForwardRefusal> = make({
  describe: ForwardNegotiation.describe,
  transportOf: ForwardNegotiation.upgradeOf,
  isOfServer: ({ body }) => body !== "status"
})
