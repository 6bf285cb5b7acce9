import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import ts from "typescript"

const root = Path.resolve(import.meta.dirname, "../../..")
const file = Path.join(root, "examples/hover.ts")

// What is hovered over stands between two signs.
const program = `import * as Api from "@effect-k8s/core/Api"
import { Deployment, type DeploymentApply } from "@effect-k8s/core/apis/apps/v1"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Effect from "effect/Effect"
import { Backup, type BackupApply } from "./crd/apis/example.com/v1.ts"

const §deployments§ = Api.make(Deployment)
const pods = Api.make(Pod)
export const program = Effect.gen(function*() {
  const §pod§ = yield* pods.§get§("db-0")
  const images = pod.spec.§containers§.map(({ image }) => image)
  const scale = yield* deployments.§scale§.get("web")
  const backup = yield* Api.make(Backup).get("shop")
  return [images, scale, backup.spec.§replicas§]
})
export const wanted: DeploymentApply = { metadata: { name: "a" }, spec: { template: { spec: { §containers§: [] } } } }
export const mine: BackupApply = { metadata: { name: "a" }, spec: { §database§: "shop" } }
`

const parts = program.split("§")
const text = parts.join("")
const positions = parts.flatMap((_, i) => i % 2 === 1 ? [parts.slice(0, i).join("").length] : [])

const options: ts.CompilerOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  lib: ["lib.es2024.d.ts", "lib.dom.d.ts"],
  allowImportingTsExtensions: true,
  noEmit: true,
  skipLibCheck: true,
  types: []
}

const service = ts.createLanguageService({
  getCompilationSettings: () => options,
  getScriptFileNames: () => [file],
  getScriptVersion: () => "1",
  getScriptSnapshot: (name) => {
    const content = name === file ? text : Fs.existsSync(name) ? Fs.readFileSync(name, "utf8") : undefined
    return content === undefined ? undefined : ts.ScriptSnapshot.fromString(content)
  },
  getCurrentDirectory: () => root,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
  fileExists: (name) => name === file || Fs.existsSync(name),
  readFile: (name) => name === file ? text : Fs.readFileSync(name, "utf8"),
  readDirectory: ts.sys.readDirectory,
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
  realpath: (path) => ts.sys.realpath?.(path) ?? path
})

/** What an editor shows: the type, and the words below it. */
const hover = (position: number) => {
  const info = service.getQuickInfoAtPosition(file, position)
  return { type: ts.displayPartsToString(info?.displayParts), words: ts.displayPartsToString(info?.documentation) }
}

describe("what an editor shows", () => {
  const expected: ReadonlyArray<readonly [what: string, type: string, words: string]> = [
    ["an api", "const deployments: Api.Api<DeploymentResource>", ""],
    ["an object", "const pod: Pod", ""],
    [
      "a method",
      "(property) get: (name: string, options?: GetOptions) => Result<Pod>",
      "Reads one object; fails with `NotFound`."
    ],
    ["a field", "(property) PodSpec.containers: readonly Container[]", ""],
    [
      "a subresource",
      "(property) scale: Pick<Api.SubMethods<Scale, ScaleInput, never, true>, \"get\" | \"patch\" | \"replace\">",
      ""
    ],
    ["a field with words", "(property) BackupSpec.replicas?: number | undefined", "Copies that are kept."],
    ["a field in an apply", "(property) PodSpecApply.containers?: readonly ContainerApply[] | undefined", ""],
    ["a field with words in an apply", "(property) database?: string", "The name of the database."]
  ]
  assert.strictEqual(positions.length, expected.length)
  expected.forEach(([what, type, words], i) => {
    it(`over ${what} names types, and spells none of them out`, () => {
      assert.deepStrictEqual(hover(positions[i] ?? 0), { type, words })
    })
  })
})
