/**
 * Terminals by `script`, which runs a command on a new one and copies between it and its own pipes, and `stty`, which sets
 * the size of one from outside. Input that the command does not read waits in the memory of `script`, however much it is.
 */
import type { TerminalSize } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import * as Child from "./Child.ts"
import type { Fifos } from "./Fifos.ts"
import * as LocalProcess from "./LocalProcess.ts"
import * as Notice from "./Notice.ts"
import * as Programs from "./Programs.ts"
import { exactly } from "./TerminalCommand.ts"

/** The programs that it takes, as files of this machine. */
export interface ScriptPrograms {
  readonly script: string
  readonly stty: string
  readonly tty: string
}

/** What this machine has of them; nothing where it cannot open terminals so. */
export const find = (hostPath: string): ScriptPrograms | undefined => {
  // Elsewhere `script` takes other arguments.
  if (process.platform !== "linux") return undefined
  const [script, stty, tty] = ["script", "stty", "tty"].map((name) => Programs.search(name, hostPath))
  return script === undefined || stty === undefined || tty === undefined ? undefined : { script, stty, tty }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

// On descriptor 3 the command says who it is and where: a line of pid and device.
const wrap = (tty: string, words: ReadonlyArray<string>): ReadonlyArray<string> => [
  "-qefc",
  `echo "$$ $(${quote(tty)})" >&3; exec 3>&-; exec ${words.map(quote).join(" ")}`,
  "/dev/null"
]

// Who runs on a terminal, and where.
interface Seat {
  readonly pid: number
  readonly device: string
}

const parse = (line: string): Seat | undefined => {
  const found = /^(\d+) (\/dev\/\S+)\n/.exec(line)
  return found === null ? undefined : { pid: Number(found[1]), device: found[2] ?? "" }
}

// The processes of the terminal are told. Nothing if it is gone.
const resize = (stty: string, device: string, { height, width }: TerminalSize): Effect.Effect<void> =>
  Effect.callback((resume) => {
    execFile(stty, ["-F", device, "rows", String(height), "cols", String(width)], () => resume(Effect.void))
  })

/** Starts a process on a terminal. */
export const start = Effect.fnUntraced(function*(
  { script, stty, tty }: ScriptPrograms,
  command: LocalProcess.Command,
  fifos: Fifos
): Effect.fn.Return<LocalProcess.LocalProcess | LocalProcess.NotStarted, never, Scope.Scope> {
  const started = yield* LocalProcess.start({
    ...command,
    file: script,
    argv: ["script", ...wrap(tty, exactly(command))],
    // To one without, `script` types ^D.
    stdin: true,
    stderr: false,
    control: true
  }, fifos)
  if (started._tag === "NotStarted") return started
  const notice = Notice.make()
  const { stdin } = started
  let seat: Seat | undefined
  // What is written before its device is known goes to the terminal all the same; only its size has to wait.
  const readSeat = Effect.fnUntraced(function*(control: LocalProcess.Source): Effect.fn.Return<void> {
    let said = ""
    while (seat === undefined) {
      const bytes = yield* control.pull
      if (bytes === undefined) return
      said += new TextDecoder().decode(bytes)
      seat = parse(said)
    }
    notice.notify()
  })
  // Who runs on a terminal leads a session of its own.
  const send = (target: number, signal: Child.Signal): void => {
    if (!started.hasEnded()) Child.send(target, signal)
  }
  const killSession = (): void => {
    if (seat !== undefined) send(-seat.pid, "SIGKILL")
  }
  yield* Effect.addFinalizer(() => Effect.sync(killSession))
  if (started.control !== undefined) yield* Effect.forkScoped(readSeat(started.control))
  const ended = Effect.andThen(started.exitCode, Effect.undefined)
  return {
    ...started,
    stdin: stdin === undefined || !command.stdin ? undefined : { ...stdin, end: Effect.void },
    signal: (signal) => send(seat?.pid ?? started.pid, signal),
    killGroup: () => {
      killSession()
      started.killGroup()
    },
    resize: (size) =>
      Effect.raceFirst(Effect.map(notice.until(() => seat !== undefined), () => seat), ended).pipe(
        Effect.flatMap((seat) => seat === undefined ? Effect.void : resize(stty, seat.device, size))
      )
  }
})
