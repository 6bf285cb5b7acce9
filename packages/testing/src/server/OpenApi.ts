/**
 * OpenAPI v3: of built-in kinds as much as kubectl needs to find that the server checks fields itself, which is a patch
 * operation; of custom resources all that their definitions say.
 */
import type { JsonObject } from "../store/Json.ts"
import type * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as Custom from "./OpenApiCustomResource.ts"
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

const patchPath = (row: Row): JsonObject => {
  const place = row.scope === "Namespaced" ? "/namespaces/{namespace}" : ""
  return row.verbs.includes("patch")
    ? { [`/${root(row)}${place}/${row.plural}/{name}`]: { patch: operation(row) } }
    : {}
}

const document = (store: Store, rows: ReadonlyArray<Row>): JsonObject => {
  const all = rows.map((row) => ({ row, definition: Custom.definitionOf(store, row) }))
  const custom = all.flatMap(({ definition, row }) => definition === undefined ? [] : [Custom.schemas(definition, row)])
  return {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "test" },
    paths: Object.assign(
      {},
      ...all.map(({ definition, row }) =>
        definition === undefined ? patchPath(row) : Custom.paths(definition, row, root(row))
      )
    ),
    components: { schemas: custom.length === 0 ? {} : Object.assign({ ...Custom.shared }, ...custom) }
  }
}

/** Answers a path below `/openapi/v3`; nothing when there is no such document. */
export const handle = (
  store: Store,
  rows: ReadonlyArray<Row>,
  request: ServerRequest
): ServerResponse | undefined => {
  const path = request.url.pathname.replace(/\/$/, "")
  if (path === "/openapi/v3") {
    const roots = Array.from(new Set(rows.map(root)))
    const paths = roots.map((one) => {
      const hash = Respond.hash(JSON.stringify(document(store, rows.filter((row) => root(row) === one))))
      return [one, { serverRelativeURL: `/openapi/v3/${one}?hash=${hash}` }] as const
    })
    return Respond.json(200, { paths: Object.fromEntries(paths) })
  }
  const members = rows.filter((row) => path === `/openapi/v3/${root(row)}`)
  return members.length === 0 ? undefined : Respond.json(200, document(store, members))
}
