/**
 * Begin and end of a program that is measured as a whole.
 */
import { performance } from "node:perf_hooks"
import type { Report, Work } from "../shared/Work.ts"

let importsMillis = 0

/** What to do. Called first thing after the imports. */
export const begin = (): Work & { readonly ca: string } => {
  importsMillis = performance.now() - performance.nodeTiming.bootstrapComplete
  const work = JSON.parse(process.argv[2] ?? "{}") as Work
  return { ...work, ca: work.ca ?? "" }
}

/** Reports the number of pods, and ends the process. */
export const end = (items: number): void => {
  const report: Report = {
    wallMillis: importsMillis,
    endedAt: performance.timeOrigin + performance.now(),
    rssPeak: process.memoryUsage.rss(),
    bytes: items
  }
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}
