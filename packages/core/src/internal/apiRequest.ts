/**
 * Requests of the typed API: paths, queries and bodies by the conventions of the Kubernetes API. No IO.
 */
import type { KubeRequest } from "../KubeClient.ts"
import * as Resource from "../Resource.ts"

/** The row and the namespace that a request is about; no namespace means all, or a cluster-scoped kind. */
export interface Location {
  readonly row: Resource.Row
  readonly namespace: string | undefined
}

type Query = ReadonlyArray<readonly [string, string]>
type QueryValue = string | number | boolean | undefined

/**
 * Query parameters of the fields that are set. `false` is, too: `sendInitialEvents` is three-valued, and servers refuse
 * what belongs to it where it is left out.
 */
export const query = (fields: Readonly<Record<string, QueryValue>>): Query =>
  Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [[name, String(value)] as const])

/** `/api/v1/namespaces/default/pods/web-0/log`, each segment encoded. */
export const path = (location: Location, name?: string, subresource?: string): string => {
  const { row } = location
  const segments = [
    ...(row.group === "" ? ["api", row.version] : ["apis", row.group, row.version]),
    ...(location.namespace === undefined ? [] : ["namespaces", location.namespace]),
    row.plural,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : [subresource])
  ]
  return `/${segments.map(encodeURIComponent).join("/")}`
}

/** What `request` is made of. */
export interface Parts {
  readonly method: KubeRequest["method"]
  readonly verb: string
  readonly name?: string | undefined
  readonly subresource?: string | undefined
  readonly query?: Query | undefined
  readonly body?: KubeRequest["body"]
  readonly accept?: string | undefined
}

/** What is asked, for messages and spans. */
export const info = ({ namespace, row }: Location, parts: Parts): KubeRequest["info"] => ({
  verb: parts.verb,
  resource: parts.subresource === undefined ? row.plural : `${row.plural}/${parts.subresource}`,
  namespace,
  name: parts.name
})

/** A request about a location, whose names are names. */
export const request = (location: Location, parts: Parts): KubeRequest => ({
  method: parts.method,
  path: path(location, parts.name, parts.subresource),
  query: parts.query,
  body: parts.body,
  accept: parts.accept,
  info: info(location, parts)
})

/** A JSON body. */
export const json = (value: unknown, contentType = "application/json"): KubeRequest["body"] => ({
  contentType,
  text: JSON.stringify(value)
})

/** An object with the row's `apiVersion` and `kind`, unless it has others. */
export const withKind = (row: Resource.Row, value: unknown): unknown => {
  // Sound: what a kind takes to write extends `KubeInput` or `KubeApply`.
  const { apiVersion, kind, ...rest } = value as Pick<Resource.KubeInput, "apiVersion" | "kind">
  return { apiVersion: apiVersion ?? Resource.apiVersion(row), kind: kind ?? row.kind, ...rest }
}
