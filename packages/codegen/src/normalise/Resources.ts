/**
 * The resources that the paths of OpenAPI documents speak of. Paths and actions are enough: what they give agrees with
 * discovery for every built-in resource and subresource.
 */
import { array, isObject, object, text } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import { by, byText } from "../internal/order.ts"
import type { GroupVersionKind } from "./Schema.ts"
import { groupVersionKind } from "./Schema.ts"

/** The verbs of the API conventions, in alphabetical order. */
export const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"] as const

/** A verb of the API conventions. */
export type Verb = typeof verbs[number]

/** A subresource. */
export interface Subresource {
  readonly name: string
  readonly kind: GroupVersionKind
  readonly verbs: ReadonlyArray<Verb>
  /** What goes over the wire: an object of the kind, plain text, or an upgraded or proxied connection. */
  readonly body: "connect" | "object" | "text"
}

/** A resource. */
export interface Resource {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly listKind: string
  readonly scope: "Cluster" | "Namespaced"
  readonly verbs: ReadonlyArray<Verb>
  /** Whether it takes strategic merge patches. */
  readonly strategic: boolean
  /** By name. */
  readonly subresources: ReadonlyArray<Subresource>
}

/** Where a path leads. `/watch/` paths are deprecated, but they alone say which built-in resources can be watched. */
interface Target {
  readonly group: string
  readonly version: string
  readonly plural: string
  readonly subresource: string | undefined
  readonly namespaced: boolean
  readonly watch: boolean
}

interface Operation extends Target {
  readonly method: string
  readonly raw: JsonObject
  readonly action: string
  readonly kind: GroupVersionKind
}

/**
 * Reads the resources of documents, ordered by group, version and plural name.
 *
 * `kindOf` tells the kind of a definition. Servers say of the scale of a custom resource that it is of the resource's own
 * kind, and yet what it answers is a `Scale`: the answer counts.
 */
export const fromPaths = (
  paths: JsonObject,
  kindOf: (definition: string) => GroupVersionKind | undefined = () => undefined
): ReadonlyArray<Resource> => {
  const operations = Object.entries(paths).flatMap(([path, item]) => operationsOf(path, object(item)))
  const watchPaths = new Set(operations.filter(({ watch }) => watch).map(groupVersion))
  return [...groupBy(operations, key).values()]
    .flatMap((all): Array<Resource> => {
      const own = all.filter(({ subresource }) => subresource === undefined)
      const first = own.find(({ watch }) => !watch)
      return first === undefined ? [] : [resource(first, own, all, watchPaths.has(groupVersion(first)), kindOf)]
    })
    .sort(by(key))
}

const resource = (
  first: Operation,
  own: ReadonlyArray<Operation>,
  all: ReadonlyArray<Operation>,
  hasWatchPaths: boolean,
  kindOf: (definition: string) => GroupVersionKind | undefined
): Resource => {
  const { group, version, plural, kind: { kind } } = first
  const list = own.find(({ action }) => action === "list")
  // A custom resource has no watch path: there the parameter of the list tells.
  const watch = hasWatchPaths ? own.some(({ watch }) => watch) : list !== undefined && canWatch(list)
  const direct = own.filter(({ watch }) => !watch)
  return {
    group,
    version,
    kind,
    plural,
    listKind: (list === undefined ? undefined : answered(list.raw)?.replace(/^.*\./, "")) ?? `${kind}List`,
    scope: all.some(({ namespaced }) => namespaced) ? "Namespaced" : "Cluster",
    verbs: verbs.filter((verb) => verb === "watch" ? watch : direct.some((operation) => verbOf(operation) === verb)),
    strategic: direct.some(({ action, raw }) =>
      action === "patch" &&
      object(object(raw.requestBody).content)["application/strategic-merge-patch+json"] !== undefined
    ),
    subresources: [...groupBy(all, ({ subresource }) => subresource ?? "")]
      .filter(([name]) => name !== "")
      .map(([name, operations]) => subresourceOf(name, operations, kindOf))
      .sort(by(({ name }) => name))
  }
}

const subresourceOf = (
  name: string,
  operations: ReadonlyArray<Operation>,
  kindOf: (definition: string) => GroupVersionKind | undefined
): Subresource => {
  const answer = operations.filter(({ action }) => action !== "delete" && action !== "connect")
    .map(({ raw }) => answered(raw)).find((name) => name !== undefined)
  return {
    name,
    kind: (answer === undefined ? undefined : kindOf(answer)) ?? operations[0]?.kind ??
      { group: "", version: "", kind: "" },
    verbs: verbs.filter((verb) => operations.some((operation) => verbOf(operation) === verb)),
    body: bodyOf(operations)
  }
}

const bodyOf = (operations: ReadonlyArray<Operation>): Subresource["body"] =>
  operations.some(({ action }) => action === "connect")
    ? "connect"
    : operations.some(({ raw }) => answered(raw) !== undefined)
    ? "object"
    : "text"

const operationsOf = (path: string, item: JsonObject): ReadonlyArray<Operation> => {
  const target = parse(path)
  return target === undefined ? [] : Object.entries(item).filter(([method]) => method !== "parameters").map(
    ([method, value]): Operation => {
      const raw = object(value)
      const parameters = [...array(item.parameters), ...array(raw.parameters)]
      return {
        ...target,
        method,
        raw: { ...raw, parameters },
        action: text(raw["x-kubernetes-action"]),
        kind: groupVersionKind(raw["x-kubernetes-group-version-kind"])
      }
    }
  ).filter(({ action }) => action !== "")
}

/** `/api/v1/...` or `/apis/<group>/<version>/...`, then `[watch/][namespaces/{namespace}/]<plural>[/{name}[/<sub>]]`. */
const parse = (path: string): Target | undefined => {
  const [root, ...segments] = path.split("/").filter((segment) => segment !== "")
  if (root !== "api" && root !== "apis") return undefined
  const group = root === "api" ? "" : segments.shift() ?? ""
  const version = segments.shift() ?? ""
  const watch = segments[0] === "watch"
  if (watch) segments.shift()
  // The namespaces themselves have `{name}` there.
  const namespaced = segments[0] === "namespaces" && segments[1] === "{namespace}" && segments.length > 2
  const [plural, , subresource] = namespaced ? segments.slice(2) : segments
  return plural === undefined ? undefined : { group, version, plural, subresource, namespaced, watch }
}

/** The verb that RBAC and discovery know an operation by. A connection counts by its method. */
const verbOf = ({ action, method }: Operation): Verb | undefined => {
  switch (action === "connect" ? method : action) {
    case "post":
      return "create"
    case "put":
      return "update"
    case "delete":
      return "delete"
    case "deletecollection":
      return "deletecollection"
    case "get":
      return "get"
    case "list":
      return "list"
    case "patch":
      return "patch"
    default:
      return undefined
  }
}

const canWatch = ({ raw }: Operation): boolean =>
  array(raw.parameters).some((parameter) => isObject(parameter) && parameter.name === "watch")

/** The name of the schema that an operation answers with, if it answers with an object. */
const answered = (raw: JsonObject): string | undefined => {
  for (const response of Object.values(object(raw.responses))) {
    for (const media of Object.values(object(object(response).content))) {
      const ref = object(object(media).schema).$ref
      if (typeof ref === "string") return ref.slice(ref.lastIndexOf("/") + 1)
    }
  }
  return undefined
}

const groupVersion = ({ group, version }: Target): string => `${group}/${version}`

const key = ({ group, plural, version }: { group: string; version: string; plural: string }): string =>
  `${group}/${version}/${plural}`

const groupBy = <A>(items: ReadonlyArray<A>, f: (item: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const item of items) {
    const group = f(item)
    const known = groups.get(group)
    if (known === undefined) groups.set(group, [item])
    else known.push(item)
  }
  return new Map([...groups].toSorted(([a], [b]) => byText(a, b)))
}
