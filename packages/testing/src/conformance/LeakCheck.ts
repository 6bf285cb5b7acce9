/**
 * Whether a row leaves anything behind: sockets, local processes, fibers, processes in pods.
 *
 * Counts before and after must be equal; they are polled, because an end takes its moment, but not for long.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { check, type Unmet } from "./Row.ts"

/** What is counted, by name. */
export type Counts = Readonly<Record<string, number>>

/** Counts what is open in this process, besides fibers, and where it can be known in the cluster. */
export type Probe = Effect.Effect<Counts>

const interval = "20 millis"
// The supervisor gives a cancelled command two seconds between SIGTERM and SIGKILL.
const defaultPolls = 300

const counted = new Set(["TCPSocketWrap", "TLSWrap", "PipeWrap", "ProcessWrap", "TCPServerWrap"])

/** What Node has open in this process. */
export const nodeProbe: Probe = Effect.sync(() => {
  const counts: Record<string, number> = {}
  for (const name of process.getActiveResourcesInfo()) {
    if (counted.has(name)) counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
})

const kinds = /^(?:socket|pipe)(?=:)/

/** What Linux says that this process has open, for a runtime that does not tell: sockets, pipes, child processes. */
export const linuxProbe: Probe = Effect.sync(() => {
  const counts: Record<string, number> = {}
  const add = (name: string, count: number): void => {
    counts[name] = (counts[name] ?? 0) + count
  }
  for (const descriptor of readdirSync("/proc/self/fd")) {
    try {
      const [kind] = kinds.exec(readlinkSync(`/proc/self/fd/${descriptor}`)) ?? []
      if (kind !== undefined) add(`${kind}s`, 1)
    } catch {
      // The descriptor that the folder itself was read by.
    }
  }
  for (const task of readdirSync("/proc/self/task")) {
    try {
      const children = readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ")
      add("child processes", children.filter((child) => child !== "").length)
    } catch {
      // The thread has ended.
    }
  }
  return counts
})

/** Counts by all probes together. */
export const all = (...probes: ReadonlyArray<Probe>): Probe =>
  Effect.map(Effect.all(probes), (counts) => Object.assign({}, ...counts))

/** Fibers that live, of those started below. */
const fiberCounter = () => {
  let alive = 0
  return {
    alive: () => alive,
    service: {
      recordFiberStart: () => {
        alive++
      },
      recordFiberEnd: () => {
        alive--
      }
    }
  }
}

const difference = (before: Counts, after: Counts): string =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => (after[name] ?? 0) > (before[name] ?? 0))
    .map((name) => `${(after[name] ?? 0) - (before[name] ?? 0)} ${name}`)
    .join(", ")

/** How long to wait. */
export interface Options {
  /** How often to look, 20 ms apart, before what is left counts as left behind; 300 unless told. */
  readonly polls?: number | undefined
}

/**
 * Runs a scoped effect, and fails if something of it is left after its scope has ended. A failure of its own comes first.
 */
export const checked = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>,
  probe: Probe,
  { polls = defaultPolls }: Options = {}
): Effect.fn.Return<A, E | Unmet, Exclude<R, Scope.Scope>> {
  const fibers = fiberCounter()
  const before = yield* probe
  const result = yield* Effect.provideService(Effect.scoped(effect), Metric.FiberRuntimeMetrics, fibers.service)
  yield* probe.pipe(
    Effect.map((after) => difference({ ...before, fibers: 0 }, { ...after, fibers: fibers.alive() })),
    Effect.flatMap((text) => check(text === "", `left behind: ${text}`)),
    Effect.retry({ schedule: Schedule.spaced(interval), times: polls })
  )
  return result
})
