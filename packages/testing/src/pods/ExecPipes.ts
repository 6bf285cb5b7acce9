/**
 * What connects an exec's connection with what it runs: the pipes between them, and word of the client's leaving. Either
 * side can be replaced: the session by a script, the process by a function.
 */
import type { TerminalSize } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as BackendPipe from "./BackendPipe.ts"
import type { Harm } from "./Harm.ts"
import * as Notice from "./Notice.ts"
import * as StdinPipe from "./StdinPipe.ts"

/** The command ran, and ended with this code. */
export interface Exited {
  readonly _tag: "Exited"
  readonly code: number
}

/** The runtime failed; mostly, the command was not started. */
export interface Failed {
  readonly _tag: "Failed"
  /** Its words. */
  readonly message: string
}

/** The kubelet, or somebody on the way to it, refused. */
export interface Refused {
  readonly _tag: "Refused"
  readonly message: string
}

/** How a command ended. */
export type End = Exited | Failed | Refused

/** How the client left. */
export interface Departure {
  readonly killsCommand: boolean
  /** What becomes of output that the command still writes. */
  readonly output: "drain" | "block"
}

/** The pipes of one exec. Whoever changes one calls `notice.notify`. */
export interface ExecPipes {
  readonly stdin: StdinPipe.StdinPipe
  readonly output: BackendPipe.BackendPipe<End>
  readonly notice: Notice.Notice
  /** Tells the command that its client has left: stdin ends. */
  readonly leave: (departure: Departure) => void
  readonly departure: () => Departure | undefined
  /** The client's terminal has this size now. */
  readonly resize: (size: TerminalSize) => void
  readonly size: () => TerminalSize | undefined
}

/** How much the pipes hold, in bytes. */
export interface Sizes {
  /** In each direction, between the client's connection and the runtime: about 4 MiB. */
  readonly backendBufferBytes: number
  /**
   * Stdin that the runtime has taken and the command has not read: 192 KiB, a third of it the command's own pipe, whose
   * size is the system's.
   */
  readonly stdinPipeBytes: number
}

const commandPipeBytes = 64 * 1024

/** The pipes of one exec. */
export const make = (sizes: Sizes): ExecPipes => {
  const stdin = StdinPipe.make({
    receivedBytes: sizes.backendBufferBytes,
    copiedBytes: Math.max(sizes.stdinPipeBytes - commandPipeBytes, 32 * 1024)
  })
  const output = BackendPipe.make<End>(sizes.backendBufferBytes)
  const notice = Notice.make()
  let departure: Departure | undefined
  let size: TerminalSize | undefined
  return {
    stdin,
    output,
    notice,
    leave: (how) => {
      if (departure !== undefined) return
      departure = how
      stdin.end()
      output.abandon(how.output)
      notice.notify()
    },
    departure: () => departure,
    resize: (next) => {
      size = next
      notice.notify()
    },
    size: () => size
  }
}

/** What the client's leaving does. */
export const departureOf = (
  harm: Harm,
  facts: { readonly isTranslated: boolean; readonly how: "closed" | "lost" }
): Departure => ({
  killsCommand: !harm.leavesCommands || facts.how === "lost" && !facts.isTranslated && harm.lossKills,
  output: facts.isTranslated && facts.how === "closed" ? "drain" : "block"
})
