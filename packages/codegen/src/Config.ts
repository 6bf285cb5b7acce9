/**
 * What to generate from and how: a file `effect-k8s.yaml`, or the same as a value.
 */
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"
import { CodegenError, FileFailed, InvalidConfig } from "./CodegenError.ts"

/** The name of the file that is read when no other one is named. */
export const fileName = "effect-k8s.yaml"

const described = <S extends Schema.Top>(schema: S, description: string): S["Rebuild"] =>
  schema.annotate({ description })

const text = Schema.String.check(Schema.isNonEmpty())

const Cluster = Schema.Struct({
  context: Schema.optionalKey(described(text, "A context of the kubeconfig; the current one unless told")),
  kubeconfig: Schema.optionalKey(described(text, "A kubeconfig file; KUBECONFIG or ~/.kube/config unless told"))
})

const Options = Schema.Struct({
  sources: described(
    Schema.Array(Schema.Union([
      described(
        text,
        "A file, a folder, a pattern such as crds/**/*.yaml, or a URL, of OpenAPI 3 or 2 documents or of definitions of " +
          "custom resources"
      ),
      Schema.Struct({
        cluster: described(
          Cluster,
          "A live cluster: its OpenAPI documents are read with the credentials of a kubeconfig"
        )
      })
    ])).check(Schema.isMinLength(1)),
    "What to generate from"
  ),
  out: described(text, "The folder to write the modules to"),
  groups: Schema.optionalKey(described(
    Schema.Array(text).check(Schema.isMinLength(1)),
    "The API groups to generate, such as cert-manager.io, *.example.com, or core; all unless told"
  )),
  docs: Schema.optionalKey(described(Schema.Boolean, "Whether to write documentation comments; true unless told")),
  schemas: Schema.optionalKey(
    described(Schema.Boolean, "Whether to write schemas as data, too, to check objects with; false unless told")
  ),
  extension: Schema.optionalKey(described(
    Schema.Literals([".js", ".ts"]),
    "The extension of the imports between modules; .js unless told"
  )),
  runtime: Schema.optionalKey(described(
    text,
    "The module of the runtime types; @effect-k8s/core/Resource unless told. A relative path starts from the modules, " +
      "which are two folders below out"
  )),
  lock: Schema.optionalKey(described(text, "A file for the digests of the documents that the modules were made from")),
  cache: Schema.optionalKey(described(
    text,
    "A folder for documents of clusters, by their hash; node_modules/.cache/effect-k8s-codegen unless told"
  ))
})

const File = Schema.Struct({ $schema: Schema.optionalKey(Schema.String), ...Options.fields })

// A file leaves out what it does not tell; who writes a value may say undefined, too.
type Loose<T> = { readonly [K in keyof T]: {} extends Pick<T, K> ? T[K] | undefined : T[K] }

/** A live cluster, by a context of a kubeconfig. */
export interface ClusterSource {
  readonly cluster: Loose<typeof Cluster.Type>
}

/** A file, a folder, a pattern or a URL; or a cluster. */
export type Source = string | ClusterSource

/**
 * What to generate from and how: the options of `effect-k8s.yaml`, whose schema describes them. Paths are relative to the
 * folder of the file, or the current one.
 */
export interface Config extends Loose<Omit<typeof Options.Type, "sources">> {
  readonly sources: readonly [Source, ...ReadonlyArray<Source>]
}

const decode = Schema.decodeUnknownEffect(File, { onExcessProperty: "error", errors: "all" })

/** A configuration from the text of a file; fails with `InvalidConfig`, which names the file and every mistake in it. */
export const parse: (file: string, text: string) => Effect.Effect<Config, CodegenError> = Effect.fnUntraced(
  function*(file, text) {
    const invalid = (description: string) =>
      new CodegenError({ reason: new InvalidConfig({ path: file, description }) })
    const json = yield* Effect.try({
      try: () => Yaml.parse(text),
      catch: (cause) => invalid(`is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`)
    })
    const { $schema: _schema, ...config } = yield* Effect.mapError(
      decode(json),
      (error) => invalid(`is not a configuration: ${error.message}`)
    )
    const [first, ...rest] = config.sources
    if (first === undefined) return yield* invalid("names no source")
    return { ...config, sources: [first, ...rest] }
  }
)

/** A configuration and the folder that its paths start from. */
export interface Loaded {
  readonly config: Config
  readonly folder: string
}

/** Reads a file; fails with `FileFailed`, and as `parse` does. */
export const load = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const text = yield* Effect.mapError(
    fs.readFileString(file),
    (cause) => new CodegenError({ reason: new FileFailed({ path: file, cause }) })
  )
  const loaded: Loaded = { config: yield* parse(file, text), folder: path.dirname(path.resolve(file)) }
  return loaded
})

/** The text of the JSON Schema of the file, which this package ships as `effect-k8s.schema.json`, for editors. */
export const jsonSchema = (): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(File, { onExcessProperty: "error" })
  return `${
    JSON.stringify(
      {
        $schema: "https://json-schema.org/draft/2020-12/schema",
        title: "What effect-k8s-codegen generates from and how",
        ...schema,
        ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions })
      },
      undefined,
      2
    )
  }\n`
}
