/**
 * The operations of a resource as OpenAPI v3: one for each verb, by the paths that the server answers.
 */
import type * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { Kind } from "./OpenApiSchemas.ts"
import { reference, status } from "./OpenApiSchemas.ts"

type Row = ResourceRow.ResourceRow

/** What operations answer with: the name of the schema of a kind; nothing for one without. */
export interface Answers {
  /** Whether the kind is a custom one: servers say of its scale that it were of that kind, too. */
  readonly custom: boolean
  readonly schemaOf: (kind: Kind) => string | undefined
  readonly listKind: string
}

const writes = ["dryRun", "fieldManager", "fieldValidation"]
const lists = ["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "timeoutSeconds"]

const patches = (custom: boolean): Json.JsonObject => ({
  "application/json-patch+json": {},
  "application/merge-patch+json": {},
  ...(custom ? {} : { "application/strategic-merge-patch+json": {} })
})

// Connections are no objects; a log is text.
const connections: ReadonlySet<string> = new Set(["attach", "exec", "portforward", "proxy"])

/** The kind of a subresource, which may be of another group: a scale. */
export const kindOf = (row: Row, sub: ResourceRow.SubresourceRow): Kind => ({
  group: sub.group ?? row.group,
  version: sub.version ?? row.version,
  kind: sub.kind
})

/** The paths of a resource. */
export const paths = (row: Row, { custom, listKind, schemaOf }: Answers): Json.JsonObject => {
  const own: Kind = { group: row.group, version: row.version, kind: row.kind }
  const operation = (action: string, of: Kind, parameters: ReadonlyArray<string>, answer: string | undefined) => ({
    parameters: parameters.map((name) => ({ name, in: "query", schema: { type: "string", uniqueItems: true } })),
    ...(action === "patch" ? { requestBody: { content: patches(custom) } } : {}),
    responses: {
      200: {
        description: "OK",
        content: answer === undefined
          ? { "text/plain": { schema: { type: "string" } } }
          : { "application/json": { schema: reference(answer) } }
      }
    },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": { group: of.group, kind: of.kind, version: of.version }
  })
  const item = (verbs: ReadonlyArray<string>, of: Kind, name: string | undefined): Json.JsonObject => ({
    ...(verbs.includes("get") ? { get: operation("get", of, [], name) } : {}),
    ...(verbs.includes("update") ? { put: operation("put", of, writes, name) } : {}),
    ...(verbs.includes("patch") ? { patch: operation("patch", of, [...writes, "force"], name) } : {}),
    ...(verbs.includes("create") ? { post: operation("post", of, writes, name) } : {}),
    ...(verbs.includes("delete") ? { delete: operation("delete", of, [], status) } : {})
  })
  const namespace = row.scope === "Namespaced" ? "/namespaces/{namespace}" : ""
  const root = ResourceRow.root(row)
  const collection = `/${root}${namespace}/${row.plural}`
  const name = schemaOf(own)
  const { verbs } = row
  const listName = name === undefined ? undefined : `${name.slice(0, -row.kind.length)}${listKind}`
  const list = verbs.includes("list")
    ? { get: operation("list", own, verbs.includes("watch") ? [...lists, "watch"] : lists, listName) }
    : {}
  const subresources = row.subresources.map((sub): readonly [string, Json.JsonObject] => {
    const of = kindOf(row, sub)
    return [
      `${collection}/{name}/${sub.name}`,
      connections.has(sub.name)
        ? { get: operation("connect", of, [], undefined) }
        : item(sub.verbs, custom ? own : of, sub.name === "log" ? undefined : schemaOf(of))
    ]
  })
  return withoutEmpty({
    ...(namespace === "" ? {} : { [`/${root}/${row.plural}`]: list }),
    [collection]: {
      ...list,
      ...item(verbs.filter((verb) => verb === "create"), own, name),
      ...(verbs.includes("deletecollection") ? { delete: operation("deletecollection", own, [], status) } : {})
    },
    [`${collection}/{name}`]: item(verbs.filter((verb) => verb !== "create"), own, name),
    ...Object.fromEntries(subresources)
  })
}

const withoutEmpty = (paths: Readonly<Record<string, Json.JsonObject>>): Json.JsonObject =>
  Object.fromEntries(Object.entries(paths).filter(([, item]) => Object.keys(item).length > 0))
