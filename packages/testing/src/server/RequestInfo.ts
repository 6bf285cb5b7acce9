/**
 * What a request is about: the verb and the resource, or a path that is no resource. Told by method and URL alone.
 */
import type { ServerRequest } from "./Exchange.ts"

/** A request for a resource. */
export interface ResourceInfo {
  readonly _tag: "Resource"
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`. */
  readonly verb: string
  readonly group: string
  readonly version: string
  /** The plural name. */
  readonly resource: string
  readonly subresource?: string | undefined
  readonly namespace?: string | undefined
  readonly name?: string | undefined
  /** What follows the subresource: the path given to a proxy. */
  readonly rest: ReadonlyArray<string>
}

/** A request for a path that is no resource: discovery, health, version. */
export interface PathInfo {
  readonly _tag: "Path"
  /** The method in lower case. */
  readonly verb: string
  readonly path: string
}

/** What a request is about. */
export type RequestInfo = ResourceInfo | PathInfo

const namespaceSubresources = ["status", "finalize"]

/** `1` and every casing of `true` in effect: absent, `0` and `false` are false, all else is true (Go's conversion). */
export const isTrue = (value: string | null): boolean =>
  value !== null && value !== "0" && value.toLowerCase() !== "false"

const verbOf = (method: string, name: string | undefined, query: URLSearchParams): string => {
  switch (method) {
    case "GET":
    case "HEAD":
      return name !== undefined ? "get" : isTrue(query.get("watch")) ? "watch" : "list"
    case "POST":
      return "create"
    case "PUT":
      return "update"
    case "PATCH":
      return "patch"
    case "DELETE":
      return name === undefined ? "deletecollection" : "delete"
    default:
      return method.toLowerCase()
  }
}

/** The resource as rules and faults name it: `pods`, `pods/exec`. */
export const resourceName = (info: ResourceInfo): string =>
  info.subresource === undefined ? info.resource : `${info.resource}/${info.subresource}`

/** Reads what a request is about. */
export const parse = (request: Pick<ServerRequest, "method" | "url">): RequestInfo => {
  const path = request.url.pathname
  const parts = path.split("/").filter((part) => part !== "").map(decodePart)
  const [root, ...segments] = parts
  const [group, version, ...tail] = root === "api"
    ? ["", ...segments]
    : root === "apis"
    ? segments
    : []
  const [first] = tail
  if (group === undefined || version === undefined || first === undefined) {
    return { _tag: "Path", verb: request.method.toLowerCase(), path }
  }
  const [, second, third] = tail
  // A namespace is a resource of its own, and the place of others.
  const inNamespace = first === "namespaces" && third !== undefined && !namespaceSubresources.includes(third)
  const [resource, name, subresource, ...rest] = inNamespace ? [third, ...tail.slice(3)] : tail
  return {
    _tag: "Resource",
    verb: verbOf(request.method, name, request.url.searchParams),
    group,
    version,
    resource: resource ?? first,
    subresource,
    namespace: inNamespace ? second : undefined,
    name,
    rest
  }
}

/** Whether a request is passed on to somebody else. */
export const isProxied = (request: Pick<ServerRequest, "method" | "url">): boolean => {
  const info = parse(request)
  return info._tag === "Resource" && info.subresource === "proxy"
}

/** Undoes percent-encoding. A broken escape stays as it is: then the name is not found. */
export const decodePart = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
