/**
 * The schemas of built-in kinds as OpenAPI v3, from the data that code generation writes. They are loaded when somebody
 * asks for the document of their group-version.
 */
import * as Core from "@effect-k8s/core/schemas"
import * as Effect from "effect/Effect"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1"

/** The Go packages of modules whose name does not follow from their path. */
const packages: Readonly<Record<string, string>> = {
  "apiextensions/v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
  "apiregistration/v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
  "meta/v1": meta
}

const nameOf = (module: string, name: string): string =>
  `${packages[module] ?? `io.k8s.api.${module.replace("/", ".")}`}.${name}`

/** The name of the schema of a built-in kind; nothing for any other. */
export const schemaName = (
  { group, kind, version }: { readonly group: string; readonly kind: string; readonly version: string }
): string | undefined => {
  const module = Core.schemas.groupVersions[ResourceRow.apiVersion({ group, version })]
  return module === undefined ? undefined : nameOf(module, kind)
}

export const objectMeta = `${meta}.ObjectMeta`
export const status = `${meta}.Status`

/** A reference to a schema. */
export const reference = (name: string): Json.JsonObject => ({ $ref: `#/components/schemas/${name}` })

const string: Json.JsonObject = { type: "string" }
const time: Json.JsonObject = { type: "string", format: "date-time" }
const strings: Json.JsonObject = { type: "object", additionalProperties: string }

/** Types that modules take from the runtime, by their reference there: their names here, and what they are. */
const ofRuntime: Readonly<Record<string, readonly [name: string, schema: Json.JsonObject]>> = {
  "#IntOrString": ["io.k8s.apimachinery.pkg.util.intstr.IntOrString", {
    oneOf: [{ type: "integer" }, string],
    format: "int-or-string"
  }],
  "#ManagedFieldsEntry": [`${meta}.ManagedFieldsEntry`, { type: "object" }],
  "#MicroTime": [`${meta}.MicroTime`, time],
  "#ObjectMetaInput": [objectMeta, {
    type: "object",
    properties: {
      annotations: strings,
      creationTimestamp: reference(`${meta}.Time`),
      deletionGracePeriodSeconds: { type: "integer", format: "int64" },
      deletionTimestamp: reference(`${meta}.Time`),
      finalizers: { type: "array", items: string, "x-kubernetes-list-type": "set" },
      generateName: string,
      generation: { type: "integer", format: "int64" },
      labels: strings,
      managedFields: { type: "array", items: reference(`${meta}.ManagedFieldsEntry`) },
      name: string,
      namespace: string,
      ownerReferences: { type: "array", items: reference(`${meta}.OwnerReference`) },
      resourceVersion: string,
      selfLink: string,
      uid: string
    }
  }],
  "#OwnerReference": [`${meta}.OwnerReference`, {
    type: "object",
    required: ["apiVersion", "kind", "name", "uid"],
    properties: {
      apiVersion: string,
      blockOwnerDeletion: { type: "boolean" },
      controller: { type: "boolean" },
      kind: string,
      name: string,
      uid: string
    },
    "x-kubernetes-map-type": "atomic"
  }],
  "#Quantity": ["io.k8s.apimachinery.pkg.api.resource.Quantity", { oneOf: [string, { type: "number" }] }],
  "#Time": [`${meta}.Time`, time]
}

/** Those that every document has. */
export const shared: Json.JsonObject = {
  [status]: { type: "object" },
  ...Object.fromEntries(Object.values(ofRuntime))
}

interface Kind {
  readonly group: string
  readonly kind: string
  readonly version: string
}

/** A schema that is still to be described; what is asked for by its kind is a whole object. */
interface Wanted {
  readonly module: string
  readonly name: string
  readonly kind: Kind | undefined
}

/** The schemas of some kinds, and all that they refer to. */
export const load: (
  kinds: ReadonlyArray<Kind>
) => Effect.Effect<Json.JsonObject> = Effect.fnUntraced(function*(kinds) {
  const loaded = new Map<string, Json.JsonObject>()
  const found: Record<string, Json.JsonObject> = {}
  const queue: Array<Wanted> = kinds.flatMap((kind): ReadonlyArray<Wanted> => {
    const module = Core.schemas.groupVersions[ResourceRow.apiVersion(kind)]
    return module === undefined ? [] : [{ module, name: kind.kind, kind }]
  })
  // It grows meanwhile. Kinds come first: where one is a part of another, its own form counts.
  for (const { kind, module, name } of queue) {
    const full = nameOf(module, name)
    if (found[full] !== undefined) continue
    const definitions = loaded.get(module) ?? (yield* loadModule(module))
    loaded.set(module, definitions)
    const refer = (ref: string): string => {
      const [other = "", inner] = ref.split("#")
      const target = inner === undefined ? { module, name: other } : { module: other, name: inner }
      queue.push({ ...target, kind: undefined })
      return nameOf(target.module, target.name)
    }
    found[full] = definition(Json.object(definitions[name]), refer, kind)
  }
  return found
})

const loadModule = (module: string): Effect.Effect<Json.JsonObject> =>
  Effect.promise(async () => {
    const definitions = (await Core.schemas.modules[module]?.())?.definitions
    // Sound: what is generated is JSON.
    return (definitions ?? {}) as Json.JsonObject
  })

const definition = (
  data: Json.JsonObject,
  refer: (ref: string) => string,
  kind: Kind | undefined
): Json.JsonObject => {
  const present = Json.strings(data["present"])
  const mapType = data["mapType"]
  const properties = Object.entries(Json.object(data["properties"])).map(([name, value]) => {
    const inner = schema(Json.object(value), refer)
    return [name, present.includes(name) ? { allOf: [inner], default: {} } : inner] as const
  })
  if (data["properties"] === undefined) return schema(Json.object(data["alias"]), refer)
  return {
    type: "object",
    properties: {
      ...Object.fromEntries(properties),
      ...(kind === undefined
        ? {}
        : { apiVersion: string, kind: string, metadata: { allOf: [reference(objectMeta)], default: {} } })
    },
    ...(data["required"] === undefined ? {} : { required: data["required"] }),
    ...(mapType === undefined ? {} : { "x-kubernetes-map-type": mapType }),
    ...(kind === undefined
      ? {}
      : { "x-kubernetes-group-version-kind": [{ group: kind.group, kind: kind.kind, version: kind.version }] })
  }
}

const schema = (data: Json.JsonObject, refer: (ref: string) => string): Json.JsonObject => {
  const inner = bare(data, refer)
  const mapType = data["mapType"]
  if (mapType === undefined) return inner
  return inner["$ref"] === undefined
    ? { ...inner, "x-kubernetes-map-type": mapType }
    : { allOf: [inner], "x-kubernetes-map-type": mapType }
}

const bare = (data: Json.JsonObject, refer: (ref: string) => string): Json.JsonObject => {
  const { $ref, additionalProperties, anyOf, items, listKeys, type } = data
  if (typeof $ref === "string") {
    if ($ref === "#Bytes") return { type: "string", format: "byte" }
    const runtime = ofRuntime[$ref]
    return runtime !== undefined ? reference(runtime[0]) : $ref.startsWith("#") ? {} : reference(refer($ref))
  }
  if (anyOf !== undefined) return { anyOf: Json.array(anyOf).map((one) => schema(Json.object(one), refer)) }
  switch (type) {
    case "array":
      return {
        type,
        items: schema(Json.object(items), refer),
        ...(listKeys === undefined
          ? {}
          : { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": listKeys })
      }
    case "object":
      return { type, additionalProperties: schema(Json.object(additionalProperties), refer) }
    default:
      return type === undefined ? {} : { type }
  }
}
