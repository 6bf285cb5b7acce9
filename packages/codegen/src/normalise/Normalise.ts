/**
 * OpenAPI 3 documents reduced to definitions and resources.
 */
import { object } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import type { Document } from "../load/Document.ts"
import { hoist } from "./Hoist.ts"
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

/** What to keep of the documents. */
export interface Options {
  /** Whether to keep what they say in words. Types that differ in nothing else are then two. */
  readonly docs?: boolean | undefined
}

/**
 * Merges and reduces documents.
 *
 * Each document of a cluster repeats the shared schemas. The first one wins: only the kinds of `DeleteOptions` and
 * `WatchEvent`, which all groups register, differ between them, and so those are joined.
 */
export const normalise = (documents: ReadonlyArray<Document>, options: Options = {}): Api => {
  const read = options.docs === true
    ? Schema.definition
    : (name: string, raw: JsonObject) => Schema.withoutDocs(Schema.definition(name, raw))
  const definitions = new Map<string, Definition>()
  for (const { json } of documents) {
    for (const [name, raw] of Object.entries(object(object(json.components).schemas))) {
      const definition = read(name, object(raw))
      const known = definitions.get(name)
      definitions.set(name, known === undefined ? definition : { ...known, kinds: join(known.kinds, definition.kinds) })
    }
  }
  const paths = Object.fromEntries(documents.flatMap(({ json }) => Object.entries(object(json.paths))))
  // A definition that several groups register (Status) tells no kind.
  const kindOf = (definition: string): GroupVersionKind | undefined => {
    const [kind, second] = definitions.get(definition)?.kinds ?? []
    return second === undefined ? kind : undefined
  }
  return { definitions: hoist(definitions), resources: Resources.fromPaths(paths, kindOf) }
}

const join = (
  a: ReadonlyArray<GroupVersionKind>,
  b: ReadonlyArray<GroupVersionKind>
): ReadonlyArray<GroupVersionKind> => {
  const has = new Set(a.map(id))
  return [...a, ...b.filter((kind) => !has.has(id(kind)))]
}

const id = ({ group, kind, version }: GroupVersionKind): string => `${group}/${version}/${kind}`
