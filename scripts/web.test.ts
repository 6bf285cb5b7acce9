import { assert, describe, it } from "@effect/vitest"
import { build } from "esbuild"
import { globSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const packages = fileURLToPath(new URL("../packages/", import.meta.url))

/** Bundles modules as a web page would, and names what they are made of. esbuild refuses what only Node has. */
const bundle = async (entryPoints: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  const { metafile } = await build({
    entryPoints: [...entryPoints],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    logLevel: "silent",
    outdir: "out"
  })
  return Object.keys(metafile.inputs)
}

describe("in a browser, without a runtime of a server", () => {
  for (const name of ["core", "channels"]) {
    it(`every module of ${name} can be used`, async () => {
      const modules = globSync("src/**/*.ts", { cwd: join(packages, name) }).map((file) => join(packages, name, file))
      const inputs = await bundle(modules)
      assert.isAbove(modules.length, 10)
      assert.deepStrictEqual(inputs.filter((input) => /platform-node|undici|^node:/.test(input)), [])
    })
  }

  it("an adapter cannot: this test can fail", async () => {
    const error = await bundle([join(packages, "node/src/NodePlatform.ts")]).then(() => undefined, (cause) => cause)
    assert.match(String(error), /node:/)
  })
})
