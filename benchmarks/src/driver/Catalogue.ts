/**
 * The benchmarks: commands and requests, against the benchmark server.
 */
import { type Benchmark, denoTargets, Entries, type Entry, gibibyte, mebibyte, type Target } from "./Benchmark.ts"

const { bare, clientNode, kubectl, onDeno, ours, programToKubectl } = Entries
const ws: Entry = { label: "ws", program: "clients/ws" }
const raw: Entry = { label: "raw socket", program: "clients/raw" }
const kubectlShell: Entry = { label: "kubectl | cat", program: "clients/kubectl", variant: "shell" }
const kubectlNull: Entry = { label: "kubectl > /dev/null", program: "clients/kubectl", variant: "null" }
const kubectlFile: Entry = { label: "kubectl < file", program: "clients/kubectl", variant: "file" }

const both = ["plain", "tls"] as const
const atMostMemory = (bytes: number): Target => ({ _tag: "Limit", metric: "rssGrowthBytes", atMost: bytes })
const stdoutTargets: ReadonlyArray<Target> = [
  { _tag: "Faster", than: [kubectl.label, kubectlShell.label], atLeast: 1, on: "plain" },
  { _tag: "Faster", than: [kubectl.label, kubectlShell.label], atLeast: 2, on: "tls" },
  ...denoTargets()
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
    entries: [ours, onDeno, bare, ws, clientNode, kubectl, kubectlShell, kubectlNull, raw],
    targets: stdoutTargets
  },
  {
    name: "stdout-small",
    title: "exec stdout, 1 GiB in messages of 4 KiB, as real servers send them",
    transports: both,
    rounds: 3,
    work: { kind: "stdout", bytes: gibibyte, messageBytes: 4_097 },
    shows: "rate",
    entries: [ours, onDeno, bare, ws, clientNode, kubectl, kubectlShell, kubectlNull, raw],
    targets: stdoutTargets
  },
  {
    name: "stdin",
    title: "exec stdin, 1 GiB",
    transports: both,
    rounds: 5,
    work: { kind: "stdin", bytes: gibibyte },
    shows: "rate",
    entries: [ours, onDeno, bare, ws, clientNode, programToKubectl, kubectlFile, raw],
    targets: [
      { _tag: "Faster", than: [programToKubectl.label], atLeast: 1.2 },
      atMostMemory(30 * mebibyte),
      ...denoTargets([atMostMemory(30 * mebibyte)])
    ]
  },
  {
    name: "stalled",
    title: "a reader of 1 GiB stdout that takes nothing for 4 s",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "stalled", bytes: gibibyte, messageBytes: 32_769, stallMillis: 4_000 },
    shows: "memory",
    entries: [ours, onDeno, bare, { ...ws, label: "ws, paused" }, clientNode, kubectl],
    targets: [atMostMemory(10 * mebibyte), { ...atMostMemory(10 * mebibyte), of: onDeno.label }]
  },
  {
    name: "slow-peer",
    title: "exec stdin, 192 MiB to a peer that takes 64 MiB/s",
    transports: ["tls"],
    rounds: 2,
    work: { kind: "stdin", bytes: 192 * mebibyte, rate: 64 * mebibyte },
    shows: "rate",
    entries: [
      ours,
      onDeno,
      ws,
      { ...ws, label: "ws, without callbacks", variant: "ungated" },
      clientNode,
      programToKubectl
    ],
    targets: [atMostMemory(30 * mebibyte), ...denoTargets([atMostMemory(30 * mebibyte)])]
  },
  {
    name: "duplex",
    title: "512 MiB to a command and back at once, with a hash of what comes back",
    transports: both,
    rounds: 3,
    work: { kind: "duplex", bytes: 512 * mebibyte },
    shows: "rate",
    entries: [ours, onDeno, ws, clientNode, { ...programToKubectl, label: "program | kubectl | program" }],
    targets: denoTargets()
  },
  {
    name: "concurrent",
    title: "200 commands at once, 1 MiB of stdout each",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "concurrent", bytes: 200 * mebibyte, count: 200, messageBytes: 32_769 },
    shows: "rate",
    // A process each takes a GiB of memory for every 20 of them.
    entries: [
      ours,
      onDeno,
      ws,
      clientNode,
      { ...kubectl, label: "kubectl, 20 processes", bytes: 20 * mebibyte, count: 20 }
    ],
    targets: denoTargets()
  },
  {
    name: "round-trip",
    title: "1 byte to the command and back",
    transports: both,
    rounds: 5,
    work: { kind: "roundTrips", count: 3_000 },
    shows: "laps",
    // Bare sessions write only when the output is quiet, so they get fewer.
    entries: [ours, onDeno, { ...bare, count: 100 }, ws, clientNode, kubectl, raw],
    targets: denoTargets()
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
