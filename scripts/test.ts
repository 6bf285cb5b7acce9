/**
 * `pnpm test`: types, lint, format, type tests, unit, property, contract and conformance tests. The last line counts all
 * of them: `N passed, N failed, N skipped`.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

const reports = mkdtempSync(join(tmpdir(), "effect-k8s-test-"))
process.on("exit", () => rmSync(reports, { recursive: true, force: true }))

/** Runs a program of the workspace with its output on ours; its exit code. */
const run = (command: string, ...args: ReadonlyArray<string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: "inherit" })
    child.on("error", reject)
    child.on("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })

const one = (code: number): Counts => ({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 })

/** A step that is one test by itself. */
const single = (command: string, ...args: ReadonlyArray<string>) => async () => one(await run(command, ...args))

/** A step that writes a report with its own counts. A report that is missing, or is all passed under a failure, is a failure. */
const counted = (
  name: string,
  command: (file: string) => readonly [string, ...ReadonlyArray<string>],
  read: (report: unknown) => Counts
) =>
async (): Promise<Counts> => {
  const file = join(reports, `${name}.json`)
  const code = await run(...command(file))
  try {
    const counts = read(JSON.parse(readFileSync(file, "utf8")))
    return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

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

const inDeno = ["deno", "run", "--allow-all", "--no-prompt", "--node-modules-dir=manual"] as const

const steps: ReadonlyArray<readonly [name: string, step: () => Promise<Counts>]> = [
  ["types", single("tsc", "-b")],
  ["lint", single("oxlint", "--type-aware")],
  ["format", single("dprint", "check")],
  ["type tests", single("tstyche")],
  [
    "unit, property, contract",
    counted(
      "vitest",
      (file) => ["vitest", "run", "--reporter=default", "--reporter=json", `--outputFile.json=${file}`],
      fromVitest
    )
  ],
  [
    "contract on Deno",
    counted(
      "deno",
      (file) => [
        ...inDeno,
        "node_modules/vitest/vitest.mjs",
        "run",
        "--project=deno",
        "--reporter=default",
        "--reporter=json",
        `--outputFile.json=${file}`
      ],
      fromVitest
    )
  ],
  ["conformance", counted("conformance", (file) => ["node", "scripts/conformance.ts", "--json", file], fromConformance)]
]

const total = { passed: 0, failed: 0, skipped: 0 }
const failures: Array<string> = []
for (const [name, step] of steps) {
  console.log(`\n== ${name}`)
  const began = performance.now()
  const counts = await step()
  total.passed += counts.passed
  total.failed += counts.failed
  total.skipped += counts.skipped
  if (counts.failed > 0) failures.push(name)
  console.log(
    `== ${name}: ${counts.failed === 0 ? "ok" : "FAILED"} after ${Math.round((performance.now() - began) / 1000)} s`
  )
}
if (failures.length > 0) console.log(`\nfailed: ${failures.join(", ")}`)
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 ? 0 : 1
