/**
 * The command line: `effect-k8s-codegen generate` for users, `built-ins` for this repository.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as BuiltIns from "./BuiltIns.ts"
import { CodegenError, Drift, InvalidConfig } from "./CodegenError.ts"
import * as Config from "./Config.ts"
import * as Project from "./Project.ts"

const parameters = {
  sources: Argument.String("source").pipe(
    Argument.withDescription(
      "files, folders, patterns or URLs of OpenAPI 3 or 2 documents, or of definitions of custom resources"
    ),
    Argument.variadic()
  ),
  config: Flag.File("config").pipe(
    Flag.withAlias("c"),
    Flag.withDescription(`configuration file; ${Config.fileName} if there is one and no source is named`),
    Flag.optional
  ),
  out: Flag.Directory("out").pipe(
    Flag.withAlias("o"),
    Flag.withDescription("folder to write the modules to"),
    Flag.optional
  ),
  cluster: Flag.Boolean("cluster").pipe(
    Flag.withDefault(false),
    Flag.withDescription("read the documents of a live cluster, that of the current context unless told")
  ),
  context: Flag.String("context").pipe(
    Flag.withDescription("the cluster of this context of the kubeconfig"),
    Flag.optional
  ),
  kubeconfig: Flag.File("kubeconfig").pipe(
    Flag.withDescription("kubeconfig file, instead of those that kubectl would read"),
    Flag.optional
  ),
  group: Flag.String("group").pipe(
    Flag.withAlias("g"),
    Flag.withDescription("API group to generate: apps, *.example.com, core; all unless told"),
    Flag.between(0, 1000)
  ),
  docs: Flag.Boolean("docs").pipe(
    Flag.withDescription("write documentation comments, as by default; --no-docs leaves them out"),
    Flag.optional
  ),
  schemas: Flag.Boolean("schemas").pipe(
    Flag.withDescription("write schemas as data, too, to check objects with (schemaOf); not by default"),
    Flag.optional
  ),
  runtime: Flag.String("runtime").pipe(
    Flag.withDescription(
      "module of the runtime types; @effect-k8s/core/Resource unless told; a relative path starts from the modules"
    ),
    Flag.optional
  ),
  extension: Flag.Literals("extension", [".js", ".ts"]).pipe(
    Flag.withDescription("extension of the imports between modules; .js unless told"),
    Flag.optional
  ),
  lock: Flag.File("lock").pipe(
    Flag.withDescription("file for the digests of the documents that the modules were made from"),
    Flag.optional
  ),
  cache: Flag.Directory("cache").pipe(
    Flag.withDescription("folder for documents of clusters; node_modules/.cache/effect-k8s-codegen unless told"),
    Flag.optional
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDefault(false),
    Flag.withDescription("write nothing, and fail when the files are not what the sources give now")
  ),
  watch: Flag.Boolean("watch").pipe(
    Flag.withAlias("w"),
    Flag.withDefault(false),
    Flag.withDescription("generate again whenever a file of the sources changes")
  )
}

type Parsed = { readonly [K in keyof typeof parameters]: Command.Command.Config.Infer<typeof parameters>[K] }

const generateCommand = Command.make("generate", parameters, (flags) =>
  Effect.gen(function*() {
    const loaded = yield* settings(flags)
    // What was asked for goes to stdout, what happens meanwhile to stderr.
    const options = { progress: (line: string) => Console.error(line) }
    const { out } = loaded.config
    if (flags.check && flags.watch) return yield* unusable("flags", "cannot be --check and --watch at once")
    if (flags.check) {
      const { kinds, modules } = yield* Project.check(loaded, options)
      return yield* Console.log(`${out} is up to date: ${count(kinds, "kind")} in ${count(modules.length, "file")}`)
    }
    if (!flags.watch) return yield* Console.log(summary(out, yield* Project.write(loaded, options)))
    yield* Stream.runForEach(Project.watch(loaded, options), (result) =>
      Result.isSuccess(result)
        ? Console.log(summary(out, result.success))
        : Console.error(result.failure.message))
  })).pipe(
    Command.withDescription("Generate typed resources: one module for each group-version"),
    Command.withExamples([
      { command: "effect-k8s-codegen generate crds --out src/kubernetes", description: "from definitions in a folder" },
      {
        command: "effect-k8s-codegen generate --cluster --group cert-manager.io --out src/kubernetes",
        description: "from the current cluster"
      },
      { command: "effect-k8s-codegen generate --check", description: `in a pipeline, from ${Config.fileName}` }
    ])
  )

/** The configuration of the file, if there is one, with the flags over it. */
const settings = Effect.fnUntraced(function*(flags: Parsed) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const named = [
    ...flags.sources,
    ...(flags.cluster || Option.isSome(flags.context) || Option.isSome(flags.kubeconfig)
      ? [{
        cluster: defined({
          context: Option.getOrUndefined(flags.context),
          kubeconfig: Option.getOrUndefined(Option.map(flags.kubeconfig, (file) => path.resolve(file)))
        })
      }]
      : [])
  ]
  const [first, ...rest] = named
  const file = Option.getOrUndefined(flags.config) ??
    (first === undefined && (yield* Effect.orElseSucceed(fs.exists(Config.fileName), () => false))
      ? Config.fileName
      : undefined)
  const base = file === undefined ? undefined : yield* Config.load(file)
  // Paths of flags start from the current folder, those of the file from its own.
  const folder = base?.folder ?? path.resolve(".")
  const here = (value: Option.Option<string>) =>
    Option.getOrUndefined(Option.map(value, (value) => path.relative(folder, path.resolve(value)) || "."))
  const sources = first === undefined ? base?.config.sources : [first, ...rest] as const
  const out = here(flags.out) ?? base?.config.out
  if (sources === undefined) {
    return yield* unusable("no source", `is named, and there is no ${Config.fileName}; name a file, a URL or --cluster`)
  }
  if (out === undefined) return yield* unusable("no folder", "to write to is named: --out")
  const config: Config.Config = {
    ...base?.config,
    sources,
    out,
    ...defined({
      groups: Option.getOrUndefined(Option.liftPredicate(flags.group, isNonEmpty)),
      docs: Option.getOrUndefined(flags.docs),
      schemas: Option.getOrUndefined(flags.schemas),
      runtime: Option.getOrUndefined(flags.runtime),
      extension: Option.getOrUndefined(flags.extension),
      lock: here(flags.lock),
      cache: here(flags.cache)
    })
  }
  const loaded: Config.Loaded = { config, folder }
  return loaded
})

const isNonEmpty = (items: ReadonlyArray<string>): items is readonly [string, ...Array<string>] => items.length > 0

/** Without the members that are undefined. */
const defined = <A extends object>(value: A): { readonly [K in keyof A]?: Exclude<A[K], undefined> } =>
  // Sound: what is undefined was left out.
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    readonly [K in keyof A]?: Exclude<A[K], undefined>
  }

const unusable = (path: string, description: string): CodegenError =>
  new CodegenError({ reason: new InvalidConfig({ path, description }) })

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`

const summary = (out: string, { bytes, kinds, milliseconds, modules }: Project.Generated): string =>
  `${out}: ${count(kinds, "kind")} in ${count(modules.length, "file")}, ${size(bytes)}, ${
    (milliseconds / 1000).toFixed(1)
  } s`

const size = (bytes: number): string => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(2)} MB`

const builtInsCommand = Command.make("built-ins", {
  documents: Argument.Directory("documents").pipe(Argument.withDefault(BuiltIns.documents)),
  docs: Flag.Boolean("docs").pipe(
    Flag.withDefault(false),
    Flag.withDescription("write documentation comments, too, for a release; what is committed has none")
  ),
  check: parameters.check
}, ({ check, docs, documents }) =>
  Effect.gen(function*() {
    const made = yield* BuiltIns.make(documents, { docs })
    if (!check) {
      yield* BuiltIns.write(made)
      return yield* Console.log(`wrote ${made.modules.length} modules to ${BuiltIns.targets.modules}`)
    }
    const differences = yield* BuiltIns.differences(made)
    if (differences.length > 0) return yield* new CodegenError({ reason: new Drift({ differences }) })
    yield* Console.log(`${BuiltIns.targets.modules} is up to date: ${count(made.modules.length, "module")}`)
  })).pipe(Command.withDescription("Regenerate the modules of @effect-k8s/core, from its root"), Command.unlisted)

/** The command. */
export const command = Command.make("effect-k8s-codegen").pipe(
  Command.withDescription("Typed Kubernetes resources from OpenAPI documents and definitions of custom resources"),
  Command.withSubcommands([generateCommand, builtInsCommand])
)
