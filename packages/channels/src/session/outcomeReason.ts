/**
 * What a command fails with that has not exited. Pure.
 */
import * as ChannelError from "../ChannelError.ts"
import * as ExitStatus from "../protocol/ExitStatus.ts"
import * as SupervisorScript from "../protocol/SupervisorScript.ts"
import type * as Outcome from "./Outcome.ts"

/** What errors name. */
export interface Known {
  /** What was asked for, where the outcome has no words of its own. */
  readonly program: string
  readonly cwd: string | undefined
  /** The names of the variables. */
  readonly variables: ReadonlyArray<string>
  readonly bytesReceived: number
  /** The close code of the protocol. */
  readonly closeCode: number | undefined
}

/** The reason of the failure that an outcome is. */
export const outcomeReason = (
  outcome: Exclude<Outcome.Outcome, { readonly _tag: "Exited" }>,
  { bytesReceived, closeCode, cwd, program, variables }: Known
): ChannelError.ChannelErrorReason => {
  switch (outcome._tag) {
    case "NotFound":
      return new ChannelError.CommandNotFound({
        program: outcome.program ?? program,
        description: outcome.description
      })
    case "NotExecutable":
      return new ChannelError.CommandNotExecutable({
        program: outcome.program ?? program,
        description: outcome.description
      })
    case "NoWorkingDirectory":
      return new ChannelError.NoWorkingDirectory({
        directory: outcome.directory ?? cwd ?? "",
        description: outcome.description
      })
    case "VariableKept": {
      const suspects = SupervisorScript.keptByShells(variables)
      return new ChannelError.VariableKept({ names: suspects.length === 0 ? variables : suspects })
    }
    case "Failed":
      return new ChannelError.RemoteFailure({
        description: ExitStatus.stripPrefixes(outcome.description),
        statusReason: outcome.reason,
        code: outcome.code
      })
    case "Unknown":
      return new ChannelError.OutcomeUnknown({
        bytesReceived,
        closeCode,
        description: outcome.description,
        reportedExitCode: outcome.reportedExitCode
      })
    case "Lost":
      return new ChannelError.ConnectionLost({ bytesReceived, closeCode, cause: outcome.cause })
  }
}
