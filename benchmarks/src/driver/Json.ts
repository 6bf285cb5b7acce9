/**
 * Everything that was measured, as JSON.
 */
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { cpus, release, totalmem, type } from "node:os"
import { join } from "node:path"
import type { Found } from "./Kubectl.ts"
import type { Measured, Outcome } from "./Run.ts"
import { root } from "./stage.ts"
import { spread } from "./Statistics.ts"
import { judgeAll } from "./Targets.ts"

const git = (...words: ReadonlyArray<string>): string =>
  execFileSync("git", words, { cwd: root, encoding: "utf8" }).trim()

const versionOf = (name: string): string => {
  const require = createRequire(join(root, "package.json"))
  const paths = require.resolve.paths(name) ?? []
  for (const path of paths) {
    try {
      return (JSON.parse(readFileSync(join(path, name, "package.json"), "utf8")) as { readonly version: string })
        .version
    } catch {
      continue
    }
  }
  return "unknown"
}

// More digits than these are noise.
const rounded = (value: number): number => Number(value.toPrecision(4))

const metrics = (rounds: ReadonlyArray<Measured>) => {
  const names = [
    "wallMillis",
    "processMillis",
    "cpuUserMillis",
    "cpuSystemMillis",
    "serverCpuMillis",
    "rssPeakBytes",
    "rssGrowthBytes",
    "lapMedianMillis",
    "lapP95Millis",
    "lapP99Millis",
    "rssPerLapBytes",
    "activeShare",
    "bytes",
    "count",
    "connections"
  ] as const
  return Object.fromEntries(names.flatMap((name) => {
    const found = spread(rounds.map((round) => round[name]))
    return found === undefined
      ? []
      : [[name, { median: rounded(found.median), min: rounded(found.min), max: rounded(found.max) }]]
  }))
}

/** What `--json` writes. */
export const toJson = (
  outcomes: ReadonlyArray<Outcome>,
  { cluster, kubectl }: { readonly cluster: string | undefined; readonly kubectl: Found }
): unknown => ({
  date: new Date().toISOString(),
  commit: git("rev-parse", "--short", "HEAD"),
  // Changes outside of this folder: what was measured is not quite the commit.
  changed: git("status", "--porcelain", "--untracked-files=no", "--", "../packages") !== "",
  machine: {
    processors: cpus().length,
    model: cpus()[0]?.model ?? "",
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`
  },
  versions: {
    node: process.versions.node,
    effect: versionOf("effect"),
    "@effect/platform-node": versionOf("@effect/platform-node"),
    ws: versionOf("ws"),
    "@kubernetes/client-node": versionOf("@kubernetes/client-node"),
    kubectl: kubectl._tag === "Found" ? kubectl.version : null,
    deno: versionOf("deno"),
    cluster: cluster ?? null
  },
  outcomes: outcomes.map((outcome) => ({
    name: outcome.benchmark.name,
    title: outcome.benchmark.title,
    transport: outcome.transport,
    limits: outcome.limits,
    load: outcome.load.map(rounded),
    entries: outcome.results.map(({ entry, problem, rounds }) => ({
      label: entry.label,
      problem,
      rounds: rounds.length,
      protocol: rounds[0]?.protocol,
      ...metrics(rounds)
    })),
    targets: judgeAll(outcome).map((verdict) => ({
      ...verdict,
      value: verdict.value === undefined ? undefined : rounded(verdict.value)
    }))
  }))
})
