/**
 * What containers and execs run with: the machine, and what is known of its processes.
 */
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Fifos } from "./Fifos.ts"
import type { Images } from "./Images.ts"
import type { ProcessTable } from "./ProcessTable.ts"
import type { Pty } from "./Pty.ts"

/** The machine of one cluster. */
export interface Runtime {
  /** The cluster's own directory. */
  readonly root: string
  readonly fifos: Fifos
  readonly table: ProcessTable
  readonly images: Images
  /** Where the host finds its programs. */
  readonly hostPath: string
  /** How terminals are opened, where they can be; looked for when one is wanted. */
  readonly pty: Effect.Effect<Pty | undefined>
}

/** A container that runs: where its commands run, and with what. */
export interface RunningContainer {
  readonly namespace: string
  readonly pod: string
  readonly name: string
  /** 64 hexadecimal digits. */
  readonly id: string
  /** Its own directory. */
  readonly home: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly programs: ReadonlyArray<string> | undefined
  /** Whether its own command still runs. */
  readonly isRunning: () => boolean
}

/** A random number in hexadecimal digits, as runtimes name things. */
export const randomId = (bytes = 32): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex")

/** Waits on the machine's clock: what is waited for happens there, whatever clock the program runs on. */
export const pause = (millis: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })

const killPauseMillis = 5
const killAttempts = 400

/** Kills what runs in a container's directory, or everything, and waits until nothing does. */
export const killAll = (table: ProcessTable, home?: string, attempts = killAttempts): Effect.Effect<void> =>
  Effect.suspend(() =>
    table.kill(home) === 0 || attempts === 0
      ? Effect.void
      : Effect.andThen(pause(killPauseMillis), killAll(table, home, attempts - 1))
  )

/** A new directory. */
export const makeDirectory = (path: string): Effect.Effect<void> =>
  Effect.sync(() => {
    Fs.rmSync(path, { recursive: true, force: true })
    Fs.mkdirSync(path, { recursive: true })
  })

/** Removes a directory and all in it. */
export const removeDirectory = (path: string): Effect.Effect<void> =>
  Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true, maxRetries: 3 }))

/** Makes a directory of links to programs. */
export const linkPrograms = (directory: string, files: ReadonlyMap<string, string>): Effect.Effect<void> =>
  Effect.andThen(
    makeDirectory(directory),
    Effect.sync(() => {
      for (const [name, file] of files) Fs.symlinkSync(file, Path.join(directory, name))
    })
  )
