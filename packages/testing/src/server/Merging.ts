/**
 * The schemas by which objects of a resource are merged: of built-in kinds those of the data, loaded when they are needed
 * first; of custom ones those of their definitions.
 */
import * as Effect from "effect/Effect"
import * as Json from "../store/Json.ts"
import * as MergeSchema from "../store/MergeSchema.ts"
import type * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"
import * as Custom from "./OpenApiCustomResource.ts"
import * as OpenApiSchemas from "./OpenApiSchemas.ts"

const known = new Map<string, MergeSchema.MergeSchema>()

/** The schema of a built-in kind, by its full name. */
export const ofName = Effect.fnUntraced(function*(name: string) {
  const schema = known.get(name) ?? MergeSchema.named(name, yield* OpenApiSchemas.load([name]))
  known.set(name, schema)
  return schema
})

/** The schema of a built-in kind; nothing for any other. */
export const ofKind = (kind: OpenApiSchemas.Kind): Effect.Effect<MergeSchema.MergeSchema | undefined> => {
  const name = OpenApiSchemas.schemaName(kind)
  return name === undefined ? Effect.undefined : ofName(name)
}

/** The schema of a resource. What is nowhere described is merged by member. */
export const ofRow = Effect.fnUntraced(function*(store: Store, row: ResourceRow.ResourceRow) {
  const definition = Custom.definitionOf(store, row)
  if (definition === undefined) return (yield* ofKind(row)) ?? MergeSchema.untyped
  const { definitions } = yield* ofName(OpenApiSchemas.objectMeta)
  const name = Custom.schemaName(row)
  const own = Json.object(Custom.schemas(definition, row)[name])
  return MergeSchema.named(name, { ...definitions, [name]: own })
})
