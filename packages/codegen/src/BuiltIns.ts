/**
 * How this repository generates its own modules: the built-in kinds of Kubernetes, from documents that are kept beside
 * the repository. All paths are relative to its root.
 */
import * as Effect from "effect/Effect"
import * as Path from "effect/Path"
import * as Config from "./Config.ts"
import * as Write from "./emit/Write.ts"
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
  /** Of TestCluster, and beside them `served.ts`, which loads them. */
  served: "packages/testing/src/schemas",
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
    schemaOf: "./SchemaOf.ts",
    extension: ".ts",
    docs: options.docs,
    served: true
  })
  const result: Output & { readonly lock: string } = { ...output, lock: Lock.text({ openapi, discovery }) }
  return result
})

/** What `make` gives. */
export type Made = Effect.Success<ReturnType<typeof make>>

/** The folders that hold nothing but generated modules, and what they hold. */
export const folders = (
  made: Made
): ReadonlyArray<readonly [folder: string, modules: ReadonlyArray<GeneratedModule>]> => [
  [targets.modules, made.modules],
  [
    targets.schemas,
    made.schemas.filter(({ path }) => path.startsWith(beside)).map(({ path, text }) => ({
      path: path.slice(beside.length),
      text
    }))
  ],
  [targets.served, made.served]
]

/** The files beside them. */
export const files = (made: Made): ReadonlyArray<GeneratedModule> => [
  ...made.schemas.filter(({ path }) => !path.startsWith(beside)).map(({ path, text }) => ({
    path: `packages/core/src/${path}`,
    text
  })),
  { path: targets.resources, text: made.resources },
  { path: targets.lock, text: made.lock },
  { path: targets.configSchema, text: Config.jsonSchema() }
]

const beside = "schemas/"

/** Writes all of it, from the root of the repository. */
export const write = Effect.fnUntraced(function*(made: Made) {
  yield* Effect.forEach(folders(made), ([folder, modules]) => Write.modules(folder, modules), { discard: true })
  yield* Effect.forEach(files(made), ({ path, text }) => Write.file(path, text), { discard: true })
})

/** How the files on disk differ from it: a sentence each. */
export const differences = Effect.fnUntraced(function*(made: Made, root: string = ".") {
  const path = yield* Path.Path
  const inFolders = yield* Effect.forEach(
    folders(made),
    ([folder, modules]) => Write.differences(path.join(root, folder), modules, folder)
  )
  const others = yield* Effect.forEach(
    files(made),
    (file) => Write.difference(path.join(root, file.path), file.text, file.path)
  )
  return [...inFolders, ...others].flat()
})
