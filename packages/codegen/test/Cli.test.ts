import { command } from "@effect-k8s/codegen/Cli"
import * as Write from "@effect-k8s/codegen/emit/Write"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, describe, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "node:path"
import { customResource, kindSchema, openApi, ref } from "./support/documents.ts"

const widget = { group: "example.com", version: "v1", kind: "Widget" }

describe("effect-k8s-codegen generate", () => {
  it.effect("writes modules that import the published runtime, and a lock file", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const folder = yield* fs.makeTempDirectoryScoped()
      const at = (path: string) => Path.join(folder, path)
      const { json } = openApi({
        paths: customResource(widget, "widgets", "com.example.v1.Widget"),
        schemas: {
          "com.example.v1.Widget": kindSchema(widget, { other: ref("com.example.v2.Other") }),
          "com.example.v2.Other": { type: "object", properties: {} }
        }
      })
      yield* Write.file(at("in/example.json"), JSON.stringify(json))
      const args = ["generate", "--openapi", at("in"), "--out", at("out"), "--lock", at("lock.json")]
      yield* Command.runWith(command, { version: "0.0.0" })(args)
      const text = yield* fs.readFileString(at("out/example.com/v1.ts"))
      assert.include(text, "import * as K from \"@effect-k8s/core/Resource\"\n")
      assert.include(text, "import type { Other } from \"../com.example/v2.js\"\n")
      assert.match(yield* fs.readFileString(at("lock.json")), /"example\.json": "[0-9a-f]{64}"/)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(NodeServices.layer, Digest.layerWebCrypto))))
})
