/**
 * What the driver, the server and the measured programs tell each other.
 */

/** One measurement: what a client is to do, passed to its process as JSON. */
export interface Work {
  readonly kind: Kind
  /** The server's URL, plain or TLS. */
  readonly url: string
  /** PEM text; absent for plain. */
  readonly ca?: string | undefined
  /** For clients that are programs of their own. */
  readonly kubeconfig: string
  /** The form of the client: `bare`, `null`; what it means is the client's. */
  readonly variant?: string | undefined
  readonly bytes: number
  /** Payload of the server's messages, channel byte included. */
  readonly messageBytes: number
  /** Bytes a second that the server takes of stdin; 0 is as fast as it can. */
  readonly rate: number
  readonly count: number
  readonly namespace: string
  readonly stallMillis: number
  /** Hashes the bytes instead of timing them. */
  readonly check: boolean
}

/** What is measured. */
export type Kind = "stdout" | "stdin" | "stalled" | "roundTrips" | "noops" | "lists" | "cold"

/** What one process measured. Times in milliseconds, memory in bytes. */
export interface Report {
  /** Of the work alone. Absent for a program that cannot tell when its work began: then the server's clock says it. */
  readonly wallMillis?: number | undefined
  /** When the work ended, in milliseconds since 1970. */
  readonly endedAt: number
  readonly cpuUserMillis?: number | undefined
  readonly cpuSystemMillis?: number | undefined
  /** Resident memory after the warm-up, and the most during the work. */
  readonly rssBefore?: number | undefined
  readonly rssPeak?: number | undefined
  /** Bytes that went through, as this side counted them. */
  readonly bytes: number
  /** SHA-256 of what came, in hexadecimal, when it was asked for. */
  readonly sha256?: string | undefined
  /** Single times of repeated work. */
  readonly laps?: ReadonlyArray<number> | undefined
  readonly version?: string | undefined
}

/** What the server saw of one exec. Moments in milliseconds since 1970. */
export interface ExecRecord {
  readonly command: string
  readonly protocol: string
  readonly supervised: boolean
  readonly openedAt: number
  readonly closedAt: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly sha256In?: string | undefined
}

/** What the server saw since it was asked last. */
export interface ServerRecord {
  /** Processor time of the server, to tell what it limits. */
  readonly cpuMillis: number
  readonly connections: number
  readonly requests: number
  readonly execs: ReadonlyArray<ExecRecord>
}

/** Where the server is, once it listens. */
export interface Ready {
  readonly plainPort: number
  readonly tlsPort: number
}

/** The commands that the server's pod knows. The first word names them. */
export const Command = {
  /** `out BYTES MESSAGE_BYTES`: writes the pattern, in whole blocks. */
  Out: "out",
  /** `in RATE HASH`: reads stdin to its end, so many bytes a second (0: all it can), and writes how many there were. */
  In: "in",
  /** Writes what it reads, until the end of stdin. */
  Echo: "echo",
  Noop: "true"
} as const
