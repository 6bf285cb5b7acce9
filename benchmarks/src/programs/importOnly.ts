/**
 * Imports the modules it is told and ends: what each costs in a process of its own.
 */
import type { Report } from "../shared/Work.ts"

const begun = performance.now()
for (const specifier of process.argv.slice(2)) await import(specifier)
const wallMillis = performance.now() - begun
const report: Report = {
  wallMillis,
  endedAt: performance.timeOrigin + performance.now(),
  rssPeak: process.memoryUsage.rss(),
  bytes: 0
}
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
