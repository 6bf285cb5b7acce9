/**
 * The pipeline: load, normalise, IR, emit. From documents to the texts of modules, without touching a file.
 */
import * as Effect from "effect/Effect"
import { CodegenError, InvalidConfig } from "./CodegenError.ts"
import * as Module from "./emit/Module.ts"
import * as ResourceTable from "./emit/ResourceTable.ts"
import * as SchemaData from "./emit/SchemaData.ts"
import * as SchemaTypes from "./emit/SchemaTypes.ts"
import { object } from "./internal/json.ts"
import * as Build from "./ir/Build.ts"
import * as ServedSchemas from "./ir/ServedSchemas.ts"
import * as Discovery from "./load/Discovery.ts"
import * as Document from "./load/Document.ts"
import * as Facts from "./normalise/Facts.ts"
import { normalise } from "./normalise/Normalise.ts"

/** What to generate from. */
export interface Sources {
  /** OpenAPI 3 documents, one for each group-version, as a cluster serves them under `/openapi/v3`. */
  readonly openapi: ReadonlyArray<Document.Document>
  /** Discovery documents, for short names and categories. */
  readonly discovery?: ReadonlyArray<Document.Document> | undefined
}

/** How to generate. */
export interface GenerateOptions extends Module.ImportOptions {
  /** Whether to write what the documents say into documentation comments. */
  readonly docs?: boolean | undefined
  /** The API groups to generate: `apps`, `*.example.com`, `core`; all unless told. */
  readonly groups?: ReadonlyArray<string> | undefined
  /** The module of `SchemaOf`, as the table of schemas names it; that beside the runtime types unless told. */
  readonly schemaOf?: string | undefined
  /** Whether to give the schemas for a server, too. */
  readonly served?: boolean | undefined
}

/** A generated module. */
export interface GeneratedModule {
  /** Relative to the folder of the modules, with its extension: `apps/v1.ts`. */
  readonly path: string
  readonly text: string
}

/** What was generated. */
export interface Output {
  readonly modules: ReadonlyArray<GeneratedModule>
  /** A module with the resources as data. */
  readonly resources: string
  /** The schemas as data: `schemas.ts`, which loads `schemas/apps/v1.ts` and the like. */
  readonly schemas: ReadonlyArray<GeneratedModule>
  /** The schemas for a server: `served.ts`, which loads `apps/v1.ts` and the like; none unless asked for. */
  readonly served: ReadonlyArray<GeneratedModule>
  /** How many resources there are. */
  readonly kinds: number
}

/** Whether a group is among some; `*.` at the beginning stands for any labels, and `core` for the group without a name. */
export const groupFilter = (groups: ReadonlyArray<string> | undefined): (group: string) => boolean => (group) =>
  groups === undefined ||
  groups.some((pattern) =>
    pattern.startsWith("*.") ? group.endsWith(pattern.slice(1)) : (pattern === "core" ? "" : pattern) === group
  )

/**
 * Generates one module for each group-version, and one with the resources as data. The same sources give the same texts.
 *
 * Fails with `InvalidDocument` when a source is not an OpenAPI 3 document, or when two describe the same resource, and
 * with `InvalidConfig` when there is no resource in the groups that were asked for.
 */
export const generate: (
  sources: Sources,
  options: GenerateOptions
) => Effect.Effect<Output, CodegenError> = Effect.fnUntraced(function*(sources, options) {
  const openapi = yield* Document.openApi(sources.openapi)
  const twice = describedTwice(openapi)
  if (twice !== undefined) return yield* twice
  const all = normalise(openapi, options)
  const wanted = groupFilter(options.groups)
  const api = { ...all, resources: all.resources.filter(({ group }) => wanted(group)) }
  if (api.resources.length === 0) {
    const where = options.groups === undefined ? "the sources" : `the groups ${options.groups.join(", ")}`
    return yield* new CodegenError({
      reason: new InvalidConfig({ path: "sources", description: `have no resource: there is none in ${where}` })
    })
  }
  const ir = Build.build(api, Discovery.fromDocuments(sources.discovery ?? []))
  const outside = ir.modules.find(({ path }) => !modulePath.test(path))
  if (outside !== undefined) return yield* noPath(outside.path)
  const served = options.served === true
    ? ServedSchemas.make(Facts.fromDocuments(openapi), all.definitions.values(), ir.schemas)
    : []
  const types = yield* SchemaTypes.print(ir.modules.flatMap(Module.schemas))
  return {
    modules: ir.modules.map((module) => ({ path: `${module.path}.ts`, text: Module.emit(module, types, options) })),
    resources: ResourceTable.emit(ir.resources),
    schemas: [
      {
        path: "schemas.ts",
        text: SchemaData.emitTable(ir.schemas, options, options.schemaOf ?? schemaOfBeside(options.runtime))
      },
      ...ir.schemas.map((schemas) => ({ path: `schemas/${schemas.path}.ts`, text: SchemaData.emit(schemas) }))
    ],
    served: served.length === 0 ? [] : [
      { path: "served.ts", text: SchemaData.emitServedTable(served, options) },
      ...served.map((module) => ({
        path: `${module.path}.ts`,
        text: SchemaData.emit(module, SchemaData.served)
      }))
    ],
    kinds: ir.resources.length
  }
})

/** The module of `SchemaOf`, for a table a folder above the modules: beside the runtime types, if those are core's. */
const schemaOfBeside = (runtime: string): string =>
  /(?:^|\/)Resource(?:\.[jt]s)?$/.test(runtime)
    ? runtime.replace(/^\.\.\/(\.\.\/)?/, (_, more: string | undefined) => more ?? "./")
      .replace(/Resource(?=(?:\.[jt]s)?$)/, "SchemaOf")
    : "@effect-k8s/core/SchemaOf"

// A path is made of names in documents, which may come from anywhere: it must not leave the folder.
const modulePath = /^[\p{L}\d][\p{L}\d._-]*\/[\p{L}\d][\p{L}\d._-]*$/u

const noPath = (path: string): CodegenError =>
  new CodegenError({
    reason: new InvalidConfig({
      path: "sources",
      description: `have a group and version that name no module: ${JSON.stringify(path)}`
    })
  })

const describedTwice = (documents: ReadonlyArray<Document.Document>): CodegenError | undefined => {
  const seen = new Map<string, string>()
  for (const { json, name } of documents) {
    for (const path of Object.keys(object(json.paths)).filter((path) => path.startsWith("/api"))) {
      const first = seen.get(path)
      if (first !== undefined) {
        return Document.invalid(name, `describes ${path}, and so does ${first}; take one of them`)
      }
      seen.set(path, name)
    }
  }
  return undefined
}
