/**
 * `pnpm test:matrix`: the tests of the packages that programs run, and the conformance table, on each runtime that is
 * supported: Node 22.19, 24 and 26, and Deno. The last line counts: `N passed, N failed, N skipped`.
 */
import { execFileSync } from "node:child_process"
import { delimiter, dirname } from "node:path"
import { inDeno } from "./conformance/Runtime.ts"
import * as Steps from "./steps.ts"

// The last one is what the workspace itself runs on.
const versions = ["22.19.0", "24", "26.10.0"]
const projects = ["core", "channels", "node", "testing"].map((name) => `--project=${name}`)

/** Where npm has put this version of Node. */
const find = (version: string): string => {
  const args = ["-y", "-p", `node@${version}`, "-c", "node -p process.execPath"]
  return execFileSync("npx", args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim()
}

const onNode = (version: string): Steps.Step => {
  const node = find(version)
  const name = `Node ${execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).trim()}`
  // Tests and rows that start a Node by name mean this one too.
  const command: Steps.Command = [
    "env",
    `PATH=${dirname(node)}${delimiter}${process.env["PATH"] ?? ""}`,
    node
  ]
  return Steps.together(
    name,
    4,
    ...Steps.vitest(
      `unit, property, contract on ${name}`,
      2,
      ...command,
      "node_modules/vitest/vitest.mjs",
      ...projects
    ),
    ...Steps.conformance(name, 2, ...command, "scripts/conformance.ts")
  )
}

const onDeno = Steps.together(
  "Deno",
  3,
  ...Steps.vitest(
    "unit, property, contract on Deno",
    1,
    ...inDeno("node_modules/vitest/vitest.mjs"),
    ...["core", "channels", "deno"].map((name) => `--project=${name}`)
  ),
  ...Steps.conformance("Deno", 2, "node", "scripts/conformance.ts", "--runtime", "deno")
)

await Steps.runAll([...versions.map(onNode), onDeno])
