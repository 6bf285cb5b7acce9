/**
 * The faults that are put on execs, and which of them is next.
 */
import * as Effect from "effect/Effect"
import type { Injected, Schedule } from "../Faults.ts"
import type * as ExecFault from "./ExecFault.ts"
import * as ExecRecords from "./ExecRecords.ts"

/** The faults of a cluster's execs. */
export interface ExecFaults {
  readonly inject: (
    match: ExecRecords.ExecMatch,
    fault: ExecFault.ExecFault,
    schedule?: Schedule
  ) => Effect.Effect<Injected>
  readonly clear: Effect.Effect<void>
  /** The fault of the next exec of this kind, which counts as one. */
  readonly choose: (exec: ExecRecords.ExecIdentity) => ExecFault.ExecFault
}

interface Plan {
  readonly match: ExecRecords.ExecMatch
  readonly fault: ExecFault.ExecFault
  skip: number
  times: number
  hits: number
}

const none: ExecFault.ExecFault = {}

/** No faults yet. */
export const make = (): ExecFaults => {
  const plans = new Set<Plan>()
  return {
    inject: (match, fault, { skip = 0, times = 1 } = {}) =>
      Effect.sync(() => {
        const plan: Plan = { match, fault, skip, times, hits: 0 }
        plans.add(plan)
        return {
          hits: Effect.sync(() => plan.hits),
          remove: Effect.sync(() => {
            plans.delete(plan)
          })
        }
      }),
    clear: Effect.sync(() => plans.clear()),
    choose: (exec) => {
      for (const plan of plans) {
        if (plan.times <= 0 || !ExecRecords.matches(exec, plan.match)) continue
        if (plan.skip > 0) {
          plan.skip--
          continue
        }
        plan.times--
        plan.hits++
        return plan.fault
      }
      return none
    }
  }
}
