/**
 * `pnpm bench load`: what many connections and many commands leave behind in the process, while the tokens of its client
 * change.
 */
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import type { Counts, LoadReport } from "../shared/Load.ts"
import type { Rotations } from "../shared/Rotation.ts"
import type { ServerRecord, Work } from "../shared/Work.ts"
import { mebibyte } from "./Benchmark.ts"
import * as Program from "./Program.ts"
import { plainWork } from "./Run.ts"
import type { OwnServer } from "./Server.ts"
import { built } from "./stage.ts"
import { align } from "./Table.ts"

/** The servers that it runs against. */
export interface Servers {
  readonly forwarding: OwnServer
  readonly commands: OwnServer
}

interface Means {
  /** The most connections and commands. */
  readonly count: number | undefined
  /** How long a program may take. */
  readonly limitMillis: number
  readonly note: (text: string) => void
  readonly print: (text: string) => void
}

interface Load {
  readonly kind: "forwardConnects" | "roundTrips"
  readonly title: (count: number) => string
  readonly count: number
  readonly middle: string
  readonly server: keyof Servers
  /** Since when nothing may grow: while commands run, there is more. */
  readonly since: "before" | "middle"
  /** How often the server takes another token, of so many connections or commands; in what it counts. */
  readonly rotateEvery: (count: number) => number
}

const loads: ReadonlyArray<Load> = [
  {
    kind: "forwardConnects",
    title: (count) => `${count} forwarded connections, one after the other`,
    count: 10_000,
    middle: "after half of them",
    server: "forwarding",
    since: "middle",
    // Milliseconds: shorter than a round of connections takes.
    rotateEvery: () => 100
  },
  {
    kind: "roundTrips",
    title: (count) => `${count} commands at once`,
    count: 1_000,
    middle: "while all run",
    server: "commands",
    since: "before",
    // Commands: while the others are on their way.
    rotateEvery: (count) => Math.ceil(count / 10)
  }
]

// glibc keeps what was freed up to a limit that grows with what is freed, to 64 MiB; when it is set it stays as it is.
const allocator = { MALLOC_TRIM_THRESHOLD_: String(128 * 1024) }

/** What may be more at the end: compiled code and what an allocator keeps are not a leak; a leak grows with the count. */
const allowance: Counts = { sockets: 0, fibers: 0, rssBytes: 16 * mebibyte, heapBytes: 4 * mebibyte }

const names = ["sockets", "fibers", "rssBytes", "heapBytes"] as const
const titles = { sockets: "sockets", fibers: "fibers", rssBytes: "RSS MiB", heapBytes: "heap MiB" }

const cell = (counts: Counts, name: typeof names[number]): string =>
  name.endsWith("Bytes") ? (counts[name] / mebibyte).toFixed(1) : String(counts[name])

/** What has grown by more than it may. */
const grown = ({ since }: Load, report: LoadReport): ReadonlyArray<string> =>
  names.filter((name) => report.after[name] - report[since][name] > allowance[name]).map((name) => titles[name])

// The server hears of a connection's end a little later than the client's process ends.
const settleMillis = 40

const noRotations: Rotations = { rotations: 0, refused: 0, refusedUpgrades: 0, repeated: 0 }

/** What is wrong with how requests went through while tokens changed. Where nothing was refused, nothing was shown. */
const unproven = ({ refused, refusedUpgrades, repeated, rotations }: Rotations): ReadonlyArray<string> => [
  ...(rotations === 0 ? ["the token was never changed"] : []),
  ...(refusedUpgrades === 0 ? ["no upgrade was refused"] : []),
  ...(repeated === refused ? [] : [`${refused - repeated} refused requests did not come again`])
]

/** What is wrong with the commands that the server has started. */
const wrongStarts = (expected: number, { execs }: ServerRecord): ReadonlyArray<string> => {
  const different = new Set(execs.map(({ command }) => command)).size
  return [
    ...(different === expected ? [] : [`${different} commands were started, and not ${expected}`]),
    ...(execs.length === different ? [] : [`${execs.length - different} were started again`])
  ]
}

/** Runs both. Gives whether nothing has grown, and tokens that changed were met and did no harm. */
export const run = async (servers: Servers, { count, limitMillis, note, print }: Means): Promise<boolean> => {
  let isGood = true
  for (const load of loads) {
    const times = Math.min(load.count, count ?? load.count)
    note(load.title(times))
    const server = servers[load.server]
    await server.rotate(load.rotateEvery(times))
    const work: Work = { ...plainWork, kind: load.kind, bytes: 0, count: times, ...server.reachRotating() }
    const words = ["--expose-gc", join(built, "programs/load.js"), JSON.stringify(work)]
    const env = { ...process.env, ...allocator }
    const said = await Program.run(process.execPath, words, { label: "the program", limitMillis, env })
      .catch((error: unknown) => String(error))
    note("")
    if (typeof said === "string") {
      isGood = false
      print(`load: ${load.title(times)}\nFAILED: ${said}\n`)
      continue
    }
    await delay(settleMillis)
    const seen = await server.take()
    const { rotations = noRotations } = seen
    // That is what it says at its end.
    const report = said as LoadReport
    const { commands, sessions } = report
    const rows = [["before", report.before], [load.middle, report.middle], ["after", report.after]] as const
    const more = grown(load, report)
    const wrong = [...unproven(rotations), ...wrongStarts(commands ?? 0, seen)]
    if (more.length > 0 || wrong.length > 0) isGood = false
    print([
      `load: ${load.title(times)}, in ${(report.millis / 1000).toFixed(1)} s`,
      ...align([
        ["", ...names.map((name) => titles[name])],
        ...rows.map(([title, counts]) => [title, ...names.map((name) => cell(counts, name))])
      ]),
      more.length === 0 ? "flat" : `NOT FLAT: ${more.join(", ")}`,
      `${rotations.rotations} rotations, ${rotations.refused} requests refused and repeated, ` +
      `${rotations.refusedUpgrades} of them upgrades`,
      ...(sessions === undefined ? [] : [`${sessions} sessions opened, and all but two closed again`]),
      ...(commands === undefined ? [] : [`${seen.execs.length} commands started, those of the warm-up included`]),
      ...wrong.map((text) => `FAILED: ${text}`),
      ""
    ].join("\n"))
  }
  return isGood
}
