/**
 * Names for structs that have none. A custom resource is one tree of anonymous structs, many of them equal; readers of a
 * type, of an error or of a hover need names.
 *
 * A struct is named by its path from the kind, `CertificateSpecPrivateKey`. Equal structs of one kind are one, named by
 * the shortest path. Structs of different kinds are never one: the name would be that of the other kind.
 */
import { by } from "../internal/order.ts"
import { pascal } from "../internal/words.ts"
import { mapSchema, references } from "./Schema.ts"
import type { Definition, Property, Schema, Struct } from "./Schema.ts"

/** The definitions, and those of the structs inside of them. No schema has a `struct` afterwards. */
export const hoist = (definitions: ReadonlyMap<string, Definition>): ReadonlyMap<string, Definition> => {
  const result = new Map<string, Definition>()
  const taken = new Set(definitions.keys())
  for (const definition of definitions.values()) {
    for (const one of hoistOne(definition, taken)) result.set(one.name, one)
  }
  return result
}

/** A struct whose inner structs are references to classes. */
interface Class {
  readonly struct: Struct
  readonly mapType: Definition["mapType"]
}

/** The structs of one kind, each once. */
interface Classes {
  /** The reference to the class of a struct. */
  readonly of: (one: Class) => string
  readonly get: (ref: string) => Class | undefined
}

const makeClasses = (): Classes => {
  const refs = new Map<string, string>()
  const classes = new Map<string, Class>()
  return {
    of: (one) => {
      const text = JSON.stringify(one)
      const ref = refs.get(text) ?? `${prefix}${classes.size}`
      refs.set(text, ref)
      classes.set(ref, one)
      return ref
    },
    get: (ref) => classes.get(ref)
  }
}

// No definition is called so, and neither is a type of the runtime.
const prefix = "?"

const hoistOne = (definition: Definition, taken: Set<string>): ReadonlyArray<Definition> => {
  const classes = makeClasses()
  const properties = definition.properties?.map((one) => classify(one, classes))
  const alias = definition.alias === undefined ? undefined : classifySchema(definition.alias, classes)
  const names = nameAll(definition.name, properties, alias, classes, taken)
  if (names.size === 0) return [definition]
  const rename = (schema: Schema): Schema =>
    mapSchema(schema, (inner) => {
      const name = inner.$ref === undefined ? undefined : names.get(inner.$ref)
      return name === undefined ? inner : { ...inner, $ref: name }
    })
  const renameAll = (properties: ReadonlyArray<Property>): ReadonlyArray<Property> =>
    properties.map((one) => ({ ...one, schema: rename(one.schema) }))
  return [
    {
      ...definition,
      properties: properties === undefined ? undefined : renameAll(properties),
      alias: alias === undefined ? undefined : rename(alias)
    },
    ...[...names].flatMap(([ref, name]): ReadonlyArray<Definition> => {
      const found = classes.get(ref)
      if (found === undefined) return []
      const { mapType, struct } = found
      return [{ ...struct, name, kinds: [], mapType, alias: undefined, properties: renameAll(struct.properties) }]
    })
  ]
}

const classify = (property: Property, classes: Classes): Property => ({
  ...property,
  schema: classifySchema(property.schema, classes)
})

/** Replaces structs by references to their classes, from the leaves up: equal structs are then equal texts. */
const classifySchema = (schema: Schema, classes: Classes): Schema =>
  mapSchema(schema, (inner) => {
    const { struct, type: _, ...rest } = inner
    if (struct === undefined) return inner
    const own: Struct = { ...struct, properties: struct.properties.map((one) => classify(one, classes)) }
    return { ...rest, $ref: classes.of({ struct: own, mapType: rest.mapType }) }
  })

/** The names of the classes by their references, nearest first. */
const nameAll = (
  root: string,
  properties: ReadonlyArray<Property> | undefined,
  alias: Schema | undefined,
  classes: Classes,
  taken: Set<string>
): ReadonlyMap<string, string> => {
  const names = new Map<string, string>()
  let level: ReadonlyArray<readonly [path: string, schema: Schema]> = [
    ...(alias === undefined ? [] : [[root, alias] as const]),
    ...below(root, properties ?? [])
  ]
  while (level.length > 0) {
    const next: Array<readonly [string, Schema]> = []
    for (const [path, schema] of level) {
      for (const ref of references(schema)) {
        const found = classes.get(ref)
        if (found === undefined || names.has(ref)) continue
        names.set(ref, free(path, taken))
        next.push(...below(path, found.struct.properties))
      }
    }
    level = next.sort(by(([path]) => path))
  }
  return names
}

const below = (path: string, properties: ReadonlyArray<Property>): ReadonlyArray<readonly [string, Schema]> =>
  properties.map(({ name, schema }) => [`${path}${pascal(name)}`, schema] as const)

const free = (path: string, taken: Set<string>): string => {
  let name = path
  for (let i = 2; taken.has(name); i++) name = `${path}${i}`
  taken.add(name)
  return name
}
