/**
 * A command ended with an exit code other than 0, and was checked.
 */
import * as Data from "effect/Data"

/** A command ended with an exit code other than 0. Raised by `Exec.check`, and the reason of a `StageFailed`. */
export class ExitedNonZero extends Data.TaggedError("ExitedNonZero")<{
  readonly exitCode: number
  /** The command line, for reading. */
  readonly command: string
  /** Where it ran: `namespace/pod/container`, or `local`. */
  readonly target: string
  /** The end of what it wrote to stderr, where nobody else read that. */
  readonly stderrTail: string
}> {
  override get message(): string {
    const said = this.stderrTail.trim()
    return `${this.command} (${this.target}) ended with exit code ${this.exitCode}${said === "" ? "" : `: ${said}`}`
  }
}
