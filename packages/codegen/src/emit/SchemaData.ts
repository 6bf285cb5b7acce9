/**
 * The text of schemas as data, and of the table by which they are loaded.
 */
import type { SchemaModule } from "../ir/SchemaData.ts"
import type { ImportOptions } from "./Module.ts"
import { marker } from "./Module.ts"

/** The text of the schemas of a module, a definition a line. */
export const emit = ({ definitions, path }: SchemaModule): string =>
  `${marker}

/** Schemas of \`${path}\` by name, as \`SchemaOf\` reads them. */
export const definitions: Readonly<Record<string, unknown>> = {
${definitions.map(([name, definition]) => `${JSON.stringify(name)}: ${literal(definition)}`).join(",\n")}
}
`

/** The text of the table: nothing of it is loaded before it is asked for. */
export const emitTable = (
  modules: ReadonlyArray<SchemaModule>,
  { extension }: ImportOptions,
  schemaOf: string
): string => {
  const groupVersions = modules.flatMap(({ apiVersions, path }) => apiVersions.map((one) => [one, path] as const))
  return `${marker}

import type { Schemas } from ${JSON.stringify(schemaOf)}

/** The schemas of all kinds here, each group-version loaded when it is needed. */
export const schemas: Schemas = {
  groupVersions: {
${groupVersions.map(([apiVersion, path]) => `    ${JSON.stringify(apiVersion)}: ${JSON.stringify(path)}`).join(",\n")}
  },
  modules: {
${
    modules.map(({ path }) =>
      `    ${JSON.stringify(path)}: () => import(${JSON.stringify(`./schemas/${path}${extension}`)})`
    ).join(",\n")
  }
  }
}
`
}

// In JSON it is the name of a member, in JavaScript it would set the prototype.
const literal = (value: unknown): string => JSON.stringify(value).replaceAll("\"__proto__\":", "[\"__proto__\"]:")
