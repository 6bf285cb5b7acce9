/**
 * The text of schemas as data, and of the tables by which they are loaded.
 */
import type { SchemaModule } from "../ir/SchemaData.ts"
import type { ServedModule } from "../ir/ServedSchemas.ts"
import type { ImportOptions } from "./Module.ts"
import { marker } from "./Module.ts"

/** The text of the schemas of a module, a definition a line; `use` says what for. */
export const emit = ({ definitions, path }: SchemaModule<unknown>, use = "as `SchemaOf` reads them"): string =>
  `${marker}

/** Schemas of \`${path}\` by name, ${use}. */
export const definitions: Readonly<Record<string, unknown>> = {
${definitions.map(([name, definition]) => `${JSON.stringify(name)}: ${literal(definition)}`).join(",\n")}
}
`

/** The text of the table for `SchemaOf`: nothing of it is loaded before it is asked for. */
export const emitTable = (
  modules: ReadonlyArray<SchemaModule<unknown>>,
  { extension }: ImportOptions,
  schemaOf: string
): string =>
  `${marker}

import type { Schemas } from ${JSON.stringify(schemaOf)}

/** The schemas of all kinds here, each group-version loaded when it is needed. */
export const schemas: Schemas = {
${groupVersions(modules)},
${loaders(modules, (path) => `./schemas/${path}${extension}`)}
}
`

/** What the schemas of a server are for. */
export const served = "as servers publish them"

/** The text of the table for a server, which is beside the folders of the modules. */
export const emitServedTable = (modules: ReadonlyArray<ServedModule>, { extension }: ImportOptions): string =>
  `${marker}

/** Schemas as servers publish them, by the package of their Go types. */
export interface ServedSchemas {
  /** The module of each group-version. */
  readonly groupVersions: Readonly<Record<string, string>>
  /** The module of each package. */
  readonly packages: Readonly<Record<string, string>>
  /** Loads the schemas of a module by their full name. */
  readonly modules: Readonly<
    Record<string, () => Promise<{ readonly definitions: Readonly<Record<string, unknown>> }>>
  >
}

/** The schemas of all built-in kinds, each group-version loaded when it is needed. */
export const served: ServedSchemas = {
${groupVersions(modules)},
${table("packages", modules.map((module) => [module.package, JSON.stringify(module.path)]))},
${loaders(modules, (path) => `./${path}${extension}`)}
}
`

const groupVersions = (modules: ReadonlyArray<SchemaModule<unknown>>): string =>
  table(
    "groupVersions",
    modules.flatMap(({ apiVersions, path }) => apiVersions.map((one) => [one, JSON.stringify(path)]))
  )

const loaders = (modules: ReadonlyArray<SchemaModule<unknown>>, file: (path: string) => string): string =>
  table("modules", modules.map(({ path }) => [path, `() => import(${JSON.stringify(file(path))})`]))

const table = (name: string, entries: ReadonlyArray<readonly [key: string, value: string]>): string =>
  `  ${name}: {\n${entries.map(([key, value]) => `    ${JSON.stringify(key)}: ${value}`).join(",\n")}\n  }`

// In JSON it is the name of a member, in JavaScript it would set the prototype.
const literal = (value: unknown): string => JSON.stringify(value).replaceAll("\"__proto__\":", "[\"__proto__\"]:")
