/**
 * Whether what was to be reached was reached.
 */
import type { Target } from "./Catalogue.ts"
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

const mebibyte = 1024 * 1024

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
  const ratios = pairs(a, b, (one, other) => other.wallMillis / one.wallMillis)
  return ratios.length === 0 ? undefined : median(ratios)
}

const judge = (outcome: Outcome, target: Target): Verdict => {
  const [ours] = outcome.results
  const find = (label: string): Result | undefined => outcome.results.find(({ entry }) => entry.label === label)
  switch (target._tag) {
    case "Faster": {
      const ratios = target.than.flatMap((label) => {
        const other = find(label)
        const ratio = ours === undefined || other === undefined ? undefined : faster(ours, other)
        return ratio === undefined ? [] : [ratio]
      })
      const value = ratios.length === 0 ? undefined : Math.min(...ratios)
      return {
        text: `at least ${target.atLeast} times as fast as ${target.than.join(" and ")}`,
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
        text: `${what} at most ${target.atMost} times as long as with ${target.than}`,
        value,
        limit: target.atMost,
        met: value === undefined ? undefined : value <= target.atMost
      }
    }
    case "Limit": {
      const values = ours?.rounds.map((round) => round[target.metric]).filter((value) => value !== undefined) ?? []
      const unit = target.metric === "rssGrowthBytes" ? mebibyte : 1
      const value = values.length === 0 ? undefined : median(values) / unit
      const limit = target.atMost / unit
      const what = target.metric === "rssGrowthBytes"
        ? `memory grows by at most ${limit} MiB`
        : target.metric === "wallMillis"
        ? `at most ${limit} ms`
        : `at most ${limit} connection`
      return { text: what, value, limit, met: value === undefined ? undefined : value <= limit }
    }
  }
}

/** The verdicts on the targets of a benchmark. */
export const judgeAll = (outcome: Outcome): ReadonlyArray<Verdict> =>
  outcome.benchmark.targets
    .filter((target) => target._tag !== "Faster" || target.on === undefined || target.on === outcome.transport)
    .map((target) => judge(outcome, target))
