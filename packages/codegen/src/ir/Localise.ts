/**
 * Walks over schemas: what they refer to, and what their references are called in a module.
 */
import { references } from "../normalise/Schema.ts"
import type { Definition, Schema } from "../normalise/Schema.ts"

/** The schema with its references renamed, and without what only apply needs to know. */
export const localise = (schema: Schema, rename: (ref: string) => string): Schema => {
  const { $ref, additionalProperties, anyOf, items, listKeys: _, mapType: __, ...rest } = schema
  return {
    ...rest,
    ...($ref === undefined ? {} : { $ref: rename($ref) }),
    ...(items === undefined ? {} : { items: localise(items, rename) }),
    ...(additionalProperties === undefined ? {} : { additionalProperties: localise(additionalProperties, rename) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map((schema) => localise(schema, rename)) })
  }
}

/** The definitions that some schemas need, directly or not. */
export const needed = (
  definitions: ReadonlyMap<string, Definition>,
  roots: ReadonlyArray<Schema>
): ReadonlyMap<string, Definition> => {
  const found = new Map<string, Definition>()
  const queue = roots.flatMap(references)
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const definition = definitions.get(name)
    if (definition === undefined || found.has(name)) continue
    found.set(name, definition)
    const inside = [...(definition.properties ?? []).map(({ schema }) => schema), definition.alias ?? {}]
    queue.push(...inside.flatMap(references))
  }
  return found
}
