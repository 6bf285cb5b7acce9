/**
 * What a process uses, measured in it.
 */
import { readFileSync, writeFileSync } from "node:fs"
import * as Pattern from "./Pattern.ts"
import type { Report } from "./Work.ts"

const kibibyte = 1024
const samplingMillis = 10

/** A line of `/proc/PID/status` in bytes; absent elsewhere than on Linux. */
export const statusBytes = (pid: number | "self", field: "VmRSS" | "VmHWM"): number | undefined => {
  try {
    const match = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))
    return match === null ? undefined : Number(match[1]) * kibibyte
  } catch {
    return undefined
  }
}

// Linux forgets the peak of a process on this; elsewhere the samples must do.
const resetPeak = (): boolean => {
  try {
    writeFileSync("/proc/self/clear_refs", "5")
    return true
  } catch {
    return false
  }
}

/** Runs work and tells what it took. */
export const measure = async (
  work: () => Promise<Pick<Report, "bytes" | "laps" | "sha256">>
): Promise<Report> => {
  const rssBefore = process.memoryUsage.rss()
  let rssPeak = rssBefore
  const exact = resetPeak()
  const sampling = exact ? undefined : setInterval(() => {
    rssPeak = Math.max(rssPeak, process.memoryUsage.rss())
  }, samplingMillis)
  const cpu = process.cpuUsage()
  const begun = performance.now()
  const result = await work()
  const wallMillis = performance.now() - begun
  const endedAt = performance.timeOrigin + performance.now()
  const used = process.cpuUsage(cpu)
  clearInterval(sampling)
  return {
    ...result,
    wallMillis,
    endedAt,
    cpuUserMillis: used.user / 1000,
    cpuSystemMillis: used.system / 1000,
    rssBefore,
    rssPeak: Math.max(rssPeak, (exact ? statusBytes("self", "VmHWM") : undefined) ?? 0)
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
