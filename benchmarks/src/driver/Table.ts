/**
 * An outcome as a table for the terminal.
 */
import { mebibyte, type Shape } from "./Benchmark.ts"
import type { Measured, Outcome, Result } from "./Run.ts"
import { type Spread, spread } from "./Statistics.ts"
import { faster, judgeAll } from "./Targets.ts"

const number = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3)

const cell = (value: Spread | undefined, unit = 1): string => value === undefined ? "-" : number(value.median / unit)

/** Median, and from least to most. */
const wide = (value: Spread | undefined): string =>
  value === undefined ? "-" : `${number(value.median)} (${number(value.min)}-${number(value.max)})`

type Column = readonly [
  title: string,
  value: (result: Result, outcome: Outcome) => string
]

const of = (result: Result, pick: (round: Measured) => number | undefined): Spread | undefined =>
  spread(result.rounds.map(pick))

const cpu = ({ cpuSystemMillis, cpuUserMillis }: Measured): number | undefined =>
  cpuUserMillis === undefined || cpuSystemMillis === undefined ? undefined : cpuUserMillis + cpuSystemMillis

const peak: Column = ["peak MiB", (result) => cell(of(result, (round) => round.rssPeakBytes), mebibyte)]
const growth: Column = ["grew MiB", (result) => cell(of(result, (round) => round.rssGrowthBytes), mebibyte)]
const cpuSeconds: Column = ["CPU s", (result) => cell(of(result, cpu), 1000)]
const ratio: Column = ["effect-k8s is", (result, { results: [ours] }) => {
  const value = ours === undefined || ours === result ? undefined : faster(ours, result)
  return value === undefined ? "" : `${value.toFixed(2)}x as fast`
}]
const protocol: Column = ["protocol", (result) => result.rounds[0]?.protocol ?? ""]

const cpuEach: Column = ["CPU ms each", (result) =>
  cell(of(result, (round) => {
    const used = cpu(round)
    return used === undefined || round.count === undefined ? undefined : used / round.count
  }))]

const columns: Record<Shape, ReadonlyArray<Column>> = {
  rate: [
    [
      "MB/s",
      (result) => wide(of(result, (round) => round.bytes / 1000 / round.wallMillis))
    ],
    ["ms", (result) => cell(of(result, (round) => round.wallMillis))],
    cpuSeconds,
    ["CPU s/GB", (result) =>
      cell(of(result, (round) => {
        const used = cpu(round)
        return used === undefined || round.bytes === 0 ? undefined : used * 1_000_000 / round.bytes
      }))],
    ["server CPU s", (result) => cell(of(result, (round) => round.serverCpuMillis), 1000)],
    peak,
    growth,
    ratio,
    protocol
  ],
  laps: [
    ["p50 ms", (result) => wide(of(result, (round) => round.lapMedianMillis))],
    ["p99 ms", (result) => cell(of(result, (round) => round.lapP99Millis))],
    ["times", (result) => String(result.rounds[0]?.count ?? "")],
    ["all ms", (result) => cell(of(result, (round) => round.wallMillis))],
    cpuEach,
    peak,
    growth,
    ["connections", (result) => cell(of(result, (round) => round.connections))],
    protocol
  ],
  connects: [
    ["p50 ms", (result) => wide(of(result, (round) => round.lapMedianMillis))],
    ["p95 ms", (result) => cell(of(result, (round) => round.lapP95Millis))],
    ["times", (result) => String(result.rounds[0]?.count ?? "")],
    cpuEach,
    ["MiB per 1,000", (result) => cell(of(result, (round) => round.rssPerLapBytes), mebibyte / 1000)],
    peak,
    growth,
    ["TCP connections", (result) => cell(of(result, (round) => round.connections))]
  ],
  beside: [
    ["of its rate alone", (result) => wide(of(result, (round) => round.activeShare))],
    ["MB/s", (result) => cell(of(result, (round) => round.bytes / 1000 / round.wallMillis))],
    peak,
    growth
  ],
  process: [
    ["process ms", (result) => wide(of(result, (round) => round.processMillis))],
    ["work or imports ms", (result) => wide(of(result, (round) => round.wallMillis))],
    peak
  ],
  memory: [growth, peak, cpuSeconds, protocol]
}

/** Lines of equal columns, the first to the left and the others to the right. */
export const align = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row.map((text, column) => column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))
      .join("  ").trimEnd()
  )
}

/** The table, and below it what was left out and what was reached. */
export const render = (outcome: Outcome): string => {
  const { benchmark, limits, load, results, transport } = outcome
  const shown = columns[benchmark.shows]
  const rows = results.filter(({ rounds }) => rounds.length > 0).map((result) => [
    result.entry.label,
    ...shown.map(([, value]) => value(result, outcome))
  ])
  const rounds = Math.max(...results.map((result) => result.rounds.length))
  return [
    `${benchmark.name}, ${transport}: ${benchmark.title}${
      limits.length === 0 ? "" : `; but at most ${limits.join(", ")}`
    }`,
    `medians (least-most) of ${rounds} rounds; load ${load[0].toFixed(1)} before, ${load[1].toFixed(1)} after`,
    ...align([["", ...shown.map(([title]) => title)], ...rows]),
    ...results.flatMap(({ entry, problem }) => problem === undefined ? [] : [`left out: ${entry.label}: ${problem}`]),
    ...judgeAll(outcome).map(({ met, text, value }) =>
      value === undefined
        ? `target not measured: ${text}`
        : `target ${met === true ? "reached" : "MISSED"}: ${text}: ${number(value)}`
    ),
    ""
  ].join("\n")
}
