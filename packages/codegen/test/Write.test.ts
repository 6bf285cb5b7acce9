import * as Module from "@effect-k8s/codegen/emit/Module"
import * as Write from "@effect-k8s/codegen/emit/Write"
import * as Document from "@effect-k8s/codegen/load/Document"
import * as Folder from "@effect-k8s/codegen/load/Folder"
import * as Lock from "@effect-k8s/codegen/load/Lock"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "node:path"

const platform = Layer.merge(NodeServices.layer, Digest.layerWebCrypto)

describe("writing modules", () => {
  it.effect("removes the modules of an earlier run, and nothing that was written by hand", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const file = (path: string, text: string) => Write.file(Path.join(folder, path), text)
      yield* file("old/v1.ts", `${Module.marker}\n`)
      yield* file("mine/v1.ts", "export {}\n")
      yield* file("mine/v1.md", `${Module.marker}\n`)
      // Not ours, though generated: another configuration, a package.
      yield* file("other/apis/v1.ts", `${Module.marker}\n`)
      yield* file("node_modules/v1.ts", `${Module.marker}\n`)
      yield* file("schemas/old/v1.ts", `${Module.marker}\n`)
      yield* file("schemas.ts", `${Module.marker}\n`)
      yield* Write.modules(folder, [{ path: "new/v1.ts", text: `${Module.marker}\n\n` }])
      const files = (yield* fs.readDirectory(folder, { recursive: true })).filter((path) => path.includes("."))
      assert.deepStrictEqual(files.sort(), [
        "mine/v1.md",
        "mine/v1.ts",
        "new/v1.ts",
        "node_modules/v1.ts",
        "other/apis/v1.ts"
      ])
    }).pipe(Effect.scoped, Effect.provide(platform)))

  it.effect("does not look into folders of packages, or deeper than modules lie", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      for (const path of ["a/v1.ts", "a/b/c/d.ts", "schemas/a/v1.ts", "node_modules/p/q.ts", "mine.ts"]) {
        yield* Write.file(Path.join(folder, path), `${Module.marker}\n`)
      }
      const seen: Array<string> = []
      const watched: FileSystem.FileSystem = {
        ...fs,
        readDirectory: (path, options) => {
          seen.push(`${Path.relative(folder, path)}${options?.recursive === true ? "/**" : ""}`)
          return fs.readDirectory(path, options)
        }
      }
      const stale = yield* Effect.provideService(Write.stale(folder, []), FileSystem.FileSystem, watched)
      assert.deepStrictEqual(stale.toSorted(), ["a/v1.ts", "schemas/a/v1.ts"])
      assert.deepStrictEqual([...new Set(seen)].sort(), ["", "a", "schemas", "schemas/a"])
    }).pipe(Effect.scoped, Effect.provide(platform)))

  it.effect("loses no file that was written by hand: it fails before it writes anything", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const mine = Path.join(folder, "b/v1.ts")
      yield* Write.file(mine, "export {}\n")
      yield* Write.file(Path.join(folder, "old/v1.ts"), `${Module.marker}\n`)
      const modules = ["a/v1.ts", "b/v1.ts"].map((path) => ({ path, text: `${Module.marker}\n` }))
      const { message } = yield* Effect.flip(Write.modules(folder, modules))
      assert.strictEqual(
        message,
        `${mine} was not generated, and would be lost; move it, or generate into another folder`
      )
      assert.strictEqual(yield* fs.readFileString(mine), "export {}\n")
      assert.deepStrictEqual((yield* fs.readDirectory(folder)).toSorted(), ["b", "old"])
      // What a run leaves that was ended in the middle is no work of anybody.
      yield* Write.file(mine, "")
      yield* Write.modules(folder, modules)
      assert.deepStrictEqual(
        (yield* fs.readDirectory(folder, { recursive: true })).filter((name) => name.endsWith(".ts")).sort(),
        ["a/v1.ts", "b/v1.ts"]
      )
    }).pipe(Effect.scoped, Effect.provide(platform)))
})

describe("loading a folder", () => {
  it.effect("reads its JSON files in order, hidden ones too, and knows their digests", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      yield* Write.file(Path.join(folder, "b.json"), "{}")
      yield* Write.file(Path.join(folder, ".a.json"), "{\"openapi\":\"3.0.0\"}")
      yield* Write.file(Path.join(folder, "c.yaml"), "{}")
      const documents = yield* Folder.load(folder)
      assert.deepStrictEqual(documents.map(({ name }) => name), [".a.json", "b.json"])
      assert.strictEqual(
        Lock.text({ openapi: documents.slice(1) }),
        `{
  "openapi": {
    "b.json": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
  }
}
`
      )
    }).pipe(Effect.scoped, Effect.provide(platform)))

  it.effect("says which file is not JSON, and which folder is not there", () =>
    Effect.gen(function*() {
      const text = yield* Effect.flip(Document.make("a.json", new TextEncoder().encode("<html>")))
      assert.strictEqual(text.reason._tag, "InvalidDocument")
      assert.match(text.message, /^a\.json is not JSON/)
      const folder = yield* Effect.flip(Folder.load("/nowhere/at/all"))
      assert.strictEqual(folder.reason._tag, "FileFailed")
      assert.match(folder.message, /^cannot use \/nowhere\/at\/all: /)
    }).pipe(Effect.provide(platform)))
})
