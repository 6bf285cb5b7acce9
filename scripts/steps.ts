/**
 * Running the programs that test, and counting what they found.
 */
import { spawn, type StdioOptions } from "node:child_process"
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
    const stdio: StdioOptions = output === "inherit" ? "inherit" : ["ignore", "pipe", "pipe"]
    const child = spawn(program, args, { stdio })
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
    } catch (cause) {
      console.error(cause)
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

const fromConformance = (wanted: string) => (report: unknown): Counts => {
  const { results, runtime } = report as {
    readonly results: ReadonlyArray<{ readonly outcome: keyof Counts }>
    readonly runtime: string
  }
  if (!runtime.startsWith(wanted)) throw new Error(`the table ran on ${runtime}, and not on ${wanted}`)
  const count = (outcome: keyof Counts): number => results.filter((result) => result.outcome === outcome).length
  return { passed: count("passed"), failed: count("failed"), skipped: count("skipped") }
}

/** Tests that vitest runs, in so many parts: `start` is what runs vitest. */
export const vitest = (name: string, parts: number, ...start: Command): ReadonlyArray<Step> =>
  Array.from({ length: parts }, (_, i) =>
    counted(
      parts === 1 ? name : `${name} ${i + 1}/${parts}`,
      (file) => [
        ...start,
        "run",
        ...(parts === 1 ? [] : [`--shard=${i + 1}/${parts}`]),
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${file}`
      ],
      fromVitest
    ))

/**
 * The conformance table in so many parts, to which its rows go in turn. `start` is what runs the script, with its options;
 * a report of another runtime than the one that is wanted, by the beginning of its name, is a failure.
 */
export const conformance = (runtime: string, parts: number, ...start: Command): ReadonlyArray<Step> =>
  Array.from({ length: parts }, (_, i) => {
    const part = parts === 1 ? [] : ["--shard", `${i + 1}/${parts}`]
    const name = ["conformance on", runtime, ...part.slice(1)].join(" ")
    return counted(name, (file) => [...start, ...part, "--json", file], fromConformance(runtime))
  })

/**
 * Steps side by side, as one, so many at a time, in order. The output of each is shown when it is done; a step takes as
 * long as it takes beside the others.
 */
export const together = (name: string, atOnce: number, ...steps: ReadonlyArray<Step>): Step => ({
  name,
  run: async () => {
    let total = none
    const waiting = [...steps]
    const work = async (): Promise<void> => {
      for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
        const { name, run } = step
        const began = performance.now()
        const texts: Array<string> = []
        const counts = await run((text) => texts.push(text))
        console.log(`\n-- ${name}\n${texts.join("")}-- ${name}: ${outcomeOf(counts, began)}`)
        total = add(total, counts)
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
    return total
  }
})

const none: Counts = { passed: 0, failed: 0, skipped: 0 }

const outcomeOf = (counts: Counts, began: number): string =>
  `${counts.failed === 0 ? "ok" : "FAILED"} after ${Math.round((performance.now() - began) / 1000)} s`

const add = (a: Counts, b: Counts): Counts => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped
})

/** Runs the steps in order, says what became of each, and ends with the line that counts them all. */
export const runAll = async (steps: ReadonlyArray<Step>): Promise<void> => {
  let total = none
  const failures: Array<string> = []
  for (const step of steps) {
    console.log(`\n== ${step.name}`)
    const began = performance.now()
    const counts = await step.run("inherit")
    total = add(total, counts)
    if (counts.failed > 0) failures.push(step.name)
    console.log(`== ${step.name}: ${outcomeOf(counts, began)}`)
  }
  if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exitCode = total.failed === 0 ? 0 : 1
}
