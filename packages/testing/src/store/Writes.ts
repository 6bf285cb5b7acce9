/**
 * What a write makes of an object: pure functions from the object before and the request to the object after, or to a
 * `Failure`.
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as Json from "./Json.ts"
import * as Kinds from "./Kinds.ts"
import * as KubeObject from "./KubeObject.ts"
import * as ResourceRow from "./ResourceRow.ts"
import * as Validation from "./Validation.ts"

type Row = ResourceRow.ResourceRow
type Stored = KubeObject.StoredObject

/** What a write takes from the world around it. */
export interface Surroundings {
  /** Now, in milliseconds since 1970. */
  readonly now: number
  readonly uid: () => string
  /** The random end of a generated name. */
  readonly suffix: () => string
}

/** What is to be done. */
export type Change =
  | { readonly _tag: "Put"; readonly object: Stored }
  | { readonly _tag: "Remove"; readonly object: Stored }
  | { readonly _tag: "Unchanged"; readonly object: Stored }

type Outcome<A> = Result.Result<A, Failure.Failure>

/** RFC 3339 with seconds, as `metav1.Time` is written. */
export const time = (millis: number): string => `${new Date(millis).toISOString().slice(0, 19)}Z`

const refuse = (failure: Failure.Failure): Outcome<never> => Result.fail(failure)

// What decoding into Go's types refuses, as far as it is known here: maps of texts.
const checkTypes = (row: Row, object: Json.JsonObject): Outcome<void> => {
  const maps: ReadonlyArray<readonly [string, Json.Json | undefined]> = [
    ["ObjectMeta.metadata.labels", Json.get(object, "metadata", "labels")],
    ["ObjectMeta.metadata.annotations", Json.get(object, "metadata", "annotations")],
    ...(Kinds.of(row).textFields ?? []).map((field) => [`${row.kind}.${field}`, object[field]] as const)
  ]
  for (const [field, map] of maps) {
    for (const value of Object.values(Json.object(map))) {
      if (typeof value === "string" || value === null || value === undefined) continue
      const found = Json.isArray(value) ? "array" : typeof value
      return refuse(Failure.badRequest(
        `${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: json: cannot unmarshal ${
          found === "boolean" ? "bool" : found
        } into Go struct field ${field} of type string`
      ))
    }
  }
  return Result.void
}

const validate = (row: Row, object: Json.JsonObject, before?: Stored, part?: Part): Outcome<void> => {
  const kind = Kinds.of(row)
  const metadata = Json.object(object["metadata"])
  const causes = [
    ...Validation.metadata(metadata, kind.nameRule ?? "subdomain"),
    ...(before === undefined ? [] : addedFinalizers(before, metadata)),
    ...kind.validate?.(object) ?? [],
    ...(before === undefined || part === "subresource" ? [] : kind.validateUpdate?.(before, object) ?? [])
  ]
  const name = Json.string(metadata["name"]) ?? ""
  return causes.length === 0 ? Result.void : refuse(Failure.invalid(row, name, causes))
}

const addedFinalizers = (before: Stored, metadata: Json.JsonObject): ReadonlyArray<Failure.Cause> => {
  if (before.metadata.deletionTimestamp === undefined) return []
  const had = before.metadata.finalizers ?? []
  const added = Json.strings(metadata["finalizers"]).filter((finalizer) => !had.includes(finalizer))
  if (added.length === 0) return []
  const shown = added.map((finalizer) => JSON.stringify(finalizer)).join(", ")
  return [
    Validation.forbiddenValue(
      "metadata.finalizers",
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${shown}}`
    )
  ]
}

const checkNamespace = (row: Row, namespace: string | undefined, metadata: Json.JsonObject): Outcome<void> => {
  const own = Json.string(metadata["namespace"]) ?? ""
  return row.scope === "Cluster" || own === "" || own === namespace
    ? Result.void
    : refuse(
      Failure.badRequest("the namespace of the provided object does not match the namespace sent on the request")
    )
}

// What the server alone decides, and what it leaves off when there is nothing in it.
const ownMetadata = (metadata: Json.JsonObject): Json.JsonObject =>
  Json.compact(
    Json.omit(
      metadata,
      "uid",
      "resourceVersion",
      "generation",
      "creationTimestamp",
      "deletionTimestamp",
      "deletionGracePeriodSeconds",
      "selfLink",
      "managedFields"
    )
  )

// Server-generated names keep within 63 characters, 5 of which are random.
const maxGeneratedBase = 58

/** Gives the managers of the fields of an object; `sent` is what its new form says of them. */
export type Managers = (object: Json.JsonObject, sent: Json.Json | undefined) => ReadonlyArray<Json.JsonObject>

const withManagers = (managers: ReadonlyArray<Json.JsonObject>): Json.JsonObject =>
  managers.length === 0 ? Json.empty : { managedFields: managers }

/** An object as those who write are recorded by: without what the server allocates, unless the request has it. */
const recorded = (row: Row, object: Json.JsonObject, input: Json.JsonObject): Json.JsonObject => {
  const asked = Json.object(input["spec"])
  const own = (Kinds.of(row).allocated ?? []).filter((field) => asked[field] === undefined)
  return own.length === 0 ? object : { ...object, spec: Json.omit(Json.object(object["spec"]), ...own) }
}

const nobody: Managers = () => []

const withoutType = (object: Json.JsonObject): Json.JsonObject => Json.omit(object, "kind", "apiVersion")

/** A new object from what a client sent. */
export const create = (
  row: Row,
  namespace: string | undefined,
  input: Json.JsonObject,
  world: Surroundings,
  managers: Managers = nobody
): Outcome<Stored> =>
  Result.gen(function*() {
    const sent = Json.object(input["metadata"])
    yield* checkNamespace(row, namespace, sent)
    if ((Json.string(sent["resourceVersion"]) ?? "") !== "") {
      return yield* refuse(Failure.badRequest("resourceVersion should not be set on objects to be created"))
    }
    yield* checkTypes(row, input)
    const base = Json.string(sent["generateName"]) ?? ""
    const given = Json.string(sent["name"]) ?? ""
    const metadata = {
      ...ownMetadata(sent),
      name: given === "" && base !== "" ? base.slice(0, maxGeneratedBase) + world.suffix() : given,
      namespace: row.scope === "Namespaced" ? namespace : undefined,
      uid: world.uid(),
      generation: Kinds.hasGeneration(row) ? 1 : undefined,
      creationTimestamp: time(world.now)
    }
    const kind = Kinds.of(row)
    const keepsStatus = ResourceRow.hasSubresource(row, "status")
    const body = { ...withoutType(input), metadata }
    const filled = kind.defaults?.(body) ?? body
    const object = keepsStatus
      ? { ...Json.omit(filled, "status"), ...initialStatus(kind, filled) }
      : filled
    yield* validate(row, object)
    return {
      ...object,
      metadata: KubeObject.order({
        ...metadata,
        ...Json.object(object["metadata"]),
        ...withManagers(managers(recorded(row, object, input), sent["managedFields"]))
      })
    }
  })

const initialStatus = (kind: Kinds.Kind, object: Json.JsonObject): Json.JsonObject =>
  kind.initialStatus === undefined ? Json.empty : { status: kind.initialStatus(object) }

/** Which part of an object a write may change; a subresource other than the status sees to that itself. */
export type Part = "object" | "status" | "subresource"

/**
 * An object after a replace or a patch.
 *
 * A write to the object leaves its status as it is, and a write to the status everything but the status; where the kind
 * has no status subresource all of it is the object.
 */
export const update = (
  row: Row,
  before: Stored,
  input: Json.JsonObject,
  part: Part,
  managers: Managers = (_, sent) => Json.array(sent ?? before.metadata.managedFields).map(Json.object)
): Outcome<Change> =>
  Result.gen(function*() {
    const sent = Json.object(input["metadata"])
    const { name, namespace } = before.metadata
    const sentName = Json.string(sent["name"]) ?? ""
    if (sentName !== name) {
      return yield* refuse(Failure.otherName(sentName, name))
    }
    yield* checkNamespace(row, namespace, sent)
    yield* checkTypes(row, input)
    yield* checkVersion(row, before, sent)

    const kind = Kinds.of(row)
    const keepsStatus = ResourceRow.hasSubresource(row, "status")
    const body = withoutType(input)
    const metadata = {
      ...ownMetadata(sent),
      name,
      namespace,
      uid: before.metadata.uid,
      generation: before.metadata.generation,
      creationTimestamp: before.metadata.creationTimestamp,
      deletionTimestamp: before.metadata.deletionTimestamp,
      deletionGracePeriodSeconds: before.metadata.deletionGracePeriodSeconds
    }
    const changed = part === "status"
      ? { ...before, ...statusOf(body), metadata: { ...before.metadata, ...statusMetadata(row, metadata) } }
      : keepsStatus
      ? { ...Json.omit(body, "status"), ...statusOf(before), metadata }
      : { ...body, metadata }
    const filled = part === "status" ? changed : kind.defaults?.(changed) ?? changed
    yield* validate(row, filled, before, part)

    const generation = part !== "status" && metadata.generation !== undefined && !sameSpecification(before, filled)
      ? metadata.generation + 1
      : metadata.generation
    const object: Stored = {
      ...filled,
      metadata: KubeObject.order({
        ...(part === "status" ? before.metadata : metadata),
        ...Json.object(filled["metadata"]),
        generation,
        resourceVersion: undefined,
        managedFields: undefined,
        ...withManagers(managers(recorded(row, filled, input), sent["managedFields"]))
      })
    }
    const previous = KubeObject.withMetadata(before, { resourceVersion: undefined })
    if (Json.equals(previous, object)) return { _tag: "Unchanged", object: before }
    return { _tag: isGone(object) ? "Remove" : "Put", object }
  })

const statusOf = (object: Json.JsonObject): Json.JsonObject =>
  object["status"] === undefined ? Json.empty : { status: object["status"] }

// A real server lets labels and annotations through to the status of most built-in kinds; nothing else of the metadata.
const statusMetadata = (row: Row, metadata: Json.JsonObject): Json.JsonObject =>
  ResourceRow.isBuiltIn(row) ? { labels: metadata["labels"], annotations: metadata["annotations"] } : Json.empty

const checkVersion = (row: Row, before: Stored, sent: Json.JsonObject): Outcome<void> => {
  const { name, resourceVersion, uid } = before.metadata
  const sentUid = Json.string(sent["uid"]) ?? ""
  if (sentUid !== "" && sentUid !== uid) {
    const key = `/registry/${row.plural}/${KubeObject.keyOf(before)}`
    return refuse(Failure.conflict(
      row,
      name,
      `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${sentUid}, UID in object meta: ${uid}`
    ))
  }
  const version = Json.string(sent["resourceVersion"]) ?? ""
  if (version === "" && !ResourceRow.isBuiltIn(row)) {
    const field = "metadata.resourceVersion"
    return refuse(Failure.invalid(row, name, [Validation.invalidValue(field, 0, "must be specified for an update")]))
  }
  return version === "" || version === resourceVersion ? Result.void : refuse(Failure.modified(row, name))
}

// Everything that is neither metadata nor status counts as specification.
const sameSpecification = (before: Json.JsonObject, after: Json.JsonObject): boolean =>
  Json.equals(Json.omit(before, "metadata", "status"), Json.omit(after, "metadata", "status"))

/** Whether nothing keeps an object any more: it is being deleted, without finalizers and without grace. */
export const isGone = (object: Stored): boolean =>
  object.metadata.deletionTimestamp !== undefined &&
  (object.metadata.finalizers ?? []).length === 0 &&
  (object.metadata.deletionGracePeriodSeconds ?? 0) === 0 &&
  Json.strings(Json.get(object, "spec", "finalizers")).length === 0

/** `metav1.DeleteOptions`, checked. */
export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined
  readonly propagationPolicy?: "Foreground" | "Background" | "Orphan" | undefined
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** An object after a delete was asked for: gone, or marked until its finalizers and its grace are over. */
export const remove = (row: Row, before: Stored, options: DeleteOptions, now: number): Outcome<Change> => {
  const { name, resourceVersion, uid } = before.metadata
  if (options.uid !== undefined && options.uid !== uid) {
    return refuse(Failure.precondition(
      row,
      name,
      `the UID in the precondition (${options.uid}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`
    ))
  }
  if (options.resourceVersion !== undefined && options.resourceVersion !== resourceVersion) {
    return refuse(Failure.precondition(
      row,
      name,
      `the ResourceVersion in the precondition (${options.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`
    ))
  }
  const isNamespace = ResourceRow.collection(row) === "/namespaces"
  const grace = ResourceRow.collection(row) === "/pods" ? podGrace(before, options) : 0
  const finalizers = propagationFinalizers(before.metadata.finalizers ?? [], options)
  const already = before.metadata.deletionTimestamp
  const known = before.metadata.deletionGracePeriodSeconds
  const shortened = already !== undefined && known !== undefined && grace >= known
  const metadata = shortened ? { finalizers } : {
    finalizers,
    deletionTimestamp: isNamespace && already !== undefined ? already : time(now + grace * 1000),
    deletionGracePeriodSeconds: isNamespace ? undefined : grace,
    generation: before.metadata.generation === undefined ? undefined : before.metadata.generation + 1
  }
  const marked = KubeObject.withMetadata(
    isNamespace ? { ...before, status: { ...Json.object(before["status"]), phase: "Terminating" } } : before,
    { ...metadata, finalizers: finalizers.length === 0 ? undefined : finalizers }
  )
  if (isGone(marked)) return Result.succeed({ _tag: "Remove", object: before })
  return Result.succeed(
    Json.equals(before, marked) ? { _tag: "Unchanged", object: before } : { _tag: "Put", object: marked }
  )
}

// A pod that no node has, or that has run to its end, needs no grace.
const podGrace = (pod: Stored, options: DeleteOptions): number => {
  const phase = Json.get(pod, "status", "phase")
  const unscheduled = (Json.string(Json.get(pod, "spec", "nodeName")) ?? "") === ""
  if (unscheduled || phase === "Succeeded" || phase === "Failed") return 0
  return options.gracePeriodSeconds ?? Json.number(Json.get(pod, "spec", "terminationGracePeriodSeconds")) ?? 30
}

const propagationFinalizers = (
  finalizers: ReadonlyArray<string>,
  options: DeleteOptions
): ReadonlyArray<string> => {
  const wanted = options.propagationPolicy === "Foreground"
    ? "foregroundDeletion"
    : options.propagationPolicy === "Orphan"
    ? "orphan"
    : undefined
  return wanted === undefined || finalizers.includes(wanted) ? finalizers : [...finalizers, wanted]
}
