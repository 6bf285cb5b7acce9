/**
 * Terminals for local processes. Node can open none itself; `script`, which is on every Linux, runs a command on a new
 * one and copies between it and its own pipes, and `stty` sets the size of one from outside.
 */
import type { TerminalSize } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import * as Programs from "./Programs.ts"

/** The programs that it takes, as files of this machine. */
export interface Pty {
  readonly script: string
  readonly stty: string
  readonly tty: string
}

/** What this machine has; nothing where it cannot open terminals. */
export const find = (hostPath: string): Pty | undefined => {
  if (process.platform !== "linux") return undefined
  const [script, stty, tty] = ["script", "stty", "tty"].map((name) => Programs.search(name, hostPath))
  return script === undefined || stty === undefined || tty === undefined ? undefined : { script, stty, tty }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

/** The arguments of `script` for a command. It says on descriptor 3 who it is and where: a line of pid and device. */
export const wrap = (pty: Pty, file: string, args: ReadonlyArray<string>): ReadonlyArray<string> => [
  "-qefc",
  `echo "$$ $(${quote(pty.tty)})" >&3; exec 3>&-; exec ${[file, ...args].map(quote).join(" ")}`,
  "/dev/null"
]

/** Who runs on a terminal, and where. */
export interface Seat {
  readonly pid: number
  readonly device: string
}

/** Reads the line that the command says. */
export const parse = (line: string): Seat | undefined => {
  const found = /^(\d+) (\/dev\/\S+)\n/.exec(line)
  return found === null ? undefined : { pid: Number(found[1]), device: found[2] ?? "" }
}

/** Sets the size of a terminal; its processes are told. Nothing if it is gone. */
export const resize = ({ stty }: Pty, device: string, { height, width }: TerminalSize): Effect.Effect<void> =>
  Effect.callback((resume) => {
    execFile(stty, ["-F", device, "rows", String(height), "cols", String(width)], () => resume(Effect.void))
  })
