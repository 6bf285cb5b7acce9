/**
 * The execs that a cluster has seen: how often their commands were started, and what their clients sent, and when.
 */

/** Something that a client sent. */
export interface Arrival {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly kind: "stdin" | "resize" | "end-of-stdin" | "ping" | "pong" | "close" | "ignored"
  /** Payload bytes. */
  readonly bytes: number
  /** Output that the server held and the connection had not taken yet, in bytes. */
  readonly backlog: number
  /** Whether the status had been written. */
  readonly afterStatus: boolean
}

/** One exec whose connection was accepted, or whose command was started. */
export interface ExecRecord {
  readonly id: string
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly command: ReadonlyArray<string>
  readonly user: string
  readonly transport: "websocket" | "spdy"
  /** The subprotocol that was agreed on. */
  readonly subprotocol: string
  /** How often the command was started: never, or once. */
  readonly starts: number
  readonly pid?: number | undefined
  /** The exit code of the command, when it has ended. */
  readonly exitCode?: number | undefined
  /** Whether the server has said how the command ended, or would have under a subprotocol that tells. */
  readonly hasStatus: boolean
  /** Whether the connection is open. */
  readonly isOpen: boolean
  /** What was done to it, see `Harm`. */
  readonly harm: ReadonlyArray<"hung" | "tail-lost" | "stdin-dropped">
  /** Payload bytes of stdin. */
  readonly stdinBytes: number
  /** Payload bytes of output that the connection took. */
  readonly outputBytes: number
  /** Bytes of any kind that came after the status was written. See `Harm.closesAtOnce`: those after the close reset it. */
  readonly lateBytes: number
  /** The latest arrivals, up to 1,000. */
  readonly arrivals: ReadonlyArray<Arrival>
}

/** Which execs. Texts must be equal; a command is matched by its words joined by spaces, or by a function. */
export interface ExecMatch {
  readonly namespace?: string | undefined
  readonly pod?: string | undefined
  readonly container?: string | undefined
  readonly command?: string | RegExp | ((command: ReadonlyArray<string>) => boolean) | undefined
}

/** What a match looks at. */
export interface ExecIdentity {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly command: ReadonlyArray<string>
}

/** Whether an exec is as a match says. */
export const matches = (exec: ExecIdentity, match: ExecMatch): boolean => {
  const { command } = match
  const text = exec.command.join(" ")
  const sameCommand = command === undefined ||
    (typeof command === "string"
      ? command === text
      : typeof command === "function"
      ? command(exec.command)
      : command.test(text))
  const keys = ["namespace", "pod", "container"] as const
  return sameCommand && keys.every((key) => match[key] === undefined || match[key] === exec[key])
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** The record of one exec, and how it is written. */
export interface Entry {
  readonly record: Mutable<ExecRecord>
  readonly arrive: (arrival: Arrival) => void
}

/** All records. */
export interface ExecRecords {
  readonly open: (identity: ExecIdentity & Pick<ExecRecord, "user" | "transport" | "subprotocol">) => Entry
  readonly find: (match: ExecMatch) => ReadonlyArray<ExecRecord>
}

const maxArrivals = 1_000
const maxRecords = 10_000

/** No records yet. The latest 10,000 are kept. */
export const make = (): ExecRecords => {
  let entries: Array<{ readonly record: Mutable<ExecRecord>; readonly arrivals: Array<Arrival> }> = []
  let next = 0
  return {
    open: (identity) => {
      const arrivals: Array<Arrival> = []
      const record: Mutable<ExecRecord> = {
        ...identity,
        id: `exec-${++next}`,
        starts: 0,
        hasStatus: false,
        isOpen: true,
        harm: [],
        stdinBytes: 0,
        outputBytes: 0,
        lateBytes: 0,
        arrivals
      }
      if (entries.length >= 2 * maxRecords) entries = entries.slice(-maxRecords)
      entries.push({ record, arrivals })
      return {
        record,
        arrive: (arrival) => {
          if (arrivals.length >= maxArrivals) arrivals.shift()
          arrivals.push(arrival)
        }
      }
    },
    find: (match) =>
      entries.filter(({ record }) => matches(record, match))
        .map(({ arrivals, record }) => ({ ...record, arrivals: arrivals.slice() }))
  }
}
