/**
 * The verbs on objects: what the HTTP handlers do, and what the parts of a cluster that run beside them do directly.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as CustomResources from "./CustomResources.ts"
import * as Failure from "./Failure.ts"
import * as GarbageCollector from "./GarbageCollector.ts"
import * as Json from "./Json.ts"
import * as KubeObject from "./KubeObject.ts"
import * as ManagedFields from "./ManagedFields.ts"
import * as ResourceRow from "./ResourceRow.ts"
import type { Store } from "./Store.ts"
import * as Validation from "./Validation.ts"
import * as Writes from "./Writes.ts"

type Row = ResourceRow.ResourceRow
type Stored = KubeObject.StoredObject

/** Which object. Without a namespace: a cluster-scoped one. */
export interface Reference {
  readonly row: Row
  readonly namespace?: string | undefined
  readonly name: string
}

/** How to write. A dry run checks everything and keeps nothing. */
export interface WriteOptions {
  readonly dryRun?: boolean | undefined
  /** Who writes, for `metadata.managedFields`: without it they are what the edit says of them. */
  readonly writer?: Omit<ManagedFields.Writer, "time"> | undefined
}

/** How to apply. */
export interface ApplyOptions extends WriteOptions {
  readonly writer: Omit<ManagedFields.Writer, "time">
  /** Whether to take fields from others who own them. */
  readonly force: boolean
}

/** What an apply has led to. */
export interface AppliedObject {
  readonly object: Stored
  readonly isNew: boolean
}

/** Makes the new object of a change from the present one. */
export type Edit = (before: Stored) => Result.Result<Json.JsonObject, Failure.Failure>

/** What a delete has led to. */
export interface Removed {
  readonly object: Stored
  /** Whether it is gone; otherwise it is marked, and waits for its finalizers or its grace. */
  readonly gone: boolean
}

/** The verbs. Every one checks and writes in one step; failures are what the server answers. */
export interface Registry {
  readonly store: Store
  readonly catalogue: ResourceRow.Catalogue
  readonly get: (reference: Reference) => Effect.Effect<Stored, Failure.Failure>
  readonly create: (
    row: Row,
    namespace: string | undefined,
    input: Json.JsonObject,
    options?: WriteOptions
  ) => Effect.Effect<Stored, Failure.Failure>
  readonly update: (
    reference: Reference,
    part: Writes.Part,
    edit: Edit,
    options?: WriteOptions
  ) => Effect.Effect<Stored, Failure.Failure>
  /** Server-side apply: makes what is not there, unless it is a part of an object that is asked for. */
  readonly apply: (
    reference: Reference,
    part: Writes.Part,
    configuration: Json.JsonObject,
    options: ApplyOptions
  ) => Effect.Effect<AppliedObject, Failure.Failure>
  readonly remove: (
    reference: Reference,
    options: Writes.DeleteOptions,
    write?: WriteOptions
  ) => Effect.Effect<Removed, Failure.Failure>
}

// The characters of generated names: no vowels, and nothing that looks like something else.
const suffixAlphabet = "bcdfghjklmnpqrstvwxz2456789"
const randomSuffix = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) => suffixAlphabet.charAt(byte % suffixAlphabet.length))
    .join("")

/** The managers after a write that is no apply; nothing where nobody is recorded. */
const tracked = (before: Json.JsonObject, { writer }: WriteOptions, now: number): Writes.Managers | undefined =>
  writer === undefined ? undefined : (after, sent) => {
    const known = ManagedFields.base(Json.get(before, "metadata", "managedFields"), sent, writer.subresource)
    return ManagedFields.toJson(ManagedFields.update(known, before, after, { ...writer, time: Writes.time(now) }))
  }

/** The verbs on the objects of a store. */
export const make = (store: Store, catalogue: ResourceRow.Catalogue): Registry => {
  // The uids that have ever been an owner's, so that a write of anything else needs no look at its dependents.
  const owners = new Set<string>()
  const written = (row: Row, object: Stored, now: number): Stored => {
    if (ResourceRow.collection(row) === CustomResources.collection) {
      CustomResources.follow(store, catalogue, object, now)
    }
    for (const uid of GarbageCollector.owners(object)) owners.add(uid)
    if (
      owners.has(object.metadata.uid) || GarbageCollector.concerns(store, object, ResourceRow.collection(row))
    ) GarbageCollector.collect(store, catalogue, now)
    return object
  }

  const find = ({ name, namespace, row }: Reference): Result.Result<Stored, Failure.Failure> => {
    const key = KubeObject.key(row.scope === "Namespaced" ? namespace : undefined, name)
    return Result.fromNullishOr(
      store.get(ResourceRow.collection(row), key),
      () => Failure.notFound(row, name)
    )
  }

  const checkNamespace = (
    row: Row,
    namespace: string | undefined,
    name: string
  ): Result.Result<void, Failure.Failure> => {
    if (row.scope === "Cluster" || namespace === undefined) return Result.void
    const home = store.get("/namespaces", namespace)
    if (home === undefined) {
      return Result.fail(Failure.notFound({ group: "", plural: "namespaces" }, namespace))
    }
    if (home.metadata.deletionTimestamp === undefined) return Result.void
    return Result.fail(Failure.forbidden(
      row,
      name,
      `${
        Failure.qualified(row)
      } "${name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
      [{
        reason: "NamespaceTerminating",
        message: `namespace ${namespace} is being terminated`,
        field: "metadata.namespace"
      }]
    ))
  }

  // The generation of a name may meet one that is taken; a real server tries again as often.
  const attempts = 8

  const create = (
    row: Row,
    namespace: string | undefined,
    input: Json.JsonObject,
    options: WriteOptions,
    now: number,
    managers: Writes.Managers = tracked({}, options, now) ?? (() => []),
    attempt = 1
  ): Result.Result<Stored, Failure.Failure> =>
    Result.gen(function*() {
      const world = { now, uid: () => crypto.randomUUID(), suffix: randomSuffix }
      const object = yield* Writes.create(row, namespace, input, world, managers)
      yield* checkNamespace(row, namespace, object.metadata.name)
      const collection = ResourceRow.collection(row)
      if (store.get(collection, KubeObject.keyOf(object)) !== undefined) {
        const generated = (Json.string(Json.get(input, "metadata", "name")) ?? "") === ""
        return generated && attempt < attempts
          ? yield* create(row, namespace, input, options, now, managers, attempt + 1)
          : yield* Result.fail(Failure.alreadyExists(row, object.metadata.name))
      }
      if (options.dryRun === true) return object
      return written(row, store.put(collection, object), now)
    })

  const commit = (row: Row, change: Writes.Change, options: WriteOptions, now: number): Stored => {
    if (change._tag === "Unchanged" || options.dryRun === true) return change.object
    const collection = ResourceRow.collection(row)
    const stored = change._tag === "Put"
      ? store.put(collection, change.object)
      : store.remove(collection, change.object)
    return written(row, stored, now)
  }

  const apply = (
    reference: Reference,
    part: Writes.Part,
    configuration: Json.JsonObject,
    options: ApplyOptions,
    now: number
  ): Result.Result<AppliedObject, Failure.Failure> =>
    Result.gen(function*() {
      const { name, namespace, row } = reference
      const writer = { ...options.writer, time: Writes.time(now) }
      const uid = Json.string(Json.get(configuration, "metadata", "uid")) ?? ""
      const found = find(reference)
      if (Result.isSuccess(found)) {
        const before = found.success
        const entries = ManagedFields.base(before.metadata.managedFields, undefined, writer.subresource)
        if (uid !== "" && uid !== before.metadata.uid) {
          const cause = Validation.invalidValue("metadata.uid", uid, "field is immutable")
          return yield* Result.fail(Failure.invalid(row, name, [cause]))
        }
        const applied = yield* ManagedFields.apply(entries, before, configuration, writer, options.force)
        const managers = ManagedFields.toJson(applied.entries)
        const change = yield* Writes.update(row, before, applied.object, part, () => managers)
        return { object: commit(row, change, options, now), isNew: false }
      }
      if (part !== "object") return yield* Result.fail(found.failure)
      if (uid !== "") {
        const why = `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`
        return yield* Result.fail(Failure.conflict(row, name, why))
      }
      const applied = yield* ManagedFields.apply([], {}, configuration, writer, options.force)
      const managers = ManagedFields.toJson(applied.entries)
      const metadata = Json.omit(Json.object(applied.object["metadata"]), "resourceVersion")
      const own = Json.string(metadata["name"]) ?? ""
      if (own !== name) {
        return yield* Result.fail(own === "" ? Failure.noName(name) : Failure.otherName(own, name))
      }
      const input = { ...applied.object, metadata }
      return { object: yield* create(row, namespace, input, options, now, () => managers), isNew: true }
    })

  const withTime = <A>(
    run: (now: number) => Result.Result<A, Failure.Failure>
  ): Effect.Effect<A, Failure.Failure> => Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fromResult(run(now)))

  return {
    store,
    catalogue,
    get: (reference) => Effect.suspend(() => Effect.fromResult(find(reference))),
    create: (row, namespace, input, options = {}) => withTime((now) => create(row, namespace, input, options, now)),
    update: (reference, part, edit, options = {}) =>
      withTime((now) =>
        Result.gen(function*() {
          const before = yield* find(reference)
          const wanted = yield* edit(before)
          const change = yield* Writes.update(reference.row, before, wanted, part, tracked(before, options, now))
          return commit(reference.row, change, options, now)
        })
      ),
    apply: (reference, part, configuration, options) =>
      withTime((now) => apply(reference, part, configuration, options, now)),
    remove: (reference, options, write = {}) =>
      withTime((now) =>
        Result.gen(function*() {
          const before = yield* find(reference)
          const change = yield* Writes.remove(reference.row, before, options, now)
          return { object: commit(reference.row, change, write, now), gone: change._tag === "Remove" }
        })
      )
  }
}
