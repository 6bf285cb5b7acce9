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

/** Where the output of a program goes: on ours as it comes, or there in one piece. */
export type Output = "inherit" | ((text: string) => void)

/** A part of a test run, by name. */
export interface Step {
  readonly name: string
  readonly run: (output: Output) => Promise<Counts>
}

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: ReadonlyArray<string>]

const reports = mkdtempSync(join(tmpdir(), "effect-k8s-test-"))
process.on("exit", () => rmSync(reports, { recursive: true, force: true }))
let reported = 0

/** Runs a program of the workspace; its exit code. */
const run = ([program, ...args]: Command, output: Output): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      program,
      args,
      output === "inherit" ? { stdio: "inherit" } : { stdio: ["ignore", "pipe", "pipe"] }
    )
    const chunks: Array<Buffer> = []
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => chunks.push(chunk))
    child.on("error", reject)
    child.on("close", (code, signal) => {
      if (output !== "inherit") output(Buffer.concat(chunks).toString())
      resolve(code ?? (signal === null ? 1 : 128))
    })
  })

/** A step that is one test by itself. */
export const single = (name: string, ...command: Command): Step => ({
  name,
  run: async (output) => {
    const code = await run(command, output)
    return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 }
  }
})

/** A step that writes a report with its own counts. A report that is missing, or is all passed under a failure, is a failure. */
const counted = (name: string, command: (file: string) => Command, read: (report: unknown) => Counts): Step => ({
  name,
  run: async (output) => {
    const file = join(reports, `${reported++}.json`)
    const code = await run(command(file), output)
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

/** Steps side by side, as one. The output of the first is shown as it comes, that of the others when they are done. */
export const together = (first: Step, ...others: ReadonlyArray<Step>): Step => ({
  name: [first, ...others].map(({ name }) => name).join(" | "),
  run: async (output) => {
    const texts: Array<string> = []
    const counts = await Promise.all([
      first.run(output),
      ...others.map(({ name, run }) => run((text) => texts.push(`\n== ${name}\n${text}`)))
    ])
    for (const text of texts) console.log(text)
    return counts.reduce(add)
  }
})

const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped
})

/** Runs the steps in order, says what became of each, and ends with the line that counts them all. */
export const runAll = async (steps: ReadonlyArray<Step>): Promise<void> => {
  let total: Counts = { passed: 0, failed: 0, skipped: 0 }
  const failures: Array<string> = []
  for (const step of steps) {
    console.log(`\n== ${step.name}`)
    const began = performance.now()
    const counts = await step.run("inherit")
    total = add(total, counts)
    if (counts.failed > 0) failures.push(step.name)
    const outcome = counts.failed === 0 ? "ok" : "FAILED"
    console.log(`== ${step.name}: ${outcome} after ${Math.round((performance.now() - began) / 1000)} s`)
  }
  if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exitCode = total.failed === 0 ? 0 : 1
}
