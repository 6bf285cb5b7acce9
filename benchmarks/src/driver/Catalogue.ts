/**
 * The benchmarks: what is run side by side, and what is to be reached.
 */
import type { Work } from "../shared/Work.ts"

/** One of those that are compared. */
export interface Entry {
  readonly label: string
  /** The compiled program below `dist`, without its extension. */
  readonly program: string
  readonly variant?: string | undefined
  /** Fewer repetitions for what takes long each time. */
  readonly count?: number | undefined
  /** The program's arguments, where it takes no work. */
  readonly arguments?: ReadonlyArray<string> | undefined
}

/** What is to be reached, by effect-k8s. */
export type Target =
  /** How many times as fast as the fastest of the others, at least: the median over pairs of the same round. */
  | {
    readonly _tag: "Faster"
    readonly than: ReadonlyArray<string>
    readonly atLeast: number
    readonly on?: "plain" | "tls" | undefined
  }
  /** How many times as long as another, at most. */
  | {
    readonly _tag: "Longer"
    readonly metric: "wallMillis" | "processMillis"
    readonly than: string
    readonly atMost: number
  }
  /** At most so much, in the metric's own unit: the median. */
  | {
    readonly _tag: "Limit"
    readonly metric: "rssGrowthBytes" | "wallMillis" | "connections"
    readonly atMost: number
  }

/** The kinds of table: data moved, repeated work, whole processes, memory. */
export type Shape = "rate" | "laps" | "process" | "memory"

/** A benchmark. The first entry is effect-k8s as most programs use it. */
export interface Benchmark {
  readonly name: string
  readonly title: string
  readonly transports: ReadonlyArray<"plain" | "tls">
  readonly rounds: number
  readonly work: Partial<Work> & Pick<Work, "kind">
  /** What the columns show. */
  readonly shows: Shape
  readonly entries: ReadonlyArray<Entry>
  readonly targets: ReadonlyArray<Target>
}

const mebibyte = 1024 * 1024
const gibibyte = 1024 * mebibyte

const ours: Entry = { label: "effect-k8s", program: "clients/ours" }
const bare: Entry = { label: "effect-k8s, bare", program: "clients/ours", variant: "bare" }
const ws: Entry = { label: "ws", program: "clients/ws" }
const clientNode: Entry = { label: "client-node", program: "clients/clientNode" }
const raw: Entry = { label: "raw socket", program: "clients/raw" }
const kubectl: Entry = { label: "kubectl | program", program: "clients/kubectl" }
const kubectlShell: Entry = { label: "kubectl | cat", program: "clients/kubectl", variant: "shell" }
const kubectlNull: Entry = { label: "kubectl > /dev/null", program: "clients/kubectl", variant: "null" }
const programToKubectl: Entry = { label: "program | kubectl", program: "clients/kubectl" }
const kubectlFile: Entry = { label: "kubectl < file", program: "clients/kubectl", variant: "file" }

const both = ["plain", "tls"] as const
const stdoutTargets: ReadonlyArray<Target> = [
  { _tag: "Faster", than: [kubectl.label, kubectlShell.label], atLeast: 1, on: "plain" },
  { _tag: "Faster", than: [kubectl.label, kubectlShell.label], atLeast: 2, on: "tls" }
]

/** All of them, in the order in which they run. */
export const benchmarks: ReadonlyArray<Benchmark> = [
  {
    name: "stdout",
    title: "exec stdout, 1 GiB in messages of 32 KiB",
    transports: both,
    rounds: 5,
    work: { kind: "stdout", bytes: gibibyte, messageBytes: 32_769 },
    shows: "rate",
    entries: [ours, bare, ws, clientNode, kubectl, kubectlShell, kubectlNull, raw],
    targets: stdoutTargets
  },
  {
    name: "stdout-small",
    title: "exec stdout, 1 GiB in messages of 4 KiB, as real servers send them",
    transports: both,
    rounds: 3,
    work: { kind: "stdout", bytes: gibibyte, messageBytes: 4_097 },
    shows: "rate",
    entries: [ours, bare, ws, clientNode, kubectl, kubectlShell, kubectlNull, raw],
    targets: stdoutTargets
  },
  {
    name: "stdin",
    title: "exec stdin, 1 GiB",
    transports: both,
    rounds: 5,
    work: { kind: "stdin", bytes: gibibyte },
    shows: "rate",
    entries: [ours, bare, ws, clientNode, programToKubectl, kubectlFile, raw],
    targets: [
      { _tag: "Faster", than: [programToKubectl.label], atLeast: 1.2 },
      { _tag: "Limit", metric: "rssGrowthBytes", atMost: 30 * mebibyte }
    ]
  },
  {
    name: "stalled",
    title: "a reader of 1 GiB stdout that takes nothing for 4 s",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "stalled", bytes: gibibyte, messageBytes: 32_769, stallMillis: 4_000 },
    shows: "memory",
    entries: [ours, bare, { ...ws, label: "ws, paused" }, clientNode, kubectl],
    targets: [{ _tag: "Limit", metric: "rssGrowthBytes", atMost: 10 * mebibyte }]
  },
  {
    name: "slow-peer",
    title: "exec stdin, 192 MiB to a peer that takes 64 MiB/s",
    transports: ["tls"],
    rounds: 2,
    work: { kind: "stdin", bytes: 192 * mebibyte, rate: 64 * mebibyte },
    shows: "rate",
    entries: [ours, ws, { ...ws, label: "ws, without callbacks", variant: "ungated" }, clientNode, programToKubectl],
    targets: [{ _tag: "Limit", metric: "rssGrowthBytes", atMost: 30 * mebibyte }]
  },
  {
    name: "round-trip",
    title: "1 byte to the command and back",
    transports: both,
    rounds: 5,
    work: { kind: "roundTrips", count: 3_000 },
    shows: "laps",
    // Bare sessions write only when the output is quiet, so they get fewer.
    entries: [ours, { ...bare, count: 100 }, ws, clientNode, kubectl, raw],
    targets: []
  },
  {
    name: "no-op",
    title: "1,000 commands that do nothing, one after the other",
    transports: both,
    rounds: 3,
    work: { kind: "noops", count: 1_000 },
    shows: "laps",
    entries: [ours, bare, ws, clientNode, { ...kubectl, label: "kubectl, a process each", count: 15 }, raw],
    targets: []
  },
  {
    name: "cold-no-op",
    title: "a program that runs one command and ends",
    transports: ["tls"],
    rounds: 9,
    work: { kind: "cold", count: 1 },
    shows: "process",
    entries: [ours, ws, clientNode, { ...kubectl, label: "kubectl" }],
    targets: []
  },
  {
    name: "lists",
    title: "500 lists of 2 pods, one after the other",
    transports: ["tls"],
    rounds: 5,
    work: { kind: "lists", count: 500, namespace: "few" },
    shows: "laps",
    entries: [
      ours,
      { label: "Effect's HTTP client", program: "clients/http", variant: "effect" },
      { label: "undici", program: "clients/http" },
      clientNode,
      { ...kubectl, label: "kubectl, a process each", count: 10 }
    ],
    targets: [
      { _tag: "Limit", metric: "wallMillis", atMost: 350 },
      { _tag: "Limit", metric: "connections", atMost: 1 }
    ]
  },
  {
    name: "long-list",
    title: "a list of 500 pods",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "lists", count: 20, namespace: "many" },
    shows: "laps",
    entries: [
      ours,
      { label: "Effect's HTTP client", program: "clients/http", variant: "effect" },
      { label: "undici", program: "clients/http" },
      clientNode,
      { ...kubectl, label: "kubectl, a process each", count: 5 }
    ],
    targets: []
  },
  {
    name: "import",
    title: "a program that lists pods and ends; `imports` is its modules alone",
    transports: ["tls"],
    rounds: 15,
    work: { kind: "lists", count: 1, namespace: "few" },
    shows: "process",
    entries: [
      { ...ours, program: "programs/listPods" },
      { label: "Effect's HTTP client", program: "programs/listPodsEffect" },
      { ...clientNode, program: "programs/listPodsClientNode" }
    ],
    targets: [
      { _tag: "Longer", metric: "wallMillis", than: "Effect's HTTP client", atMost: 1.3 },
      { _tag: "Longer", metric: "processMillis", than: "Effect's HTTP client", atMost: 1.3 }
    ]
  },
  {
    name: "modules",
    title: "importing one module, in a process each",
    transports: ["plain"],
    rounds: 7,
    work: { kind: "cold" },
    shows: "process",
    entries: [
      "effect/Effect",
      "effect/Stream",
      "@effect-k8s/core/Api",
      "@effect-k8s/core/apis/core/v1",
      "@effect-k8s/core/KubeClient",
      "@effect-k8s/channels/Exec",
      "@effect-k8s/node/NodePlatform",
      "@effect-k8s/node/NodeKube",
      "@effect/platform-node/NodeHttpClient",
      "@effect/platform-node/NodeChildProcessSpawner",
      "@effect/platform-node/Undici",
      "@kubernetes/client-node"
    ].map((specifier) => ({ label: specifier, program: "programs/importOnly", arguments: [specifier] })),
    targets: []
  }
]
