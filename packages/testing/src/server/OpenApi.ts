/**
 * OpenAPI v3, as much of it as kubectl needs to find that the server checks fields itself: a patch operation for each
 * kind. There are no schemas in it.
 */
import type { JsonObject } from "../store/Json.ts"
import type * as ResourceRow from "../store/ResourceRow.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as Respond from "./Respond.ts"

type Row = ResourceRow.ResourceRow

const root = (row: Row): string => (row.group === "" ? `api/${row.version}` : `apis/${row.group}/${row.version}`)

const parameter = (name: string): JsonObject => ({ name, in: "query", schema: { type: "string", uniqueItems: true } })

const operation = (row: Row): JsonObject => ({
  parameters: ["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter),
  responses: { 200: { description: "OK" } },
  "x-kubernetes-action": "patch",
  "x-kubernetes-group-version-kind": { group: row.group, version: row.version, kind: row.kind }
})

const document = (rows: ReadonlyArray<Row>): JsonObject => ({
  openapi: "3.0.0",
  info: { title: "Kubernetes", version: "test" },
  paths: Object.fromEntries(
    rows.filter((row) => row.verbs.includes("patch")).map((row) => {
      const place = row.scope === "Namespaced" ? "/namespaces/{namespace}" : ""
      return [`/${root(row)}${place}/${row.plural}/{name}`, { patch: operation(row) }]
    })
  ),
  components: { schemas: {} }
})

/** Answers a path below `/openapi/v3`; nothing when there is no such document. */
export const handle = (rows: ReadonlyArray<Row>, request: ServerRequest): ServerResponse | undefined => {
  const path = request.url.pathname.replace(/\/$/, "")
  if (path === "/openapi/v3") {
    const roots = Array.from(new Set(rows.map(root)))
    const paths = roots.map((one) => {
      const hash = Respond.hash(JSON.stringify(document(rows.filter((row) => root(row) === one))))
      return [one, { serverRelativeURL: `/openapi/v3/${one}?hash=${hash}` }] as const
    })
    return Respond.json(200, { paths: Object.fromEntries(paths) })
  }
  const members = rows.filter((row) => path === `/openapi/v3/${root(row)}`)
  return members.length === 0 ? undefined : Respond.json(200, document(members))
}
