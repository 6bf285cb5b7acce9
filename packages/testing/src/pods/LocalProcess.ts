/**
 * A process on this machine, in a session and group of its own, with real pipes.
 *
 * Its scope kills the group and closes the pipes; it does not wait.
 */
import type { TerminalSize } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import type { Readable, Writable } from "node:stream"
import * as Child from "./Child.ts"
import type { Fifos } from "./Fifos.ts"
import * as Notice from "./Notice.ts"

/** What to run. */
export interface Command {
  /** The file. */
  readonly file: string
  readonly argv: readonly [string, ...ReadonlyArray<string>]
  /** An existing directory. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Which streams are pipes; the others are `/dev/null`. */
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  /** Whether descriptor 3 is a pipe to write to. */
  readonly control?: boolean | undefined
}

/** Bytes from a process. */
export interface Source {
  /** The next bytes; nothing at the end, when everybody has closed the writing side. */
  readonly pull: Effect.Effect<Uint8Array | undefined>
}

/** Bytes to a process. */
export interface Sink {
  /** Succeeds when the pipe has taken the bytes: with false if the process has closed its end. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<boolean>
  /** The end of stdin. */
  readonly end: Effect.Effect<void>
}

/** A process that was started. Its pipes are there as they were asked for. */
export interface LocalProcess {
  readonly _tag: "Started"
  /** Also the number of its group and session. */
  readonly pid: number
  readonly stdin: Sink | undefined
  readonly stdout: Source | undefined
  readonly stderr: Source | undefined
  /** What it says on descriptor 3, if that was asked for. */
  readonly control?: Source | undefined
  /** Its exit code, when it has ended: 128 and the signal's number if a signal ended it. */
  readonly exitCode: Effect.Effect<number>
  readonly hasEnded: () => boolean
  /** Sends a signal to it alone, if it has not ended. */
  readonly signal: (signal: Child.Signal) => void
  /** Kills it and all of its group, if it has not ended. */
  readonly killGroup: () => void
  /** Sets the size of its terminal, if it has one. */
  readonly resize: (size: TerminalSize) => Effect.Effect<void>
}

/** The kernel would not run the file. */
export interface NotStarted {
  readonly _tag: "NotStarted"
  /** Such as `ENOENT`, `EACCES`, `E2BIG`. */
  readonly code: string
}

interface Pipes {
  /** The child's ends, for `stdio`. */
  readonly stdio: ReadonlyArray<number | "ignore" | "pipe">
  /** To be called once the child has its ends. */
  readonly closeChildEnds: () => void
  /** To be called after the end of stdin, and gives what ends it. */
  readonly afterStdin: () => () => void
  readonly remove: () => void
  readonly stdin: (child: ChildProcess | undefined) => Writable | null | undefined
  readonly stdout: (child: ChildProcess | undefined) => Readable | null | undefined
  readonly stderr: (child: ChildProcess | undefined) => Readable | null | undefined
}

const { O_NONBLOCK, O_RDONLY, O_WRONLY } = Fs.constants

const wanted = (command: Command): ReadonlyArray<boolean> => [command.stdin, command.stdout, command.stderr]

const socketPipes = (command: Command): Pipes => ({
  stdio: wanted(command).map((isWanted) => (isWanted ? "pipe" : "ignore")),
  closeChildEnds: () => {},
  afterStdin: () => () => {},
  remove: () => {},
  stdin: (child) => child?.stdin,
  stdout: (child) => child?.stdout,
  stderr: (child) => child?.stderr
})

// Opening one end of a named pipe waits for the other, so ours comes first and does not wait; the child's must not be
// non-blocking, since programs do not expect that of a pipe.
const namedPipes = (command: Command, paths: ReadonlyArray<string>): Pipes => {
  const childEnds: Array<number> = []
  const opened = wanted(command).map((isWanted, i) => {
    const path = paths[i]
    if (!isWanted || path === undefined) return undefined
    if (i === 0) {
      const opener = Fs.openSync(path, O_RDONLY | O_NONBLOCK)
      const ours = Fs.openSync(path, O_WRONLY | O_NONBLOCK)
      const theirs = Fs.openSync(path, O_RDONLY)
      Fs.closeSync(opener)
      childEnds.push(theirs)
      return { ours, theirs }
    }
    const ours = Fs.openSync(path, O_RDONLY | O_NONBLOCK)
    const theirs = Fs.openSync(path, O_WRONLY)
    childEnds.push(theirs)
    return { ours, theirs }
  })
  const [stdinPath, ...others] = paths
  for (const path of others) Fs.unlinkSync(path)
  const source = (i: number) => (): Readable | undefined => {
    const ends = opened[i]
    return ends === undefined ? undefined : new Net.Socket({ fd: ends.ours, readable: true, writable: false })
  }
  return {
    stdio: opened.map((ends) => ends?.theirs ?? "ignore"),
    closeChildEnds: () => {
      for (const end of childEnds) Fs.closeSync(end)
    },
    afterStdin: () => (stdinPath === undefined ? () => {} : letIn(stdinPath)),
    remove: () => {
      if (stdinPath !== undefined) Fs.rmSync(stdinPath, { force: true })
    },
    stdin: () => {
      const ends = opened[0]
      return ends === undefined ? undefined : new Net.Socket({ fd: ends.ours, readable: false, writable: true })
    },
    stdout: source(1),
    stderr: source(2)
  }
}

// Who opens `/dev/stdin` when nobody writes to it any more would wait for a writer, because the pipe has a name; with an
// anonymous one they would find its end. So a writer looks in now and then.
const letIn = (path: string): () => void => {
  let timer: NodeJS.Timeout | undefined
  const lookIn = (millis: number): void => {
    try {
      Fs.closeSync(Fs.openSync(path, O_WRONLY | O_NONBLOCK))
    } catch {
      // Nobody has it open for reading.
    }
    timer = setTimeout(lookIn, millis, Math.min(millis * 2, maxLookInMillis))
    timer.unref()
  }
  lookIn(1)
  return () => clearTimeout(timer)
}

const maxLookInMillis = 200

const toSource = (stream: Readable): Source => {
  const notice = Notice.make()
  let isEnded = false
  let isReadable = false
  const readable = (): void => {
    isReadable = true
    notice.notify()
  }
  const finish = (): void => {
    isEnded = true
    notice.notify()
  }
  stream.on("readable", readable)
  stream.on("end", finish)
  stream.on("error", finish)
  stream.on("close", finish)
  const pull: Source["pull"] = Effect.suspend(() => {
    // Without an encoding, `read` gives buffers.
    const chunk = stream.destroyed ? null : stream.read() as Uint8Array | null
    if (chunk !== null) return Effect.succeed(chunk)
    if (isEnded) return Effect.undefined
    isReadable = false
    return Effect.andThen(notice.until(() => isReadable || isEnded), pull)
  })
  return { pull }
}

const toSink = (stream: Writable, onEnd: () => void): Sink => {
  stream.on("error", () => {})
  stream.on("close", onEnd)
  return {
    write: (bytes) =>
      Effect.callback((resume) => {
        if (stream.destroyed) return resume(Effect.succeed(false))
        stream.write(bytes, (cause) => resume(Effect.succeed(cause === null || cause === undefined)))
      }),
    end: Effect.sync(() => {
      if (!stream.destroyed) stream.end()
    })
  }
}

/** Starts a process. */
export const start = Effect.fnUntraced(function*(
  command: Command,
  fifos: Fifos
): Effect.fn.Return<LocalProcess | NotStarted, never, Scope.Scope> {
  const paths = yield* fifos.take(3)
  const launched = yield* Effect.acquireRelease(
    Effect.sync(() => launch(command, paths)),
    ({ destroy }) => Effect.sync(destroy)
  )
  return yield* launched.outcome
})

interface Launched {
  readonly destroy: () => void
  readonly outcome: Effect.Effect<LocalProcess | NotStarted>
}

const launch = (command: Command, paths: ReadonlyArray<string> | undefined): Launched => {
  const pipes = paths === undefined ? socketPipes(command) : namedPipes(command, paths)
  const [argv0, ...args] = command.argv
  let endOfStdin = (): void => {}
  const child = Child.start({
    file: command.file,
    args,
    argv0,
    cwd: command.cwd,
    env: command.env,
    stdio: [...pipes.stdio, ...(command.control === true ? ["pipe" as const] : [])],
    onEnd: () => endOfStdin()
  })
  pipes.closeChildEnds()
  const { pid, process } = child
  const [stdin, stdout, stderr] = [pipes.stdin(process), pipes.stdout(process), pipes.stderr(process)]
  const control = process?.stdio[3]
  const afterStdin = (): void => {
    if (!child.hasEnded() && pid !== undefined) endOfStdin = pipes.afterStdin()
  }
  const killGroup = (pid: number): void => child.send(-pid, "SIGKILL")
  const destroy = (): void => {
    if (pid !== undefined) killGroup(pid)
    for (const stream of [stdin, stdout, stderr, control]) stream?.destroy()
    endOfStdin()
    pipes.remove()
  }
  if (pid === undefined) {
    const outcome = Effect.map(child.failure, (code): NotStarted => ({ _tag: "NotStarted", code }))
    return { destroy, outcome }
  }
  const started: LocalProcess = {
    _tag: "Started",
    pid,
    stdin: stdin === null || stdin === undefined ? undefined : toSink(stdin, afterStdin),
    stdout: stdout === null || stdout === undefined ? undefined : toSource(stdout),
    stderr: stderr === null || stderr === undefined ? undefined : toSource(stderr),
    control: control instanceof Net.Socket ? toSource(control) : undefined,
    exitCode: child.exitCode,
    hasEnded: child.hasEnded,
    signal: (signal) => child.send(pid, signal),
    killGroup: () => killGroup(pid),
    resize: () => Effect.void
  }
  return { destroy, outcome: Effect.succeed(started) }
}
