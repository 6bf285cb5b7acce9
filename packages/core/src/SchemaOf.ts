/**
 * Checking objects at run time, for programs that trust a server less than types do.
 *
 * Reading and writing need none of this. A schema is made when it is asked for, of data that is loaded for its
 * group-version only.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import * as JsonSchemas from "./internal/jsonSchemas.ts"
import * as Resource from "./Resource.ts"
import { schemas as builtIn } from "./schemas.ts"

/** Schemas as data, by group-version. The command line writes such a table for custom resources. */
export interface Schemas {
  /** The module of each group-version. */
  readonly groupVersions: Readonly<Record<string, string>>
  /** Loads the schemas of a module by name. */
  readonly modules: Readonly<
    Record<string, () => Promise<{ readonly definitions: Readonly<Record<string, unknown>> }>>
  >
}

/** There are no schemas of a kind, or they could not be loaded. */
export class SchemaUnavailable extends Data.TaggedError("SchemaUnavailable")<{
  readonly apiVersion: string
  readonly kind: string
  readonly cause?: unknown
}> {
  override get message(): string {
    const what = `${this.kind} in ${this.apiVersion}`
    return this.cause === undefined
      ? `there is no schema of ${what}; for a custom resource, generate with schemas and pass their table`
      : `the schema of ${what} could not be loaded: ${
        this.cause instanceof Error ? this.cause.message : JSON.stringify(this.cause)
      }`
  }
}

/**
 * The schema of a kind as it is read. It keeps unknown fields, and accepts `null` for lists, maps and times, which
 * servers send for empty ones. Making it takes some milliseconds: keep it.
 *
 * Fails with `SchemaUnavailable`.
 *
 * @example
 * ```ts
 * import { ConfigMap } from "@effect-k8s/core/apis/core/v1"
 * import * as SchemaOf from "@effect-k8s/core/SchemaOf"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 *
 * const program = Effect.gen(function*() {
 *   const isConfigMap = Schema.is(yield* SchemaOf.schemaOf(ConfigMap))
 *   return isConfigMap({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: 1 } })
 * })
 * await Effect.runPromise(program) // => false
 * ```
 */
export const schemaOf: <R extends Resource.ResourceType>(
  row: Resource.Resource<R>,
  schemas?: Schemas
) => Effect.Effect<Schema.Codec<R["object"]>, SchemaUnavailable> = Effect.fnUntraced(
  function*<R extends Resource.ResourceType>(row: Resource.Resource<R>, schemas: Schemas = builtIn) {
    const apiVersion = Resource.apiVersion(row)
    const unavailable = (cause?: unknown) => new SchemaUnavailable({ apiVersion, kind: row.kind, cause })
    const loaded = new Map<string, Readonly<Record<string, unknown>>>()
    const load = (module: string) =>
      Effect.gen(function*() {
        const known = loaded.get(module)
        if (known !== undefined) return known
        const loader = Object.hasOwn(schemas.modules, module) ? schemas.modules[module] : undefined
        if (loader === undefined) return yield* unavailable(new Error(`there is no module ${module}`))
        const { definitions } = yield* Effect.tryPromise({ try: loader, catch: unavailable })
        loaded.set(module, definitions)
        return definitions
      })
    const module = Object.hasOwn(schemas.groupVersions, apiVersion) ? schemas.groupVersions[apiVersion] : undefined
    if (module === undefined) return yield* unavailable()
    const own = yield* load(module)
    if (!Object.hasOwn(own, row.kind)) return yield* unavailable()

    // What the kind refers to, directly or not.
    const definitions: Record<string, JsonSchemas.JsonSchema> = {}
    const queue: Array<readonly [module: string, name: string]> = []
    const reference = (from: string) => (ref: string): string => {
      const [other = "", name] = ref.split("#")
      const target = name === undefined ? [from, other] as const : [other, name] as const
      queue.push(target)
      return JsonSchemas.definitionName(...target)
    }
    const root = JsonSchemas.root(row, own[row.kind], reference(module))
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const [module, name] = next
      const key = JsonSchemas.definitionName(module, name)
      if (Object.hasOwn(definitions, key)) continue
      definitions[key] = JsonSchemas.definition((yield* load(module))[name], reference(module))
    }
    const document = { dialect: "draft-2020-12", schema: root, definitions } as const
    const schema = yield* Effect.try({
      try: () => SchemaRepresentation.fromJsonSchemaDocument(document, { patterns: "ignore" }),
      catch: unavailable
    })
    // Sound: both were made from the same documents.
    return Schema.make<Schema.Codec<R["object"]>>(schema.ast)
  }
)
