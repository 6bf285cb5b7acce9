/**
 * What OpenAPI v3 says of custom resources: the schemas of their definitions.
 */
import * as CustomResources from "../store/CustomResources.ts"
import * as Json from "../store/Json.ts"
import * as KubeObject from "../store/KubeObject.ts"
import type * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"
import type { Kind } from "./OpenApiSchemas.ts"
import { objectMeta, reference } from "./OpenApiSchemas.ts"

type Row = ResourceRow.ResourceRow

/** The definition that a row comes from; nothing for a built-in one. */
export const definitionOf = (store: Store, { group, plural }: Row): Json.JsonObject | undefined =>
  store.get(CustomResources.collection, KubeObject.key(undefined, `${plural}.${group}`))

/** `com.example.v1.Widget`. */
export const schemaName = ({ group, kind, version }: Kind): string =>
  `${group.split(".").toReversed().join(".")}.${version}.${kind}`

/** What lists of the kind are called. */
export const listKind = (definition: Json.JsonObject, row: Row): string =>
  Json.string(Json.get(definition, "spec", "names", "listKind")) ?? `${row.kind}List`

/** The schemas of the kind and of its list. */
export const schemas = (definition: Json.JsonObject, row: Row): Json.JsonObject => {
  const version = Json.array(Json.get(definition, "spec", "versions"))
    .find((one) => Json.get(one, "name") === row.version)
  const schema = Json.object(Json.get(version, "schema", "openAPIV3Schema"))
  const list = listKind(definition, row)
  const kindOf = (kind: string) => ({ group: row.group, kind, version: row.version })
  return {
    [schemaName(row)]: {
      ...schema,
      properties: {
        ...Json.object(schema["properties"]),
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { allOf: [reference(objectMeta)], default: {} }
      },
      "x-kubernetes-group-version-kind": [kindOf(row.kind)]
    },
    [schemaName(kindOf(list))]: {
      type: "object",
      required: ["items"],
      properties: { items: { type: "array", items: reference(schemaName(row)) } },
      "x-kubernetes-group-version-kind": [kindOf(list)]
    }
  }
}
