/**
 * The faults that are put on execs, and which of them is next.
 */
import * as FaultPlans from "../FaultPlans.ts"
import type * as ExecFault from "./ExecFault.ts"
import * as ExecRecords from "./ExecRecords.ts"

/** The faults of a cluster's execs. */
export type ExecFaults = FaultPlans.FaultPlans<
  ExecRecords.ExecMatch,
  ExecFault.ExecFault,
  ExecRecords.ExecIdentity
>

/** No faults yet. */
export const make = (): ExecFaults => FaultPlans.make(ExecRecords.matches)
