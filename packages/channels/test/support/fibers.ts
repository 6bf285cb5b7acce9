/**
 * Counts fibers, and keeps the defects that they have died of.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"

/** A count of those that are started where `service` is provided as `Metric.FiberRuntimeMetrics`. */
export const count = () => {
  let alive = 0
  const defects: Array<unknown> = []
  return {
    alive: () => alive,
    defects,
    service: Metric.FiberRuntimeMetrics.of({
      recordFiberStart: () => {
        alive++
      },
      recordFiberEnd: (_context, exit) => {
        alive--
        if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) defects.push(Cause.squash(exit.cause))
      }
    })
  }
}
