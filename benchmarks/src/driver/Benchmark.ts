/**
 * What a benchmark is: what is run side by side, and what is to be reached.
 */
import type { Work } from "../shared/Work.ts"
import type { Measured } from "./Run.ts"

/** One of those that are compared. */
export interface Entry {
  readonly label: string
  /** The compiled program below `dist`, without its extension. */
  readonly program: string
  /** What runs it; Node unless told. */
  readonly runtime?: "deno" | undefined
  readonly variant?: string | undefined
  /** Fewer repetitions for what takes long each time. */
  readonly count?: number | undefined
  /** Less data for what takes long. */
  readonly bytes?: number | undefined
  /** The program's arguments, where it takes no work. */
  readonly arguments?: ReadonlyArray<string> | undefined
}

interface OfOne {
  /** The label of the entry that is to reach it; the first one unless told. */
  readonly of?: string | undefined
}

/** What is to be reached. */
export type Target =
  /**
   * How many times as fast as the fastest of the others, at least: the median over pairs of the same round. Fast is data
   * in time, or, of repeated work, the middle time.
   */
  | OfOne & {
    readonly _tag: "Faster"
    readonly than: ReadonlyArray<string>
    readonly atLeast: number
    readonly on?: "plain" | "tls" | undefined
  }
  /** How many times as long as another, at most. */
  | OfOne & {
    readonly _tag: "Longer"
    readonly metric: "wallMillis" | "processMillis"
    readonly than: string
    readonly atMost: number
  }
  /** Less processor time for the same data than another. */
  | OfOne & { readonly _tag: "Cheaper"; readonly than: string }
  /** At most so much, in the metric's own unit: the median. */
  | OfOne & { readonly _tag: "Limit"; readonly metric: Metric; readonly atMost: number }
  /** At least so much. */
  | OfOne & { readonly _tag: "Floor"; readonly metric: Metric; readonly atLeast: number }

/** What a limit can be on. */
export type Metric = keyof Pick<
  Measured,
  "rssGrowthBytes" | "wallMillis" | "connections" | "lapMedianMillis" | "activeShare" | "rssPerLapBytes"
>

/** The kinds of table: data moved, repeated work, many connections, one beside another, whole processes, memory. */
export type Shape = "rate" | "laps" | "connects" | "beside" | "process" | "memory"

/** A benchmark. The first entry is effect-k8s as most programs use it. */
export interface Benchmark {
  readonly name: string
  readonly title: string
  /** The benchmark server unless told. */
  readonly server?: "test-cluster" | "real-cluster" | undefined
  readonly transports: ReadonlyArray<"plain" | "tls">
  readonly rounds: number
  readonly work: Partial<Work> & Pick<Work, "kind">
  /** What the columns show. */
  readonly shows: Shape
  readonly entries: ReadonlyArray<Entry>
  readonly targets: ReadonlyArray<Target>
}

/** Bytes in a MiB. */
export const mebibyte = 1024 * 1024

/** Bytes in a GiB. */
export const gibibyte = 1024 * mebibyte

/** Those that most benchmarks compare. */
export const Entries = {
  ours: { label: "effect-k8s", program: "clients/ours" },
  bare: { label: "effect-k8s, bare", program: "clients/ours", variant: "bare" },
  onDeno: { label: "effect-k8s on Deno", program: "clients/ours", runtime: "deno" },
  clientNode: { label: "client-node", program: "clients/clientNode" },
  kubectl: { label: "kubectl | program", program: "clients/kubectl" },
  programToKubectl: { label: "program | kubectl", program: "clients/kubectl" },
  /** Listens for connections and forwards them. */
  listen: { label: "effect-k8s, listening", program: "clients/forwarder", variant: "listen" },
  portForward: { label: "kubectl port-forward", program: "clients/forwarder" }
} as const satisfies Record<string, Entry>

/** What Deno is to reach beside Node, and the bounds of memory that hold on both. */
export const denoTargets = (limits: ReadonlyArray<Target> = []): ReadonlyArray<Target> => [
  { _tag: "Faster", of: Entries.onDeno.label, than: [Entries.ours.label], atLeast: 0.5 },
  ...limits.map((target) => ({ ...target, of: Entries.onDeno.label }))
]
