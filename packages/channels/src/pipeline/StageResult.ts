/**
 * What became of each stage of a pipeline.
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Data from "effect/Data"
import type { PlatformError } from "effect/PlatformError"
import type { ChannelError } from "../ChannelError.ts"
import type { Verified } from "../ExecHandle.ts"
import type { ExitedNonZero } from "../ExitedNonZero.ts"

/** How a stage ended. */
export type StageEnd =
  /** By itself: with an exit code, or, for a `Through` stage, at the end of its stream. */
  | "Completed"
  /** It was ended because a later stage had completed and took no more: no failure. */
  | "EndedEarly"
  /** It failed; see the `StageFailed`. */
  | "Failed"
  /** It was ended because another stage had failed. */
  | "Interrupted"

interface Common {
  /** Its position, from 0. */
  readonly index: number
  /** The command line, or the name of a `Through` stage, for reading. */
  readonly command: string
  readonly end: StageEnd
  /** Bytes that went into it and came out of it. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** From the start of the pipeline to the end of the stage. */
  readonly durationMillis: number
}

/** A command in a pod. */
export interface PodResult extends Common {
  readonly _tag: "Pod"
  /** `namespace/pod/container`. */
  readonly target: string
  /** Absent when it did not end by itself. */
  readonly exitCode: number | undefined
  /** Whether each output is known to be complete. */
  readonly verified: Verified
  /** The subprotocol: `v5.channel.k8s.io`; absent when it was not started. */
  readonly protocol: string | undefined
  readonly transport: string | undefined
}

/** A local process. */
export interface LocalResult extends Common {
  readonly _tag: "Local"
  readonly exitCode: number | undefined
}

/** A stream function. */
export interface ThroughResult extends Common {
  readonly _tag: "Through"
}

/** What became of a stage. */
export type StageResult = PodResult | LocalResult | ThroughResult

/** Why a stage failed. */
export type StageFailureReason = ExitedNonZero | KubeError | ChannelError | PlatformError

/** The first stage that failed, in time, and what became of the others. */
export class StageFailed extends Data.TaggedError("StageFailed")<{
  /** Its position, from 0. */
  readonly stage: number
  /** Where it ran: `namespace/pod/container`, or `local`. */
  readonly target: string
  readonly command: string
  readonly reason: StageFailureReason
  /** The end of what it wrote to stderr. */
  readonly stderrTail: string
  readonly results: ReadonlyArray<StageResult>
}> {
  override get message(): string {
    return `stage ${this.stage + 1} of ${this.results.length} failed: ${this.reason.message}`
  }
}
