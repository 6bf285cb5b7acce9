/**
 * The benchmarks against a real cluster: its API server and its container runtime take most of the time, as they do for
 * users.
 */
import { type Benchmark, Entries, type Entry, mebibyte } from "./Benchmark.ts"

const { clientNode, kubectl, ours, programToKubectl } = Entries
const bulk: Entry = { ...ours, label: "effect-k8s, bulk", variant: "bulk" }
const webSocket: Entry = { ...ours, label: "effect-k8s, WebSocket", variant: "websocket" }
const bare: Entry = { ...ours, label: "effect-k8s, bare", variant: "bare" }
const listen: Entry = { label: "effect-k8s, listening", program: "clients/forwarder", variant: "listen" }
const forwarder: Entry = { label: "kubectl port-forward", program: "clients/forwarder" }

/** How long the pattern in the pod is: no benchmark here moves more at once. */
export const patternBytes = 256 * mebibyte

/** All of them, in the order in which they run. */
export const benchmarks: ReadonlyArray<Benchmark> = [
  {
    name: "exec-down",
    title: "exec stdout, 256 MiB",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 5,
    work: { kind: "stdout", bytes: patternBytes },
    shows: "rate",
    entries: [bulk, webSocket, clientNode, kubectl],
    targets: [
      { _tag: "Faster", than: [kubectl.label], atLeast: 1.7 },
      { _tag: "Faster", of: webSocket.label, than: [kubectl.label], atLeast: 1.1 },
      { _tag: "Cheaper", than: kubectl.label },
      { _tag: "Cheaper", of: webSocket.label, than: kubectl.label }
    ]
  },
  {
    name: "exec-up",
    title: "exec stdin, 256 MiB",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 5,
    work: { kind: "stdin", bytes: patternBytes },
    shows: "rate",
    entries: [bulk, webSocket, clientNode, programToKubectl],
    targets: [
      { _tag: "Faster", than: [programToKubectl.label], atLeast: 1.7 },
      { _tag: "Faster", of: webSocket.label, than: [programToKubectl.label], atLeast: 1.1 },
      { _tag: "Cheaper", than: programToKubectl.label },
      { _tag: "Cheaper", of: webSocket.label, than: programToKubectl.label }
    ]
  },
  {
    name: "exec-stalled",
    title: "a reader of 256 MiB stdout that takes nothing for 4 s",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "stalled", bytes: patternBytes, stallMillis: 4_000 },
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
    server: "real-cluster",
    transports: ["tls"],
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
    title: "256 MiB from a port of a pod",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 5,
    work: { kind: "forwardDown", bytes: patternBytes },
    shows: "rate",
    entries: [ours, listen, clientNode, forwarder],
    targets: [
      { _tag: "Faster", than: [forwarder.label], atLeast: 1.1 },
      { _tag: "Cheaper", than: forwarder.label }
    ]
  },
  {
    name: "port-up",
    title: "256 MiB to a port of a pod",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 5,
    work: { kind: "forwardUp", bytes: patternBytes },
    shows: "rate",
    entries: [ours, listen, clientNode, forwarder],
    targets: [
      { _tag: "Faster", than: [forwarder.label], atLeast: 1.1 },
      { _tag: "Cheaper", than: forwarder.label }
    ]
  },
  {
    name: "port-connects",
    title: "300 forwarded connections one after the other: connecting and one byte there and back",
    server: "real-cluster",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "forwardConnects", count: 300 },
    shows: "connects",
    entries: [ours, listen, clientNode, forwarder],
    targets: [{ _tag: "Limit", metric: "lapMedianMillis", atMost: 3 }]
  }
]
