/**
 * Which fault is next: those that were injected, where they match, and how often each has hit.
 */
import * as Effect from "effect/Effect"

/** On which of those that match a fault is. */
export interface Schedule {
  /** How many matching ones pass unharmed first; 0 by default. */
  readonly skip?: number | undefined
  /** How many are hit then; 1 by default, `Infinity` for all. */
  readonly times?: number | undefined
}

/** A fault in place. */
export interface Injected {
  /** How many it has hit. */
  readonly hits: Effect.Effect<number>
  readonly remove: Effect.Effect<void>
}

/** Faults in the order in which they were injected. */
export interface FaultPlans<Match, Fault, Subject> {
  /** Of several that match, the one that was injected first and is not used up is taken. */
  readonly inject: (match: Match, fault: Fault, schedule?: Schedule) => Effect.Effect<Injected>
  readonly clear: Effect.Effect<void>
  readonly isEmpty: () => boolean
  /** The fault of the next of this kind, which counts as one. */
  readonly choose: (subject: Subject) => Fault | undefined
}

interface Plan<Match, Fault> {
  readonly match: Match
  readonly fault: Fault
  skip: number
  times: number
  hits: number
}

/** No faults yet, on what `matches` tells. */
export const make = <Match, Fault, Subject>(
  matches: (subject: Subject, match: Match) => boolean
): FaultPlans<Match, Fault, Subject> => {
  const plans = new Set<Plan<Match, Fault>>()
  return {
    inject: (match, fault, { skip = 0, times = 1 } = {}) =>
      Effect.sync(() => {
        const plan: Plan<Match, Fault> = { match, fault, skip, times, hits: 0 }
        plans.add(plan)
        return {
          hits: Effect.sync(() => plan.hits),
          remove: Effect.sync(() => {
            plans.delete(plan)
          })
        }
      }),
    clear: Effect.sync(() => plans.clear()),
    isEmpty: () => plans.size === 0,
    choose: (subject) => {
      for (const plan of plans) {
        if (plan.times <= 0 || !matches(subject, plan.match)) continue
        if (plan.skip > 0) {
          plan.skip--
          continue
        }
        plan.times--
        plan.hits++
        return plan.fault
      }
      return undefined
    }
  }
}
