/**
 * Runs a benchmark: each entry in a process of its own, all of them in turn, round after round.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { loadavg } from "node:os"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import * as Pattern from "../shared/Pattern.ts"
import type { Report, ServerRecord, Work } from "../shared/Work.ts"
import type { Benchmark, Entry } from "./Catalogue.ts"
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
  readonly serverCpuMillis: number
  readonly rssPeakBytes?: number | undefined
  readonly rssGrowthBytes?: number | undefined
  readonly lapMedianMillis?: number | undefined
  readonly lapP99Millis?: number | undefined
  readonly count?: number | undefined
  /** TCP connections, those of the warm-up included. */
  readonly connections: number
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
  /** The machine's load over the last minute, before and after. */
  readonly load: readonly [number, number]
}

const checkedBytes = 16 * Pattern.blockBytes
// The server hears of a connection's end a little later than the client's process ends.
const settleMillis = 40

interface Context {
  readonly server: Server
  readonly kubectl: string | undefined
}

const toWork = (
  { server }: Context,
  benchmark: Benchmark,
  entry: Entry,
  transport: "plain" | "tls"
): Work => ({
  bytes: 0,
  messageBytes: 0,
  rate: 0,
  namespace: "few",
  stallMillis: 0,
  check: false,
  ...benchmark.work,
  count: entry.count ?? benchmark.work.count ?? 0,
  url: transport === "tls" ? server.tls : server.plain,
  ca: transport === "tls" ? server.ca : undefined,
  kubeconfig: server.kubeconfig,
  variant: entry.variant
})

const runProcess = async (
  context: Context,
  entry: Entry,
  work: Work
): Promise<{ readonly report: Report; readonly processMillis: number; readonly seen: ServerRecord }> => {
  await context.server.take()
  const begun = performance.now()
  const child = spawn(
    process.execPath,
    [join(built, `${entry.program}.js`), ...(entry.arguments ?? [JSON.stringify(work)])],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, BENCH_KUBECTL: context.kubectl }
    }
  )
  let out = ""
  let complaint = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
  })
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text
  })
  const [code] = await once(child, "close") as [number | null]
  const processMillis = performance.now() - begun
  const line = out.trim().split("\n").at(-1) ?? ""
  if (code !== 0 || line === "") {
    const message = complaint.split("\n").find((text) => /error/i.test(text)) ?? complaint.slice(0, 200)
    throw new Error(`${entry.label} ended with ${code}: ${message.trim()}`)
  }
  await delay(settleMillis)
  return { report: JSON.parse(line) as Report, processMillis, seen: await context.server.take() }
}

const measure = async (context: Context, entry: Entry, work: Work): Promise<Measured> => {
  const { processMillis, report, seen } = await runProcess(context, entry, work)
  const exec = seen.execs.at(-1)
  if ((work.kind === "stdout" || work.kind === "stdin") && report.bytes < work.bytes) {
    throw new Error(`${entry.label}: ${report.bytes} of ${work.bytes} bytes went through`)
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
    rssPeakBytes: rssPeak,
    rssGrowthBytes: rssBefore === undefined || rssPeak === undefined ? undefined : rssPeak - rssBefore,
    lapMedianMillis: report.laps === undefined ? undefined : median(report.laps),
    lapP99Millis: report.laps === undefined ? undefined : quantile(report.laps, 0.99),
    count: report.laps?.length,
    connections: seen.connections,
    protocol: exec === undefined ? undefined : `${exec.protocol}${exec.supervised ? ", supervised" : ""}`
  }
}

/** Moves a little with every byte compared, so that the times are of work that was done right. */
const check = async (context: Context, entry: Entry, work: Work): Promise<void> => {
  const { seen } = await runProcess(context, entry, { ...work, bytes: checkedBytes, rate: 0, check: true })
  const sha256In = seen.execs.at(-1)?.sha256In
  if (work.kind === "stdin" && sha256In !== Pattern.sha256(checkedBytes)) {
    throw new Error(`${entry.label}: the command read other bytes than were sent`)
  }
}

// What goes to /dev/null or comes without its own framing cannot be compared.
const canCheck = (entry: Entry, work: Work): boolean =>
  (work.kind === "stdout" && entry.variant !== "null" && entry.variant !== "shell" && !entry.program.endsWith("raw")) ||
  (work.kind === "stdin" && !entry.program.endsWith("raw"))

/** Runs all rounds. `note` hears what goes on. */
export const run = async (
  context: Context,
  benchmark: Benchmark,
  transport: "plain" | "tls",
  options: { readonly rounds: number | undefined; readonly leftOut: string | undefined },
  note: (text: string) => void
): Promise<Outcome> => {
  const before = loadavg()[0] ?? 0
  const runs = benchmark.entries.map((entry) => {
    const problem = entry.program.endsWith("kubectl") ? options.leftOut : undefined
    return { entry, work: toWork(context, benchmark, entry, transport), rounds: [] as Array<Measured>, problem }
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
  return { benchmark, transport, results: runs, load: [before, loadavg()[0] ?? 0] }
}
