/**
 * Discovery: which groups, versions and resources there are, in the aggregated form and in the documents of old.
 */
import type { JsonObject } from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as Negotiation from "./Negotiation.ts"
import * as Respond from "./Respond.ts"

type Row = ResourceRow.ResourceRow

const groupBy = <A>(items: ReadonlyArray<A>, key: (item: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group === undefined) groups.set(key(item), [item])
    else group.push(item)
  }
  return groups
}

/** The versions of a group, the preferred one first. */
const versions = (rows: ReadonlyArray<Row>): ReadonlyArray<readonly [string, ReadonlyArray<Row>]> =>
  Array.from(groupBy(rows, (row) => row.version)).sort(([a], [b]) => ResourceRow.compareVersions(a, b))

const aggregated = (rows: ReadonlyArray<Row>, version: string): JsonObject => ({
  kind: "APIGroupDiscoveryList",
  apiVersion: `apidiscovery.k8s.io/${version}`,
  metadata: {},
  items: Array.from(groupBy(rows, (row) => row.group), ([group, members]) => ({
    metadata: { ...(group === "" ? {} : { name: group }), creationTimestamp: null },
    versions: versions(members).map(([version, resources]) => ({
      version,
      resources: resources.map(aggregatedResource),
      freshness: "Current"
    }))
  }))
})

const aggregatedResource = (row: Row): JsonObject => ({
  resource: row.plural,
  responseKind: { group: row.group, version: row.version, kind: row.kind },
  scope: row.scope,
  singularResource: row.singular,
  verbs: row.verbs,
  ...(row.shortNames.length === 0 ? {} : { shortNames: row.shortNames }),
  ...(row.categories.length === 0 ? {} : { categories: row.categories }),
  ...(row.subresources.length === 0 ? {} : {
    subresources: row.subresources.map((subresource) => ({
      subresource: subresource.name,
      responseKind: {
        group: subresource.group ?? row.group,
        version: subresource.version ?? row.version,
        kind: subresource.kind
      },
      verbs: subresource.verbs
    }))
  })
})

const groupVersion = (group: string, version: string): JsonObject => ({
  groupVersion: ResourceRow.apiVersion({ group, version }),
  version
})

const apiGroup = (group: string, rows: ReadonlyArray<Row>): JsonObject => {
  const all = versions(rows).map(([version]) => groupVersion(group, version))
  return { name: group, versions: all, preferredVersion: all[0] }
}

const resourceList = (rows: ReadonlyArray<Row>, apiVersion: string): JsonObject => ({
  kind: "APIResourceList",
  ...(apiVersion === "v1" ? {} : { apiVersion: "v1" }),
  groupVersion: apiVersion,
  resources: rows.flatMap((row) => [
    {
      name: row.plural,
      singularName: row.singular,
      namespaced: row.scope === "Namespaced",
      kind: row.kind,
      verbs: row.verbs,
      ...(row.shortNames.length === 0 ? {} : { shortNames: row.shortNames }),
      ...(row.categories.length === 0 ? {} : { categories: row.categories })
    },
    ...row.subresources.map((subresource) => ({
      name: `${row.plural}/${subresource.name}`,
      singularName: "",
      namespaced: row.scope === "Namespaced",
      ...(subresource.group === undefined ? {} : { group: subresource.group, version: subresource.version ?? "" }),
      kind: subresource.kind,
      verbs: subresource.verbs
    }))
  ])
})

/** Answers a path of discovery; nothing when the path is none. */
export const handle = (rows: ReadonlyArray<Row>, request: ServerRequest): ServerResponse | undefined => {
  const [root, first, second, ...more] = request.url.pathname.split("/").filter((part) => part !== "")
  if (more.length > 0) return undefined
  const isCore = root === "api"
  if (!isCore && root !== "apis") return undefined
  const own = rows.filter((row) => (row.group === "") === isCore)

  if (first === undefined) return answerRoot(own, request, isCore)
  const members = isCore ? own : own.filter((row) => row.group === first)
  const version = isCore ? first : second
  if (version === undefined) {
    return members.length === 0
      ? undefined
      : Respond.json(200, { kind: "APIGroup", apiVersion: "v1", ...apiGroup(first, members) })
  }
  const resources = members.filter((row) => row.version === version)
  if (resources.length === 0 || isCore && second !== undefined) return undefined
  return Respond.json(200, resourceList(resources, ResourceRow.apiVersion({ group: isCore ? "" : first, version })))
}

const answerRoot = (rows: ReadonlyArray<Row>, request: ServerRequest, isCore: boolean): ServerResponse => {
  const form = Negotiation.discovery(request)
  if (form === "v2" || form === "v2beta1") {
    const answer = Respond.json(200, aggregated(rows, form), {
      "Content-Type": `application/json;g=apidiscovery.k8s.io;v=${form};as=APIGroupDiscoveryList`,
      "Cache-Control": "public",
      "Vary": "Accept"
    })
    const etag = `"${Respond.hash(answer.body)}"`
    const headers = { ...answer.headers, ETag: etag }
    return request.headers.get("if-none-match")?.[0] === etag
      ? { ...answer, status: 304, headers, body: "" }
      : { ...answer, headers }
  }
  if (isCore) {
    return Respond.json(200, {
      kind: "APIVersions",
      versions: versions(rows).map(([version]) => version),
      serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: request.headers.get("host")?.[0] ?? "" }]
    })
  }
  const groups = Array.from(groupBy(rows, (row) => row.group), ([group, members]) => apiGroup(group, members))
  return Respond.json(200, { kind: "APIGroupList", apiVersion: "v1", groups })
}
