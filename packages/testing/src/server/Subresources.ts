/**
 * Subresources: the seam through which a node plugs in exec, attach, port-forward and logs, and those that the server
 * has by itself.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Failure from "../store/Failure.ts"
import * as FieldSet from "../store/FieldSet.ts"
import * as Json from "../store/Json.ts"
import type { StoredObject } from "../store/KubeObject.ts"
import * as ManagedFields from "../store/ManagedFields.ts"
import * as MergeSchema from "../store/MergeSchema.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import * as ScaleFields from "../store/ScaleFields.ts"
import * as Selector from "../store/Selector.ts"
import * as Writes from "../store/Writes.ts"
import * as Apply from "./Apply.ts"
import type { Authenticator } from "./Authentication.ts"
import type { Authorizer, UserInfo } from "./Authorization.ts"
import type { ServerResponse } from "./Exchange.ts"
import * as Merging from "./Merging.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Resources from "./Resources.ts"
import * as Respond from "./Respond.ts"
import * as WriteRequest from "./WriteRequest.ts"

/** What a handler of a subresource is given. The user may do what the verb and the subresource ask for. */
export interface SubresourceContext extends Resources.Target {
  readonly user: UserInfo
  readonly authorizer: Authorizer
  readonly authenticator: Authenticator
  readonly resources: Resources.Resources
}

/** Answers requests for one subresource. A `Failure` becomes a `Status`. */
export type SubresourceHandler = (context: SubresourceContext) => Resources.Answer

/** Handlers by name: `pods/exec`, `deployments.apps/scale`. */
export type Subresources = ReadonlyMap<string, SubresourceHandler>

/** The name under which the handler of a subresource is looked up. */
export const nameOf = (row: ResourceRow.ResourceRow, subresource: string): string =>
  `${Failure.qualified(row)}/${subresource}`

const status: SubresourceHandler = (context) => {
  switch (context.info.verb) {
    case "get":
      return getObject(context)
    case "update":
      return Resources.replace(context.resources, context, "status")
    case "patch":
      return Resources.patch(context.resources, context, "status")
    default:
      return Effect.fail(Failure.methodNotAllowed)
  }
}

const getObject = (context: SubresourceContext): Resources.Answer =>
  Effect.flatMap(
    context.resources.registry.get(Resources.reference(context)),
    (object) => Resources.answerObject(context, object)
  )

const optionsKind = ({ info }: SubresourceContext): WriteRequest.OptionsKind =>
  info.verb === "patch" ? "PatchOptions" : "UpdateOptions"

const scaleRow = { group: "autoscaling", version: "v1", kind: "Scale" }

const toScale = (object: StoredObject): Json.JsonObject => {
  const { creationTimestamp, name, namespace, resourceVersion, uid } = object.metadata
  const replicas = Json.number(Json.get(object, "spec", "replicas")) ?? 0
  const selector = Selector.toText(Json.get(object, "spec", "selector"))
  return {
    kind: scaleRow.kind,
    apiVersion: ResourceRow.apiVersion(scaleRow),
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas === 0 ? {} : { replicas },
    status: {
      replicas: Json.number(Json.get(object, "status", "replicas")) ?? 0,
      ...(selector === "" ? {} : { selector })
    }
  }
}

const scaleVersion = ResourceRow.apiVersion(scaleRow)

/** Makes the scale of a request from the present one, with those who own the number of replicas. */
type ScaleEdit = (
  scale: Json.JsonObject,
  owners: ReadonlyArray<ManagedFields.Entry>
) => Result.Result<ManagedFields.Applied, Failure.Failure>

// Real servers have a scale of custom resources, but cannot apply to it (1.34).
const noScaleOfCustom = (configuration: Json.JsonObject): Failure.Failure => {
  const name = Json.string(Json.get(configuration, "metadata", "name")) ?? ""
  const namespace = Json.string(Json.get(configuration, "metadata", "namespace")) ?? ""
  return Failure.internal(
    `failed to convert new object (${namespace}/${name}; ${scaleVersion}, Kind=${scaleRow.kind}) to proper version: request to convert CR to an invalid group/version: ${scaleVersion}`
  )
}

const scaleEdit = Effect.fnUntraced(function*(context: SubresourceContext) {
  const { store } = context.resources.registry
  const schema = (yield* Merging.ofKind(scaleRow)) ?? MergeSchema.untyped
  // As on real servers, writes of a scale have no time.
  const ofScale = (writer: WriteRequest.TrackedOptions["writer"]): ManagedFields.Writer => ({
    ...writer,
    apiVersion: scaleVersion,
    time: undefined,
    schema,
    reset: FieldSet.empty
  })
  if (RequestBody.mediaType(context.request) === Apply.mediaType) {
    const options = yield* WriteRequest.applyOptions(store, context)
    const configuration = yield* Apply.read(context.request, scaleRow)
    if (!ResourceRow.isBuiltIn(context.row)) return yield* noScaleOfCustom(configuration)
    const edit: ScaleEdit = (scale, owners) =>
      ManagedFields.apply(owners, scale, configuration, ofScale(options.writer), options.force)
    return { dryRun: options.dryRun, edit }
  }
  const options = yield* WriteRequest.options(store, context, optionsKind(context))
  const change: Resources.DocumentEdit = context.info.verb === "patch"
    ? yield* Resources.readPatch(context, scaleRow)
    : yield* Effect.map(RequestBody.read(context.request, scaleRow), (input) => () => Result.succeed(input))
  const edit: ScaleEdit = (scale, owners) =>
    Result.map(change(scale), (object) => ({
      object,
      entries: ManagedFields.update(owners, scale, { ...scale, spec: object["spec"] }, ofScale(options.writer))
    }))
  return { dryRun: options.dryRun, edit }
})

const scale: SubresourceHandler = Effect.fnUntraced(function*(context) {
  const { registry } = context.resources
  const reference = Resources.reference(context)
  if (context.info.verb === "get") return Respond.json(200, toScale(yield* registry.get(reference)))
  const { dryRun, edit } = yield* scaleEdit(context)
  const scaled = yield* registry.update(
    reference,
    "object",
    (before) => {
      const entries = ManagedFields.parse(before.metadata.managedFields) ?? []
      return Result.map(
        edit(toScale(before), ScaleFields.ofScale(entries, scaleVersion)),
        ({ entries: own, object }) => ({
          ...before,
          metadata: {
            ...before.metadata,
            resourceVersion: Json.get(object, "metadata", "resourceVersion") ?? before.metadata.resourceVersion,
            managedFields: ManagedFields.toJson(
              ScaleFields.ofObject(entries, own, ResourceRow.apiVersion(context.row))
            )
          },
          spec: { ...Json.object(before["spec"]), replicas: Json.number(Json.get(object, "spec", "replicas")) ?? 0 }
        })
      )
    },
    { dryRun }
  )
  return Respond.json(200, toScale(scaled))
})

// Changes that go past the rule that the specification of a pod is fixed, each for fields of its own.
const ofPod = (choose: (input: Json.JsonObject) => Json.JsonObject): SubresourceHandler =>
  Effect.fnUntraced(function*(context) {
    if (context.info.verb === "get") return yield* getObject(context)
    const options = yield* WriteRequest.options(context.resources.registry.store, context, optionsKind(context))
    const edit: Resources.DocumentEdit = context.info.verb === "patch"
      ? yield* Resources.readPatch(context, context.row)
      : yield* Effect.map(Resources.readObject(context), (input) => () => Result.succeed(input))
    const pod = yield* context.resources.registry.update(
      Resources.reference(context),
      "subresource",
      (before) =>
        Result.map(edit({ ...before }), (wanted) => ({
          ...before,
          spec: { ...Json.object(before["spec"]), ...choose(Json.object(wanted["spec"])) }
        })),
      options
    )
    return yield* Resources.answerObject(context, pod)
  })

const done: ServerResponse = Respond.json(201, Respond.success())

const budgets = { group: "policy", plural: "poddisruptionbudgets" }

const eviction: SubresourceHandler = Effect.fnUntraced(function*(context) {
  const { registry } = context.resources
  const input = yield* RequestBody.read(context.request, { group: "policy", version: "v1", kind: "Eviction" })
  const reference = Resources.reference(context)
  if (Json.get(input, "metadata", "name") !== reference.name) {
    return yield* Failure.badRequest("name in URL does not match name in Eviction object")
  }
  const pod = yield* registry.get(reference)
  const collection = ResourceRow.collection(budgets)
  const page = yield* Effect.fromResult(registry.store.list({ collection, namespace: reference.namespace }))
  const exhausted = page.items.find((budget) =>
    Selector.fromObject(Json.get(budget, "spec", "selector"))(pod.metadata.labels ?? {}) &&
    Json.get(budget, "status", "disruptionsAllowed") === 0
  )
  if (exhausted !== undefined) {
    return yield* Failure.tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10)
  }
  const grace = Json.number(Json.get(input, "deleteOptions", "gracePeriodSeconds"))
  const options = yield* Effect.fromResult(
    WriteRequest.dryRun(context, "DeleteOptions", Json.object(input["deleteOptions"]))
  )
  yield* registry.remove(reference, { gracePeriodSeconds: grace }, options)
  return done
})

const binding: SubresourceHandler = Effect.fnUntraced(function*(context) {
  const input = yield* RequestBody.read(context.request, { group: "", version: "v1", kind: "Binding" })
  const nodeName = Json.string(Json.get(input, "target", "name")) ?? ""
  const reference = Resources.reference(context)
  yield* context.resources.registry.update(reference, "subresource", (before) => {
    const bound = Json.string(Json.get(before, "spec", "nodeName")) ?? ""
    return bound === ""
      ? Result.succeed({ ...before, spec: { ...Json.object(before["spec"]), nodeName } })
      : Result.fail(
        Failure.conflict(context.row, reference.name, `pod ${reference.name} is already assigned to node "${bound}"`)
      )
  })
  return done
})

const tokenRow = { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" }

const token: SubresourceHandler = Effect.fnUntraced(function*(context) {
  const input = yield* RequestBody.read(context.request, tokenRow)
  const account = yield* context.resources.registry.get(Resources.reference(context))
  const { name, namespace = "" } = account.metadata
  const now = yield* Clock.currentTimeMillis
  const seconds = Json.number(Json.get(input, "spec", "expirationSeconds")) ?? 3600
  const text = `${crypto.randomUUID()}${crypto.randomUUID()}`.replaceAll("-", "")
  context.authenticator.addToken(text, {
    name: `system:serviceaccount:${namespace}:${name}`,
    uid: account.metadata.uid,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`]
  })
  return Respond.json(201, {
    kind: tokenRow.kind,
    apiVersion: ResourceRow.apiVersion(tokenRow),
    metadata: { name, namespace, uid: account.metadata.uid, creationTimestamp: Writes.time(now) },
    spec: {
      audiences: ["https://kubernetes.default.svc"],
      ...Json.object(input["spec"]),
      expirationSeconds: seconds
    },
    status: { token: text, expirationTimestamp: Writes.time(now + seconds * 1000) }
  })
})

const finalize: SubresourceHandler = (context) => Resources.replace(context.resources, context, "subresource")

const pick = (...fields: ReadonlyArray<string>) => (spec: Json.JsonObject): Json.JsonObject =>
  Object.fromEntries(fields.filter((field) => spec[field] !== undefined).map((field) => [field, spec[field]]))

/** Handlers by the name of the subresource alone, where the resource makes no difference. */
const anywhere: Subresources = new Map([["status", status], ["scale", scale], ["approval", status]])

/** The subresources that the server has by itself. */
export const builtIn: Subresources = new Map([
  ["pods/ephemeralcontainers", ofPod(pick("ephemeralContainers"))],
  ["pods/resize", ofPod(pick("containers", "initContainers"))],
  ["pods/eviction", eviction],
  ["pods/binding", binding],
  ["serviceaccounts/token", token],
  ["namespaces/finalize", finalize]
])

/** Answers a request for a subresource. Fails with 404, 405, and 501 for one that nobody has plugged in. */
export const handle = (subresources: Subresources, context: SubresourceContext): Resources.Answer => {
  const { info, row } = context
  const name = info.subresource ?? ""
  const facts = ResourceRow.subresource(row, name)
  if (facts === undefined) return Effect.fail(Failure.noSuchResource)
  // What OPTIONS is for, those know to whom a proxy passes it on; discovery has no verb for it.
  const isPassedOn = name === "proxy" && info.verb === "options"
  if (!facts.verbs.includes(info.verb) && !isPassedOn) return Effect.fail(Failure.methodNotAllowed)
  const handler = subresources.get(nameOf(row, name)) ?? builtIn.get(nameOf(row, name)) ?? anywhere.get(name)
  return handler === undefined
    ? Effect.fail(Failure.notImplemented(`${nameOf(row, name)} is not plugged into this test cluster`))
    : handler(context)
}
