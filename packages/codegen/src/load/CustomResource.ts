/**
 * Definitions of custom resources as the OpenAPI document that an API server makes of them, so that all sources go one
 * way.
 */
import * as Result from "effect/Result"
import { array, isObject, object, text } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import * as Known from "../normalise/Known.ts"
import type * as Resources from "../normalise/Resources.ts"
import * as StructuralSchema from "./StructuralSchema.ts"
import { fail } from "./StructuralSchema.ts"

/** Whether an object is a definition of a custom resource, of any version. */
export const isDefinition = ({ apiVersion, kind }: JsonObject): boolean =>
  kind === "CustomResourceDefinition" && text(apiVersion).startsWith("apiextensions.k8s.io/")

/**
 * The paths and schemas of the versions that are served. Fails when a name could not be one in Kubernetes, or a schema
 * is not structural.
 */
export const toOpenApi = (definition: JsonObject): Result.Result<JsonObject, StructuralSchema.Failure> =>
  Result.gen(function*() {
    if (definition.apiVersion !== "apiextensions.k8s.io/v1") {
      return yield* fail("apiVersion", "must be apiextensions.k8s.io/v1, which replaced v1beta1 in Kubernetes 1.16")
    }
    const spec = object(definition.spec)
    const names = object(spec.names)
    const group = yield* name("spec.group", spec.group, subdomain)
    const kind = yield* name("spec.names.kind", names.kind, kindName)
    const plural = yield* name("spec.names.plural", names.plural, label)
    const listKind = names.listKind === undefined
      ? `${kind}List`
      : yield* name("spec.names.listKind", names.listKind, kindName)
    const { scope } = spec
    if (scope !== "Namespaced" && scope !== "Cluster") {
      return yield* fail("spec.scope", "must be Namespaced or Cluster")
    }
    if (!Array.isArray(spec.versions) || spec.versions.length === 0) {
      return yield* fail("spec.versions", "must be a list of versions")
    }
    let paths: JsonObject = {}
    let schemas: JsonObject = {}
    for (const [i, raw] of array(spec.versions).entries()) {
      const path = `spec.versions[${i}]`
      const version = yield* name(`${path}.name`, object(raw).name, label)
      if (object(raw).served !== true) continue
      const schema = yield* StructuralSchema.check(
        `${path}.schema.openAPIV3Schema`,
        object(object(raw).schema).openAPIV3Schema
      )
      const resource: Resource = { group, version, kind, plural, listKind, scope }
      paths = { ...paths, ...pathsOf(resource, object(object(raw).subresources)) }
      schemas = { ...schemas, [definitionName(resource)]: root(resource, object(raw), schema) }
    }
    return { openapi: "3.0.0", paths, components: { schemas } }
  })

type Resource = Pick<Resources.Resource, "group" | "version" | "kind" | "plural" | "listKind" | "scope">

interface NameRule {
  readonly regex: RegExp
  readonly what: string
}

const label: NameRule = { regex: /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/, what: "a DNS label such as v1 or widgets" }
const subdomain: NameRule = {
  regex: /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/,
  what: "a DNS name such as example.com"
}
const kindName: NameRule = {
  regex: /^[A-Za-z](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?$/,
  what: "a name such as Widget"
}

// What a name may hold decides what can get into generated code and into the paths of its files.
const name = (
  path: string,
  value: unknown,
  { regex, what }: NameRule
): Result.Result<string, StructuralSchema.Failure> =>
  typeof value === "string" && regex.test(value) ? Result.succeed(value) : fail(path, `must be ${what}`)

/** `io.cert-manager.v1.Certificate`, as servers call it. */
const definitionName = ({ group, kind, version }: Resource): string =>
  `${group.split(".").toReversed().join(".")}.${version}.${kind}`

const root = (resource: Resource, { deprecated, deprecationWarning }: JsonObject, schema: JsonObject): JsonObject => {
  const { group, kind, version } = resource
  const notice = text(deprecationWarning) || `${group}/${version} ${kind} is deprecated`
  return {
    ...schema,
    ...(deprecated === true
      ? { deprecated, description: `Deprecated: ${notice}\n\n${text(schema.description)}`.trim() }
      : {}),
    properties: {
      ...object(schema.properties),
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { $ref: `#/components/schemas/${Known.objectMeta}` }
    },
    "x-kubernetes-group-version-kind": [{ group, version, kind }]
  }
}

const scaleKind = { group: "autoscaling", version: "v1", kind: "Scale" }
const patchTypes = {
  "application/json-patch+json": {},
  "application/merge-patch+json": {},
  "application/apply-patch+yaml": {}
}

const pathsOf = (resource: Resource, subresources: JsonObject): JsonObject => {
  const { group, kind, listKind, plural, scope, version } = resource
  const base = `/apis/${group}/${version}`
  const collection = `${base}${scope === "Namespaced" ? "/namespaces/{namespace}" : ""}/${plural}`
  const own = definitionName(resource)
  const operation = (action: string, gvk: JsonObject, answer: string, rest: JsonObject = {}): JsonObject => ({
    "x-kubernetes-action": action,
    "x-kubernetes-group-version-kind": gvk,
    responses: {
      200: { content: { "application/json": { schema: { $ref: `#/components/schemas/${answer}` } } } }
    },
    ...rest
  })
  const gvk = { group, version, kind }
  const list = `${own.slice(0, -kind.length)}${listKind}`
  const patch = { requestBody: { content: patchTypes } }
  const sub = (gvk: JsonObject, answer: string) => ({
    get: operation("get", gvk, answer),
    put: operation("put", gvk, answer),
    patch: operation("patch", gvk, answer, patch)
  })
  return {
    [collection]: {
      get: operation("list", gvk, list, { parameters: [{ name: "watch", in: "query" }] }),
      post: operation("post", gvk, own),
      delete: operation("deletecollection", gvk, "Status")
    },
    [`${collection}/{name}`]: { ...sub(gvk, own), delete: operation("delete", gvk, "Status") },
    ...(isObject(subresources.status) ? { [`${collection}/{name}/status`]: sub(gvk, own) } : {}),
    ...(isObject(subresources.scale) ? { [`${collection}/{name}/scale`]: sub(scaleKind, "Scale") } : {})
  }
}
