/**
 * What follows from a deletion: dependents of an owner that is gone, and the contents of a namespace that ends.
 *
 * A real cluster does this in the background, some time later; here it is done within the write that caused it.
 */
import * as Result from "effect/Result"
import * as Json from "./Json.ts"
import * as KubeObject from "./KubeObject.ts"
import type * as ResourceRow from "./ResourceRow.ts"
import type { Store } from "./Store.ts"
import * as Writes from "./Writes.ts"

type Stored = KubeObject.StoredObject

interface Found {
  readonly collection: string
  readonly object: Stored
}

const orphan = "orphan"
const foreground = "foregroundDeletion"
const namespaces = "/namespaces"

/** The uids of an object's owners. */
export const owners = (object: Stored): ReadonlyArray<string> =>
  (object.metadata.ownerReferences ?? []).flatMap((owner) => Json.string(owner["uid"]) ?? [])

/** Whether something may follow from the write of an object that nobody depends on. */
export const concerns = (store: Store, object: Stored, collection: string): boolean => {
  const finalizers = object.metadata.finalizers ?? []
  const home = store.get(namespaces, object.metadata.namespace ?? "")
  return owners(object).length > 0 || finalizers.includes(orphan) || finalizers.includes(foreground) ||
    home?.metadata.deletionTimestamp !== undefined ||
    collection === namespaces && object.metadata.deletionTimestamp !== undefined
}

/** Does what follows from the deletions so far, until nothing follows any more. */
export const collect = (store: Store, catalogue: ResourceRow.Catalogue, now: number): void => {
  while (pass(store, catalogue, now));
}

// One look at all objects; whether anything was done. What changes meanwhile is looked at again in the next one.
const pass = (store: Store, catalogue: ResourceRow.Catalogue, now: number): boolean => {
  const found: ReadonlyArray<Found> = store.collections().flatMap((collection) =>
    Result.getOrElse(store.list({ collection }), () => ({ items: [] })).items.map((object) => ({ collection, object }))
  )
  const living = new Set(found.map(({ object }) => object.metadata.uid))
  const dependents = (owner: Stored): ReadonlyArray<Found> =>
    found.filter(({ object }) => owners(object).includes(owner.metadata.uid))
  const isStale = ({ collection, object }: Found): boolean => store.get(collection, KubeObject.keyOf(object)) !== object

  const remove = (one: Found): boolean => {
    const row = catalogue.ofCollection(one.collection)
    if (row === undefined || isStale(one)) return false
    const change = Result.getOrUndefined(Writes.remove(row, one.object, {}, now))
    if (change === undefined || change._tag === "Unchanged") return false
    if (change._tag === "Remove") store.remove(one.collection, change.object)
    else store.put(one.collection, change.object)
    return true
  }
  const removeAll = (some: ReadonlyArray<Found>): boolean => some.filter(remove).length > 0

  const dropFinalizer = ({ collection, object }: Found, finalizer: string): void => {
    const finalizers = (object.metadata.finalizers ?? []).filter((one) => one !== finalizer)
    const rest = KubeObject.withMetadata(object, { finalizers: finalizers.length === 0 ? undefined : finalizers })
    if (Writes.isGone(rest)) store.remove(collection, rest)
    else store.put(collection, rest)
  }

  const disown = (owner: Stored): void => {
    for (const { collection, object } of dependents(owner)) {
      const left = (object.metadata.ownerReferences ?? []).filter((one) => one["uid"] !== owner.metadata.uid)
      store.put(collection, KubeObject.withMetadata(object, { ownerReferences: left.length === 0 ? undefined : left }))
    }
  }

  const follow = (one: Found): boolean => {
    const { collection, object } = one
    const finalizers = object.metadata.finalizers ?? []
    if (object.metadata.deletionTimestamp === undefined) {
      const owned = owners(object)
      return owned.length > 0 && !owned.some((uid) => living.has(uid)) && remove(one)
    }
    if (finalizers.includes(orphan)) {
      disown(object)
      dropFinalizer(one, orphan)
      return true
    }
    if (finalizers.includes(foreground)) {
      const blocking = dependents(object)
      if (blocking.length > 0) return removeAll(blocking)
      dropFinalizer(one, foreground)
      return true
    }
    if (collection !== namespaces) return false
    const contents = found.filter((candidate) => candidate.object.metadata.namespace === object.metadata.name)
    if (contents.length > 0 || finalizers.length > 0) return removeAll(contents)
    store.remove(collection, object)
    return true
  }

  return found.filter((one) => !isStale(one) && follow(one)).length > 0
}
