import type { Document } from "@effect-k8s/codegen/load/Document"

/** A document as a cluster serves it, from its schemas and paths. */
export const openApi = (parts: {
  readonly schemas?: Readonly<Record<string, unknown>>
  readonly paths?: Readonly<Record<string, unknown>>
}): Document => ({
  name: "test.json",
  sha256: "",
  json: { openapi: "3.0.0", paths: parts.paths ?? {}, components: { schemas: parts.schemas ?? {} } }
})

/** A reference as the documents write it; with siblings it is an `allOf` of one. */
export const ref = (name: string, siblings?: Readonly<Record<string, unknown>>) => {
  const $ref = `#/components/schemas/${name}`
  return siblings === undefined ? { $ref } : { allOf: [{ $ref }], ...siblings }
}

export const objectMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

/** The schema of a kind. */
export const kindSchema = (
  gvk: { readonly group: string; readonly version: string; readonly kind: string },
  properties: Readonly<Record<string, unknown>>,
  required?: ReadonlyArray<string>
) => ({
  type: "object",
  properties: {
    apiVersion: { type: "string" },
    kind: { type: "string" },
    metadata: ref(objectMeta, { default: {} }),
    ...properties
  },
  ...(required === undefined ? {} : { required }),
  "x-kubernetes-group-version-kind": [gvk]
})

type Action =
  | "connect"
  | "delete"
  | "deletecollection"
  | "get"
  | "list"
  | "patch"
  | "post"
  | "put"

const methods: Readonly<Record<Action, string>> = {
  connect: "get",
  delete: "delete",
  deletecollection: "delete",
  get: "get",
  list: "get",
  patch: "patch",
  post: "post",
  put: "put"
}

/** An item of `paths`: operations on a kind that answer with a schema, or with text when there is none. */
export const pathItem = (
  gvk: { readonly group: string; readonly version: string; readonly kind: string },
  actions: ReadonlyArray<Action>,
  answer: string | undefined,
  options: { readonly strategic?: boolean; readonly watchParameter?: boolean } = {}
) =>
  Object.fromEntries([
    ["parameters", options.watchParameter === true ? [{ in: "query", name: "watch" }] : []],
    ...actions.map((action) => [methods[action], {
      "x-kubernetes-action": action,
      "x-kubernetes-group-version-kind": gvk,
      ...(action === "patch"
        ? {
          requestBody: {
            content: {
              "application/merge-patch+json": {},
              ...(options.strategic === true ? { "application/strategic-merge-patch+json": {} } : {})
            }
          }
        }
        : {}),
      responses: {
        200: { content: { "application/json": { schema: answer === undefined ? { type: "string" } : ref(answer) } } },
        401: { description: "Unauthorized" }
      }
    }])
  ])

/** Paths of a custom resource: all verbs, no watch paths. */
export const customResource = (
  gvk: { readonly group: string; readonly version: string; readonly kind: string },
  plural: string,
  schema: string
) => {
  const base = `/apis/${gvk.group}/${gvk.version}`
  const collection = pathItem(gvk, ["list", "post", "deletecollection"], `${schema}List`, { watchParameter: true })
  return {
    [`${base}/${plural}`]: pathItem(gvk, ["list"], `${schema}List`, { watchParameter: true }),
    [`${base}/namespaces/{namespace}/${plural}`]: collection,
    [`${base}/namespaces/{namespace}/${plural}/{name}`]: pathItem(gvk, ["get", "put", "patch", "delete"], schema)
  }
}

/** A definition of a custom resource, in JSON, which is YAML. */
export const definition = (parts: {
  readonly apiVersion?: string
  readonly group?: string
  readonly kind?: string
  readonly plural?: string
  readonly scope?: string
  /** The versions, and whether they are served. */
  readonly versions?: Readonly<Record<string, boolean>>
  readonly schema?: Readonly<Record<string, unknown>>
  readonly subresources?: Readonly<Record<string, unknown>>
  readonly deprecationWarning?: string
}): string =>
  JSON.stringify({
    apiVersion: parts.apiVersion ?? "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${parts.plural ?? "widgets"}.${parts.group ?? "example.com"}` },
    spec: {
      group: parts.group ?? "example.com",
      scope: parts.scope ?? "Namespaced",
      names: { kind: parts.kind ?? "Widget", plural: parts.plural ?? "widgets" },
      versions: Object.entries(parts.versions ?? { v1: true }).map(([name, served]) => ({
        name,
        served,
        storage: name === "v1",
        schema: { openAPIV3Schema: { type: "object", ...parts.schema } },
        ...(parts.subresources === undefined ? {} : { subresources: parts.subresources }),
        ...(parts.deprecationWarning === undefined
          ? {}
          : { deprecated: true, deprecationWarning: parts.deprecationWarning })
      }))
    }
  })
