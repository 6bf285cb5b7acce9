/**
 * The objects of a cluster under one counter of versions, and the recent changes, from which watches and lists of an
 * earlier version are made.
 *
 * All of it is synchronous: what runs between two effects runs alone. Objects are never changed in place.
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as KubeObject from "./KubeObject.ts"
import type { Predicate } from "./Selector.ts"

type Stored = KubeObject.StoredObject

/** One change. */
export interface StoreEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED"
  readonly revision: number
  /** `group/plural`. */
  readonly collection: string
  /** The object after the change, or at its end; its resource version is the revision. */
  readonly object: Stored
  /** The object before a `MODIFIED` or `DELETED`. */
  readonly previous?: Stored | undefined
}

/** What to list. */
export interface Query {
  readonly collection: string
  readonly namespace?: string | undefined
  readonly matches?: Predicate | undefined
  /** The version of the list; without it the current one. */
  readonly revision?: number | undefined
  /** Only what comes after this key. */
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/** A list, or a page of one. */
export interface Page {
  readonly revision: number
  readonly items: ReadonlyArray<Stored>
  /** The key of the last item, when more follow. */
  readonly next?: string | undefined
  /** How many follow. */
  readonly remaining: number
}

/** The store. */
export interface Store {
  /** The version of the last change. */
  readonly revision: () => number
  /** The oldest version that is still known. */
  readonly oldest: () => number
  readonly get: (collection: string, key: string) => Stored | undefined
  /** Fails with 410 for a version that is no longer known, with 504 for one that is not yet. */
  readonly list: (query: Query) => Result.Result<Page, Failure.Failure>
  /** Keeps an object under its key, with the next version. */
  readonly put: (collection: string, object: Stored) => Stored
  /** Lets an object go; gives it at its end, with the next version. */
  readonly remove: (collection: string, object: Stored) => Stored
  /** The changes after a version, oldest first; nothing when the version is no longer known. */
  readonly eventsAfter: (revision: number) => ReadonlyArray<StoreEvent> | undefined
  /** Forgets the changes up to now: versions before the current one are no longer known. */
  readonly compact: () => void
  /** The names of the collections that hold, or have held, something. */
  readonly collections: () => ReadonlyArray<string>
  /** Calls back after each change. Gives the way to stop. */
  readonly subscribe: (listener: () => void) => () => void
}

/** What `make` takes. */
export interface Options {
  /** How many changes are kept for watches and earlier versions; 10,000 by default. */
  readonly history?: number | undefined
}

/** An empty store, at version 1. */
export const make = (options: Options = {}): Store => {
  const history = options.history ?? 10_000
  const collections = new Map<string, Map<string, Stored>>()
  const listeners = new Set<() => void>()
  // The revisions of the events follow one another without a gap: the first has `compacted + 1`.
  let events: Array<StoreEvent> = []
  let compacted = 1
  let revision = 1

  const objects = (collection: string): Map<string, Stored> => {
    const known = collections.get(collection)
    if (known !== undefined) return known
    const created = new Map<string, Stored>()
    collections.set(collection, created)
    return created
  }

  const record = (event: StoreEvent): void => {
    events.push(event)
    // In blocks, so that a change costs the same whether the history is full or not.
    if (events.length >= history * 2) {
      compacted += events.length - history
      events = events.slice(-history)
    }
    for (const listener of listeners) listener()
  }

  const eventsAfter = (from: number): ReadonlyArray<StoreEvent> | undefined =>
    from < compacted ? undefined : events.slice(from - compacted)

  const at = (collection: string, wanted: number): Result.Result<ReadonlyMap<string, Stored>, Failure.Failure> => {
    if (wanted === revision) return Result.succeed(objects(collection))
    if (wanted > revision) return Result.fail(Failure.resourceVersionTooLarge(wanted, revision))
    const since = eventsAfter(wanted)
    if (since === undefined) {
      return Result.fail(Failure.expired("The resourceVersion for the provided list is too old."))
    }
    const snapshot = new Map(objects(collection))
    for (const event of since.toReversed()) {
      if (event.collection !== collection) continue
      const key = KubeObject.keyOf(event.object)
      if (event.previous === undefined) snapshot.delete(key)
      else snapshot.set(key, event.previous)
    }
    return Result.succeed(snapshot)
  }

  return {
    revision: () => revision,
    oldest: () => compacted,
    get: (collection, key) => collections.get(collection)?.get(key),
    list: (query) => {
      const wanted = query.revision ?? revision
      return Result.map(at(query.collection, wanted), (snapshot) => {
        const prefix = query.namespace === undefined ? "" : `${query.namespace}/`
        const keys = Array.from(snapshot.keys())
          .filter((key) => key.startsWith(prefix) && (query.after === undefined || key > query.after))
          .sort()
        const limit = query.limit === undefined || query.limit <= 0 ? Infinity : query.limit
        const items: Array<Stored> = []
        let seen = 0
        for (const key of keys) {
          if (items.length >= limit) break
          seen++
          const object = snapshot.get(key)
          if (object !== undefined && (query.matches?.(object) ?? true)) items.push(object)
        }
        return {
          revision: wanted,
          items,
          next: seen < keys.length ? keys[seen - 1] : undefined,
          remaining: keys.length - seen
        }
      })
    },
    put: (collection, object) => {
      const key = KubeObject.keyOf(object)
      const previous = objects(collection).get(key)
      const stored = KubeObject.withMetadata(object, { resourceVersion: String(++revision) })
      objects(collection).set(key, stored)
      record({ type: previous === undefined ? "ADDED" : "MODIFIED", revision, collection, object: stored, previous })
      return stored
    },
    remove: (collection, object) => {
      const key = KubeObject.keyOf(object)
      const previous = objects(collection).get(key)
      const last = KubeObject.withMetadata(object, { resourceVersion: String(++revision) })
      objects(collection).delete(key)
      record({ type: "DELETED", revision, collection, object: last, previous: previous ?? object })
      return last
    },
    eventsAfter,
    compact: () => {
      compacted = revision
      events = []
    },
    collections: () => Array.from(collections.keys()),
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/** A change as somebody sees it who watches only what a predicate selects: nothing, when it is not theirs. */
export const narrow = (event: StoreEvent, matches: Predicate): StoreEvent | undefined => {
  const before = event.previous !== undefined && matches(event.previous)
  const after = event.type !== "DELETED" && matches(event.object)
  if (after) return before === (event.type === "MODIFIED") ? event : { ...event, type: "ADDED" }
  if (!before) return undefined
  if (event.type === "DELETED") return event
  // It has left the selection: its last state inside of it, at the version of the change.
  const last = KubeObject.withMetadata(event.previous ?? event.object, { resourceVersion: String(event.revision) })
  return { ...event, type: "DELETED", object: last }
}
