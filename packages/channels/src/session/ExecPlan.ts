/**
 * What is asked of the server to run a command: its words, with or without the supervisor's, and its streams. No IO but
 * random numbers.
 */
import type { KubeRequest } from "@effect-k8s/core/KubeClient"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type { Word } from "effect/process/CommandLine"
import * as Redacted from "effect/Redacted"
import type { ExecOptions } from "../ExecOptions.ts"
import * as SupervisorScript from "../protocol/SupervisorScript.ts"
import type { Resolved } from "../Target.ts"

/** One way to run a command. */
export interface Plan {
  readonly argv: ReadonlyArray<Word>
  /** The nonce of the supervisor's records; none without it. */
  readonly nonce: string | undefined
  readonly streams: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean }
  /** What comes first on stdin: secret variables. */
  readonly preamble: Uint8Array | undefined
}

const makeNonce = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("")

const unwrap = (word: Word): string => Redacted.isRedacted(word) ? Redacted.value(word) : word

/** The secret words and variables. */
export const secrets = (argv: ReadonlyArray<Word>, options: ExecOptions): ReadonlyArray<string> =>
  [...argv, ...Object.values(options.env ?? {})].flatMap((word) =>
    word !== undefined && Redacted.isRedacted(word) ? [Redacted.value(word)] : []
  )

/** With the supervisor. */
export const supervised = (argv: ReadonlyArray<Word>, options: ExecOptions): Plan => {
  const nonce = makeNonce()
  const plain: Array<readonly [string, string]> = []
  const secret: Array<readonly [string, string]> = []
  for (const [name, value] of Object.entries(options.env ?? {})) {
    if (Redacted.isRedacted(value)) secret.push([name, Redacted.value(value)])
    else if (value !== undefined) plain.push([name, value])
  }
  const prefix = SupervisorScript.argv({
    nonce,
    command: [],
    stdin: options.stdin === "pipe",
    stdout: options.stdout !== "ignore",
    stderr: options.stderr !== "ignore",
    cwd: options.cwd,
    env: plain,
    preamble: secret.length > 0,
    endWithSession: options.onClose !== "leave"
  })
  return {
    argv: [...prefix, ...argv],
    nonce,
    // Whatever the user wants of them: the records need both outputs, the acknowledgement needs stdin.
    streams: { stdin: true, stdout: true, stderr: true },
    preamble: secret.length === 0
      ? undefined
      : new TextEncoder().encode(SupervisorScript.preamble(nonce, secret))
  }
}

/** Without. */
export const bare = (argv: ReadonlyArray<Word>, options: ExecOptions): Plan => ({
  argv,
  nonce: undefined,
  streams: {
    stdin: options.stdin === "pipe",
    stdout: options.stdout !== "ignore",
    // A terminal has one output; servers refuse to be asked for two.
    stderr: options.stderr !== "ignore" && options.tty !== true
  },
  preamble: undefined
})

/** The request, without the headers of a protocol. */
export const toRequest = (target: Resolved, plan: Plan, options: ExecOptions): KubeRequest => ({
  method: "GET",
  path: `/api/v1/namespaces/${encodeURIComponent(target.namespace)}/pods/${encodeURIComponent(target.pod)}/exec`,
  query: [
    ["container", target.container],
    ...plan.argv.map((word) => ["command", word] as const),
    ...(["stdin", "stdout", "stderr"] as const).flatMap((name) => plan.streams[name] ? [[name, "true"] as const] : []),
    ...(options.tty === true ? [["tty", "true"] as const] : [])
  ],
  accept: "*/*",
  info: { verb: "exec", resource: "pods/exec", namespace: target.namespace, name: target.pod }
})

// Nothing encodes half of a surrogate pair: it would arrive as another character.
const textProblem = (what: string, text: string): string | undefined =>
  text.includes("\0")
    ? `${what} contains a NUL character`
    : /\p{Surrogate}/u.test(text)
    ? `${what} contains a lone surrogate (half of a character of UTF-16); encode it as text first`
    : undefined

/** Why the options that are numbers cannot be used. */
const numberProblem = (options: ExecOptions): string | undefined => {
  const { bufferBytes = 1, handshakeTimeout, heartbeat, startTimeout, unreadGrace = 1 } = options
  if (!(bufferBytes > 0)) return "bufferBytes must be more than 0"
  const positive = {
    handshakeTimeout,
    startTimeout,
    "heartbeat.after": heartbeat?.after,
    "heartbeat.within": heartbeat?.within,
    "heartbeat.keepAliveAfter": heartbeat?.keepAliveAfter
  }
  for (const [name, input = 1] of [...Object.entries(positive), ["unreadGrace", unreadGrace] as const]) {
    const duration = Option.getOrUndefined(Duration.fromInput(input))
    if (duration === undefined) {
      return `${name} is no duration; write it as "30 seconds", or as a number of milliseconds`
    }
    if (name === "unreadGrace" ? Duration.isNegative(duration) : !Duration.isPositive(duration)) {
      return `${name} must ${name === "unreadGrace" ? "not be less" : "be more"} than 0`
    }
  }
  return undefined
}

/** Why a command cannot be asked for, as a sentence; `undefined` if it can. */
export const problem = (argv: ReadonlyArray<Word>, options: ExecOptions): string | undefined => {
  if (argv.length === 0) return "the command is empty; give at least the name of a program"
  for (const word of argv) {
    const wrong = textProblem("a word of the command", unwrap(word))
    if (wrong !== undefined) return wrong
  }
  if (options.tty === true && options.supervise === "required") {
    return "a command on a terminal cannot be supervised, because its two outputs are one"
  }
  if ((options.tty === true || options.supervise === "never") && (options.cwd ?? options.env) !== undefined) {
    return "cwd and env are set by the supervisor, which runs neither on a terminal nor with supervise: \"never\""
  }
  if (options.cwd === "") return "cwd is no directory's name"
  const wrongCwd = textProblem("the directory cwd", options.cwd ?? "")
  if (wrongCwd !== undefined) return wrongCwd
  for (const [name, value] of Object.entries(options.env ?? {})) {
    const wrong = SupervisorScript.nameProblem(name) ??
      textProblem(`the variable ${name}`, value === undefined ? "" : unwrap(value))
    if (wrong !== undefined) return wrong
  }
  return numberProblem(options)
}
