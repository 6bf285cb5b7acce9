import { assert, it } from "@effect/vitest"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

it("tsc -b checks every package of the workspace", () => {
  const { references } = JSON.parse(readFileSync(join(root, "tsconfig.json"), "utf8")) as {
    readonly references: ReadonlyArray<{ readonly path: string }>
  }
  const packages = globSync(["packages/*/package.json", "*/package.json"], { cwd: root, exclude: ["node_modules"] })
    .map(dirname)
    .filter((folder) => existsSync(join(root, folder, "tsconfig.json")))
  assert.isAbove(packages.length, 5)
  assert.includeMembers(references.map(({ path }) => path), packages)
})
