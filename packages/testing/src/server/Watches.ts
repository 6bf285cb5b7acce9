/**
 * Watches: streams of changes, one JSON event a line.
 *
 * A watch holds a place in the store's history and nothing else. A slow reader costs no memory: when the history has
 * moved past its place it is told 410, as on a real server.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Cursor from "../store/Cursor.ts"
import * as Failure from "../store/Failure.ts"
import type * as Json from "../store/Json.ts"
import type { Predicate } from "../store/Selector.ts"
import * as Store from "../store/Store.ts"

/** What is watched. */
export interface Watched {
  readonly collection: string
  readonly namespace?: string | undefined
}

/** How to watch. */
export interface Options extends Watched {
  readonly matches: Predicate
  /** Changes after this version; without it the present state comes first, as `ADDED` events. */
  readonly from: number | undefined
  /** Whether the end of the initial state is marked by a bookmark. */
  readonly markInitialEnd: boolean
  readonly bookmarks: boolean
  readonly timeoutMillis: number
  /** The objects of events: as they are, or in a table. */
  readonly present: (object: Store.StoreEvent["object"], now: number) => Json.JsonObject
  readonly presentBookmark: (metadata: Json.JsonObject) => Json.JsonObject
}

/** The watches that are open, and what can be done to them from outside. */
export interface Watches {
  readonly open: (options: Options) => Stream.Stream<Uint8Array>
  /** How many are open. */
  readonly count: Effect.Effect<number>
  /** Sends a bookmark now to those that asked for bookmarks. */
  readonly sendBookmarks: Effect.Effect<void>
  /** Ends them with an `ERROR` event of code 410. */
  readonly expire: Effect.Effect<void>
  /** Ends them as a server does when the time is up. */
  readonly end: Effect.Effect<void>
}

type Command = "bookmark" | "expire" | "end"

/** What `make` takes. */
export interface Settings {
  /** Milliseconds between bookmarks; a minute by default. */
  readonly bookmarkIntervalMillis?: number | undefined
}

const encoder = new TextEncoder()

// The last bookmark of a watch comes this long before its time is up; a shorter watch gets none.
const lastBookmarkMillis = 2000

const line = (type: string, object: Json.JsonObject): Uint8Array =>
  encoder.encode(`${JSON.stringify({ type, object })}\n`)

const errorLine = (failure: Failure.Failure): Uint8Array => line("ERROR", Failure.toJson(failure.status))

/** The 410 of a version that is no longer known. */
export const tooOld = (asked: number, oldest: number): Failure.Failure =>
  Failure.expired(`too old resource version: ${asked} (${oldest})`)

/** The watches on a store. */
export const make = (store: Store.Store, settings: Settings = {}): Watches => {
  const bookmarkMillis = settings.bookmarkIntervalMillis ?? 60_000
  const open = new Set<(command: Command) => void>()
  const tell = (command: Command): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const listener of open) listener(command)
    })

  const start = Effect.fnUntraced(function*(options: Options) {
    const started = yield* Clock.currentTimeMillis
    const deadline = started + options.timeoutMillis
    const bookmarkAfter = (now: number): number => {
      const next = Math.min(now + bookmarkMillis, deadline - lastBookmarkMillis)
      return options.bookmarks && next > now ? next : Infinity
    }
    let nextBookmark = bookmarkAfter(started)
    const cursor = yield* Cursor.make(store, options.from)
    let isInitial = options.from === undefined
    let isEnded = false
    const commands: Array<Command> = []

    const obey = (command: Command): void => {
      commands.push(command)
      cursor.wake()
    }
    yield* Effect.acquireRelease(Effect.sync(() => open.add(obey)), () => Effect.sync(() => open.delete(obey)))

    const bookmark = (annotations?: Json.JsonObject): Uint8Array =>
      line(
        "BOOKMARK",
        options.presentBookmark({
          resourceVersion: String(cursor.place()),
          ...(annotations === undefined ? {} : { annotations })
        })
      )
    const presentState = (now: number): ReadonlyArray<Uint8Array> => {
      const { collection, markInitialEnd, matches, namespace, present } = options
      const items = Result.getOrElse(store.list({ collection, namespace, matches }), () => ({ items: [] })).items
      const added = items.map((object) => line("ADDED", present(object, now)))
      return markInitialEnd ? [...added, bookmark({ "k8s.io/initial-events-end": "true" })] : added
    }
    const changes = (events: ReadonlyArray<Store.StoreEvent>, now: number): ReadonlyArray<Uint8Array> =>
      events.flatMap((event) => {
        if (event.collection !== options.collection) return []
        if (options.namespace !== undefined && event.object.metadata.namespace !== options.namespace) return []
        const seen = Store.narrow(event, options.matches)
        return seen === undefined ? [] : [line(seen.type, options.present(seen.object, now))]
      })

    // What there is to send now; nothing when it is time to wait.
    const due = (now: number): ReadonlyArray<Uint8Array> => {
      if (isInitial) {
        isInitial = false
        // The state is that of now: the cursor skips to it, however far it had fallen behind before it was asked.
        cursor.skip()
        return presentState(now)
      }
      const events = cursor.take()
      if (events === undefined) {
        isEnded = true
        return [errorLine(tooOld(cursor.place(), store.oldest()))]
      }
      const lines = changes(events, now)
      if (lines.length > 0) return lines
      switch (commands.shift()) {
        case "bookmark":
          return options.bookmarks ? [bookmark()] : []
        case "expire":
          isEnded = true
          return [errorLine(tooOld(cursor.place(), store.revision()))]
        case "end":
          isEnded = true
          return []
      }
      if (now >= nextBookmark) {
        nextBookmark = bookmarkAfter(now)
        return [bookmark()]
      }
      if (now >= deadline) isEnded = true
      return []
    }

    const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Uint8Array>> = Effect.gen(function*() {
      for (;;) {
        if (isEnded) return yield* Cause.done()
        const now = yield* Clock.currentTimeMillis
        const lines = due(now)
        if (Arr.isReadonlyArrayNonEmpty(lines)) return lines
        if (isEnded || commands.length > 0) continue
        const until = Math.min(deadline, nextBookmark)
        yield* until === Infinity
          ? cursor.changed
          : Effect.timeoutOrElse(cursor.changed, { duration: until - now, orElse: () => Effect.void })
      }
    })
    return Stream.fromPull(Effect.succeed(pull))
  })

  return {
    open: (options) => Stream.unwrap(start(options)),
    count: Effect.sync(() => open.size),
    sendBookmarks: tell("bookmark"),
    expire: tell("expire"),
    end: tell("end")
  }
}
