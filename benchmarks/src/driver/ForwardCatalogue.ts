/**
 * The benchmarks of forwarded connections, against a test cluster: a real port in the pod, and the wire of a real server.
 */
import { type Benchmark, denoTargets, Entries, gibibyte, mebibyte } from "./Benchmark.ts"

const { clientNode, listen, onDeno, ours, portForward } = Entries

/** All of them, in the order in which they run. */
export const benchmarks: ReadonlyArray<Benchmark> = [
  {
    name: "forward-down",
    title: "4 GiB from a port of a pod",
    server: "test-cluster",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "forwardDown", bytes: 4 * gibibyte },
    shows: "rate",
    entries: [ours, onDeno, listen, { ...clientNode, bytes: gibibyte }, portForward],
    targets: [{ _tag: "Faster", than: [portForward.label], atLeast: 1 }, ...denoTargets()]
  },
  {
    name: "forward-up",
    title: "4 GiB to a port of a pod",
    server: "test-cluster",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "forwardUp", bytes: 4 * gibibyte },
    shows: "rate",
    // What it has not sent yet it holds in memory.
    entries: [ours, onDeno, listen, { ...clientNode, bytes: gibibyte }, portForward],
    targets: [{ _tag: "Faster", than: [portForward.label], atLeast: 1.3 }, ...denoTargets()]
  },
  {
    name: "forward-connects",
    title:
      "10,000 forwarded connections one after the other: connecting and one byte there and back; memory by the slope",
    server: "test-cluster",
    transports: ["tls"],
    rounds: 1,
    work: { kind: "forwardConnects", count: 10_000 },
    shows: "connects",
    entries: [ours, onDeno, listen, { ...clientNode, count: 1_000 }, portForward],
    targets: [
      { _tag: "Limit", metric: "lapMedianMillis", atMost: 0.6 },
      { _tag: "Limit", metric: "rssPerLapBytes", atMost: mebibyte / 1000 }
    ]
  },
  {
    name: "forward-beside",
    title: "256 MiB from a port of a pod beside a connection that nobody reads, for 4 s at most",
    server: "test-cluster",
    transports: ["tls"],
    rounds: 3,
    work: { kind: "forwardStalled", bytes: 256 * mebibyte, stallMillis: 4_000 },
    shows: "beside",
    entries: [ours, onDeno, listen, clientNode, portForward],
    targets: [{ _tag: "Floor", metric: "activeShare", atLeast: 0.8 }]
  }
]
