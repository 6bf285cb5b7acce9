/**
 * What is remembered of a cluster: which offers it refuses, so that they are tried last, and a circuit breaker for a
 * transport whose upgrades keep breaking. Pure: the state, a moment, and the order of the offers.
 *
 * It only changes an order. Every offer is still made when the others are refused, so a memory that is out of date costs
 * a request, and no command.
 */
import * as Context from "effect/Context"
import type { Transport } from "./Connection.ts"
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

/** Where a client keeps it. */
export const Known: Context.Reference<State> = Context.Reference(
  "@effect-k8s/channels/connection/TransportMemory",
  { defaultValue: () => initial }
)

/** What happened to a command that was asked for in a namespace. */
export type Event =
  /** An offer was taken, after these refusals. */
  | {
    readonly _tag: "Opened"
    readonly offer: Negotiation.Offer
    readonly refusals: ReadonlyArray<Negotiation.Refusal>
    readonly namespace: string
  }
  /** The upgrade broke, was not answered in time, or was answered by what is none. */
  | { readonly _tag: "Failed"; readonly transport: Transport }

/** A role is granted for a namespace, what a server speaks is the same in all. */
const keyOf = (offer: Negotiation.Offer, namespace: string | undefined): string =>
  namespace === undefined ? Negotiation.describe(offer) : `${Negotiation.describe(offer)} in ${namespace}`

/** The state after an event. */
export const step = (state: State, now: number, event: Event): State => {
  switch (event._tag) {
    case "Opened": {
      const { namespace, offer, refusals } = event
      const { transport } = offer
      const refused = new Map(state.refused)
      refused.delete(keyOf(offer, undefined))
      refused.delete(keyOf(offer, namespace))
      for (const refusal of refusals) {
        const key = keyOf(refusal.offer, Negotiation.isSubprotocolRefused(refusal) ? undefined : namespace)
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
}

/** The offers with those last that are not expected to be taken. */
export const order = (
  state: State,
  now: number,
  offers: Negotiation.Offers,
  namespace: string
): Negotiation.Offers => {
  const isDoubtful = (offer: Negotiation.Offer): boolean =>
    state.avoided[offer.transport] > now ||
    [keyOf(offer, undefined), keyOf(offer, namespace)].some((key) => (state.refused.get(key) ?? now) > now)
  const [first, ...rest] = [...offers.filter((offer) => !isDoubtful(offer)), ...offers.filter(isDoubtful)]
  return first === undefined ? offers : [first, ...rest]
}
