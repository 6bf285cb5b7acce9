/**
 * Questions that look like resources: whether somebody may do something, and who is asking.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Failure } from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import * as Writes from "../store/Writes.ts"
import type { Attributes, Authorizer, UserInfo } from "./Authorization.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Respond from "./Respond.ts"

/** Who asks, and of what. */
export interface Context {
  readonly request: ServerRequest
  readonly row: ResourceRow.ResourceRow
  readonly user: UserInfo
  readonly authorizer: Authorizer
}

type Review = (
  context: Context,
  spec: Json.JsonObject
) => Effect.Effect<{ readonly status: Json.JsonObject; readonly metadata?: Json.JsonObject }>

const optional = (value: Json.Json | undefined): string | undefined => {
  const text = Json.string(value) ?? ""
  return text === "" ? undefined : text
}

const isAllowed = ({ authorizer }: Context, user: UserInfo, spec: Json.JsonObject): boolean => {
  const asked = spec["resourceAttributes"]
  if (Json.isObject(asked)) {
    const attributes: Attributes = {
      verb: Json.string(asked["verb"]) ?? "",
      group: Json.string(asked["group"]) ?? "",
      resource: Json.string(asked["resource"]) ?? "",
      subresource: optional(asked["subresource"]),
      namespace: optional(asked["namespace"]),
      name: optional(asked["name"])
    }
    return authorizer.isAllowed(user, attributes)
  }
  const path = Json.object(spec["nonResourceAttributes"])
  return authorizer.check(user, {
    _tag: "Path",
    verb: Json.string(path["verb"]) ?? "",
    path: Json.string(path["path"]) ?? ""
  }) === undefined
}

const aboutSelf: Review = (context, spec) =>
  Effect.succeed({ status: { allowed: isAllowed(context, context.user, spec) } })

const aboutSubject: Review = (context, spec) => {
  const user = { name: Json.string(spec["user"]) ?? "", groups: Json.strings(spec["groups"]) }
  return Effect.succeed({ status: { allowed: isAllowed(context, user, spec) } })
}

const rules: Review = ({ authorizer, user }) => {
  const all = authorizer.rulesOf(user)
  return Effect.succeed({
    status: {
      resourceRules: all.filter((rule) => rule.resources !== undefined).map((rule) => ({
        verbs: rule.verbs,
        apiGroups: rule.apiGroups ?? [""],
        resources: rule.resources,
        ...(rule.resourceNames === undefined ? {} : { resourceNames: rule.resourceNames })
      })),
      nonResourceRules: all.filter((rule) => rule.nonResourceURLs !== undefined).map((rule) => ({
        verbs: rule.verbs,
        nonResourceURLs: rule.nonResourceURLs
      })),
      incomplete: false
    }
  })
}

const self: Review = ({ user }) =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    metadata: { creationTimestamp: Writes.time(now) },
    status: {
      userInfo: {
        username: user.name,
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        groups: user.groups,
        ...(user.extra === undefined ? {} : { extra: user.extra })
      }
    }
  }))

const reviews: ReadonlyMap<string, Review> = new Map([
  ["authorization.k8s.io/selfsubjectaccessreviews", aboutSelf],
  ["authorization.k8s.io/subjectaccessreviews", aboutSubject],
  ["authorization.k8s.io/localsubjectaccessreviews", aboutSubject],
  ["authorization.k8s.io/selfsubjectrulesreviews", rules],
  ["authentication.k8s.io/selfsubjectreviews", self]
])

/** Whether a row is such a question. */
export const isReview = (row: ResourceRow.ResourceRow): boolean => reviews.has(ResourceRow.collection(row))

/** Answers a question. */
export const handle = Effect.fnUntraced(function*(context: Context): Effect.fn.Return<ServerResponse, Failure> {
  const { request, row } = context
  const input = yield* RequestBody.read(request, row)
  const spec = Json.object(input["spec"])
  const review = reviews.get(ResourceRow.collection(row)) ?? aboutSelf
  const { metadata, status } = yield* review(context, spec)
  return Respond.json(201, {
    kind: row.kind,
    apiVersion: ResourceRow.apiVersion(row),
    metadata: metadata ?? Json.object(input["metadata"]),
    ...(input["spec"] === undefined ? {} : { spec }),
    status
  })
})
