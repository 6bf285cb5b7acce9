/**
 * The documents of the sources of a configuration.
 */
import type * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import * as Path from "effect/Path"
import { CodegenError, FileFailed } from "../CodegenError.ts"
import type { Source } from "../Config.ts"
import type { Which } from "./ClusterAccess.ts"
import { ClusterAccess } from "./ClusterAccess.ts"
import * as Content from "./Content.ts"
import type { Document } from "./Document.ts"
import * as Files from "./Files.ts"
import * as OpenApiIndex from "./OpenApiIndex.ts"
import * as Url from "./Url.ts"

/** How to load. */
export interface Options extends OpenApiIndex.Options {
  /** The folder that paths start from. */
  readonly folder: string
  /** Told what was read, a line for each source. */
  readonly progress: (line: string) => Effect.Effect<void>
}

/** What sources are read with: files, requests, clusters. */
export type Services = FileSystem.FileSystem | Path.Path | Digest.Digest | HttpClient.HttpClient | ClusterAccess

/** Loads the documents of a source, in the order of their names. Fails as the kind of source does. */
export const load = (
  source: Source,
  options: Options
): Effect.Effect<ReadonlyArray<Document>, CodegenError, Services> =>
  typeof source === "string"
    ? Url.isUrl(source) ? loadUrl(source, options) : loadFiles(source, options)
    : loadCluster(source.cluster, options)

const loadFiles = Effect.fnUntraced(function*(pattern: string, options: Options) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const files = yield* Files.find(options.folder, pattern)
  const all = yield* Effect.forEach(files, (file) => {
    const at = path.resolve(options.folder, file)
    return fs.readFile(at).pipe(
      Effect.mapError((cause) => new CodegenError({ reason: new FileFailed({ path: at, cause }) })),
      Effect.flatMap((bytes) => Content.read(file, bytes))
    )
  })
  const documents = all.filter((document) => document !== undefined)
  if (documents.length === 0) return yield* Content.nothing(pattern)
  yield* options.progress(`${pattern}: ${counted(documents)}`)
  return documents
})

const loadUrl = Effect.fnUntraced(function*(url: string, options: Options) {
  const { name, ...found } = yield* Url.load(url, options)
  return yield* fetched(name, found, options)
})

const loadCluster = Effect.fnUntraced(function*({ context, kubeconfig }: Which, options: Options) {
  const path = yield* Path.Path
  const clusters = yield* ClusterAccess
  const which = { context, kubeconfig: kubeconfig === undefined ? undefined : path.resolve(options.folder, kubeconfig) }
  return yield* Effect.scoped(Effect.gen(function*() {
    const server = yield* clusters.server(which)
    return yield* fetched(server.name, yield* OpenApiIndex.fetch(server, options), options)
  }))
})

const fetched = (name: string, { cached, documents }: OpenApiIndex.Fetched, { progress }: Options) =>
  Effect.as(progress(`${name}: ${counted(documents)}${cached === 0 ? "" : `, ${cached} of them cached`}`), documents)

const counted = ({ length }: ReadonlyArray<Document>): string => `${length} document${length === 1 ? "" : "s"}`
