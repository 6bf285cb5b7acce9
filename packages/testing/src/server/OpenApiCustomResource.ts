/**
 * What OpenAPI v3 says of a custom resource: all its operations, and the schema of its definition. Programs that generate
 * code from a cluster read it, and so does `kubectl explain`.
 */
import * as CustomResources from "../store/CustomResources.ts"
import * as Json from "../store/Json.ts"
import * as KubeObject from "../store/KubeObject.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { Store } from "../store/Store.ts"

type Row = ResourceRow.ResourceRow

const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
const status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
const scale = "io.k8s.api.autoscaling.v1.Scale"
const reference = (name: string): Json.JsonObject => ({ $ref: `#/components/schemas/${name}` })

/** The definition that a row comes from; nothing for a built-in one. */
export const definitionOf = (store: Store, { group, plural }: Row): Json.JsonObject | undefined =>
  store.get(CustomResources.collection, KubeObject.key(undefined, `${plural}.${group}`))

/** `com.example.v1.Widget`. */
const schemaName = ({ group, kind, version }: Row): string =>
  `${group.split(".").toReversed().join(".")}.${version}.${kind}`

const gvk = ({ group, kind, version }: { group: string; kind: string; version: string }): Json.JsonObject => ({
  group,
  kind,
  version
})

/** The schemas of the kind and of its list. */
export const schemas = (definition: Json.JsonObject, row: Row): Json.JsonObject => {
  const version = Json.array(Json.get(definition, "spec", "versions"))
    .find((one) => Json.get(one, "name") === row.version)
  const schema = Json.object(Json.get(version, "schema", "openAPIV3Schema"))
  const listKind = Json.string(Json.get(definition, "spec", "names", "listKind")) ?? `${row.kind}List`
  const name = schemaName(row)
  return {
    [name]: {
      ...schema,
      properties: {
        ...Json.object(schema["properties"]),
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { allOf: [reference(objectMeta)], default: {} }
      },
      "x-kubernetes-group-version-kind": [gvk(row)]
    },
    [listNameOf(name, row, listKind)]: {
      type: "object",
      required: ["items"],
      properties: { items: { type: "array", items: reference(name) } },
      "x-kubernetes-group-version-kind": [gvk({ ...row, kind: listKind })]
    }
  }
}

const listNameOf = (name: string, row: Row, listKind: string): string => `${name.slice(0, -row.kind.length)}${listKind}`

/** The paths of the kind and of its subresources. */
export const paths = (definition: Json.JsonObject, row: Row, root: string): Json.JsonObject => {
  const name = schemaName(row)
  const listKind = Json.string(Json.get(definition, "spec", "names", "listKind")) ?? `${row.kind}List`
  const namespace = row.scope === "Namespaced" ? "/namespaces/{namespace}" : ""
  const collection = `/${root}${namespace}/${row.plural}`
  const operation = (action: string, answer: string, of: Json.JsonObject = gvk(row)): Json.JsonObject => ({
    parameters: (parametersOf[action] ?? []).map((name) => ({ name, in: "query", schema: { type: "string" } })),
    ...(action === "patch" ? { requestBody: { content: patches } } : {}),
    responses: { 200: { description: "OK", content: { "application/json": { schema: reference(answer) } } } },
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": of
  })
  const object = (answer: string, of?: Json.JsonObject): Json.JsonObject => ({
    get: operation("get", answer, of),
    put: operation("put", answer, of),
    patch: operation("patch", answer, of)
  })
  const list = operation("list", listNameOf(name, row, listKind))
  return {
    ...(namespace === "" ? {} : { [`/${root}/${row.plural}`]: { get: list } }),
    [collection]: { get: list, post: operation("post", name), delete: operation("deletecollection", status) },
    [`${collection}/{name}`]: { ...object(name), delete: operation("delete", status) },
    ...(ResourceRow.hasSubresource(row, "status") ? { [`${collection}/{name}/status`]: object(name) } : {}),
    ...(ResourceRow.hasSubresource(row, "scale")
      ? { [`${collection}/{name}/scale`]: object(scale, gvk({ group: "autoscaling", kind: "Scale", version: "v1" })) }
      : {})
  }
}

/** The shared schemas that those of custom resources refer to, without their members. */
export const shared: Json.JsonObject = {
  [objectMeta]: { type: "object" },
  [status]: { type: "object" },
  [scale]: {
    type: "object",
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { allOf: [reference(objectMeta)], default: {} },
      spec: { type: "object", properties: { replicas: { type: "integer", format: "int32" } } },
      status: {
        type: "object",
        required: ["replicas"],
        properties: { replicas: { type: "integer", format: "int32" }, selector: { type: "string" } }
      }
    },
    "x-kubernetes-group-version-kind": [gvk({ group: "autoscaling", kind: "Scale", version: "v1" })]
  }
}

const writes = ["dryRun", "fieldManager", "fieldValidation"]
const parametersOf: Readonly<Record<string, ReadonlyArray<string>>> = {
  list: ["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "timeoutSeconds", "watch"],
  patch: [...writes, "force"],
  post: writes,
  put: writes
}

const patches: Json.JsonObject = { "application/json-patch+json": {}, "application/merge-patch+json": {} }
