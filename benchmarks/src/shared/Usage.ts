/**
 * What a process uses, measured in it, or of another one from the outside.
 */
import { createHash } from "node:crypto"
import { readFileSync, writeFileSync } from "node:fs"
import * as Pattern from "./Pattern.ts"
import type { Report } from "./Work.ts"

const kibibyte = 1024
const samplingMillis = 10
// The clock in which Linux counts the processor time of other processes.
const tickMillis = 10

/** A line of `/proc/PID/status` in bytes; absent elsewhere than on Linux. */
export const statusBytes = (pid: number | "self", field: "VmRSS" | "VmHWM"): number | undefined => {
  try {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))
    return match === null ? undefined : Number(match[1]) * kibibyte
  } catch {
    return undefined
  }
}

/** Processor time in milliseconds. */
export interface Cpu {
  readonly user: number
  readonly system: number
}

/** Processor time of a process, or of those of its children that have ended. Absent elsewhere than on Linux. */
export const cpuOf = (pid: number | "self", of: "process" | "children"): Cpu | undefined => {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ")
    const [user, system] = of === "process" ? [11, 12] : [13, 14]
    return { user: Number(fields[user]) * tickMillis, system: Number(fields[system]) * tickMillis }
  } catch {
    return undefined
  }
}

// Linux forgets the peak of a process on this; elsewhere the samples must do.
const resetPeak = (pid: number | "self"): boolean => {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5")
    return true
  } catch {
    return false
  }
}

const ownCpu = (): Cpu => {
  const { system, user } = process.cpuUsage()
  return { user: user / 1000, system: system / 1000 }
}

/** What the work itself tells. */
export type Outcome = Pick<Report, "bytes" | "laps" | "sha256" | "wallMillis" | "activeShare" | "rssPerLap">

/** Runs work and tells what it took: this process, or another one that does it for this one. */
export const measure = async (
  work: () => Promise<Outcome>,
  pid: number | "self" = "self"
): Promise<Report> => {
  const rss = (): number => (pid === "self" ? process.memoryUsage().rss : statusBytes(pid, "VmRSS")) ?? 0
  const cpu = (): Cpu | undefined => pid === "self" ? ownCpu() : cpuOf(pid, "process")
  const rssBefore = rss()
  let rssPeak = rssBefore
  const exact = resetPeak(pid)
  const sampling = exact ? undefined : setInterval(() => {
    rssPeak = Math.max(rssPeak, rss())
  }, samplingMillis)
  const before = cpu()
  const begun = performance.now()
  const result = await work()
  const wallMillis = performance.now() - begun
  const endedAt = performance.timeOrigin + performance.now()
  const after = cpu()
  clearInterval(sampling)
  return {
    wallMillis,
    ...result,
    endedAt,
    ...(before === undefined || after === undefined
      ? {}
      : { cpuUserMillis: after.user - before.user, cpuSystemMillis: after.system - before.system }),
    rssBefore,
    rssPeak: Math.max(rssPeak, (exact ? statusBytes(pid, "VmHWM") : undefined) ?? 0)
  }
}

/** Runs `once` so many times, one after the other, and times each. */
export const laps = async (count: number, once: () => Promise<void>): Promise<ReadonlyArray<number>> => {
  const times: Array<number> = []
  for (let i = 0; i < count; i++) {
    const begun = performance.now()
    await once()
    times.push(performance.now() - begun)
  }
  return times
}

/** The slope of the straight line that fits best through values at equal distances. */
export const slope = (values: ReadonlyArray<number>): number => {
  const middle = (values.length - 1) / 2
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  let above = 0
  let below = 0
  values.forEach((value, i) => {
    above += (i - middle) * (value - mean)
    below += (i - middle) ** 2
  })
  return below === 0 ? 0 : above / below
}

/** Takes output: counts it, or checks it against the pattern as it comes. */
export interface Receiver {
  readonly take: (chunk: Uint8Array) => void
  readonly bytes: () => number
}

/** A receiver. One that checks throws at the first byte that is not the pattern's. */
export const receiver = (check: boolean): Receiver => {
  let bytes = 0
  return {
    bytes: () => bytes,
    take: (chunk) => {
      if (check) {
        for (let i = 0; i < chunk.length; i++) {
          if (chunk[i] !== Pattern.block[(bytes + i) % Pattern.blockBytes]) {
            throw new Error(`byte ${bytes + i} of the output is wrong`)
          }
        }
      }
      bytes += chunk.length
    }
  }
}

/** A receiver that hashes. */
export const hasher = (): Receiver & { readonly sha256: () => string } => {
  const hash = createHash("sha256")
  let bytes = 0
  return {
    bytes: () => bytes,
    take: (chunk) => {
      hash.update(chunk)
      bytes += chunk.length
    },
    sha256: () => hash.digest("hex")
  }
}
