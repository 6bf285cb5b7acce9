import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { extract } from "./examples.ts"

describe.each(["core", "channels", "testing", "codegen"])("the examples of the doc comments of %s", (name) => {
  const folder = fileURLToPath(new URL(`../packages/${name}`, import.meta.url))
  const examples = extract(folder)

  for (const example of examples) {
    it(`${example.name} runs and shows what it says`, async () => {
      await import(example.file)
    })
  }

  it("type-check", () => {
    try {
      execFileSync("tsc", ["-p", `${folder}/.examples`], { encoding: "utf8", stdio: "pipe" })
    } catch (error) {
      assert.fail(String((error as { readonly stdout?: string }).stdout ?? error))
    }
  })
})
