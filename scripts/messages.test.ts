import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const source = readFileSync(join(root, "packages/core/typetest/Refused.tst.ts"), "utf8")
// Where the source finds the same packages; git does not see it.
const folder = join(root, "packages/core/.tsbuildinfo/messages")

const mark = "// @ts-expect-error "

/** What stands above each line that must not compile, by the number of that line, from 1. */
const expected = source.split("\n").flatMap((line, i) =>
  line.trimStart().startsWith(mark) ? [[i + 2, line.trimStart().slice(mark.length)] as const] : []
)

/** What the compiler says of each line; words on lines of their own belong to the error above. */
const messages = (): ReadonlyMap<number, string> => {
  mkdirSync(folder, { recursive: true })
  try {
    writeFileSync(join(folder, "Refused.ts"), source.replaceAll(mark, "// "))
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: "../../typetest/tsconfig.json",
        include: ["."],
        compilerOptions: { tsBuildInfoFile: null, plugins: [] }
      })
    )
    const compiler = join(root, "node_modules/typescript/bin/tsc")
    const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder, "--pretty", "false"], { encoding: "utf8" })
    const found = new Map<number, string>()
    let line = 0
    for (const text of stdout.split("\n")) {
      line = Number(/Refused\.ts\((\d+),\d+\): error TS/.exec(text)?.[1] ?? line)
      found.set(line, `${found.get(line) ?? ""}${text}\n`)
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

// TSTyche compares them on the versions that it knows; this is the one of the workspace.
describe("TypeScript 7 says of what the server would refuse", () => {
  const said = messages()

  for (const [line, text] of expected) {
    it(text, () => {
      assert.include(said.get(line) ?? "", text)
    })
  }

  it("as much as there is to say, and nothing of anything else", () => {
    assert.isAbove(expected.length, 15)
    assert.deepStrictEqual(
      Array.from(said.keys()).filter((line) => line > 0).sort((a, b) => a - b),
      expected.map(([line]) => line)
    )
  })
})
