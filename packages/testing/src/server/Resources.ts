/**
 * The verbs of the API on resources: from a request to the registry and back.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as JsonPatch from "../store/JsonPatch.ts"
import * as Kinds from "../store/Kinds.ts"
import * as KubeObject from "../store/KubeObject.ts"
import type { Edit, Reference, Registry, WriteOptions } from "../store/Registry.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import * as StrategicMerge from "../store/StrategicMerge.ts"
import * as Validation from "../store/Validation.ts"
import type * as Writes from "../store/Writes.ts"
import * as Apply from "./Apply.ts"
import type { ServerRequest, ServerResponse } from "./Exchange.ts"
import * as FieldValidation from "./FieldValidation.ts"
import * as ListOptions from "./ListOptions.ts"
import * as Merging from "./Merging.ts"
import * as Negotiation from "./Negotiation.ts"
import type { Kind } from "./OpenApiSchemas.ts"
import * as RequestBody from "./RequestBody.ts"
import type { ResourceInfo } from "./RequestInfo.ts"
import * as Respond from "./Respond.ts"
import * as Table from "./Table.ts"
import type { Watches } from "./Watches.ts"
import * as WriteRequest from "./WriteRequest.ts"

type Row = ResourceRow.ResourceRow
type Stored = KubeObject.StoredObject

/** A request whose resource was found. */
export interface Target {
  readonly request: ServerRequest
  readonly info: ResourceInfo
  readonly row: Row
}

/** What the verbs work with. */
export interface Resources {
  readonly registry: Registry
  readonly watches: Watches
  /** How a watch from a version that is no longer known is refused: by an event, or by the HTTP status. */
  readonly expiredWatch: "event" | "status"
}

/** What a handler of a resource or subresource does. */
export type Answer = Effect.Effect<ServerResponse, Failure.Failure, Scope.Scope>

/** The object that the request names. */
export const reference = ({ info, row }: Target): Reference => ({
  row,
  namespace: info.namespace,
  name: info.name ?? ""
})

type Headers = Readonly<Record<string, string>>

const checkFields = ({ request, row }: Target, object: Json.JsonObject): Effect.Effect<Headers, Failure.Failure> =>
  Effect.suspend(() => Effect.fromResult(FieldValidation.check(row, object, request.url.searchParams)))

const withHeaders = (response: ServerResponse, headers: Headers): ServerResponse =>
  response._tag === "Body" ? { ...response, headers: { ...response.headers, ...headers } } : response

/** The object in the body, which must be of the row's kind. */
export const readObject = (target: Target): Effect.Effect<Json.JsonObject, Failure.Failure> =>
  RequestBody.read(target.request, target.row)

/** Answers an object in the shape that the client accepts. */
export const answerObject = Effect.fnUntraced(function*(
  { request, row }: Target,
  object: Stored,
  status = 200
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const shape = Negotiation.shape(request)
  switch (shape) {
    case undefined:
      return yield* Failure.notAcceptable
    case "object":
      return Respond.json(status, KubeObject.present(row, object))
    case "PartialObjectMetadata":
      return Respond.json(status, Table.partial(object))
    case "Table": {
      const now = yield* Clock.currentTimeMillis
      const metadata = { resourceVersion: object.metadata.resourceVersion ?? "" }
      return Respond.json(status, Table.render([object], metadata, { row, now, includeObject: includeObject(request) }))
    }
  }
})

const includeObject = (request: ServerRequest): Table.IncludeObject => {
  const asked = request.url.searchParams.get("includeObject")
  return asked === "None" || asked === "Object" ? asked : "Metadata"
}

/** Answers a verb on the resource itself. */
export const handle = (resources: Resources, target: Target): Answer => {
  switch (target.info.verb) {
    case "get":
      return get(resources, target)
    case "list":
      return list(resources, target)
    case "watch":
      return watch(resources, target)
    case "create":
      return create(resources, target)
    case "update":
      return replace(resources, target, "object")
    case "patch":
      return patch(resources, target, "object")
    case "delete":
      return remove(resources, target)
    case "deletecollection":
      return removeAll(resources, target)
    default:
      return Effect.fail(Failure.methodNotAllowed)
  }
}

const get = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const asked = yield* Effect.fromResult(ListOptions.resourceVersion(target.request.url.searchParams, "get"))
  const current = registry.store.revision()
  if (asked !== undefined && asked > current) return yield* Failure.resourceVersionTooLarge(asked, current)
  return yield* answerObject(target, yield* registry.get(reference(target)))
})

const tooOldToContinue =
  "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list."

const list = Effect.fnUntraced(function*(
  { registry: { store } }: Resources,
  target: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const { info, request, row } = target
  const options = yield* Effect.fromResult(ListOptions.parse(row, "list", request.url.searchParams))
  const { limit, resourceVersion, resourceVersionMatch: match } = options
  const token = options.continue
  const prefix = info.namespace === undefined ? "" : `${info.namespace}/`
  if (resourceVersion !== undefined && resourceVersion > store.revision()) {
    return yield* Failure.resourceVersionTooLarge(resourceVersion, store.revision())
  }
  // With a limit, a version that is not said to be a lower bound is exact.
  const isExact = match === "Exact" || match === undefined && limit > 0 && resourceVersion !== 0
  const exact = isExact ? resourceVersion : undefined
  const page = yield* Effect.fromResult(store.list({
    collection: ResourceRow.collection(row),
    namespace: info.namespace,
    matches: options.matches,
    limit,
    revision: token === undefined ? exact : token.revision < 0 ? undefined : token.revision,
    after: token === undefined ? undefined : prefix + token.after
  })).pipe(Effect.mapError((failure) =>
    token !== undefined && failure.status.code === 410
      ? Failure.expired(tooOldToContinue, ListOptions.encodeToken({ revision: -1, after: token.after }))
      : failure
  ))
  const metadata = {
    resourceVersion: String(page.revision),
    ...(page.next === undefined ? {} : {
      continue: ListOptions.encodeToken({ revision: page.revision, after: page.next.slice(prefix.length) }),
      ...(options.isNarrowed ? {} : { remainingItemCount: page.remaining })
    })
  }
  return yield* answerList(target, page.items, metadata)
})

const answerList = Effect.fnUntraced(function*(
  { request, row }: Target,
  items: ReadonlyArray<Stored>,
  metadata: Json.JsonObject
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  switch (Negotiation.shape(request)) {
    case undefined:
      return yield* Failure.notAcceptable
    case "object":
      return Respond.json(200, {
        kind: `${row.kind}List`,
        apiVersion: ResourceRow.apiVersion(row),
        metadata,
        items: ResourceRow.isBuiltIn(row) ? items : items.map((item) => KubeObject.present(row, item))
      })
    case "PartialObjectMetadata":
      return Respond.json(200, {
        kind: "PartialObjectMetadataList",
        apiVersion: "meta.k8s.io/v1",
        metadata,
        items: items.map(Table.partial)
      })
    case "Table": {
      const now = yield* Clock.currentTimeMillis
      return Respond.json(200, Table.render(items, metadata, { row, now, includeObject: includeObject(request) }))
    }
  }
})

// A watch without a timeout of its own ends after half an hour to an hour on a real server.
const watchMillis = 45 * 60_000

const watch = Effect.fnUntraced(function*(
  { expiredWatch, registry: { store }, watches }: Resources,
  { info, request, row }: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const options = yield* Effect.fromResult(ListOptions.parse(row, "watch", request.url.searchParams))
  const shape = Negotiation.shape(request)
  if (shape === undefined) return yield* Failure.notAcceptable
  const version = options.resourceVersion
  if (version !== undefined && version > 0 && version < store.oldest() && expiredWatch === "status") {
    return yield* Failure.expired(`too old resource version: ${version} (${store.oldest()})`)
  }
  const fromNow = version === undefined || version === 0
  const stateFirst = options.sendInitialEvents ?? fromNow
  const include = includeObject(request)
  let isFirst = true
  const body = watches.open({
    collection: ResourceRow.collection(row),
    namespace: info.namespace,
    matches: options.matches,
    from: stateFirst ? undefined : fromNow ? store.revision() : version,
    markInitialEnd: options.sendInitialEvents === true && options.allowWatchBookmarks,
    bookmarks: options.allowWatchBookmarks,
    timeoutMillis: options.timeoutSeconds === undefined ? watchMillis : options.timeoutSeconds * 1000,
    present: (object, now) => {
      if (shape === "object") return KubeObject.present(row, object)
      if (shape === "PartialObjectMetadata") return Table.partial(object)
      const metadata = { resourceVersion: object.metadata.resourceVersion ?? "" }
      const table = Table.render([object], metadata, { row, now, includeObject: include, withoutColumns: !isFirst })
      isFirst = false
      return table
    },
    presentBookmark: (metadata) =>
      shape === "Table"
        ? { kind: "Table", apiVersion: "meta.k8s.io/v1", metadata, columnDefinitions: null, rows: [] }
        : shape === "object"
        ? { kind: row.kind, apiVersion: ResourceRow.apiVersion(row), metadata }
        : { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata }
  })
  return { _tag: "Stream", status: 200, headers: { "Content-Type": "application/json" }, body }
})

const create = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const options = yield* WriteRequest.options(registry.store, target, "CreateOptions")
  const input = yield* readObject(target)
  const warnings = yield* checkFields(target, input)
  const object = yield* registry.create(target.row, target.info.namespace, input, options)
  return withHeaders(yield* answerObject(target, object, 201), warnings)
})

/** Replaces an object, or its status. */
export const replace = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target,
  part: Writes.Part
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const options = yield* WriteRequest.options(registry.store, target, "UpdateOptions")
  const input = yield* readObject(target)
  const warnings = yield* checkFields(target, input)
  const object = yield* registry.update(reference(target), part, () => Result.succeed(input), options)
  return withHeaders(yield* answerObject(target, object), warnings)
})

/** Patches an object, or its status. */
export const patch = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target,
  part: Writes.Part
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  if (RequestBody.mediaType(target.request) === Apply.mediaType) return yield* apply(registry, target, part)
  const options = yield* WriteRequest.options(registry.store, target, "PatchOptions")
  const edit = yield* readPatch(target, target.row)
  let warnings: Headers = {}
  const { request, row } = target
  const object = yield* registry.update(reference(target), part, (before) =>
    Result.gen(function*() {
      const wanted = yield* edit(KubeObject.present(row, before))
      warnings = yield* FieldValidation.check(row, wanted, request.url.searchParams)
      return wanted
    }), options)
  return withHeaders(yield* answerObject(target, object), warnings)
})

/** Makes one document from another. */
export type DocumentEdit = (document: Json.JsonObject) => ReturnType<Edit>

const apply = Effect.fnUntraced(function*(
  registry: Registry,
  target: Target,
  part: Writes.Part
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const options = yield* WriteRequest.applyOptions(registry.store, target)
  const configuration = yield* Apply.read(target.request, target.row)
  const { isNew, object } = yield* registry.apply(reference(target), part, configuration, options)
  return yield* answerObject(target, object, isNew ? 201 : 200)
})

const strategicType = "application/strategic-merge-patch+json"

/**
 * The patch in the body of a request for a resource, by its media type; the kind is that of the document to be patched.
 * Fails with 400 and 415.
 */
export const readPatch = Effect.fnUntraced(function*(
  { request, row }: Target,
  kind: Kind
): Effect.fn.Return<DocumentEdit, Failure.Failure> {
  const type = RequestBody.mediaType(request)
  const schema = ResourceRow.isBuiltIn(row) && type === strategicType
    ? yield* Merging.ofKind(kind)
    : undefined
  if (
    schema === undefined && type !== "application/merge-patch+json" && type !== "application/json-patch+json"
  ) {
    return yield* type === strategicType ? Failure.notStrategic : Failure.unknownPatch
  }
  const parsed = yield* RequestBody.readPatch(request)
  if (type === "application/json-patch+json") {
    return (document) => Result.map(JsonPatch.apply(document, parsed), Json.object)
  }
  if (!Json.isObject(parsed)) {
    return yield* Failure.badRequest(
      "error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}"
    )
  }
  return schema === undefined
    ? (document) => Result.succeed(Json.object(JsonPatch.merge(document, parsed)))
    : (document) => StrategicMerge.apply(document, parsed, schema)
})

const policies = ["Foreground", "Background", "Orphan"] as const

/** The options of a delete: from the body, and from the query, which wins. */
const deleteOptions = Effect.fnUntraced(function*(
  target: Target
): Effect.fn.Return<Writes.DeleteOptions & WriteOptions, Failure.Failure> {
  const query = target.request.url.searchParams
  const body = yield* RequestBody.readDeleteOptions(target.request)
  const write = yield* Effect.fromResult(WriteRequest.dryRun(target, "DeleteOptions", body))
  const grace = query.get("gracePeriodSeconds")
  const asked = query.get("propagationPolicy") ?? Json.string(body["propagationPolicy"]) ??
    (body["orphanDependents"] === true ? "Orphan" : undefined)
  const policy = policies.find((one) => one === asked)
  if (asked !== undefined && policy === undefined) {
    const cause = Validation.unsupportedValue("propagationPolicy", asked, [...policies, "nil"])
    return yield* Failure.invalidOptions("DeleteOptions", cause)
  }
  return {
    ...write,
    gracePeriodSeconds: grace === null ? Json.number(body["gracePeriodSeconds"]) : Number(grace),
    propagationPolicy: policy,
    uid: Json.string(Json.get(body, "preconditions", "uid")),
    resourceVersion: Json.string(Json.get(body, "preconditions", "resourceVersion"))
  }
})

const remove = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const options = yield* deleteOptions(target)
  const { gone, object } = yield* registry.remove(reference(target), options, options)
  const { row } = target
  if (!gone || Kinds.of(row).answersDeleted === true) return yield* answerObject(target, object)
  const { name, uid } = object.metadata
  return Respond.json(
    200,
    Respond.success({ name, ...(row.group === "" ? {} : { group: row.group }), kind: row.plural, uid })
  )
})

const removeAll = Effect.fnUntraced(function*(
  { registry }: Resources,
  target: Target
): Effect.fn.Return<ServerResponse, Failure.Failure> {
  const { info, request, row } = target
  const { matches } = yield* Effect.fromResult(ListOptions.parse(row, "list", request.url.searchParams))
  const options = yield* deleteOptions(target)
  const query = { collection: ResourceRow.collection(row), namespace: info.namespace, matches }
  const page = yield* Effect.fromResult(registry.store.list(query))
  for (const { metadata: { name, namespace } } of page.items) {
    // Another delete may have led to this one's.
    yield* registry.remove({ row, namespace, name }, options, options).pipe(
      Effect.catchIf((failure) => failure.status.code === 404, () => Effect.void)
    )
  }
  return yield* answerList(target, page.items, { resourceVersion: String(page.revision) })
})
