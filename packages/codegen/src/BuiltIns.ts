/**
 * How this repository generates its own modules: the built-in kinds of Kubernetes, from documents that are kept beside
 * the repository. All paths are relative to its root.
 */
import * as Effect from "effect/Effect"
import * as Path from "effect/Path"
import { generate } from "./Generate.ts"
import type { GeneratedModule, Output } from "./Generate.ts"
import * as Folder from "./load/Folder.ts"
import * as Lock from "./load/Lock.ts"

/** The folder of the documents: `v3` and `discovery` are in it. */
export const documents = "../shared/openapi/k8s-1.36"

/** Where the output goes. */
export const targets = {
  modules: "packages/core/src/apis",
  /** Beside `schemas.ts`, which loads them. */
  schemas: "packages/core/src/schemas",
  resources: "packages/testing/src/schemas/resources.ts",
  lock: "packages/codegen/k8s-1.36.lock.json",
  configSchema: "packages/codegen/effect-k8s.schema.json"
} as const

/**
 * What the built-in modules are, from the documents of a folder. What is committed holds facts only, so there are no
 * words of the documents in it; a release may have them.
 */
export const make = Effect.fnUntraced(function*(folder: string, options: { readonly docs?: boolean | undefined } = {}) {
  const path = yield* Path.Path
  const openapi = yield* Folder.load(path.join(folder, "v3"))
  const discovery = yield* Folder.load(path.join(folder, "discovery"))
  const output = yield* generate({ openapi, discovery }, {
    runtime: "../../Resource.ts",
    extension: ".ts",
    docs: options.docs
  })
  const result: Output & { readonly lock: string } = { ...output, lock: Lock.text({ openapi, discovery }) }
  return result
})

/** The modules of schemas that are in the folder for them: all but the table, which is beside it. */
export const ofSchemas = (schemas: ReadonlyArray<GeneratedModule>): ReadonlyArray<GeneratedModule> =>
  schemas.filter(({ path }) => path.startsWith("schemas/"))
    .map(({ path, text }) => ({ path: path.slice("schemas/".length), text }))
