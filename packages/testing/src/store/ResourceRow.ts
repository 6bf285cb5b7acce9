/**
 * What the server knows about a resource: the rows of discovery, with which the store, the router and the documents work.
 */
import { type ResourceFacts, resources, type SubresourceFacts } from "../schemas/resources.ts"

/** A resource in one version of its group. The core group has the empty name. */
export type ResourceRow = ResourceFacts

/** A subresource of a resource. */
export type SubresourceRow = SubresourceFacts

/** `v1` for the core group, `group/version` for the others. */
export const apiVersion = (row: { readonly group: string; readonly version: string }): string =>
  row.group === "" ? row.version : `${row.group}/${row.version}`

/** Where the paths of a group-version begin: `api/v1`, `apis/apps/v1`. */
export const root = (row: { readonly group: string; readonly version: string }): string =>
  `${row.group === "" ? "api" : "apis"}/${apiVersion(row)}`

/** Where the objects are kept. All versions of a group share their objects: nothing is converted. */
export const collection = (row: { readonly group: string; readonly plural: string }): string =>
  `${row.group}/${row.plural}`

const builtIn = new Set(resources.map(collection))

/** Whether a resource comes with Kubernetes, rather than with a custom resource definition. */
export const isBuiltIn = (row: ResourceRow): boolean => builtIn.has(collection(row))

/** A subresource of a row. */
export const subresource = (row: ResourceRow, name: string): SubresourceRow | undefined =>
  row.subresources.find((candidate) => candidate.name === name)

/** Whether a row has a subresource. */
export const hasSubresource = (row: ResourceRow, name: string): boolean => subresource(row, name) !== undefined

// `v1` over `v1beta2` over `v1beta1` over `v1alpha1`, and the higher number first.
const stability = (version: string): readonly [number, number, number] => {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version)
  if (match === null) return [-1, 0, 0]
  return [match[2] === undefined ? 2 : match[2] === "beta" ? 1 : 0, Number(match[1]), Number(match[3] ?? 0)]
}

/** Orders versions as a server prefers them. */
export const compareVersions = (a: string, b: string): number => {
  const [left, right] = [stability(a), stability(b)]
  return right[0] - left[0] || right[1] - left[1] || right[2] - left[2] || (a < b ? -1 : a > b ? 1 : 0)
}

/** The resources of a server; custom ones come and go. */
export interface Catalogue {
  readonly rows: () => ReadonlyArray<ResourceRow>
  readonly find: (group: string, version: string, plural: string) => ResourceRow | undefined
  /** A row for the objects of a collection, of the preferred version. */
  readonly ofCollection: (collection: string) => ResourceRow | undefined
  readonly hasGroup: (group: string) => boolean
  /** Replaces the rows of a collection. */
  readonly set: (collection: string, rows: ReadonlyArray<ResourceRow>) => void
}

/** A catalogue of rows. */
export const catalogue = (initial: ReadonlyArray<ResourceRow>): Catalogue => {
  let rows = initial
  return {
    rows: () => rows,
    find: (group, version, plural) =>
      rows.find((row) => row.plural === plural && row.version === version && row.group === group),
    ofCollection: (name) =>
      rows.filter((row) => collection(row) === name)
        .sort((a, b) => compareVersions(a.version, b.version))[0],
    hasGroup: (group) => rows.some((row) => row.group === group),
    set: (name, replaced) => {
      rows = [...rows.filter((row) => collection(row) !== name), ...replaced]
    }
  }
}
