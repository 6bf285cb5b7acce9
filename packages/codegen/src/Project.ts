/**
 * What the command line does, as a library: generates the modules of a configuration, writes them, compares them with
 * what is on disk, or does so again whenever a file changes.
 *
 * ```ts
 * import * as ClusterAccess from "@effect-k8s/codegen/load/ClusterAccess"
 * import * as Project from "@effect-k8s/codegen/Project"
 *
 * const config = { sources: ["crds"], out: "src/kubernetes" } as const
 * Project.write({ config, folder: "." })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Stream from "effect/Stream"
import { CodegenError, Drift, FileFailed, InvalidConfig } from "./CodegenError.ts"
import type { Loaded } from "./Config.ts"
import * as Write from "./emit/Write.ts"
import type { GeneratedModule } from "./Generate.ts"
import * as Generate from "./Generate.ts"
import * as Lock from "./load/Lock.ts"
import * as Sources from "./load/Sources.ts"
import * as Url from "./load/Url.ts"

/** What was generated. */
export interface Generated {
  /** Those of the types, and of the schemas if they are asked for. */
  readonly modules: ReadonlyArray<GeneratedModule>
  /** The text of the lock file. */
  readonly lock: string
  /** Resources, each of which has a row. */
  readonly kinds: number
  /** Of all modules, in UTF-8. */
  readonly bytes: number
  readonly milliseconds: number
}

/** How to work. */
export interface Options {
  /** Told what happens, a line at a time; nobody unless told. */
  readonly progress?: ((line: string) => Effect.Effect<void>) | undefined
}

/**
 * Generates the modules of a configuration without writing anything. Fails as its sources do, and as `generate` does.
 */
export const make = Effect.fn("Project.make")(function*({ config, folder }: Loaded, options: Options = {}) {
  const path = yield* Path.Path
  const started = yield* Clock.currentTimeMillis
  const { progress = () => Effect.void } = options
  const cache = yield* cacheOf({ config, folder })
  const wanted = Generate.groupFilter(config.groups)
  const openapi = yield* Effect.forEach(config.sources, (source) =>
    Sources.load(source, {
      folder: path.resolve(folder),
      progress,
      cache,
      wanted: (path) => wanted(path.startsWith("apis/") ? path.split("/")[1] ?? "" : "")
    }))
  const { kinds, schemas, ...generated } = yield* Generate.generate({ openapi: openapi.flat() }, {
    runtime: config.runtime ?? "@effect-k8s/core/Resource",
    extension: config.extension ?? ".js",
    docs: config.docs ?? true,
    groups: config.groups
  })
  const modules = config.schemas === true ? [...generated.modules, ...schemas] : generated.modules
  const result: Generated = {
    modules,
    lock: Lock.text({ sources: openapi.flat() }),
    kinds,
    bytes: modules.reduce((sum, { text }) => sum + new TextEncoder().encode(text).length, 0),
    milliseconds: (yield* Clock.currentTimeMillis) - started
  }
  return result
})

/** Generates and writes the modules and the lock file. Removes modules of earlier runs, and touches no other files. */
export const write = Effect.fn("Project.write")(function*(loaded: Loaded, options: Options = {}) {
  const path = yield* Path.Path
  const { config, folder } = loaded
  const generated = yield* make(loaded, options)
  yield* Write.modules(path.resolve(folder, config.out), generated.modules)
  if (config.lock !== undefined) yield* Write.file(path.resolve(folder, config.lock), generated.lock)
  return generated
})

/** Generates and compares with what is on disk, without writing. Fails with `Drift`, which names every difference. */
export const check = Effect.fn("Project.check")(function*(loaded: Loaded, options: Options = {}) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const { config, folder } = loaded
  const generated = yield* make(loaded, options)
  const modules = yield* Write.differences(path.resolve(folder, config.out), generated.modules, config.out)
  const lock = config.lock === undefined
    ? []
    : yield* compareLocks(
      config.lock,
      yield* Effect.option(fs.readFileString(path.resolve(folder, config.lock))),
      generated.lock
    )
  const all = [...modules, ...lock]
  if (all.length > 0) return yield* new CodegenError({ reason: new Drift({ differences: all }) })
  return generated
})

/**
 * Generates and writes, and does so again whenever a file of the sources changes. A run that fails is an element, too:
 * the next change may mend it. URLs and clusters are not watched. Fails with `FileFailed` when a source cannot be, and
 * with `InvalidConfig` when none can.
 */
export const watch = (loaded: Loaded, options: Options = {}) =>
  Stream.unwrap(Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const roots = loaded.config.sources.flatMap((source) =>
      typeof source !== "string" || Url.isUrl(source) ? [] : [path.resolve(loaded.folder, watchable(source))]
    )
    if (roots.length === 0) {
      return yield* new CodegenError({
        reason: new InvalidConfig({ path: "sources", description: "name no file: URLs and clusters cannot be watched" })
      })
    }
    const failed = (root: string) => (cause: unknown) =>
      new CodegenError({ reason: new FileFailed({ path: root, cause }) })
    const changes = roots.map((root) =>
      fs.stat(root).pipe(
        Effect.map(({ type }) =>
          type === "Directory"
            ? fs.watch(root, { recursive: true })
            // Many editors write another file and rename it: who watches the old one hears of that, and no more.
            : Stream.filter(fs.watch(path.dirname(root)), (event) => event.path === path.basename(root))
        ),
        Stream.unwrap,
        Stream.mapError(failed(root))
      )
    )
    return Stream.concat(Stream.succeed(undefined), Stream.mergeAll(changes, { concurrency: "unbounded" })).pipe(
      // Editors write in several steps.
      Stream.debounce("100 millis"),
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.mapEffect(() => Effect.result(write(loaded, options)))
    )
  }))

/** What of a path can be watched: the folder above the first wildcard, or the path itself. */
const watchable = (pattern: string): string => {
  const parts = pattern.split("/")
  const wild = parts.findIndex((part) => /[*?{[]/.test(part))
  return wild < 0 ? pattern : parts.slice(0, wild).join("/") || "."
}

const compareLocks = (
  file: string,
  found: Option.Option<string>,
  text: string
): Effect.Effect<ReadonlyArray<string>> =>
  Option.match(found, {
    onNone: () => Effect.succeed([`${file} is missing`]),
    onSome: (old) =>
      old === text
        ? Effect.succeed([])
        : Effect.map(Lock.changed(old, text), (names) => [
          `${file} differs${names.length === 0 ? "" : `: ${names.join(", ")} changed`}`
        ])
  })

/** The folder for documents of clusters; none by default where there is no `node_modules`. */
const cacheOf = Effect.fnUntraced(function*({ config, folder }: Loaded) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  if (config.cache !== undefined) return path.resolve(folder, config.cache)
  const modules = path.resolve(folder, "node_modules")
  return (yield* Effect.orElseSucceed(fs.exists(modules), () => false))
    ? path.join(modules, ".cache", "effect-k8s-codegen")
    : undefined
})
