/**
 * How a remote command ended: the Status on channel 3, or on the error stream of SPDY (protocol reference 2.9).
 */
import * as JsonObject from "./JsonObject.ts"

/** The command ran and ended with this code: any 32-bit integer, signed or unsigned. */
export interface Exited {
  readonly _tag: "Exited"
  readonly code: number
  /** The Status as it came. */
  readonly status: JsonObject.JsonObject
}

/** The server says that it failed, which says nothing of an exit code: mostly, that the command never ran. */
export interface Failed {
  readonly _tag: "Failed"
  readonly message: string
  readonly reason: string | undefined
  readonly code: number | undefined
  /** The Status as it came. */
  readonly status: JsonObject.JsonObject
}

/** The server sent something that tells no outcome. */
export interface Unreadable {
  readonly _tag: "Unreadable"
  /** What it sent, at most as much as is read. To be shown, it is to be cut. */
  readonly text: string
  /** Why it tells no outcome: the rest of a sentence that begins with "The server's status". */
  readonly why: string
}

/** The server sent nothing: the outcome is unknown, and is never success. */
export interface Missing {
  readonly _tag: "Missing"
}

/** What is known of the end of a command. */
export type Outcome = Exited | Failed | Unreadable | Missing

const missing: Missing = { _tag: "Missing" }

const unreadable = (text: string, why: string): Unreadable => ({ _tag: "Unreadable", text, why })

/**
 * The outcome that the whole text of the channel tells.
 *
 * @example
 * ```ts
 * import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
 *
 * ExitStatus.parse("{\"metadata\":{},\"status\":\"Success\"}")._tag // => "Exited"
 * ExitStatus.parse("")._tag // => "Missing"
 * ```
 */
export const parse = (text: string): Outcome => {
  if (text.trim() === "") return missing
  const status = JsonObject.parse(text)
  if (status === undefined) return unreadable(text, "is not a JSON object")
  if (status["status"] === "Success") return { _tag: "Exited", code: 0, status }
  if (status["status"] !== "Failure") return unreadable(text, "says neither Success nor Failure")
  if (status["reason"] === "NonZeroExitCode") return parseExit(text, status)
  return {
    _tag: "Failed",
    message: string(status["message"]) ?? "",
    reason: string(status["reason"]),
    code: typeof status["code"] === "number" ? status["code"] : undefined,
    status
  }
}

const parseExit = (text: string, status: JsonObject.JsonObject): Outcome => {
  const details = status["details"]
  const causes = JsonObject.isObject(details) && Array.isArray(details["causes"]) ? details["causes"] : []
  const cause: unknown = causes.find((cause) => JsonObject.isObject(cause) && cause["reason"] === "ExitCode")
  if (!JsonObject.isObject(cause)) return unreadable(text, "says that the exit code is not zero, but gives none")
  const message = string(cause["message"]) ?? ""
  if (!/^-?\d{1,10}$/.test(message)) return unreadable(text, "gives an exit code that is no integer")
  const code = Number(message)
  if (code < -0x8000_0000 || code > 0xffff_ffff) return unreadable(text, "gives an exit code of more than 32 bits")
  // Neither word can be trusted over the other, and a failure must not become a success.
  if (code === 0) return unreadable(text, "says that the exit code is not zero, but gives zero")
  return { _tag: "Exited", code, status }
}

const string = (value: unknown): string | undefined => typeof value === "string" && value !== "" ? value : undefined

/** Collects the bytes of the channel. */
export interface Accumulator {
  /**
   * Takes the next bytes (a copy of them), and returns the outcome once the Status is whole, at whatever byte it was
   * cut. Bytes after that change nothing.
   */
  readonly push: (bytes: Uint8Array) => Outcome | undefined
  /** The outcome when no more bytes will come. Never throws; `Missing` if none came. */
  readonly end: () => Outcome
}

/** The most that a Status may take: 1 MiB. */
export const defaultMaxBytes = 1_048_576

/** An accumulator that holds `maxBytes` at most. A longer Status is `Unreadable`. */
export const makeAccumulator = (maxBytes: number = defaultMaxBytes): Accumulator => {
  const collector = JsonObject.makeCollector(maxBytes)
  let outcome: Outcome | undefined
  return {
    push: (bytes) => {
      if (outcome !== undefined) return outcome
      collector.push(bytes, 0)
      const state = collector.state()
      if (state === "Complete") outcome = parse(collector.text())
      else if (state === "TooLarge") outcome = unreadable(collector.text(), `is longer than ${maxBytes} bytes`)
      return outcome
    },
    end: () => outcome ??= parse(collector.text())
  }
}

/** What a failure to start a command comes down to. */
export type StartFailure =
  | { readonly _tag: "NotFound"; readonly program: string | undefined }
  | { readonly _tag: "NotExecutable"; readonly program: string | undefined }
  | { readonly _tag: "NoWorkingDirectory"; readonly directory: string | undefined }
  | { readonly _tag: "Other" }

const other: StartFailure = { _tag: "Other" }

// What the system says of a program that cannot be executed, in Go's spelling and in that of the C library.
const absent = "no such file or directory|not a directory"
const unusable = "permission denied|operation not permitted|exec format error|is a directory|text file busy"

const startFailures: ReadonlyArray<readonly [pattern: RegExp, failure: (match: RegExpExecArray) => StartFailure]> = [
  // runc: chdir to cwd ("/x") set in config.json failed. crun: chdir to `/x`: No such file or directory
  [/chdir to cwd \("([^"]*)"\)/, ([, directory]) => ({ _tag: "NoWorkingDirectory", directory })],
  [/chdir (?:to )?`([^`]*)`: /, ([, directory]) => ({ _tag: "NoWorkingDirectory", directory })],
  // runc, before it starts a process: exec: "x": and what the search for it found
  [/exec: "([^"]*)": executable file not found in \$PATH/, ([, program]) => ({ _tag: "NotFound", program })],
  [
    new RegExp(`exec: "([^"]*)": (?:stat [^\\n]{0,4096}?: )?(?:(${absent})|${unusable})`, "i"),
    ([, program, isAbsent]) => ({ _tag: isAbsent === undefined ? "NotExecutable" : "NotFound", program })
  ],
  // runc, when the kernel refuses the program: exec /x: exec format error
  [
    new RegExp(`(?:^|[ "])exec (?=[^\\s":]*/)([^\\n":]{1,4096}): (?:(${absent})|${unusable})`, "i"),
    ([, program, isAbsent]) => ({ _tag: isAbsent === undefined ? "NotExecutable" : "NotFound", program })
  ],
  // crun
  [/executable file `([^`]*)` not found/, ([, program]) => ({ _tag: "NotFound", program })],
  [/executable file not found in \$PATH/, () => ({ _tag: "NotFound", program: undefined })],
  [
    /the path `([^`]*)` (?:exists but it is not executable|is not a regular file)/,
    ([, program]) => ({ _tag: "NotExecutable", program })
  ],
  [
    new RegExp(`exec container process (?:\\([^)]*\\) )?\`([^\`]*)\`: (?:(${absent})|${unusable})`, "i"),
    ([, program, isAbsent]) => ({ _tag: isAbsent === undefined ? "NotExecutable" : "NotFound", program })
  ],
  [
    new RegExp(`open executable: (?:(${absent})|${unusable})`, "i"),
    ([, isAbsent]) => ({ _tag: isAbsent === undefined ? "NotExecutable" : "NotFound", program: undefined })
  ],
  // gVisor: error finding executable "x" in PATH [...]: no such file or directory
  [
    new RegExp(`error finding executable "([^"]*)" in PATH \\[[^\\]]*\\]: (?:(${absent})|${unusable})`, "i"),
    ([, program, isAbsent]) => ({ _tag: isAbsent === undefined ? "NotExecutable" : "NotFound", program })
  ]
]

// The runtime's own words come last in a message. The bound keeps the patterns fast on a hostile one.
const maxClassified = 8_192

/**
 * Why a command did not start, by the words of the container runtime: runc (under containerd, CRI-O and Docker), crun
 * and gVisor, in old and new spellings, through any number of prefixes. There is no better sign: containerd reports
 * these as internal errors. Give it the message of a `Failed`, or, where CRI-O answers with an exit code and the
 * explanation on stderr, the last of stderr; not the message of an exit code, which quotes the command.
 *
 * A program that is there but whose interpreter or loader is not counts as not found, as in a shell (exit code 127).
 *
 * @example
 * ```ts
 * import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
 *
 * const message = "Internal error occurred: OCI runtime exec failed: exec failed: unable to start container process: " +
 *   "exec: \"psql\": executable file not found in $PATH: unknown"
 * ExitStatus.classify(message) // => { _tag: "NotFound", program: "psql" }
 * ```
 */
export const classify = (message: string): StartFailure => {
  // Some layers quote the text of the ones below, and so escape its quotes.
  const text = message.slice(-maxClassified).replace(/\\+"/g, "\"")
  for (const [pattern, failure] of startFailures) {
    const match = pattern.exec(text)
    if (match !== null) return failure(match)
  }
  return other
}

/** A message without the prefixes `Internal error occurred: `, of which each server on the way adds one. */
export const stripPrefixes = (message: string): string => message.replace(/^(?:Internal error occurred: )+/, "")

/** How servers differ in writing a Status. */
export interface EncodeOptions {
  /** Whether `"metadata":{}` is there: yes, but for runtimes built on the libraries of 1.36 and later. */
  readonly metadata?: boolean | undefined
}

/** Settings for the Status of an exit. */
export interface EncodeExitOptions extends EncodeOptions {
  /** Whose words the message has: the translator's (v5, the default), containerd's or CRI-O's (v4, SPDY). */
  readonly wording?: "translator" | "containerd" | "cri-o" | undefined
  /** The command, which containerd's words quote. */
  readonly command?: ReadonlyArray<string> | undefined
}

/** The Status of a command that ended with this code, as JSON: Success for 0. */
export const encodeExit = (code: number, options?: EncodeExitOptions): Uint8Array => {
  if (code === 0) return encode({ status: "Success" }, options)
  const wording = options?.wording ?? "translator"
  const text = wording === "translator" ?
    `command terminated with exit code ${code}` :
    wording === "cri-o" ?
    `exit status ${code}` :
    `error executing command [${(options?.command ?? []).join(" ")}], exit code ${code}`
  return encode({
    status: "Failure",
    message: `command terminated with non-zero exit code: ${text}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(code) }] }
  }, options)
}

/** Settings for the Status of a failure. */
export interface EncodeFailureOptions extends EncodeOptions {
  /** Whether the text is repeated as a cause: yes, but for runtimes built on the libraries of 1.36 and later. */
  readonly details?: boolean | undefined
}

/** The Status of anything but an exit, as JSON: an InternalError with code 500. */
export const encodeInternalError = (text: string, options?: EncodeFailureOptions): Uint8Array =>
  encode({
    status: "Failure",
    message: `Internal error occurred: ${text}`,
    reason: "InternalError",
    ...(options?.details === false ? {} : { details: { causes: [{ message: text }] } }),
    code: 500
  }, options)

const encode = (status: JsonObject.JsonObject, options: EncodeOptions | undefined): Uint8Array =>
  new TextEncoder().encode(JsonObject.stringify(options?.metadata === false ? status : { metadata: {}, ...status }))
