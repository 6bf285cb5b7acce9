/**
 * A child of this process: how it was started, and how it ended.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn as spawnChild, type SpawnOptions } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Notice from "./Notice.ts"

/** A signal that is sent here. */
export type Signal = "SIGTERM" | "SIGKILL"

/** A child, or what was to be one. */
export interface Child {
  /** Node's object; nothing where the kernel refused at once. */
  readonly process: ChildProcess | undefined
  /** Also the number of its group and session; nothing where it was not started. */
  readonly pid: number | undefined
  /** Why it was not started, such as `ENOENT`. Only for one without a number. */
  readonly failure: Effect.Effect<string>
  /** Its exit code, when it has ended: 128 and the signal's number if a signal ended it. */
  readonly exitCode: Effect.Effect<number>
  readonly hasEnded: () => boolean
  /** Sends a signal to a process, or by a negative number to a group, if the child has not ended. */
  readonly send: (target: number, signal: Signal) => void
}

/** How to start it. */
export interface Options {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly argv0?: string | undefined
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdio: ReadonlyArray<number | "ignore" | "pipe">
  /** Called when it has ended, before anybody learns of it. */
  readonly onEnd: () => void
}

// Descriptors of this process that its children would have too.
const inherited = new Set<number>()

/**
 * Keeps a descriptor from children that are started from now on: one that was opened without close-on-exec, as no module
 * of Node does. In its place they have one of `/dev/null`, since Node can close none for them.
 */
export const hide = (descriptor: number): void => {
  inherited.add(descriptor)
}

/** Forgets a descriptor; to be called when it is closed. */
export const unhide = (descriptor: number): void => {
  inherited.delete(descriptor)
}

const withHidden = (stdio: Options["stdio"], nothing: number | undefined): Options["stdio"] =>
  nothing === undefined ? stdio : Array.from(
    { length: Math.max(stdio.length, ...[...inherited].map((descriptor) => descriptor + 1)) },
    (_, i) => stdio[i] ?? (inherited.has(i) ? nothing : "ignore")
  )

const codeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 0 : Os.constants.signals[signal])

const unknownCode = "EUNKNOWN"

/** The code of a failed call, such as `ENOENT`. */
export const causeCode = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : unknownCode

// Some refusals Node throws, others it emits.
const spawn = (options: Options): ChildProcess | string => {
  const nothing = inherited.size === 0 ? undefined : Fs.openSync("/dev/null", "r+")
  const how: SpawnOptions = {
    argv0: options.argv0,
    cwd: options.cwd,
    env: options.env,
    // A session and a group of its own.
    detached: true,
    stdio: [...withHidden(options.stdio, nothing)]
  }
  try {
    return spawnChild(options.file, options.args, how)
  } catch (cause) {
    return causeCode(cause)
  } finally {
    if (nothing !== undefined) Fs.closeSync(nothing)
  }
}

/** Sends a signal to a process, or by a negative number to a group, if there is one. */
export const send = (target: number, signal: Signal): void => {
  try {
    process.kill(target, signal)
  } catch {
    // It has ended just now.
  }
}

/** Starts a child in a session and group of its own. */
export const start = (options: Options): Child => {
  const notice = Notice.make()
  const spawned = spawn(options)
  const child = typeof spawned === "string" ? undefined : spawned
  let failure = typeof spawned === "string" ? spawned : undefined
  let exitCode: number | undefined
  child?.on("error", (cause) => {
    failure = causeCode(cause)
    notice.notify()
  })
  child?.on("exit", (code, signal) => {
    exitCode = codeOf(code, signal)
    options.onEnd()
    notice.notify()
  })
  return {
    process: child,
    pid: child?.pid,
    failure: Effect.map(notice.until(() => failure !== undefined), () => failure ?? unknownCode),
    exitCode: Effect.map(notice.until(() => exitCode !== undefined), () => exitCode ?? 0),
    hasEnded: () => exitCode !== undefined,
    send: (target, signal) => {
      // Only a child that has not ended is sure to have its number still.
      if (exitCode === undefined) send(target, signal)
    }
  }
}
