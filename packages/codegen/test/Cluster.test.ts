import * as BuiltIns from "@effect-k8s/codegen/BuiltIns"
import { command } from "@effect-k8s/codegen/Cli"
import * as ClusterAccess from "@effect-k8s/codegen/load/ClusterAccess"
import * as Project from "@effect-k8s/codegen/Project"
import * as Api from "@effect-k8s/core/Api"
import { CustomResourceDefinition } from "@effect-k8s/core/apis/apiextensions/v1"
import type { CustomResourceDefinitionInput } from "@effect-k8s/core/apis/apiextensions/v1"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as FileSystem from "effect/FileSystem"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Path from "node:path"

const examples = Path.resolve(import.meta.dirname, "../../../examples/crd")

const platform = Layer.mergeAll(
  Layer.provideMerge(TestCluster.layerClient({ pods: false }), NodeKube.layerServices),
  NodeServices.layer,
  Digest.layerWebCrypto,
  FetchHttpClient.layer,
  ClusterAccess.layerNode
)

/** The lines of a module, without what no server tells but in words: what is deprecated. */
const facts = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => !line.includes("@deprecated"))

describe("a live cluster", () => {
  it.live("gives the built-in kinds that it was made with", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const cluster = yield* TestCluster.TestCluster
      yield* fs.writeFileString(Path.join(folder, "kubeconfig"), cluster.kubeconfigText(), { mode: 0o600 })
      const loaded = {
        config: {
          sources: [{ cluster: { kubeconfig: "kubeconfig" } }],
          out: "out",
          extension: ".ts",
          runtime: "../../Resource.ts",
          docs: false
        },
        folder
      } as const
      const { kinds, modules } = yield* Project.make(loaded)
      assert.strictEqual(kinds, 95)
      const committed = Path.resolve(import.meta.dirname, "../../..", BuiltIns.targets.modules)
      for (const { path, text } of modules) {
        assert.deepStrictEqual(facts(text), facts(yield* fs.readFileString(Path.join(committed, path))), path)
      }
      assert.strictEqual(modules.length, 37)
    }).pipe(Effect.scoped, Effect.provide(platform)))

  it.live(
    "gives the same modules as the definition that is installed in it, through the SDK's own transport",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const folder = yield* fs.makeTempDirectoryScoped()
        const at = (name: string) => Path.join(folder, name)
        const definition = Yaml.parse(yield* fs.readFileString(Path.join(examples, "backups.yaml")))
        // The server checks it.
        yield* Api.make(CustomResourceDefinition).create(definition as CustomResourceDefinitionInput)
        const cluster = yield* TestCluster.TestCluster
        yield* fs.writeFileString(at("kubeconfig"), cluster.kubeconfigText(), { mode: 0o600 })

        const run = (...args: ReadonlyArray<string>) =>
          Command.runWith(command, { version: "0" })([
            "generate",
            "--kubeconfig",
            at("kubeconfig"),
            ...args,
            "--group",
            "example.com",
            "--extension",
            ".ts",
            "--out",
            at("out")
          ])
        for (const context of ["admin", "admin-token"]) {
          yield* run("--context", context)
          const text = yield* fs.readFileString(at("out/example.com/v1.ts"))
          const committed = yield* fs.readFileString(Path.join(examples, "apis/example.com/v1.ts"))
          // The cluster describes the scale itself, so that it is generated, too.
          assert.strictEqual(text.replace("../autoscaling/v1.ts", "@effect-k8s/core/apis/autoscaling/v1"), committed)
          assert.isTrue(yield* fs.exists(at("out/autoscaling/v1.ts")))
        }
        const { message } = yield* Effect.flip(run("--context", "nobody"))
        assert.include(message, "cannot read the OpenAPI documents of the context \"nobody\": ")
      }).pipe(Effect.scoped, Effect.provide(platform)),
    30_000
  )
})
