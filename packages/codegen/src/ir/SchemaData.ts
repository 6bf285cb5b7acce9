/**
 * Schemas as data: what is needed to check an object at run time. Names are those of the modules. How lists and maps are
 * merged is no part of it: that is the server's business (`ServedSchemas.ts`).
 */
import { by } from "../internal/order.ts"
import type { Definition, Property, Schema } from "../normalise/Schema.ts"
import { localise } from "./Localise.ts"
import * as Modules from "./Modules.ts"
import type { Plan } from "./Plan.ts"
import { isPresent } from "./Plan.ts"
import type { Home } from "./Scope.ts"

/** The schemas of one module. */
export interface SchemaModule<D = DefinitionData> {
  /** The path of the module of the types: `apps/v1`. */
  readonly path: string
  /** The group-versions of its kinds. */
  readonly apiVersions: ReadonlyArray<string>
  /** By name: kinds by their kind, types by the name they have in the module. */
  readonly definitions: ReadonlyArray<readonly [name: string, definition: D]>
}

/** A struct, or another name for a schema. A reference is `Name`, `apps/v1#Name` of another module, or `#Time`. */
export interface DefinitionData {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: ReadonlyArray<string>
  /** Those that servers always write, beside the required ones: `spec` and `status` of a kind. */
  readonly present?: ReadonlyArray<string>
  readonly alias?: Schema
  readonly open?: true
}

/** The schemas of a plan, by the path of their module. */
export const make = (
  plan: Plan,
  targetOf: (definition: string) => Modules.Target,
  homeOf: (symbol: string) => Home | undefined
): ReadonlyArray<SchemaModule> => {
  const nameOf = (symbol: string) => plan.kinds.get(symbol)?.kind.kind ?? homeOf(symbol)?.name
  const names = [...plan.kinds.keys(), ...plan.types.keys()]
  const paths = [...new Set(names.map((name) => targetOf(name).path))].sort(by((path) => path))
  return paths.map((path) => {
    const reference = (ref: string): string => {
      if (ref.startsWith("#")) return ref
      const name = nameOf(ref)
      // The documents refer to a definition that they do not have.
      if (name === undefined) return "#Unknown"
      const { path: other } = targetOf(ref)
      return other === path ? name : `${other}#${name}`
    }
    const here = ([symbol]: readonly [string, unknown]) => targetOf(symbol).path === path
    const kinds = [...plan.kinds].filter(here)
    return {
      path,
      apiVersions: [...new Set(kinds.map(([, { kind }]) => Modules.apiVersion(kind)))].sort(by((one) => one)),
      definitions: [
        ...kinds.map(([, { definition, kind, metadata, properties }]) =>
          [kind.kind, {
            ...data({ ...definition, properties }, reference, metadata.map(({ name }) => name)),
            ...present(properties)
          }] as const
        ),
        ...[...plan.types].filter(here).map(([symbol, type]) =>
          [nameOf(symbol) ?? symbol, data(type, reference)] as const
        )
      ].sort(by(([name]) => name))
    }
  })
}

const present = (properties: ReadonlyArray<Property>): Pick<DefinitionData, "present"> => {
  const names = properties.filter((one) => !one.required && isPresent(one)).map(({ name }) => name)
  return names.length === 0 ? {} : { present: names }
}

const data = (
  { alias, open, properties }: Definition,
  reference: (ref: string) => string,
  alsoRequired: ReadonlyArray<string> = []
): DefinitionData => {
  const rename = (schema: Schema): Schema => localise(schema, reference)
  const required = [...alsoRequired, ...(properties ?? []).filter((one) => one.required).map(({ name }) => name)]
  return {
    ...(properties === undefined
      ? {}
      : { properties: Object.fromEntries(properties.map(({ name, schema }) => [name, rename(schema)])) }),
    ...(required.length === 0 ? {} : { required }),
    ...(alias === undefined ? {} : { alias: rename(alias) }),
    ...(open === true ? { open } : {})
  }
}
