/**
 * How a session ended: what the trailers, the Status and the end of the connection say together. Pure.
 *
 * The trailers win: they are the supervisor's own word, and come behind the last byte of output. Without them a Status
 * is believed only of a bare command, and a missing Status never means success.
 */
import type * as ExitStatus from "../protocol/ExitStatus.ts"
import type { Trailer } from "../protocol/SupervisorOutput.ts"

/** How the connection ended. */
export type End =
  /** The protocol said goodbye, or the bytes ended after the outcome was known. */
  | { readonly _tag: "Closed"; readonly code: number | undefined }
  /** Both outputs ended, and the server then said nothing more. */
  | { readonly _tag: "Silent" }
  /** The supervisor's word came on one output, and nothing more for so long, though the server had not gone. */
  | { readonly _tag: "HalfTold"; readonly quietMillis: number }
  /** The bytes ended without a goodbye, or with an error. */
  | { readonly _tag: "Lost"; readonly cause: unknown }

/** What is known at the end. */
export interface Evidence {
  readonly supervised: boolean
  readonly trailers: { readonly stdout: Trailer | undefined; readonly stderr: Trailer | undefined }
  readonly status: ExitStatus.Outcome
  readonly end: End
}

/** Whether the command's own outputs are known to be complete. */
export interface Verified {
  readonly stdout: boolean
  readonly stderr: boolean
}

/** What the evidence comes to. */
export type Outcome =
  | { readonly _tag: "Exited"; readonly code: number; readonly verified: Verified }
  | { readonly _tag: "NotFound"; readonly program: string | undefined; readonly description: string | undefined }
  | { readonly _tag: "NotExecutable"; readonly program: string | undefined; readonly description: string | undefined }
  | {
    readonly _tag: "NoWorkingDirectory"
    readonly directory: string | undefined
    readonly description: string | undefined
  }
  | { readonly _tag: "VariableKept" }
  | {
    readonly _tag: "Failed"
    readonly description: string
    readonly reason: string | undefined
    readonly code: number | undefined
  }
  | { readonly _tag: "Unknown"; readonly description: string; readonly reportedExitCode: number | undefined }
  | { readonly _tag: "Lost"; readonly cause: unknown }

/** How runtimes' words for a command that did not start are told apart. */
export type Classify = (message: string) => ExitStatus.StartFailure

const maxQuoted = 2_048

const fromTrailer = (trailer: Trailer, verified: Verified): Outcome => {
  switch (trailer._tag) {
    case "Exited":
      return { _tag: "Exited", code: trailer.code, verified }
    case "NotFound":
    case "NotExecutable":
      return { _tag: trailer._tag, program: undefined, description: undefined }
    case "NoWorkingDirectory":
      return { _tag: "NoWorkingDirectory", directory: undefined, description: undefined }
    case "VariableKept":
      return trailer
  }
}

/** Both trailers, when both are there. */
const complete = (evidence: Evidence): Trailer | undefined => {
  const { stderr, stdout } = evidence.trailers
  return stdout !== undefined && stderr !== undefined ? stdout : undefined
}

/** The supervisor's word on one output alone. */
const halfTold = ({ stderr, stdout }: Evidence["trailers"], quietMillis: number): Outcome => {
  const trailer = stdout ?? stderr
  const code = trailer?._tag === "Exited" ? trailer.code : undefined
  return {
    _tag: "Unknown",
    description: `the end of ${stdout === undefined ? "stdout" : "stderr"} never arrived: on ${
      stdout === undefined ? "stderr" : "stdout"
    } the supervisor has said that the command is done${
      code === undefined ? "" : ` (exit code ${code})`
    }, and nothing more has come for ${Math.round(quietMillis / 1000)} seconds`,
    reportedExitCode: code
  }
}

/** Weighs the evidence. */
export const decide = (evidence: Evidence, classify: Classify): Outcome => {
  const trailer = complete(evidence)
  if (trailer !== undefined) return fromTrailer(trailer, { stdout: true, stderr: true })
  const { end, status } = evidence
  switch (status._tag) {
    case "Failed": {
      const failure = classify(status.message)
      switch (failure._tag) {
        case "NotFound":
        case "NotExecutable":
          return { _tag: failure._tag, program: failure.program, description: status.message }
        case "NoWorkingDirectory":
          return { _tag: "NoWorkingDirectory", directory: failure.directory, description: status.message }
        case "Other":
          return { _tag: "Failed", description: status.message, reason: status.reason, code: status.code }
      }
    }
    case "Unreadable":
      return {
        _tag: "Unknown",
        // Whoever hides secrets in it has done so: a part of one would not be known any more.
        description: `the server's status ${status.why}: ${status.text.slice(0, maxQuoted)}`,
        reportedExitCode: undefined
      }
    case "Exited":
      return evidence.supervised
        ? {
          _tag: "Unknown",
          description:
            `the server reported exit code ${status.code}, but the end of the command's output never arrived`,
          reportedExitCode: status.code
        }
        : { _tag: "Exited", code: status.code, verified: { stdout: false, stderr: false } }
    case "Missing":
      if (end._tag === "HalfTold") return halfTold(evidence.trailers, end.quietMillis)
      return end._tag === "Lost"
        ? { _tag: "Lost", cause: end.cause }
        : {
          _tag: "Unknown",
          description: end._tag === "Silent"
            ? "the outputs have ended, but the server has not said how the command did"
            : "the server closed the session without a status",
          reportedExitCode: undefined
        }
  }
}
