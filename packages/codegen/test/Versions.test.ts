import * as BuiltIns from "@effect-k8s/codegen/BuiltIns"
import { generate } from "@effect-k8s/codegen/Generate"
import type { GenerateOptions } from "@effect-k8s/codegen/Generate"
import * as Content from "@effect-k8s/codegen/load/Content"
import { assert, describe, it } from "@effect/vitest"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { typeCheck } from "./support/typeCheck.ts"

const root = Path.resolve(import.meta.dirname, "../../..")
const documents = Path.resolve(root, BuiltIns.documents, "..")
const apis = Path.join(root, BuiltIns.targets.modules)
const present = Fs.existsSync(documents)
const missing = present ? "" : ` (SKIPPED: the OpenAPI documents are not at ${documents})`

const imports = { runtime: "../../Resource.ts", builtIns: "..", extension: ".ts" } as const

/** The modules that the documents of some files give, by path. */
const modules = (pattern: string, options: Partial<GenerateOptions> = {}) =>
  Effect.gen(function*() {
    const files = Fs.globSync([pattern, pattern.replace("/*.", "/.*.")], { cwd: documents }).toSorted()
    const openapi = yield* Effect.forEach(files, (file) =>
      Content.read(file, Fs.readFileSync(Path.join(documents, file))))
    const { modules } = yield* generate({
      openapi: openapi.filter((one) =>
        one !== undefined
      )
    }, { ...imports, ...options })
    return new Map(modules.map(({ path, text }) => [path, text]))
  }).pipe(Effect.provide(Digest.layerWebCrypto))

/** The errors of modules in a folder beside the built-in ones. */
const errors = (texts: ReadonlyMap<string, string>): ReadonlyArray<string> =>
  typeCheck([], Object.fromEntries([...texts].map(([path, text]) => [Path.join(apis, path), text])))

const differences = (a: string | undefined, b: string | undefined): ReadonlyArray<string> => {
  const [ours, theirs] = [a, b].map((text) => (text ?? "").split("\n"))
  assert.strictEqual(ours?.length, theirs?.length)
  return ours?.flatMap((line, i) => line === theirs?.[i] ? [] : [line]) ?? []
}

describe.skipIf(!present)(`other versions${missing}`, () => {
  it.effect("1.35 generates", () =>
    Effect.gen(function*() {
      const texts = yield* modules("k8s-1.35/v3/*.json")
      assert.deepStrictEqual([...texts.keys()], [
        "apps/v1.ts",
        "authentication/v1.ts",
        "autoscaling/v1.ts",
        "core/v1.ts",
        "meta/v1.ts",
        "policy/v1.ts",
        "scheduling/v1alpha1.ts"
      ])
      assert.include(texts.get("scheduling/v1alpha1.ts"), "export const Workload: K.Resource<WorkloadResource> =")
      assert.deepStrictEqual(errors(texts), [])
    }), 180_000)

  it.effect("1.28 generates from version 2 of OpenAPI, with open enumerations", () =>
    Effect.gen(function*() {
      const texts = yield* modules("k8s-1.28-live/*.json")
      const core = texts.get("core/v1.ts") ?? ""
      assert.strictEqual(texts.size, 23)
      assert.include(
        core,
        "  readonly dnsPolicy?: \"ClusterFirst\" | \"ClusterFirstWithHostNet\" | \"Default\" | \"None\" | (string & {}) | undefined\n"
      )
      assert.include(core, "K.make(\"\", \"v1\", \"Pod\", \"pods\", \"Namespaced\", 511, { attach: 0, binding: 1, ")
      assert.deepStrictEqual(errors(texts), [])
    }), 180_000)

  it.effect(
    "1.36 is the same from version 2, but for where the server always writes spec and status",
    () =>
      Effect.gen(function*() {
        const [v3, v2] = [yield* modules("k8s-1.36/v3/*.json"), yield* modules("k8s-1.36/swagger.json")]
        assert.deepStrictEqual([...v2.keys()], [...v3.keys()])
        const lines = [...v3].flatMap(([path, text]) => differences(text, v2.get(path)))
        assert.deepStrictEqual(lines.filter((line) => !/^ {2}readonly (?:spec|status): \w+$/.test(line)), [])
        assert.strictEqual(lines.length, 79)
      }),
    180_000
  )

  it.effect("1.36 has comments without breaking out of them", () =>
    Effect.gen(function*() {
      const texts = yield* modules("k8s-1.36/v3/*.json", { docs: true })
      assert.include(texts.get("core/v1.ts"), "/** ")
      assert.deepStrictEqual(errors(texts), [])
    }), 180_000)
})

describe.skipIf(!present)(`the 22 definitions of custom resources${missing}`, () => {
  it.effect("generate 27 versions in 10 modules, which are small and type-check", () =>
    Effect.gen(function*() {
      const texts = yield* modules("crds/**/*.yaml", { docs: true })
      const all = [...texts.values()].join("")
      assert.strictEqual(texts.size, 10)
      assert.strictEqual(all.match(/^export const /gm)?.length, 27)
      assert.isBelow(all.length, 1_300_000)
      assert.deepStrictEqual(errors(texts), [])
      assert.deepStrictEqual(errors(yield* modules("crds/**/*.yaml")), [])
    }), 180_000)

  it.effect("have no field without a type but those that their definitions leave open", () =>
    Effect.gen(function*() {
      const texts = yield* modules("crds/**/*.yaml")
      const unknown = [...texts].flatMap(([path, text]) =>
        [...text.matchAll(/^ {2}readonly (\S+): unknown$/gm)].map(([, name]) => `${path} ${name}`)
      )
      assert.deepStrictEqual([...new Set(unknown)], [
        "acme.cert-manager.io/v1.ts config?",
        "argoproj.io/v1alpha1.ts matrix?",
        "argoproj.io/v1alpha1.ts merge?",
        "cert-manager.io/v1.ts config?"
      ])
    }))
})
