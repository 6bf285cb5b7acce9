/**
 * Runs the supervisor's script in the shells of this machine, as a container runtime would: by pipes, in a process group
 * of its own. The client's side is played as a session does it.
 */
import * as SupervisorOutput from "@effect-k8s/channels/protocol/SupervisorOutput"
import * as SupervisorScript from "@effect-k8s/channels/protocol/SupervisorScript"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"

/** A shell of this machine. */
export interface Shell {
  readonly name: string
  /** What runs in place of `sh`; undefined if this machine has none. */
  readonly argv: readonly [string, ...ReadonlyArray<string>] | undefined
}

const find = (program: string): string | undefined => {
  try {
    return execFileSync("sh", ["-c", "command -v -- \"$1\"", "sh", program], { encoding: "utf8" }).trim()
  } catch {
    return undefined
  }
}

const shell = (name: string, program: string, ...options: ReadonlyArray<string>): Shell => {
  const path = find(program)
  return { name, argv: path === undefined ? undefined : [path, ...options] }
}

/** The shells that containers have. */
export const shells: ReadonlyArray<Shell> = [
  shell("dash", "dash"),
  shell("bash", "bash"),
  shell("bash --posix", "bash", "--posix"),
  shell("busybox sh", "busybox", "sh")
]

/** What is run, and how the client behaves. */
export interface Options extends Partial<SupervisorScript.Supervised> {
  /** The container's variables; those of this machine unless told. */
  readonly container?: Readonly<Record<string, string>> | undefined
  /** The container's working directory. */
  readonly directory?: string | undefined
  readonly secrets?: ReadonlyArray<readonly [string, string]> | undefined
  /** What is written to stdin. */
  readonly input?: Uint8Array | undefined
  /** Stdin ends behind the input; else when both trailers are here. */
  readonly endInput?: boolean | undefined
}

/** A supervised command that runs. */
export interface Running {
  readonly pid: number
  /** Resolves with the process group that the supervisor reports. */
  readonly started: Promise<number>
  /** Resolves when the shell has exited. */
  readonly ended: Promise<Ended>
  /** Ends the session's stdin. */
  readonly hangUp: () => void
  /** What has come on stdout. */
  readonly stdout: () => string
  readonly write: (bytes: string | Uint8Array) => void
}

/** What came of it. */
export interface Ended {
  readonly stdout: Buffer
  readonly stderr: Buffer
  readonly trailers: {
    readonly stdout: SupervisorOutput.Trailer | undefined
    readonly stderr: SupervisorOutput.Trailer | undefined
  }
  readonly processGroup: number | undefined
  /** What came on each output, with the records. */
  readonly raw: { readonly stdout: Buffer; readonly stderr: Buffer }
  readonly code: number | null
  readonly signal: string | null
  readonly nonce: string
}

const groups = new Set<number>()

/** Ends whatever the tests have left, and only that. */
export const cleanUp = (): void => {
  for (const group of groups) {
    try {
      process.kill(-group, "SIGKILL")
    } catch {
      // There is nothing left of it.
    }
  }
  groups.clear()
}

/** Starts a command under the supervisor. */
export const start = (inShell: Shell, command: ReadonlyArray<string>, options: Options = {}): Running => {
  const nonce = options.nonce ?? randomBytes(16).toString("hex")
  const [, ...rest] = SupervisorScript.argv({
    stdin: false,
    stdout: true,
    stderr: true,
    preamble: options.secrets !== undefined,
    ...options,
    nonce,
    command
  })
  const [program, ...first] = inShell.argv ?? ["sh"]
  const child: ChildProcess = spawn(program, [...first, ...rest], {
    detached: true,
    stdio: "pipe",
    cwd: options.directory,
    // A home of its own: bash takes a socket on stdin, as Node's pipes are, for a remote login, and reads ~/.bashrc.
    env: { ...(options.container ?? process.env), HOME: "/nowhere" }
  })
  const pid = child.pid ?? 0
  groups.add(pid)
  const { stderr, stdin, stdout } = child
  if (stdin === null || stdout === null || stderr === null) throw new Error("no pipes")

  const raw = { stdout: Array<Buffer>(), stderr: Array<Buffer>() }
  const output = { stdout: Array<Uint8Array>(), stderr: Array<Uint8Array>() }
  const trailers: { stdout?: SupervisorOutput.Trailer; stderr?: SupervisorOutput.Trailer } = {}
  let processGroup: number | undefined
  const started = Promise.withResolvers<number>()
  const ended = Promise.withResolvers<Ended>()
  const parsers = { stdout: SupervisorOutput.makeParser(nonce), stderr: SupervisorOutput.makeParser(nonce) }
  for (const [name, stream] of [["stdout", stdout], ["stderr", stderr]] as const) {
    stream.on("data", (chunk: Buffer) => {
      raw[name].push(chunk)
      const parsed = parsers[name].push(chunk)
      output[name].push(...parsed.output.map((part) => part.slice()))
      if (parsed.processGroup !== undefined) {
        processGroup = parsed.processGroup
        started.resolve(processGroup)
      }
      if (parsed.trailer !== undefined) trailers[name] = parsed.trailer
      // The acknowledgement.
      if (parsed.trailer !== undefined && trailers.stdout !== undefined && trailers.stderr !== undefined) stdin.end()
    })
  }
  const finish = (code: number | null, signal: string | null): void =>
    ended.resolve({
      stdout: Buffer.concat([...output.stdout, ...parsers.stdout.end()]),
      stderr: Buffer.concat([...output.stderr, ...parsers.stderr.end()]),
      trailers: { stdout: trailers.stdout, stderr: trailers.stderr },
      processGroup,
      raw: { stdout: Buffer.concat(raw.stdout), stderr: Buffer.concat(raw.stderr) },
      code,
      signal,
      nonce
    })
  // "close" waits for the outputs too, which a process left behind may hold: then the trailers are what ends them.
  child.on("close", finish)
  child.on("exit", (code, signal) => {
    if (trailers.stdout !== undefined && trailers.stderr !== undefined) finish(code, signal)
  })
  child.on("error", ended.reject)
  // The shell ends without reading all of it where a test says so.
  stdin.on("error", () => {})
  if (options.secrets !== undefined) stdin.write(SupervisorScript.preamble(nonce, options.secrets))
  if (options.input !== undefined) stdin.write(options.input)
  if (options.endInput === true) stdin.end()
  return {
    pid,
    started: started.promise,
    ended: ended.promise,
    hangUp: () => stdin.end(),
    stdout: () => Buffer.concat(output.stdout).toString(),
    write: (bytes) => void stdin.write(bytes)
  }
}

/** Runs a command under the supervisor to its end. */
export const run = (inShell: Shell, command: ReadonlyArray<string>, options?: Options): Promise<Ended> =>
  start(inShell, command, options).ended

/** The processes of a group that still run, with their command lines. */
export const members = (group: number): ReadonlyArray<{ readonly pid: number; readonly argv: ReadonlyArray<string> }> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1")
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      if (Number(pgrp) !== group || state === "Z") return []
      return [{ pid: Number(name), argv: readFileSync(`/proc/${name}/cmdline`, "latin1").split("\0").slice(0, -1) }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })

/** Waits until something holds. The limit is only there to fail. */
export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const limit = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > limit) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
