/**
 * What the driver, the server and the measured programs tell each other.
 */
import type { Rotations } from "./Rotation.ts"

/** One measurement: what a client is to do, passed to its process as JSON. */
export interface Work {
  readonly kind: Kind
  /** The server's URL, plain or TLS. */
  readonly url: string
  /** PEM text; absent for plain. */
  readonly ca?: string | undefined
  /** For clients that are programs of their own, and for all where the server is a cluster. */
  readonly kubeconfig: string
  /** The context in it. */
  readonly context: string
  /** What the commands run in, and what connections are forwarded to. */
  readonly pod: Place
  /** Where the pod listens; `NaN` where nothing does. */
  readonly ports: Ports
  /** Whether the pod runs real programs, and not the benchmark server's words. */
  readonly real: boolean
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
export type Kind =
  | "stdout"
  | "stdin"
  | "stalled"
  | "roundTrips"
  | "noops"
  | "lists"
  | "cold"
  | "duplex"
  | "concurrent"
  | "forwardDown"
  | "forwardUp"
  | "forwardConnects"
  | "forwardStalled"

/** A container. */
export interface Place {
  readonly namespace: string
  readonly name: string
  readonly container: string
}

/** The ports of the pod. */
export interface Ports {
  /** Gives back the first byte, and ends. */
  readonly ping: number
  /** Does what the first line of a connection says; see `Words`. */
  readonly lab: number
}

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
  /** The rate of a connection beside one that is not read, as a part of its rate alone. */
  readonly activeShare?: number | undefined
  /** How resident memory went over the laps: the slope of a straight line through it. */
  readonly rssPerLap?: number | undefined
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

/** What the server saw since it was asked last. What a cluster does not tell is absent. */
export interface ServerRecord {
  /** Processor time of the server, to tell what it limits. */
  readonly cpuMillis?: number | undefined
  readonly connections?: number | undefined
  readonly requests?: number | undefined
  readonly execs: ReadonlyArray<ExecRecord>
  /** Since it was told to change tokens. */
  readonly rotations?: Rotations | undefined
}

/** What a test cluster tells, once its pod runs. */
export interface ClusterReady {
  readonly kubeconfig: string
  readonly pod: Place
  readonly ports: Ports
}

/** Where the benchmark server is, once it listens. */
export interface Ready {
  readonly plainPort: number
  readonly tlsPort: number
}
