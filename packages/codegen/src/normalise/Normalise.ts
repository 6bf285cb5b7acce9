/**
 * OpenAPI 3 documents reduced to definitions and resources.
 */
import { object } from "../internal/json.ts"
import type { Document } from "../load/Document.ts"
import type { Resource } from "./Resources.ts"
import * as Resources from "./Resources.ts"
import type { Definition, GroupVersionKind } from "./Schema.ts"
import * as Schema from "./Schema.ts"

/** What documents say, without repetition. */
export interface Api {
  /** By full name: `io.k8s.api.core.v1.Pod`. */
  readonly definitions: ReadonlyMap<string, Definition>
  readonly resources: ReadonlyArray<Resource>
}

/**
 * Merges and reduces documents.
 *
 * Each document of a cluster repeats the shared schemas. The first one wins: only the kinds of `DeleteOptions` and
 * `WatchEvent`, which all groups register, differ between them, and so those are joined.
 */
export const normalise = (documents: ReadonlyArray<Document>): Api => {
  const definitions = new Map<string, Definition>()
  for (const { json } of documents) {
    for (const [name, raw] of Object.entries(object(object(json.components).schemas))) {
      const definition = Schema.definition(name, object(raw))
      const known = definitions.get(name)
      definitions.set(name, known === undefined ? definition : { ...known, kinds: join(known.kinds, definition.kinds) })
    }
  }
  const paths = Object.fromEntries(documents.flatMap(({ json }) => Object.entries(object(json.paths))))
  return { definitions, resources: Resources.fromPaths(paths) }
}

const join = (
  a: ReadonlyArray<GroupVersionKind>,
  b: ReadonlyArray<GroupVersionKind>
): ReadonlyArray<GroupVersionKind> => {
  const has = new Set(a.map(id))
  return [...a, ...b.filter((kind) => !has.has(id(kind)))]
}

const id = ({ group, kind, version }: GroupVersionKind): string => `${group}/${version}/${kind}`
