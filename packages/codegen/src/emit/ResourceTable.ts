/**
 * The resources as data, for a server that has to answer discovery.
 */
import type { ResourceFacts } from "../ir/Ir.ts"
import { marker } from "./Module.ts"

/** The text of a module that exports all resources, one a line. */
export const emit = (resources: ReadonlyArray<ResourceFacts>): string =>
  `${marker}

/** A subresource, as discovery names it. */
export interface SubresourceFacts {
  readonly name: string
  /** Absent where it is that of the resource. */
  readonly group?: string
  /** Absent where it is that of the resource. */
  readonly version?: string
  readonly kind: string
  readonly verbs: ReadonlyArray<string>
}

/** A resource, as discovery names it. */
export interface ResourceFacts {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly scope: "Cluster" | "Namespaced"
  readonly verbs: ReadonlyArray<string>
  readonly shortNames: ReadonlyArray<string>
  readonly categories: ReadonlyArray<string>
  readonly subresources: ReadonlyArray<SubresourceFacts>
}

/** All resources, by group, version and plural name. */
export const resources: ReadonlyArray<ResourceFacts> = [
${resources.map((resource) => JSON.stringify(row(resource))).join(",\n")}
]
`

const row = (resource: ResourceFacts) => {
  const { categories, group, kind, plural, scope, shortNames, singular, subresources, verbs, version } = resource
  return {
    group,
    version,
    kind,
    plural,
    singular,
    scope,
    verbs,
    shortNames,
    categories,
    subresources: subresources.map(({ kind, name, verbs }) => ({
      name,
      ...(kind.group === group && kind.version === version ? {} : { group: kind.group, version: kind.version }),
      kind: kind.kind,
      verbs
    }))
  }
}
