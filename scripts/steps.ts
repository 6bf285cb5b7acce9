/**
 * Running the programs that test, and counting what they found.
 */
import { spawn, type StdioOptions } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import * as Signals from "./signals.ts"

/** What a step found. */
export interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** What a step found, a line on each test that failed, and on each row that passed when it was run once more. */
export interface Found extends Counts {
  readonly failures: ReadonlyArray<string>
  readonly recoveries: ReadonlyArray<string>
}

/** Where the output of a program goes: on ours as it comes, or there in one piece. */
export type Output = "inherit" | ((text: string) => void)

/** A part of a test run, by name. */
export interface Step {
  readonly name: string
  readonly run: (output: Output) => Promise<Found>
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
    Signals.passOn(child)
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
    return code === 0 ? { ...none, passed: 1 } : failure(`${name}: ended with exit code ${code}`)
  }
})

/** A step that writes a report with its own counts. A report that is missing, or is all passed under a failure, is a failure. */
const counted = (name: string, command: (file: string) => Command, read: (report: unknown) => Found): Step => ({
  name,
  run: async (output) => {
    const file = join(reports, `${reported++}.json`)
    const code = await run(command(file), output)
    const signal = Signals.received()
    if (signal !== undefined) return failure(`${name}: ended by ${signal}`)
    try {
      const found = read(JSON.parse(readFileSync(file, "utf8")))
      const named = {
        ...found,
        failures: found.failures.map((test) => `${name}: ${test}`),
        recoveries: found.recoveries.map((test) => `${name}: ${test}`)
      }
      return code !== 0 && found.failed === 0
        ? add(named, failure(`${name}: no test is counted as failed, but it ended with exit code ${code}`))
        : named
    } catch (cause) {
      return failure(
        `${name}: ended with exit code ${code}, and its report cannot be read: ${firstLine(String(cause))}`
      )
    }
  }
})

/** The first line of a message, cut to what is read at a glance. */
const firstLine = (message: string): string => message.trimStart().split("\n", 1).join("").slice(0, 300)

interface VitestFile {
  readonly name: string
  readonly message: string
  readonly status: string
  readonly assertionResults: ReadonlyArray<
    { readonly status: string; readonly fullName: string; readonly failureMessages: ReadonlyArray<string> }
  >
}

const fromVitest = (report: unknown): Found => {
  const { numFailedTests = 0, numPassedTests = 0, numPendingTests = 0, numTodoTests = 0 } = report as Record<
    string,
    number
  >
  const { testResults } = report as { readonly testResults: ReadonlyArray<VitestFile> }
  const failures = testResults.flatMap(({ assertionResults, message, name, status }) => {
    const failed = assertionResults.filter((test) => test.status === "failed")
    // A file that could not be run, or broke after its tests, has a message of its own.
    if (status === "failed" && failed.length === 0) return [`${relative(process.cwd(), name)}: ${firstLine(message)}`]
    return failed.map(({ failureMessages: [reason = ""], fullName }) =>
      `${relative(process.cwd(), name)}: ${fullName}: ${firstLine(reason)}`
    )
  })
  const skipped = numPendingTests + numTodoTests
  return { passed: numPassedTests, failed: numFailedTests, skipped, failures, recoveries: [] }
}

interface Row {
  readonly id: string
  readonly name: string
  readonly path: string
  readonly outcome: keyof Counts
  readonly message?: string
  /** Why it failed at first, when it was run once more. */
  readonly failedFirst?: string
}

const lineOf = ({ id, name, path }: Row, reason = ""): string => `${id} ${path} ${name}: ${firstLine(reason)}`

const fromConformance = (wanted: string) => (report: unknown): Found => {
  const { results, runtime } = report as { readonly results: ReadonlyArray<Row>; readonly runtime: string }
  if (!runtime.startsWith(wanted)) throw new Error(`the table ran on ${runtime}, and not on ${wanted}`)
  const ended = (outcome: keyof Counts): ReadonlyArray<Row> => results.filter((result) => result.outcome === outcome)
  return {
    passed: ended("passed").length,
    failed: ended("failed").length,
    skipped: ended("skipped").length,
    failures: ended("failed").map((row) => lineOf(row, row.message)),
    recoveries: ended("passed").flatMap((row) => row.failedFirst === undefined ? [] : [lineOf(row, row.failedFirst)])
  }
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
        if (Signals.received() !== undefined) return
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

const none: Found = { passed: 0, failed: 0, skipped: 0, failures: [], recoveries: [] }

const failure = (line: string): Found => ({ ...none, failed: 1, failures: [line] })

const outcomeOf = (counts: Counts, began: number): string =>
  `${counts.failed === 0 ? "ok" : "FAILED"} after ${Math.round((performance.now() - began) / 1000)} s`

const add = (a: Found, b: Found): Found => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
  failures: [...a.failures, ...b.failures],
  recoveries: [...a.recoveries, ...b.recoveries]
})

/**
 * Runs the steps in order, says what became of each, and ends with a line on each row that passed only when it was run
 * once more, `passed at the second attempt: ...`, on each that failed, `failed: ...`, and the line that counts them all.
 */
export const runAll = async (steps: ReadonlyArray<Step>): Promise<void> => {
  let total = none
  for (const step of steps) {
    if (Signals.received() !== undefined) break
    console.log(`\n== ${step.name}`)
    const began = performance.now()
    const counts = await step.run("inherit")
    total = add(total, counts)
    console.log(`== ${step.name}: ${outcomeOf(counts, began)}`)
  }
  const signal = Signals.received()
  if (signal !== undefined) console.log(`\nended by ${signal}; what was not done is not counted`)
  if (total.failures.length + total.recoveries.length > 0) console.log("")
  for (const line of total.recoveries) console.log(`passed at the second attempt: ${line}`)
  for (const line of total.failures) console.log(`failed: ${line}`)
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
  process.exitCode = total.failed === 0 && signal === undefined ? 0 : 1
}
