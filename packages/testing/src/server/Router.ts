/**
 * From a request of somebody known to the handler that answers it.
 */
import * as Effect from "effect/Effect"
import * as Failure from "../store/Failure.ts"
import type { JsonObject } from "../store/Json.ts"
import type { Authenticator } from "./Authentication.ts"
import type { Authorizer, UserInfo } from "./Authorization.ts"
import * as Discovery from "./Discovery.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as OpenApi from "./OpenApi.ts"
import * as OpenApiV2 from "./OpenApiV2.ts"
import type { RequestInfo } from "./RequestInfo.ts"
import * as Resources from "./Resources.ts"
import * as Respond from "./Respond.ts"
import * as Reviews from "./Reviews.ts"
import * as Subresources from "./Subresources.ts"

/** What the handlers work with. */
export interface Parts {
  readonly resources: Resources.Resources
  readonly authorizer: Authorizer
  readonly authenticator: Authenticator
  readonly subresources: Subresources.Subresources
  /** What `/version` answers. */
  readonly version: JsonObject
}

const health = ["/healthz", "/livez", "/readyz"]

const path = (parts: Parts, request: ServerRequest): Resources.Answer => {
  const { catalogue, store } = parts.resources.registry
  const { pathname } = request.url
  const respond = (response: ServerResponse): Resources.Answer => Effect.succeed(response)
  if (request.method !== "GET") return respond(Respond.failure(Failure.methodNotAllowed))
  if (pathname === "/version" || pathname === "/version/") return respond(Respond.json(200, parts.version))
  if (health.some((one) => pathname === one || pathname.startsWith(`${one}/`))) return respond(Respond.text(200, "ok"))
  const rows = catalogue.rows()
  return OpenApi.handle(store, rows, request) ??
    respond(Discovery.handle(rows, request) ?? OpenApiV2.handle(rows, request) ?? Respond.pageNotFound)
}

/** Answers a request of somebody who may make it. */
export const handle = (
  parts: Parts,
  request: ServerRequest,
  info: RequestInfo,
  user: UserInfo
): Resources.Answer => {
  if (info._tag === "Path") return path(parts, request)
  const { catalogue } = parts.resources.registry
  const row = catalogue.find(info.group, info.version, info.resource)
  if (row === undefined) {
    return catalogue.hasGroup(info.group)
      ? Effect.fail(Failure.noSuchResource)
      : Effect.succeed(Respond.pageNotFound)
  }
  // Roles know no verb for it but that of GET; what answers GET does not answer it.
  if (request.method === "HEAD" && info.subresource !== "proxy") return Effect.fail(Failure.methodNotAllowed)
  const target: Resources.Target = { request, info, row }
  const { authenticator, authorizer, resources } = parts
  if (info.subresource !== undefined) {
    return Subresources.handle(parts.subresources, { ...target, user, authenticator, authorizer, resources })
  }
  if (!isServed(target)) return Effect.fail(Failure.methodNotAllowed)
  return Reviews.isReview(row)
    ? Reviews.handle({ request, row, user, authorizer })
    : Resources.handle(resources, target)
}

// A verb that the resource has, on a path of the right form: one object, a collection, or a namespace's part of it.
const isServed = ({ info, row }: Resources.Target): boolean => {
  if (!row.verbs.includes(info.verb)) return false
  const placed = row.scope === "Cluster" ? info.namespace === undefined : true
  const needsNamespace = row.scope === "Namespaced" && !["list", "watch"].includes(info.verb)
  const onCollection = ["create", "deletecollection", "list", "watch"].includes(info.verb)
  return placed && (!needsNamespace || info.namespace !== undefined) && onCollection === (info.name === undefined)
}
