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
  /** The definition of each kind, by `Schema.gvk`. */
  readonly kinds: ReadonlyMap<string, Definition>
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
      const known = definitions.get(name)
      definitions.set(
        name,
        known === undefined
          ? read(name, object(raw))
          : { ...known, kinds: join(known.kinds, Schema.kindsOf(object(raw))) }
      )
    }
  }
  const paths = Object.fromEntries(documents.flatMap(({ json }) => Object.entries(object(json.paths))))
  // A definition that several groups register (Status) tells no kind.
  const kindOf = (definition: string): GroupVersionKind | undefined => {
    const [kind, second] = definitions.get(definition)?.kinds ?? []
    return second === undefined ? kind : undefined
  }
  const hoisted = hoist(definitions)
  return { definitions: hoisted, kinds: byKind(hoisted.values()), resources: Resources.fromPaths(paths, kindOf) }
}

/** The first one counts where several are registered as the same kind. */
const byKind = (definitions: Iterable<Definition>): ReadonlyMap<string, Definition> =>
  new Map(
    [...definitions].toReversed().flatMap((one) => one.kinds.map((kind) => [Schema.gvk(kind), one] as const))
  )

const join = (
  a: ReadonlyArray<GroupVersionKind>,
  b: ReadonlyArray<GroupVersionKind>
): ReadonlyArray<GroupVersionKind> => {
  const has = new Set(a.map(Schema.gvk))
  return [...a, ...b.filter((kind) => !has.has(Schema.gvk(kind)))]
}
