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
    return `cannot use ${this.path}: ${words(this.cause)}; check the path and its permissions`
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

/** A URL cannot be fetched. */
export class UrlFailed extends Data.TaggedError("UrlFailed")<{
  readonly url: string
  readonly cause: unknown
}> {
  override get message(): string {
    return `cannot fetch ${this.url}: ${words(this.cause)}`
  }
}

/** A cluster cannot be reached, or does not show its OpenAPI documents. */
export class ClusterFailed extends Data.TaggedError("ClusterFailed")<{
  /** The context of the kubeconfig; undefined for the current one. */
  readonly context: string | undefined
  readonly cause: unknown
}> {
  override get message(): string {
    return `cannot read the OpenAPI documents of ${
      this.context === undefined ? "the current cluster" : `the context ${JSON.stringify(this.context)}`
    }: ${words(this.cause)}`
  }
}

/** The configuration cannot be used. */
export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly path: string
  readonly description: string
}> {
  override get message(): string {
    return `${this.path} ${this.description}`
  }
}

/** The files are not what the sources give now. */
export class Drift extends Data.TaggedError("Drift")<{
  /** What is wrong, a line each: `src/k8s/apps/v1.ts differs`. */
  readonly differences: ReadonlyArray<string>
}> {
  override get message(): string {
    return `the generated files are not up to date; generate again and commit them:\n${
      this.differences.map((line) => `  ${line}`).join("\n")
    }`
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
export type Reason =
  | FileFailed
  | UrlFailed
  | ClusterFailed
  | InvalidDocument
  | InvalidConfig
  | Drift
  | PrintFailed

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

const words = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)
