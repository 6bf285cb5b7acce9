import { assert, describe, it } from "@effect/vitest"
import * as Steps from "./steps.ts"

/** A program that leaves this report where its last argument says, and ends with this code. */
const reporter = (report: object, code: number): Steps.Command => [
  "node",
  "-e",
  `const file = process.argv.at(-1).replace(/^--outputFile.json=/, "")
  require("node:fs").writeFileSync(file, ${JSON.stringify(JSON.stringify(report))})
  process.exit(${code})`,
  "--"
]

const silent = (): void => {}
const only = ([step]: ReadonlyArray<Steps.Step>): Promise<Steps.Found> =>
  step === undefined ? Promise.reject(new Error("there is no step")) : step.run(silent)

describe("steps", () => {
  it("a program that fails is a failure with its name and its code", async () => {
    assert.deepStrictEqual(await Steps.single("types", "node", "-e", "process.exit(3)").run(silent), {
      passed: 0,
      failed: 1,
      skipped: 0,
      failures: ["types: ended with exit code 3"],
      recoveries: []
    })
  })

  it("a test of vitest that fails is named, with the first line of why", async () => {
    const report = {
      numPassedTests: 1,
      numFailedTests: 1,
      numPendingTests: 2,
      testResults: [{
        name: `${process.cwd()}/packages/a.test.ts`,
        message: "",
        status: "failed",
        assertionResults: [
          { status: "passed", fullName: "a works", failureMessages: [] },
          { status: "failed", fullName: "a ends", failureMessages: ["AssertionError: it did not\n    at a.test.ts:3"] }
        ]
      }]
    }
    assert.deepStrictEqual(await only(Steps.vitest("unit", 1, ...reporter(report, 1))), {
      passed: 1,
      failed: 1,
      skipped: 2,
      failures: ["unit: packages/a.test.ts: a ends: AssertionError: it did not"],
      recoveries: []
    })
  })

  it("a file of tests that cannot be run is a failure, though no test failed", async () => {
    const file = {
      name: `${process.cwd()}/b.test.ts`,
      message: "Cannot find c\n",
      status: "failed",
      assertionResults: []
    }
    const found = await only(Steps.vitest("unit", 1, ...reporter({ numPassedTests: 4, testResults: [file] }, 1)))
    assert.strictEqual(found.passed, 4)
    assert.strictEqual(found.failed, 1)
    assert.deepStrictEqual(found.failures, [
      "unit: b.test.ts: Cannot find c",
      "unit: no test is counted as failed, but it ended with exit code 1"
    ])
  })

  it("a row of the table that fails, or passes only when run again, is named by its id and path", async () => {
    const results = [
      { id: "E1", path: "direct", name: "it runs", outcome: "passed" },
      { id: "E2", path: "tunnel", name: "it ends", outcome: "failed", message: "it did not\nat all" },
      { id: "E3", path: "direct", name: "it waits", outcome: "passed", failedFirst: "it did not wait" }
    ]
    const found = await only(Steps.conformance("Node", 1, ...reporter({ runtime: "Node 26", results }, 1)))
    assert.deepStrictEqual(found, {
      passed: 2,
      failed: 1,
      skipped: 0,
      failures: ["conformance on Node: E2 tunnel it ends: it did not"],
      recoveries: ["conformance on Node: E3 direct it waits: it did not wait"]
    })
  })

  it("a report that is missing, or of another runtime, is a failure", async () => {
    const missing = await only(Steps.conformance("Node", 1, "node", "-e", "", "--"))
    assert.strictEqual(missing.failed, 1)
    const other = await only(Steps.conformance("Deno", 1, ...reporter({ runtime: "Node 26", results: [] }, 0)))
    assert.match(other.failures.join(), /the table ran on Node 26, and not on Deno/)
  })
})
