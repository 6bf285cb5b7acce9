/**
 * The pipeline: load, normalise, IR, emit. From documents to the texts of modules, without touching a file.
 */
import * as Effect from "effect/Effect"
import type { CodegenError } from "./CodegenError.ts"
import * as Module from "./emit/Module.ts"
import * as ResourceTable from "./emit/ResourceTable.ts"
import * as SchemaTypes from "./emit/SchemaTypes.ts"
import * as Build from "./ir/Build.ts"
import * as Discovery from "./load/Discovery.ts"
import * as Document from "./load/Document.ts"
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
}

/**
 * Generates one module for each group-version, and one with the resources as data. The same sources give the same texts.
 * Fails with `InvalidDocument` when a source is not an OpenAPI 3 document.
 */
export const generate: (
  sources: Sources,
  options: GenerateOptions
) => Effect.Effect<Output, CodegenError> = Effect.fnUntraced(function*(sources, options) {
  const api = normalise(yield* Document.openApi(sources.openapi), options)
  const ir = Build.build(api, Discovery.fromDocuments(sources.discovery ?? []))
  const types = yield* SchemaTypes.print(ir.modules.flatMap(Module.schemas))
  return {
    modules: ir.modules.map((module) => ({ path: `${module.path}.ts`, text: Module.emit(module, types, options) })),
    resources: ResourceTable.emit(ir.resources)
  }
})
