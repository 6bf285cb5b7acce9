/**
 * Runs the supervisor's script in the shells of this machine, as a container runtime would: by pipes, in a process group
 * of its own. The client's side is played as a session does it.
 */
import * as SupervisorOutput from "@effect-k8s/channels/protocol/SupervisorOutput"
import * as SupervisorScript from "@effect-k8s/channels/protocol/SupervisorScript"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, constants, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

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
  /** Stdin does not end when both trailers are here: the test acknowledges. */
  readonly leaveOpen?: boolean | undefined
  /** Pipes of the kernel, as runtimes have them; Node's own are sockets, which nobody can open a second time. */
  readonly fifos?: boolean | undefined
  /** Changes the supervisor's script, as to make a part of it late. */
  readonly edit?: ((script: string) => string) | undefined
  /** The outputs are not read before the test says so, but for what Node reads ahead of its own pipes. */
  readonly readLater?: boolean | undefined
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
  /** Resolves when the shell or the command has taken it, rejects when nobody does. */
  readonly write: (bytes: string | Uint8Array) => Promise<void>
  /** Begins to read the outputs. */
  readonly read: () => void
  /** Whether nothing of an output is read, or read ahead, before the test says so. */
  readonly isUnread: (output: "stdout" | "stderr") => boolean
  /** Whether both trailers are here. */
  readonly isTold: () => boolean
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

// A home of its own: bash takes a socket on stdin, as Node's pipes are, for a remote login, and reads ~/.bashrc. It is
// what all that is started here is known by.
const home = `/nowhere/${randomBytes(8).toString("hex")}`

/** The processes of this machine, those that have ended and are not forgotten included. */
const processes = (): ReadonlyArray<{ readonly pid: number; readonly state: string; readonly group: number }> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1")
      const [state = "", , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      return [{ pid: Number(name), state, group: Number(group) }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })

/** Ends whatever the tests have left, and only that: the number of a group that is gone is another's before long. */
export const cleanUp = (): void => {
  for (const { group, pid } of processes()) {
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(`HOME=${home}`)
      if (isOurs) process.kill(-group, "SIGKILL")
    } catch {
      // It has ended, or is somebody else's.
    }
  }
}

interface Fifo {
  readonly reader: number
  readonly writer: number
}

/** A pipe with a name. Its two ends are opened each for itself, as blocking ones, and then it has no name any more. */
const makeFifo = (): Fifo => {
  const directory = mkdtempSync(join(tmpdir(), "effect-k8s-"))
  const path = join(directory, "fifo")
  execFileSync("mkfifo", [path])
  // An end waits for the other one: this is both.
  const both = openSync(path, constants.O_RDWR)
  const fifo = { reader: openSync(path, constants.O_RDONLY), writer: openSync(path, constants.O_WRONLY) }
  closeSync(both)
  rmSync(directory, { recursive: true })
  return fifo
}

/** Starts a command under the supervisor. */
export const start = (inShell: Shell, command: ReadonlyArray<string>, options: Options = {}): Running => {
  const nonce = options.nonce ?? randomBytes(16).toString("hex")
  const [, c = "", script = "", ...rest] = SupervisorScript.argv({
    stdin: false,
    stdout: true,
    stderr: true,
    preamble: options.secrets !== undefined,
    ...options,
    nonce,
    command
  })
  const [program, ...first] = inShell.argv ?? ["sh"]
  const fifos = options.fifos === true ? [makeFifo(), makeFifo(), makeFifo()] as const : undefined
  const child: ChildProcess = spawn(program, [...first, c, options.edit?.(script) ?? script, ...rest], {
    detached: true,
    stdio: fifos === undefined ? "pipe" : [fifos[0].reader, fifos[1].writer, fifos[2].writer],
    cwd: options.directory,
    env: { ...(options.container ?? process.env), HOME: home }
  })
  const pid = child.pid ?? 0
  if (fifos !== undefined) { for (const fd of [fifos[0].reader, fifos[1].writer, fifos[2].writer]) closeSync(fd) }
  const stdin = fifos === undefined ? child.stdin : new Socket({ fd: fifos[0].writer, readable: false, writable: true })
  if (stdin === null) throw new Error("no pipes")
  const readable = (fd: number): Socket => new Socket({ fd, readable: true, writable: false })

  const raw = { stdout: Array<Buffer>(), stderr: Array<Buffer>() }
  const output = { stdout: Array<Uint8Array>(), stderr: Array<Uint8Array>() }
  const trailers: { stdout?: SupervisorOutput.Trailer; stderr?: SupervisorOutput.Trailer } = {}
  let processGroup: number | undefined
  const started = Promise.withResolvers<number>()
  const ended = Promise.withResolvers<Ended>()
  const parsers = { stdout: SupervisorOutput.makeParser(nonce), stderr: SupervisorOutput.makeParser(nonce) }
  const isTold = (): boolean => trailers.stdout !== undefined && trailers.stderr !== undefined
  let exit: { readonly code: number | null; readonly signal: string | null } | undefined
  const finish = (): void => {
    if (exit === undefined) return
    ended.resolve({
      stdout: Buffer.concat([...output.stdout, ...parsers.stdout.end()]),
      stderr: Buffer.concat([...output.stderr, ...parsers.stderr.end()]),
      trailers: { stdout: trailers.stdout, stderr: trailers.stderr },
      processGroup,
      raw: { stdout: Buffer.concat(raw.stdout), stderr: Buffer.concat(raw.stderr) },
      ...exit,
      nonce
    })
  }
  const drained = { stdout: Promise.withResolvers<void>(), stderr: Promise.withResolvers<void>() }
  const read = (): void => {
    const streams = fifos === undefined
      ? { stdout: child.stdout, stderr: child.stderr }
      : { stdout: readable(fifos[1].reader), stderr: readable(fifos[2].reader) }
    for (const name of ["stdout", "stderr"] as const) {
      streams[name]?.on("data", (chunk: Buffer) => {
        raw[name].push(chunk)
        const parsed = parsers[name].push(chunk)
        output[name].push(...parsed.output.map((part) => part.slice()))
        if (parsed.processGroup !== undefined) {
          processGroup = parsed.processGroup
          started.resolve(processGroup)
        }
        if (parsed.trailer === undefined) return
        trailers[name] = parsed.trailer
        if (!isTold()) return
        // The acknowledgement.
        if (options.leaveOpen !== true) stdin.end()
        finish()
      })
      if (fifos !== undefined) streams[name]?.on("end", drained[name].resolve)
    }
  }
  if (options.readLater !== true) read()
  // The outputs end too, unless a process left behind holds them: then the trailers are what ends them.
  child.on("exit", (code, signal) => {
    exit = { code, signal }
    if (isTold()) finish()
    else if (fifos !== undefined) void Promise.all([drained.stdout.promise, drained.stderr.promise]).then(finish)
  })
  // That is of Node's own pipes.
  if (fifos === undefined) child.on("close", finish)
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
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stdin.write(bytes, (error) => error instanceof Error ? reject(error) : resolve())
      }),
    read,
    isUnread: (output) => {
      const pipe = child[output]
      return pipe === null || pipe.readableLength >= pipe.readableHighWaterMark
    },
    isTold
  }
}

/** Runs a command under the supervisor to its end. */
export const run = (inShell: Shell, command: ReadonlyArray<string>, options?: Options): Promise<Ended> =>
  start(inShell, command, options).ended

/** The processes of a group that still run, with their command lines. */
export const members = (of: number): ReadonlyArray<{ readonly pid: number; readonly argv: ReadonlyArray<string> }> =>
  processes().filter(({ group, state }) => group === of && state !== "Z").flatMap(({ pid }) => {
    try {
      return [{ pid, argv: readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").slice(0, -1) }]
    } catch {
      // It ended meanwhile.
      return []
    }
  })

/** Whether a process sleeps, and not because it waits for a child: nobody takes what it writes, or has what it reads. */
export const isStuck = (pid: number): boolean => {
  try {
    // A child that has ended is one until its parent knows.
    if (readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1") !== "") return false
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    return stat.startsWith("S", stat.lastIndexOf(")") + 2)
  } catch {
    // It has ended.
    return false
  }
}

/** Waits until something holds. The limit is only there to fail. */
export const until = async (holds: () => boolean, what: string): Promise<void> => {
  const limit = Date.now() + 20_000
  while (!holds()) {
    if (Date.now() > limit) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
