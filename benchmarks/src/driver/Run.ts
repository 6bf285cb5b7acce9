/**
 * Runs a benchmark: each entry in a process of its own, all of them in turn, round after round.
 */
import { loadavg } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import * as Pattern from "../shared/Pattern.ts"
import type { Report, ServerRecord, Work } from "../shared/Work.ts"
import type { Benchmark, Entry } from "./Benchmark.ts"
import * as Program from "./Program.ts"
import type { Server } from "./Server.ts"
import { built } from "./stage.ts"
import { median, quantile } from "./Statistics.ts"

/** What one process came to. */
export interface Measured {
  readonly wallMillis: number
  /** From the start of the process to its end. */
  readonly processMillis: number
  readonly cpuUserMillis?: number | undefined
  readonly cpuSystemMillis?: number | undefined
  readonly serverCpuMillis?: number | undefined
  /** Bytes that went through. */
  readonly bytes: number
  readonly rssPeakBytes?: number | undefined
  readonly rssGrowthBytes?: number | undefined
  readonly lapMedianMillis?: number | undefined
  readonly lapP95Millis?: number | undefined
  readonly lapP99Millis?: number | undefined
  readonly rssPerLapBytes?: number | undefined
  readonly activeShare?: number | undefined
  readonly count?: number | undefined
  /** TCP connections, those of the warm-up included. */
  readonly connections?: number | undefined
  readonly protocol?: string | undefined
}

/** All rounds of one entry. */
export interface Result {
  readonly entry: Entry
  readonly rounds: ReadonlyArray<Measured>
  /** Why it was left out, or what went wrong. */
  readonly problem?: string | undefined
}

/** A benchmark over one transport. */
export interface Outcome {
  readonly benchmark: Benchmark
  readonly transport: "plain" | "tls"
  readonly results: ReadonlyArray<Result>
  /** The most data and repetitions, where they were limited. */
  readonly limits: ReadonlyArray<string>
  /** The machine's load over the last minute, before and after. */
  readonly load: readonly [number, number]
}

const checkedBytes = 16 * Pattern.blockBytes
// The server hears of a connection's end a little later than the client's process ends.
const settleMillis = 40

/** What runs can be told. */
export interface Options {
  readonly rounds?: number | undefined
  /** The most data that is moved, and the most repetitions. */
  readonly bytes?: number | undefined
  readonly count?: number | undefined
  /** Why an entry is left out. */
  readonly leftOut: (entry: Entry) => string | undefined
}

/** What runs need. */
export interface Context {
  readonly server: Server
  readonly kubectl: string | undefined
  readonly deno: string | undefined
  /** How long a process may take. */
  readonly limitMillis: number
}

const atMost = (value: number, limit: number | undefined): number =>
  limit === undefined ? value : Math.min(value, limit)

/** What work is where nothing else is told. */
export const plainWork = { messageBytes: 0, rate: 0, namespace: "few", stallMillis: 0, check: false }

const toWork = (
  { server }: Context,
  benchmark: Benchmark,
  entry: Entry,
  transport: "plain" | "tls",
  options: Options
): Work => ({
  ...plainWork,
  ...benchmark.work,
  bytes: atMost(entry.bytes ?? benchmark.work.bytes ?? 0, options.bytes),
  count: atMost(entry.count ?? benchmark.work.count ?? 0, options.count),
  ...server.reach(transport),
  variant: entry.variant
})

const runProcess = async (
  context: Context,
  entry: Entry,
  work: Work
): Promise<{ readonly report: Report; readonly processMillis: number; readonly seen: ServerRecord }> => {
  await context.server.take()
  const begun = performance.now()
  const said = await Program.run(
    entry.runtime === "deno" ? context.deno ?? "deno" : process.execPath,
    [
      ...(entry.runtime === "deno" ? ["run", "--allow-all", "--no-prompt", "--node-modules-dir=manual"] : []),
      join(built, `${entry.program}.js`),
      ...(entry.arguments ?? [JSON.stringify(work)])
    ],
    {
      label: entry.label,
      limitMillis: context.limitMillis,
      env: { ...process.env, BENCH_KUBECTL: context.kubectl }
    }
  )
  const processMillis = performance.now() - begun
  await delay(settleMillis)
  // What measures says so in this form.
  return { report: said as Report, processMillis, seen: await context.server.take() }
}

const moving = new Set<Work["kind"]>(["stdout", "stdin", "duplex", "concurrent", "forwardDown", "forwardUp"])

const measure = async (context: Context, entry: Entry, work: Work): Promise<Measured> => {
  const { processMillis, report, seen } = await runProcess(context, entry, work)
  const exec = seen.execs.at(-1)
  if (moving.has(work.kind) && !(report.bytes >= work.bytes)) {
    throw new Error(`${entry.label}: ${report.bytes} of ${work.bytes} bytes went through`)
  }
  if (work.kind === "duplex" && report.sha256 !== Pattern.sha256(work.bytes)) {
    throw new Error(`${entry.label}: other bytes came back than were sent`)
  }
  const sum = report.laps?.reduce((total, lap) => total + lap, 0)
  const { rssBefore, rssPeak } = report
  return {
    // A program of its own is timed from the server's answer to its upgrade to its end.
    wallMillis: report.wallMillis ?? sum ?? report.endedAt - (exec?.openedAt ?? Number.NaN),
    processMillis: work.kind === "cold" && report.wallMillis === undefined && sum !== undefined ? sum : processMillis,
    cpuUserMillis: report.cpuUserMillis,
    cpuSystemMillis: report.cpuSystemMillis,
    serverCpuMillis: seen.cpuMillis,
    bytes: report.bytes,
    rssPeakBytes: rssPeak,
    rssGrowthBytes: rssBefore === undefined || rssPeak === undefined ? undefined : rssPeak - rssBefore,
    lapMedianMillis: report.laps === undefined ? undefined : median(report.laps),
    lapP95Millis: report.laps === undefined ? undefined : quantile(report.laps, 0.95),
    lapP99Millis: report.laps === undefined ? undefined : quantile(report.laps, 0.99),
    rssPerLapBytes: report.rssPerLap,
    activeShare: report.activeShare,
    count: report.laps?.length,
    connections: seen.connections,
    protocol: exec === undefined ? undefined : `${exec.protocol}${exec.supervised ? ", supervised" : ""}`
  }
}

/** Moves a little with every byte compared, so that the times are of work that was done right. */
const check = async (context: Context, entry: Entry, work: Work): Promise<void> => {
  const bytes = Math.min(checkedBytes, work.bytes)
  const { report, seen } = await runProcess(context, entry, { ...work, bytes, rate: 0, check: true })
  const sha256In = report.sha256 ?? seen.execs.at(-1)?.sha256In
  if ((work.kind === "stdin" || work.kind === "forwardUp") && sha256In !== Pattern.sha256(bytes)) {
    throw new Error(`${entry.label}: what read has got other bytes than were sent`)
  }
}

// What goes to /dev/null or comes without its own framing cannot be compared.
const canCheck = (entry: Entry, work: Work): boolean =>
  work.kind === "concurrent" || work.kind === "forwardDown" || work.kind === "forwardUp" ||
  (work.kind === "stdout" && entry.variant !== "null" && entry.variant !== "shell" && !entry.program.endsWith("raw")) ||
  (work.kind === "stdin" && !entry.program.endsWith("raw"))

/** Runs all rounds. `note` hears what goes on. */
export const run = async (
  context: Context,
  benchmark: Benchmark,
  transport: "plain" | "tls",
  options: Options,
  note: (text: string) => void
): Promise<Outcome> => {
  const before = loadavg()[0] ?? 0
  const runs = benchmark.entries.map((entry) => {
    const work = toWork(context, benchmark, entry, transport, options)
    return { entry, work, rounds: [] as Array<Measured>, problem: options.leftOut(entry) }
  })

  for (const item of runs) {
    if (item.problem !== undefined || !canCheck(item.entry, item.work)) continue
    note(`checking ${item.entry.label}`)
    await check(context, item.entry, item.work).catch((error: unknown) => {
      item.problem = String(error)
    })
  }

  const rounds = options.rounds ?? benchmark.rounds
  for (let round = 0; round < rounds; round++) {
    // Each round begins with another one, and every second round goes backwards.
    const rotated = [...runs.slice(round % runs.length), ...runs.slice(0, round % runs.length)]
    for (const item of round % 2 === 0 ? rotated : rotated.toReversed()) {
      if (item.problem !== undefined) continue
      note(`round ${round + 1} of ${rounds}: ${item.entry.label}`)
      try {
        item.rounds.push(await measure(context, item.entry, item.work))
      } catch (error) {
        item.problem = String(error)
      }
    }
  }
  note("")
  const limits = [
    ...(options.bytes === undefined ? [] : [`${options.bytes / Pattern.blockBytes} MiB`]),
    ...(options.count === undefined ? [] : [`${options.count} times`])
  ]
  return { benchmark, transport, results: runs, limits, load: [before, loadavg()[0] ?? 0] }
}
