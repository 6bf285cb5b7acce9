/**
 * The benchmarks against a real cluster: its API server and its container runtime take most of the time, as they do for
 * users.
 */
import { type Benchmark, Entries, type Entry, mebibyte, type Target } from "./Benchmark.ts"

const { bare, clientNode, kubectl, listen, ours, portForward, programToKubectl } = Entries
const bulk: Entry = { ...ours, label: "effect-k8s, bulk", variant: "bulk" }
const webSocket: Entry = { ...ours, label: "effect-k8s, WebSocket", variant: "websocket" }

/**
 * How long the pattern in the pod is: no benchmark here moves more at once. Of a quarter of it what a program needs to
 * get going, most of it the compilation of its code, is a quarter to two fifths of the processor time.
 */
export const patternBytes = 1024 * mebibyte

/** Faster by its own protocol and by WebSocket, and cheaper by both. */
const execTargets = (than: string): ReadonlyArray<Target> => [
  { _tag: "Faster", than: [than], atLeast: 1.7 },
  { _tag: "Faster", of: webSocket.label, than: [than], atLeast: 1.1 },
  { _tag: "Cheaper", than },
  { _tag: "Cheaper", of: webSocket.label, than }
]

const portTargets: ReadonlyArray<Target> = [
  { _tag: "Faster", than: [portForward.label], atLeast: 1.1 },
  { _tag: "Cheaper", than: portForward.label }
]

const all: ReadonlyArray<Omit<Benchmark, "server" | "transports">> = [
  {
    name: "exec-down",
    title: "exec stdout, 1 GiB",
    rounds: 5,
    work: { kind: "stdout", bytes: patternBytes },
    shows: "rate",
    entries: [bulk, webSocket, clientNode, kubectl],
    targets: execTargets(kubectl.label)
  },
  {
    name: "exec-up",
    title: "exec stdin, 1 GiB",
    rounds: 5,
    work: { kind: "stdin", bytes: patternBytes },
    shows: "rate",
    entries: [bulk, webSocket, clientNode, programToKubectl],
    targets: execTargets(programToKubectl.label)
  },
  {
    name: "exec-stalled",
    title: "a reader of 256 MiB stdout that takes nothing for 4 s",
    rounds: 3,
    work: { kind: "stalled", bytes: patternBytes / 4, stallMillis: 4_000 },
    shows: "memory",
    entries: [ours, bulk, clientNode, kubectl],
    targets: [
      { _tag: "Limit", metric: "rssGrowthBytes", atMost: 10 * mebibyte },
      { _tag: "Limit", of: bulk.label, metric: "rssGrowthBytes", atMost: 10 * mebibyte }
    ]
  },
  {
    name: "exec-no-op",
    title: "100 commands that do nothing, one after the other",
    rounds: 3,
    work: { kind: "noops", count: 100 },
    shows: "laps",
    entries: [ours, bare, clientNode, { ...kubectl, label: "kubectl, a process each", count: 15 }],
    targets: [
      { _tag: "Limit", metric: "lapMedianMillis", atMost: 50 },
      { _tag: "Limit", of: bare.label, metric: "lapMedianMillis", atMost: 45 }
    ]
  },
  {
    name: "port-down",
    title: "1 GiB from a port of a pod",
    rounds: 5,
    work: { kind: "forwardDown", bytes: patternBytes },
    shows: "rate",
    entries: [ours, listen, clientNode, portForward],
    targets: portTargets
  },
  {
    name: "port-up",
    title: "1 GiB to a port of a pod",
    rounds: 5,
    work: { kind: "forwardUp", bytes: patternBytes },
    shows: "rate",
    entries: [ours, listen, clientNode, portForward],
    targets: portTargets
  },
  {
    name: "port-connects",
    title: "300 forwarded connections one after the other: connecting and one byte there and back",
    rounds: 3,
    work: { kind: "forwardConnects", count: 300 },
    shows: "connects",
    entries: [ours, listen, clientNode, portForward],
    targets: [{ _tag: "Limit", metric: "lapMedianMillis", atMost: 3 }]
  }
]

/** All of them, in the order in which they run. */
export const benchmarks: ReadonlyArray<Benchmark> = all.map((one) => ({
  ...one,
  server: "real-cluster",
  transports: ["tls"]
}))
