/**
 * Whether what was to be reached was reached.
 */
import { mebibyte, type Metric, type Target } from "./Benchmark.ts"
import type { Measured, Outcome, Result } from "./Run.ts"
import { median } from "./Statistics.ts"

/** A target and what was measured. */
export interface Verdict {
  readonly text: string
  /** Absent when it could not be measured. */
  readonly value?: number | undefined
  readonly limit: number
  readonly met?: boolean | undefined
}

/** What a metric is called, and the unit that it is shown in. */
const metrics: Readonly<Record<Metric, { readonly text: (limit: number) => string; readonly unit?: number }>> = {
  rssGrowthBytes: { text: (limit) => `${limit} MiB of memory's growth`, unit: mebibyte },
  rssPerLapBytes: { text: (limit) => `${limit} MiB of memory's growth over 1,000 connections`, unit: mebibyte / 1000 },
  wallMillis: { text: (limit) => `${limit} ms` },
  lapMedianMillis: { text: (limit) => `${limit} ms in the middle` },
  connections: { text: (limit) => `${limit} connection${limit === 1 ? "" : "s"}` },
  activeShare: { text: (limit) => `${limit} of its rate alone` }
}

/** Time for as much, whatever was measured: per lap, or per byte, or as it is. */
const cost = (measured: Measured): number =>
  measured.lapMedianMillis ?? (measured.bytes > 0 ? measured.wallMillis / measured.bytes : measured.wallMillis)

const cpuPerByte = ({ bytes, cpuSystemMillis = Number.NaN, cpuUserMillis = Number.NaN }: Measured): number =>
  (cpuSystemMillis + cpuUserMillis) / bytes

/** `f` for each round that both have. */
const pairs = (
  a: Result,
  b: Result,
  f: (a: Measured, b: Measured) => number
): ReadonlyArray<number> =>
  a.rounds.flatMap((one, round) => {
    const other = b.rounds[round]
    return other === undefined ? [] : [f(one, other)]
  })

/** How many times as fast `a` is as `b`, or `undefined` when one of them was not measured. */
export const faster = (a: Result, b: Result): number | undefined => {
  const ratios = pairs(a, b, (one, other) => cost(other) / cost(one))
  return ratios.length === 0 ? undefined : median(ratios)
}

const judge = (outcome: Outcome, target: Target): Verdict => {
  const find = (label: string): Result | undefined => outcome.results.find(({ entry }) => entry.label === label)
  const ours = target.of === undefined ? outcome.results[0] : find(target.of)
  const whose = target.of === undefined ? "" : `${target.of}: `
  switch (target._tag) {
    case "Faster": {
      const ratios = target.than.flatMap((label) => {
        const other = find(label)
        const ratio = ours === undefined || other === undefined ? undefined : faster(ours, other)
        return ratio === undefined ? [] : [ratio]
      })
      const value = ratios.length === 0 ? undefined : Math.min(...ratios)
      return {
        text: `${whose}at least ${target.atLeast} times as fast as ${target.than.join(" and ")}`,
        value,
        limit: target.atLeast,
        met: value === undefined ? undefined : value >= target.atLeast
      }
    }
    case "Longer": {
      const other = find(target.than)
      const ratios = ours === undefined || other === undefined
        ? []
        : pairs(ours, other, (one, other) => one[target.metric] / other[target.metric])
      const value = ratios.length === 0 ? undefined : median(ratios)
      const what = target.metric === "wallMillis" ? "imports" : "the whole process"
      return {
        text: `${whose}${what} at most ${target.atMost} times as long as with ${target.than}`,
        value,
        limit: target.atMost,
        met: value === undefined ? undefined : value <= target.atMost
      }
    }
    case "Cheaper": {
      const other = find(target.than)
      const ratios = ours === undefined || other === undefined
        ? []
        : pairs(ours, other, (one, other) => cpuPerByte(one) / cpuPerByte(other)).filter((ratio) =>
          !Number.isNaN(ratio)
        )
      const value = ratios.length === 0 ? undefined : median(ratios)
      return {
        text: `${whose}less processor time for the same data than ${target.than}, whose is 1`,
        value,
        limit: 1,
        met: value === undefined ? undefined : value < 1
      }
    }
    case "Limit":
    case "Floor": {
      const values = ours?.rounds.map((round) => round[target.metric]).filter((value) => value !== undefined) ?? []
      const { text, unit = 1 } = metrics[target.metric]
      const value = values.length === 0 ? undefined : median(values) / unit
      const limit = (target._tag === "Limit" ? target.atMost : target.atLeast) / unit
      return {
        text: `${whose}at ${target._tag === "Limit" ? "most" : "least"} ${text(limit)}`,
        value,
        limit,
        met: value === undefined ? undefined : target._tag === "Limit" ? value <= limit : value >= limit
      }
    }
  }
}

/** The verdicts on the targets of a benchmark. */
export const judgeAll = (outcome: Outcome): ReadonlyArray<Verdict> =>
  outcome.benchmark.targets
    .filter((target) => target._tag !== "Faster" || target.on === undefined || target.on === outcome.transport)
    .map((target) => judge(outcome, target))
