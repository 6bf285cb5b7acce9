/**
 * What is known of a stage while its pipeline runs.
 */
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Verified } from "../ExecHandle.ts"
import * as Pipeline from "./Pipeline.ts"
import type { RunningStage } from "./RunningStage.ts"
import type { StageEnd, StageResult } from "./StageResult.ts"

/** A stage of a running pipeline. */
export interface StageState {
  readonly stage: Pipeline.Stage
  readonly index: number
  /** Ends the stage. */
  readonly scope: Scope.Closeable
  readonly begunAt: number
  running: RunningStage | undefined
  /** Writes its input, if it is a process behind another stage. */
  link: Fiber.Fiber<void> | undefined
  /** Waits for its end, if it is a process. */
  watching: Fiber.Fiber<void> | undefined
  /** The stage before has given all it had. */
  inputEnded: boolean
  bytesIn: number
  bytesOut: number
  exitCode: number | undefined
  verified: Verified
  end: StageEnd | undefined
  endedAt: number | undefined
}

/** A stage that has not been started. */
export const make = (stage: Pipeline.Stage, index: number, parent: Scope.Scope, now: number): StageState => ({
  stage,
  index,
  scope: Scope.forkUnsafe(parent),
  begunAt: now,
  running: undefined,
  link: undefined,
  watching: undefined,
  inputEnded: false,
  bytesIn: 0,
  bytesOut: 0,
  exitCode: undefined,
  verified: { stdout: false, stderr: false },
  end: undefined,
  endedAt: undefined
})

/** Where it runs: as it was asked for until it has been started. */
export const whereabouts = ({ running, stage }: StageState): string =>
  running?.whereabouts ?? Pipeline.whereabouts(stage)

/** What became of it. One that has not ended was interrupted now. */
export const toResult = (state: StageState, now: number): StageResult => {
  const { bytesIn, bytesOut, exitCode, index, running, stage, verified } = state
  const common = {
    index,
    command: Pipeline.describe(stage),
    end: state.end ?? "Interrupted",
    bytesIn,
    bytesOut,
    durationMillis: (state.endedAt ?? now) - state.begunAt
  } as const
  switch (stage._tag) {
    case "Pod":
      return {
        ...common,
        _tag: "Pod",
        target: whereabouts(state),
        exitCode,
        verified,
        protocol: running?.protocol,
        transport: running?.transport
      }
    case "Local":
      return { ...common, _tag: "Local", exitCode }
    case "Through":
      return { ...common, _tag: "Through" }
  }
}
