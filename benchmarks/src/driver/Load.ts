/**
 * `pnpm bench load`: what many connections and many commands leave behind in the process.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import type { Counts, LoadReport, LoadWork } from "../shared/Load.ts"
import { mebibyte } from "./Benchmark.ts"
import type { Server } from "./Server.ts"
import { built } from "./stage.ts"
import { align } from "./Table.ts"

/** The servers that it runs against. */
export interface Servers {
  readonly forwarding: Server
  readonly commands: Server
}

interface Means {
  /** The most connections and commands. */
  readonly count: number | undefined
  readonly note: (text: string) => void
  readonly print: (text: string) => void
}

interface Load {
  readonly what: LoadWork["what"]
  readonly title: (count: number) => string
  readonly count: number
  readonly middle: string
  readonly server: keyof Servers
  /** Since when nothing may grow: while commands run, there is more. */
  readonly since: "before" | "middle"
}

const loads: ReadonlyArray<Load> = [
  {
    what: "connections",
    title: (count) => `${count} forwarded connections, one after the other`,
    count: 10_000,
    middle: "after half of them",
    server: "forwarding",
    since: "middle"
  },
  {
    what: "commands",
    title: (count) => `${count} commands at once`,
    count: 1_000,
    middle: "while all run",
    server: "commands",
    since: "before"
  }
]

/** What may be more at the end: compiled code and what an allocator keeps are not a leak; a leak grows with the count. */
export const allowance: Counts = { sockets: 0, fibers: 0, rssBytes: 16 * mebibyte, heapBytes: 4 * mebibyte }

const runProgram = async (work: LoadWork): Promise<LoadReport> => {
  const child = spawn(
    process.execPath,
    ["--expose-gc", join(built, "programs/load.js"), JSON.stringify(work)],
    { stdio: ["ignore", "pipe", "pipe"] }
  )
  let out = ""
  let complaint = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint += text
  })
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
  })
  const [code] = await once(child, "close") as [number | null]
  if (code !== 0) {
    const message = complaint.split("\n").find((text) => /error/i.test(text)) ?? complaint.slice(0, 200)
    throw new Error(`the program ended with ${code}: ${message.trim()}`)
  }
  return JSON.parse(out.trim().split("\n").at(-1) ?? "") as LoadReport
}

const names = ["sockets", "fibers", "rssBytes", "heapBytes"] as const
const titles = { sockets: "sockets", fibers: "fibers", rssBytes: "RSS MiB", heapBytes: "heap MiB" }

const cell = (counts: Counts, name: typeof names[number]): string =>
  name.endsWith("Bytes") ? (counts[name] / mebibyte).toFixed(1) : String(counts[name])

/** What has grown by more than it may. */
const grown = ({ since }: Load, report: LoadReport): ReadonlyArray<string> =>
  names.filter((name) => {
    return report.after[name] - report[since][name] > allowance[name]
  }).map((name) => titles[name])

/** Runs both. Gives whether nothing has grown. */
export const run = async (servers: Servers, { count, note, print }: Means): Promise<boolean> => {
  let isFlat = true
  for (const load of loads) {
    const times = Math.min(load.count, count ?? load.count)
    note(load.title(times))
    const work: LoadWork = {
      kind: load.what === "connections" ? "forwardConnects" : "roundTrips",
      what: load.what,
      bytes: 0,
      messageBytes: 0,
      rate: 0,
      count: times,
      namespace: "few",
      stallMillis: 0,
      check: false,
      ...servers[load.server].reach("tls")
    }
    const report = await runProgram(work).catch((error: unknown) => String(error))
    note("")
    if (typeof report === "string") {
      isFlat = false
      print(`load: ${load.title(times)}\nFAILED: ${report}\n`)
      continue
    }
    const rows = [["before", report.before], [load.middle, report.middle], ["after", report.after]] as const
    const more = grown(load, report)
    if (more.length > 0) isFlat = false
    print([
      `load: ${load.title(times)}, in ${(report.millis / 1000).toFixed(1)} s`,
      ...align([
        ["", ...names.map((name) => titles[name])],
        ...rows.map(([title, counts]) => [title, ...names.map((name) => cell(counts, name))])
      ]),
      more.length === 0 ? "flat" : `NOT FLAT: ${more.join(", ")}`,
      ""
    ].join("\n"))
  }
  return isFlat
}
