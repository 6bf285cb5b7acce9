/**
 * How a generation fails: one error with a reason.
 */
import * as CliError from "effect/cli/CliError"
import * as Data from "effect/Data"

/** A file or folder cannot be read or written. */
export class FileFailed extends Data.TaggedError("FileFailed")<{
  readonly path: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `cannot use ${this.path}: ${
      this.cause instanceof Error ? this.cause.message : String(this.cause)
    }; check the path and its permissions`
  }
}

/** A document is not what its place asks for. */
export class InvalidDocument extends Data.TaggedError("InvalidDocument")<{
  /** The name of the file, or the URL. */
  readonly document: string
  readonly description: string
  /** Which of the documents of the file, from 1. */
  readonly number?: number | undefined
  /** The place in the document: `spec.versions[0].schema.openAPIV3Schema.properties.size`. */
  readonly path?: string | undefined
}> {
  override get message(): string {
    return `${this.document}${this.number === undefined ? "" : `, document ${this.number}`}${
      this.path === undefined ? "" : `, ${this.path}`
    } ${this.description}`
  }
}

/** openapi-typescript could not print the types. */
export class PrintFailed extends Data.TaggedError("PrintFailed")<{
  readonly description: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the types could not be printed: ${this.description}; please report the documents that lead to it`
  }
}

/** Why a generation failed. */
export type Reason = FileFailed | InvalidDocument | PrintFailed

/** A generation failed; nothing was written unless the reason is a `FileFailed` of the output. */
export class CodegenError extends Data.TaggedError("CodegenError")<{ readonly reason: Reason }> {
  override get message(): string {
    return this.reason.message
  }
  // The command line shows it without a stack.
  override get [CliError.userMessage](): string {
    return this.reason.message
  }
}
