import * as BuiltIns from "@effect-k8s/codegen/BuiltIns"
import * as Config from "@effect-k8s/codegen/Config"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"

describe("the configuration file", () => {
  it.effect("names sources and where to write", () =>
    Effect.gen(function*() {
      const text = `$schema: node_modules/@effect-k8s/codegen/effect-k8s.schema.json
sources:
  - crds
  - https://example.com/crd.yaml
  - cluster: { context: kind }
out: src/kubernetes
groups: [cert-manager.io]
docs: false
`
      assert.deepStrictEqual(yield* Config.parse("effect-k8s.yaml", text), {
        sources: ["crds", "https://example.com/crd.yaml", { cluster: { context: "kind" } }],
        out: "src/kubernetes",
        groups: ["cert-manager.io"],
        docs: false
      })
    }))

  const wrong: ReadonlyArray<readonly [what: string, text: string, message: RegExp]> = [
    ["is no YAML", "a: b: c", /^f\.yaml is not YAML: /],
    ["has no sources", "out: x\nsources: []", /^f\.yaml is not a configuration: .*sources/s],
    ["has a key that there is not", "out: x\nsources: [a]\ndoc: true", /^f\.yaml is not a configuration: .*doc/s],
    ["has a value of another type", "out: x\nsources: [a]\nextension: ts", /\.js.*extension|extension.*\.js/s],
    ["names a cluster wrongly", "out: x\nsources: [{cluster: {name: a}}]", /cluster/]
  ]
  for (const [what, text, message] of wrong) {
    it.effect(`is refused when it ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Config.parse("f.yaml", text))
        assert.strictEqual(error.reason._tag, "InvalidConfig")
        assert.match(error.message, message)
      }))
  }

  it("has the JSON Schema that is shipped", () => {
    const file = Path.resolve(import.meta.dirname, "../../..", BuiltIns.targets.configSchema)
    assert.strictEqual(Fs.readFileSync(file, "utf8"), Config.jsonSchema(), "run pnpm codegen")
  })
})
