/**
 * Schemas for a server: those of the documents under their full names, by the module of their package.
 */
import type { JsonObject } from "../internal/json.ts"
import { by } from "../internal/order.ts"
import type { Definition } from "../normalise/Schema.ts"
import * as Modules from "./Modules.ts"
import type { SchemaModule } from "./SchemaData.ts"

/** The schemas of one package. */
export interface ServedModule extends SchemaModule<JsonObject> {
  /** What the names of its definitions begin with: `io.k8s.api.core.v1`. */
  readonly package: string
}

/**
 * The modules of schemas (see `Facts.fromDocuments`), by path. The definitions tell the packages, the modules of types
 * which of them is which group-version: types that many share are registered in groups, too.
 */
export const make = (
  schemas: ReadonlyMap<string, JsonObject>,
  definitions: Iterable<Definition>,
  types: ReadonlyArray<SchemaModule>
): ReadonlyArray<ServedModule> => {
  const apiVersions = new Map(types.map((module) => [module.path, module.apiVersions]))
  return [...Modules.targets(definitions)].map(([name, { path }]) => ({
    path,
    package: name,
    apiVersions: apiVersions.get(path) ?? [],
    definitions: [...schemas].filter(([definition]) => Modules.packageOf(definition) === name)
  })).sort(by(({ path }) => path))
}
