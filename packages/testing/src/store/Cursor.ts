/**
 * A place in the history of a store: what followed it, and a way to wait for more.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Store, StoreEvent } from "./Store.ts"

/** A place in the history. It holds no events of its own. */
export interface Cursor {
  /** The version up to which all is known. */
  readonly place: () => number
  /** What followed since, and moves on; nothing when the history no longer reaches back to the place. */
  readonly take: () => ReadonlyArray<StoreEvent> | undefined
  /** Moves on to the current version, whatever was in between. */
  readonly skip: () => void
  /** Succeeds after a change, or a `wake`, that came after the last `take`. */
  readonly changed: Effect.Effect<void>
  readonly wake: () => void
}

/** A cursor that starts at a version, the current one by default. The scope lets go of the store. */
export const make = Effect.fnUntraced(function*(
  store: Store,
  from?: number
): Effect.fn.Return<Cursor, never, Scope.Scope> {
  let place = from ?? store.revision()
  // A change between a look at the store and the wait for the next must not be slept through.
  let isChanged = false
  let resumeWaiter: (() => void) | undefined
  const wake = (): void => {
    isChanged = true
    resumeWaiter?.()
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => store.subscribe(wake)),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  return {
    place: () => place,
    take: () => {
      isChanged = false
      const events = store.eventsAfter(place)
      // A place in the future stays there.
      if (events !== undefined) place = Math.max(place, store.revision())
      return events
    },
    skip: () => {
      isChanged = false
      place = store.revision()
    },
    changed: Effect.callback((resume) => {
      resumeWaiter = () => resume(Effect.void)
      if (isChanged) resumeWaiter()
      return Effect.sync(() => {
        resumeWaiter = undefined
      })
    }),
    wake
  }
})

/**
 * The objects of a collection, as `ADDED`, and every change from then on. Dies when its reader falls behind by more than
 * the history.
 */
export const follow = (store: Store, collection: string): Stream.Stream<StoreEvent> =>
  Stream.unwrap(Effect.gen(function*() {
    const cursor = yield* make(store)
    const revision = cursor.place()
    const present = Result.getOrElse(store.list({ collection }), () => ({ items: [] })).items
    const initial = present.map((object): StoreEvent => ({ type: "ADDED", revision, collection, object }))
    const later = Stream.fromPull(Effect.succeed(Effect.gen(function*() {
      while (true) {
        const events = cursor.take()
        if (events === undefined) return yield* Effect.die(new Error(`the reader of ${collection} fell behind`))
        const own = events.filter((event) => event.collection === collection)
        if (Arr.isReadonlyArrayNonEmpty(own)) return own
        yield* cursor.changed
      }
    })))
    return Stream.concat(Stream.fromIterable(initial), later)
  }))
