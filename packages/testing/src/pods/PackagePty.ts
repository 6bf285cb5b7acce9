/**
 * Terminals by the package `@lydell/node-pty`, an optional peer.
 *
 * Only its `open` is used, and `resize`: the process is Node's own. Its `spawn` drops the output that is not read 200 ms
 * after the end of the process, adds variables to the environment, and stops this process while the terminal takes no
 * input. Its declarations leave `open` out, hence those here.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import type { Readable } from "node:stream"
import * as Child from "./Child.ts"
import type { Command, LocalProcess, NotStarted, Sink, Source } from "./LocalProcess.ts"
import * as Notice from "./Notice.ts"
import { pause } from "./Runtime.ts"
import { exactly } from "./TerminalCommand.ts"

// A terminal that nobody uses yet.
interface Terminal {
  /** Our end of it. It flows. */
  readonly master: Readable
  /** The other end, open in this process. */
  readonly slave: Readable
  /** The descriptor of our end. It does not wait. */
  readonly fd: number
  /** The device. */
  readonly ptsName: string
  readonly resize: (columns: number, rows: number) => void
}

/** What opens terminals. */
export interface Opener {
  readonly open: (options: { readonly cols: number; readonly rows: number; readonly encoding: null }) => Terminal
}

const isOpener = (module: object): module is Opener => "open" in module && typeof module.open === "function"

/** The package; nothing where it is not installed or does not run. */
export const load: Effect.Effect<Opener | undefined> = Effect.suspend(() => {
  // On Windows its terminals are others, and in Deno descriptors are.
  if (process.platform === "win32" || "Deno" in globalThis) return Effect.undefined
  return Effect.tryPromise(() => import("@lydell/node-pty")).pipe(
    Effect.map((module) => isOpener(module) ? module : undefined),
    Effect.orElseSucceed(() => undefined)
  )
})

// A terminal has no size before its client says one. The package takes 0 for its own default, and the kernel's 16 bits
// hold this as 0.
const noSize = 0x1_0000

// Output that waits for its reader: the terminal is not read while there is more.
const maxWaitingBytes = 64 * 1024

// Of what a process leaves behind; kernels hold less.
const maxRestBytes = 256 * 1024
const readBytes = 16 * 1024

const maxRetryMillis = 16

const { O_NOCTTY, O_RDWR } = Fs.constants

// No bytes are there for now, or never will be.
const readNow = (descriptor: number, bytes: Uint8Array): number => {
  try {
    return Fs.readSync(descriptor, bytes)
  } catch {
    return 0
  }
}

// Says how many bytes were taken; nothing if none ever will be.
const writeNow = (descriptor: number, bytes: Uint8Array): number | undefined => {
  try {
    return Fs.writeSync(descriptor, bytes)
  } catch (cause) {
    return Child.causeCode(cause) === "EAGAIN" ? 0 : undefined
  }
}

// Those that this process has of a file. Node opens a device again for a stream on it, so what the package opened stays
// when the stream is destroyed, and the package does not say its number.
const descriptorsOf = (path: string): ReadonlyArray<number> => {
  const { dev, ino } = Fs.statSync(path)
  return Fs.readdirSync("/dev/fd").map(Number).filter((descriptor) => {
    try {
      const stats = Fs.fstatSync(descriptor)
      return stats.dev === dev && stats.ino === ino
    } catch {
      // The descriptor that the folder itself was read by.
      return false
    }
  })
}

/** Our end of a terminal. */
interface Opened {
  readonly device: string
  /** The descriptor of its other end. */
  readonly slave: number
  readonly source: Source
  readonly sink: Sink
  readonly resize: LocalProcess["resize"]
  /** The command has ended: what it has written is read, and the terminal closed. */
  readonly finish: () => void
  readonly close: () => void
}

// A terminal that is open at both ends, and the descriptor of the other: it stays open until the command has ended,
// because others may let go of it before.
const openBoth = (opener: Opener): { readonly terminal: Terminal; readonly slave: number } => {
  const terminal = opener.open({ cols: noSize, rows: noSize, encoding: null })
  try {
    const slave = Fs.openSync(terminal.ptsName, O_RDWR | O_NOCTTY)
    // After this turn it would read.
    terminal.slave.destroy()
    for (const descriptor of descriptorsOf(terminal.ptsName)) if (descriptor !== slave) Fs.closeSync(descriptor)
    return { terminal, slave }
  } catch (cause) {
    terminal.slave.destroy()
    terminal.master.destroy()
    throw cause
  }
}

const open = (opener: Opener, isRead: boolean): Opened => {
  const { slave, terminal } = openBoth(opener)
  const { fd, master } = terminal
  // Children would have it otherwise, the terminal's own too, and it would not end with us.
  Child.hide(fd)
  const notice = Notice.make()
  let waiting: Array<Uint8Array> = []
  let size = 0
  let isClosed = false
  const isOpen = (): boolean => !isClosed && !master.destroyed
  const close = (): void => {
    if (isClosed) return
    isClosed = true
    Child.unhide(fd)
    master.destroy()
    Fs.closeSync(slave)
    notice.notify()
  }
  const take = (chunk: Uint8Array): void => {
    if (!isRead) return
    waiting.push(chunk)
    size += chunk.length
    notice.notify()
  }
  master.on("data", (chunk: Uint8Array) => {
    take(chunk)
    if (size >= maxWaitingBytes) master.pause()
  })
  master.on("error", close)

  // All of it is there: the kernel hands over what was written before it says that there is no more.
  const readRest = (): void => {
    // What the stream holds comes as data.
    while (master.read() !== null);
    for (let left = maxRestBytes; left > 0;) {
      const bytes = Buffer.allocUnsafe(readBytes)
      const count = readNow(fd, bytes)
      if (count === 0) return
      take(bytes.subarray(0, count))
      left -= count
    }
  }
  const pull: Source["pull"] = Effect.suspend(() => {
    if (size > 0) {
      const bytes = Buffer.concat(waiting)
      waiting = []
      size = 0
      if (isOpen()) master.resume()
      return Effect.succeed(bytes)
    }
    if (isClosed) return Effect.undefined
    return Effect.andThen(notice.until(() => size > 0 || isClosed), pull)
  })
  // Nobody says when the terminal takes more.
  const write = (bytes: Uint8Array, retryMillis = 1): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      const count = isOpen() ? writeNow(fd, bytes) : undefined
      if (count === undefined) return Effect.succeed(false)
      if (count === bytes.length) return Effect.succeed(true)
      return count > 0
        ? write(bytes.subarray(count))
        : Effect.andThen(pause(retryMillis), write(bytes, Math.min(retryMillis * 2, maxRetryMillis)))
    })

  return {
    device: terminal.ptsName,
    slave,
    source: { pull },
    sink: { write: (bytes) => write(bytes), end: Effect.void },
    resize: ({ height, width }) =>
      Effect.sync(() => {
        if (isOpen()) terminal.resize(width === 0 ? noSize : width, height === 0 ? noSize : height)
      }),
    finish: () => {
      if (isOpen()) readRest()
      close()
    },
    close
  }
}

// A leader of a session gets the terminal that it opens for its own. Then the shell makes way for the command.
const script = ": <>\"$0\" && exec \"$@\""

interface Launched {
  readonly destroy: () => void
  readonly outcome: Effect.Effect<LocalProcess | NotStarted>
}

const notStarted = (code: string): NotStarted => ({ _tag: "NotStarted", code })

const launch = (opener: Opener, command: Command): Launched => {
  let opened: Opened
  try {
    opened = open(opener, command.stdout)
  } catch (cause) {
    return { destroy: () => {}, outcome: Effect.succeed(notStarted(Child.causeCode(cause))) }
  }
  const { device, slave } = opened
  const child = Child.start({
    file: "/bin/sh",
    args: ["-c", script, device, ...exactly(command)],
    cwd: command.cwd,
    env: command.env,
    stdio: [slave, slave, slave],
    onEnd: opened.finish
  })
  const { pid } = child
  if (pid === undefined) {
    return { destroy: opened.close, outcome: Effect.map(child.failure, notStarted) }
  }
  const killGroup = (): void => child.send(-pid, "SIGKILL")
  const started: LocalProcess = {
    _tag: "Started",
    pid,
    stdin: command.stdin ? opened.sink : undefined,
    stdout: command.stdout ? opened.source : undefined,
    stderr: undefined,
    exitCode: child.exitCode,
    hasEnded: child.hasEnded,
    signal: (signal) => child.send(pid, signal),
    killGroup,
    resize: opened.resize
  }
  return {
    destroy: () => {
      killGroup()
      opened.close()
    },
    outcome: Effect.succeed(started)
  }
}

/** Starts a process on a terminal. */
export const start = Effect.fnUntraced(function*(
  opener: Opener,
  command: Command
): Effect.fn.Return<LocalProcess | NotStarted, never, Scope.Scope> {
  const launched = yield* Effect.acquireRelease(
    Effect.sync(() => launch(opener, command)),
    ({ destroy }) => Effect.sync(destroy)
  )
  return yield* launched.outcome
})
