/**
 * Terminals for local processes. Node can open none itself, so it takes a package that can, `@lydell/node-pty`, or where
 * that is not installed or does not run, `script`, which is on every Linux.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Child from "./Child.ts"
import type { Fifos } from "./Fifos.ts"
import type { Command, LocalProcess, NotStarted } from "./LocalProcess.ts"
import * as PackagePty from "./PackagePty.ts"
import * as ScriptPty from "./ScriptPty.ts"

/** By what terminals are opened: the package `@lydell/node-pty`, or the program `script`. */
export type Way = "package" | "script"

/** Terminals on this machine. */
export interface Pty {
  readonly way: Way
  /**
   * Starts a process on a terminal of its own, as `LocalProcess.start` does without one: everything it writes is on
   * stdout, and its stdin has no end.
   */
  readonly start: (
    command: Command,
    fifos: Fifos
  ) => Effect.Effect<LocalProcess | NotStarted, never, Scope.Scope>
}

/** What to do where there are none, for a message. */
export const advice = "install the package @lydell/node-pty, or on Linux the program script"

// What runs the command on the terminal would say otherwise, in its own words and there, that it cannot.
const whyNot = ({ file }: Command): string | undefined => {
  try {
    Fs.accessSync(file, Fs.constants.X_OK)
    return Fs.statSync(file).isFile() ? undefined : "EACCES"
  } catch (cause) {
    return Child.causeCode(cause)
  }
}

const make = (way: Way, start: Pty["start"]): Pty => ({
  way,
  start: (command, fifos) =>
    Effect.suspend(() => {
      const code = whyNot(command)
      return code === undefined ? start(command, fifos) : Effect.succeed<NotStarted>({ _tag: "NotStarted", code })
    })
})

const byPackage = Effect.map(
  PackagePty.load,
  (opener) => opener === undefined ? undefined : make("package", (command) => PackagePty.start(opener, command))
)

const byScript = (hostPath: string): Effect.Effect<Pty | undefined> =>
  Effect.sync(() => {
    const programs = ScriptPty.find(hostPath)
    return programs === undefined
      ? undefined
      : make("script", (command, fifos) => ScriptPty.start(programs, command, fifos))
  })

/** What this machine has; nothing where it cannot open terminals. The package comes first, unless a way is given. */
export const find = (hostPath: string, way?: Way): Effect.Effect<Pty | undefined> => {
  if (way === "package") return byPackage
  if (way === "script") return byScript(hostPath)
  return Effect.filterOrElse(byPackage, (pty) => pty !== undefined, () => byScript(hostPath))
}
