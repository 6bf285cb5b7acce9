/**
 * OpenAPI v3: a document for each group-version, with the operations of its resources and the schemas of its kinds.
 * kubectl finds in it that the server checks fields itself, and explains kinds by it; programs generate code from it.
 */
import * as Effect from "effect/Effect"
import type { JsonObject } from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as Custom from "./OpenApiCustomResource.ts"
import * as Paths from "./OpenApiPaths.ts"
import * as Schemas from "./OpenApiSchemas.ts"
import * as Respond from "./Respond.ts"

type Row = ResourceRow.ResourceRow

const document = Effect.fnUntraced(function*(store: Store, rows: ReadonlyArray<Row>) {
  const all = rows.map((row) => {
    const definition = Custom.definitionOf(store, row)
    const own = definition === undefined ? undefined : {
      kind: row.kind,
      listKind: Custom.listKind(definition, row),
      schemas: Custom.schemas(definition, row)
    }
    const schemaOf = (kind: Schemas.Kind): string | undefined =>
      own !== undefined && kind.kind === own.kind && kind.group === row.group
        ? Custom.schemaName(kind)
        : Schemas.schemaName(kind)
    const listKind = own?.listKind ?? `${row.kind}List`
    const paths = Paths.paths(row, { schemaOf, listKind, custom: own !== undefined })
    return { paths, schemas: own?.schemas }
  })
  const kinds = rows.flatMap((row) => [
    row,
    { ...row, kind: `${row.kind}List` },
    ...row.subresources.map((sub) => Paths.kindOf(row, sub))
  ])
  const names = kinds.flatMap((kind) => Schemas.schemaName(kind) ?? [])
  const result: JsonObject = {
    openapi: "3.0.0",
    info: { title: "Kubernetes", version: "test" },
    paths: Object.assign({}, ...all.map(({ paths }) => paths)),
    components: {
      schemas: Object.assign(
        {},
        yield* Schemas.load([Schemas.objectMeta, Schemas.status, ...names]),
        ...all.map(({ schemas }) => schemas ?? {})
      )
    }
  }
  return result
})

// Of what a document is made of: the schemas of built-in kinds are always the same.
const hash = (store: Store, rows: ReadonlyArray<Row>): string =>
  Respond.hash(JSON.stringify(rows.map((row) => [row, Custom.definitionOf(store, row)])))

/** Answers a path below `/openapi/v3`; nothing when there is no such document. */
export const handle = (
  store: Store,
  rows: ReadonlyArray<Row>,
  request: ServerRequest
): Effect.Effect<ServerResponse> | undefined => {
  const path = request.url.pathname.replace(/\/$/, "")
  if (path === "/openapi/v3") {
    const paths = Array.from(new Set(rows.map(ResourceRow.root)), (one) => {
      const members = rows.filter((row) => ResourceRow.root(row) === one)
      return [one, { serverRelativeURL: `/openapi/v3/${one}?hash=${hash(store, members)}` }] as const
    })
    return Effect.succeed(Respond.json(200, { paths: Object.fromEntries(paths) }))
  }
  const members = rows.filter((row) => path === `/openapi/v3/${ResourceRow.root(row)}`)
  return members.length === 0 ? undefined : Effect.map(document(store, members), (json) => Respond.json(200, json))
}
