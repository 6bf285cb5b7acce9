/**
 * Running the programs that test, and counting what they found.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** What a step found. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** A part of a test run, by name. */
export interface Step {
  readonly name: string
  readonly run: () => Promise<Counts>
}

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: ReadonlyArray<string>]

const reports = mkdtempSync(join(tmpdir(), "effect-k8s-test-"))
process.on("exit", () => rmSync(reports, { recursive: true, force: true }))
let reported = 0

/** Runs a program of the workspace with its output on ours; its exit code. */
const run = ([program, ...args]: Command): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "inherit" })
    child.on("error", reject)
    child.on("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })

/** A step that is one test by itself. */
export const single = (name: string, ...command: Command): Step => ({
  name,
  run: async () => {
    const code = await run(command)
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }
  }
})

/** A step that writes a report with its own counts. A report that is missing, or is all passed under a failure, is a failure. */
const counted = (name: string, command: (file: string) => Command, read: (report: unknown) => Counts): Step => ({
  name,
  run: async () => {
    const file = join(reports, `${reported++}.json`)
    const code = await run(command(file))
    try {
      const counts = read(JSON.parse(readFileSync(file, "utf8")))
      return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
    } catch {
      return { passed: 0, failed: 1, skipped: 0 }
    }
  }
})

const fromVitest = (report: unknown): Counts => {
  const { numFailedTests, numPassedTests, numPendingTests, numTodoTests } = report as Record<string, number>
  return {
    passed: numPassedTests ?? 0,
    failed: numFailedTests ?? 0,
    skipped: (numPendingTests ?? 0) + (numTodoTests ?? 0)
  }
}

const fromConformance = (report: unknown): Counts => {
  const { results } = report as { readonly results: ReadonlyArray<{ readonly outcome: keyof Counts }> }
  const count = (outcome: keyof Counts): number => results.filter((result) => result.outcome === outcome).length
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") }
}

/** Tests that vitest runs: `start` is what runs vitest. */
export const vitest = (name: string, ...start: Command): Step =>
  counted(
    name,
    (file) => [...start, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`],
    fromVitest
  )

/** The conformance table: `start` is what runs the script, with its options. */
export const conformance = (name: string, ...start: Command): Step =>
  counted(name, (file) => [...start, "--json", file], fromConformance)

/** Runs the steps in order, says what became of each, and ends with the line that counts them all. */
export const runAll = async (steps: ReadonlyArray<Step>): Promise<void> => {
  const total = { passed: 0, failed: 0, skipped: 0 }
  const failures: Array<string> = []
  for (const step of steps) {
    console.log(`\n== ${step.name}`)
    const began = performance.now()
    const counts = await step.run()
    total.passed += counts.passed
    total.failed += counts.failed
    total.skipped += counts.skipped
    if (counts.failed > 0) failures.push(step.name)
    const outcome = counts.failed === 0 ? "ok" : "FAILED"
    console.log(`== ${step.name}: ${outcome} after ${Math.round((performance.now() - began) / 1000)} s`)
  }
  if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exitCode = total.failed === 0 ? 0 : 1
}
