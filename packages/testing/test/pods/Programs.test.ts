import * as Images from "@effect-k8s/testing/pods/Images"
import * as Programs from "@effect-k8s/testing/pods/Programs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const hostPath = process.env["PATH"] ?? ""

const folder = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "programs-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
)

const withFiles = Effect.map(folder, (home) => {
  const write = (name: string, content: string, mode: number): void => {
    Fs.writeFileSync(Path.join(home, name), content, { mode })
  }
  write("script", "#!/bin/sh\necho hi\n", 0o755)
  write("plain", "echo hi\n", 0o755)
  write("data", "#!/bin/sh\n", 0o644)
  return home
})

const resolve = (name: string, home: string, programs?: ReadonlyArray<string>) =>
  Programs.resolve(name, { path: hostPath, cwd: home, home, programs })

describe("a command's first word", () => {
  it.effect("means the first executable on the search path", () =>
    Effect.gen(function*() {
      const home = yield* withFiles
      const found = resolve("sh", home)
      assert(found._tag === "Found")
      assert.strictEqual(Path.basename(found.file), "sh")
    }))

  it.effect("means the file of its path, seen from the working directory", () =>
    Effect.gen(function*() {
      const home = yield* withFiles
      assert.deepStrictEqual(resolve("./script", home), { _tag: "Found", file: Path.join(home, "script") })
    }))

  it.effect("means nothing, in the words of the runtime", () =>
    Effect.gen(function*() {
      const home = yield* withFiles
      const words = (name: string, programs?: ReadonlyArray<string>) => {
        const found = resolve(name, home, programs)
        return found._tag === "Found" ? found.file : `${found._tag}: ${found.why}`
      }
      assert.strictEqual(words("nope"), "Unusable: exec: \"nope\": executable file not found in $PATH")
      assert.strictEqual(words(""), "Unusable: exec: \"\": executable file not found in $PATH")
      assert.strictEqual(words("/no/such"), "Unusable: exec: \"/no/such\": stat /no/such: no such file or directory")
      assert.strictEqual(words("./nope"), "Unusable: exec: \"./nope\": stat ./nope: no such file or directory")
      assert.strictEqual(words("./data"), "Unusable: exec: \"./data\": permission denied")
      assert.strictEqual(words("/"), "Unusable: exec: \"/\": permission denied")
      assert.strictEqual(words("./plain"), "NotRunnable: exec ./plain: exec format error")
    }))

  it.effect("means nothing outside of the container's directory that its image has not", () =>
    Effect.gen(function*() {
      const home = yield* withFiles
      const sh = Programs.search("sh", hostPath) ?? ""
      assert.strictEqual(resolve(sh, home, ["cat"])._tag, "Unusable")
      assert.strictEqual(resolve(sh, home, ["sh"])._tag, "Found")
      assert.strictEqual(resolve("./script", home, ["cat"])._tag, "Found")
    }))
})

describe("an image", () => {
  const images = { busybox: { programs: ["sh"] }, "busybox:2": {}, "localhost:5000/app": { command: ["app"] } }

  it("is found by its name, with its tag before without", () => {
    assert.strictEqual(Images.find(images, "busybox:1"), images.busybox)
    assert.strictEqual(Images.find(images, "busybox:2"), images["busybox:2"])
    assert.strictEqual(Images.find(images, "localhost:5000/app"), images["localhost:5000/app"])
    assert.strictEqual(Images.find(images, "localhost:5000/app@sha256:00"), images["localhost:5000/app"])
  })

  it("that nobody knows has everything", () => {
    assert.deepStrictEqual(Images.find(images, "toString"), {})
    assert.deepStrictEqual(Images.find(images, "nginx:1.27"), {})
  })
})
