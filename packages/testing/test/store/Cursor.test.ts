import * as Cursor from "@effect-k8s/testing/store/Cursor"
import * as Store from "@effect-k8s/testing/store/Store"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

const pods = "/pods"
const put = (store: Store.Store, name: string) =>
  store.put(pods, { metadata: { name, namespace: "n", uid: name, creationTimestamp: "2026-01-01T00:00:00Z" } })

describe("a cursor", () => {
  it.effect("gives each change once", () =>
    Effect.gen(function*() {
      const store = Store.make()
      const cursor = yield* Cursor.make(store)
      put(store, "a")
      put(store, "b")
      assert.deepStrictEqual(cursor.take()?.map((event) => event.object.metadata.name), ["a", "b"])
      assert.deepStrictEqual(cursor.take(), [])
      put(store, "c")
      cursor.skip()
      assert.deepStrictEqual(cursor.take(), [])
    }))

  it.effect("wakes who waits, and sleeps through nothing that came before the wait", () =>
    Effect.gen(function*() {
      const store = Store.make()
      const cursor = yield* Cursor.make(store)
      cursor.take()
      put(store, "a")
      yield* cursor.changed
      cursor.take()
      const waiting = yield* Effect.forkScoped(cursor.changed)
      yield* Effect.yieldNow
      assert.isUndefined(waiting.pollUnsafe())
      put(store, "b")
      yield* Fiber.join(waiting)
    }))

  it.effect("leaves the store with its scope", () =>
    Effect.gen(function*() {
      const store = Store.make()
      let subscribers = 0
      const counted: Store.Store = {
        ...store,
        subscribe: (listener) => {
          const leave = store.subscribe(listener)
          subscribers++
          return () => {
            subscribers--
            leave()
          }
        }
      }
      const scope = yield* Scope.make()
      yield* Scope.provide(Cursor.make(counted), scope)
      assert.strictEqual(subscribers, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(subscribers, 0)
    }))

  it.effect("follows a collection from its present state on", () =>
    Effect.gen(function*() {
      const store = Store.make()
      put(store, "a")
      const events = yield* Effect.forkScoped(
        Stream.runCollect(Stream.take(Cursor.follow(store, pods), 3))
      )
      yield* Effect.yieldNow
      store.put("/configmaps", put(store, "b"))
      put(store, "a")
      const seen = Array.from(yield* Fiber.join(events), (event) => `${event.type} ${event.object.metadata.name}`)
      assert.deepStrictEqual(seen, ["ADDED a", "ADDED b", "MODIFIED a"])
    }))
})
