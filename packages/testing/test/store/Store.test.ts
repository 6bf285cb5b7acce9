import type { StoredObject } from "@effect-k8s/testing/store/KubeObject"
import * as Store from "@effect-k8s/testing/store/Store"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const pods = "/pods"
const object = (namespace: string, name: string, labels: Record<string, string> = {}): StoredObject => ({
  metadata: { name, namespace, uid: `${namespace}-${name}`, creationTimestamp: "2026-01-01T00:00:00Z", labels }
})
const names = (result: ReturnType<Store.Store["list"]>): ReadonlyArray<string> =>
  Result.getOrThrow(result).items.map((item) => item.metadata.name)

describe("the store", () => {
  it("gives every change the next version, whatever it changes", () => {
    const store = Store.make()
    const start = store.revision()
    const first = store.put(pods, object("n", "a"))
    const second = store.put("/configmaps", object("n", "a"))
    const gone = store.remove(pods, first)
    assert.deepStrictEqual(
      [first, second, gone].map((one) => one.metadata.resourceVersion),
      [start + 1, start + 2, start + 3].map(String)
    )
    assert.strictEqual(store.revision(), start + 3)
  })

  it("lists in the order of keys, and keeps namespaces apart", () => {
    const store = Store.make()
    for (const [namespace, name] of [["b", "z"], ["a", "y"], ["a", "x"], ["a-b", "q"]] as const) {
      store.put(pods, object(namespace, name))
    }
    assert.deepStrictEqual(names(store.list({ collection: pods })), ["q", "x", "y", "z"])
    assert.deepStrictEqual(names(store.list({ collection: pods, namespace: "a" })), ["x", "y"])
  })

  it("pages through the state of one version while it changes", () => {
    const store = Store.make()
    for (const name of ["a", "b", "c", "d"]) store.put(pods, object("n", name))
    const first = Result.getOrThrow(store.list({ collection: pods, limit: 2 }))
    assert.deepStrictEqual([first.next, first.remaining], ["n/b", 2])
    store.put(pods, object("n", "bb"))
    store.remove(pods, object("n", "c"))
    const rest = {
      collection: pods,
      revision: first.revision,
      ...(first.next === undefined ? {} : { after: first.next })
    }
    assert.deepStrictEqual(names(store.list(rest)), ["c", "d"])
    assert.deepStrictEqual(names(store.list({ ...rest, revision: undefined })), ["bb", "d"])
  })

  it("knows no version from before a compaction, and none from the future", () => {
    const store = Store.make()
    store.put(pods, object("n", "a"))
    const old = store.revision()
    store.put(pods, object("n", "b"))
    const code = (revision: number) =>
      Result.getOrThrow(Result.flip(store.list({ collection: pods, revision }))).status.code
    assert.deepStrictEqual(names(store.list({ collection: pods, revision: old })), ["a"])
    store.compact()
    assert.strictEqual(code(old), 410)
    assert.strictEqual(code(store.revision() + 1), 504)
    assert.strictEqual(store.eventsAfter(old), undefined)
    assert.deepStrictEqual(store.eventsAfter(store.revision()), [])
  })

  it("keeps as many changes as it was told to, and forgets older ones", () => {
    const store = Store.make({ history: 10 })
    for (let i = 0; i < 100; i++) store.put(pods, object("n", `p${i}`))
    assert.isTrue(store.revision() - store.oldest() >= 10)
    assert.isTrue(store.revision() - store.oldest() < 20)
    assert.strictEqual(store.eventsAfter(store.revision() - 10)?.length, 10)
  })

  it("tells subscribers of every change until they leave", () => {
    const store = Store.make()
    let calls = 0
    const leave = store.subscribe(() => calls++)
    store.put(pods, object("n", "a"))
    leave()
    store.put(pods, object("n", "b"))
    assert.strictEqual(calls, 1)
  })

  const Change = Schema.Struct({ remove: Schema.Boolean, name: Schema.Literals(["a", "b", "c"]) })

  it.prop("gives the state of any version it still knows", { changes: Schema.Array(Change) }, ({ changes }) => {
    const store = Store.make()
    const seen = new Map<number, ReadonlyArray<string>>()
    const state = new Map<string, number>()
    const note = () => seen.set(store.revision(), Array.from(state, ([name, version]) => `${name}@${version}`).sort())
    note()
    for (const { name, remove } of changes) {
      if (remove && !state.has(name)) continue
      if (remove) {
        store.remove(pods, object("n", name))
        state.delete(name)
      } else {
        store.put(pods, object("n", name))
        state.set(name, store.revision())
      }
      note()
    }
    for (const [revision, expected] of seen) {
      const items = Result.getOrThrow(store.list({ collection: pods, revision })).items
      assert.deepStrictEqual(
        items.map((item) => `${item.metadata.name}@${item.metadata.resourceVersion}`).sort(),
        expected
      )
    }
  })
})

describe("a change seen through a selector", () => {
  const event = (type: Store.StoreEvent["type"], before?: string, after?: string): Store.StoreEvent => ({
    type,
    revision: 9,
    collection: pods,
    object: object("n", "a", after === undefined ? {} : { is: after }),
    previous: before === undefined ? undefined : object("n", "a", { is: before })
  })
  const selected = (one: StoredObject): boolean => one.metadata.labels?.["is"] === "in"
  const rows: ReadonlyArray<readonly [string, Store.StoreEvent, string | undefined]> = [
    ["an addition inside", event("ADDED", undefined, "in"), "ADDED"],
    ["an addition outside", event("ADDED", undefined, "out"), undefined],
    ["a modification inside", event("MODIFIED", "in", "in"), "MODIFIED"],
    ["a modification outside", event("MODIFIED", "out", "out"), undefined],
    ["a modification that enters", event("MODIFIED", "out", "in"), "ADDED"],
    ["a modification that leaves", event("MODIFIED", "in", "out"), "DELETED"],
    ["a deletion inside", event("DELETED", "in", "in"), "DELETED"],
    ["a deletion outside", event("DELETED", "out", "out"), undefined]
  ]
  for (const [name, change, expected] of rows) {
    it(`${name} is ${expected ?? "nothing"}`, () => {
      assert.strictEqual(Store.narrow(change, selected)?.type, expected)
    })
  }

  it("that leaves shows the last state inside, at the version of the change", () => {
    const seen = Store.narrow(event("MODIFIED", "in", "out"), selected)
    assert.strictEqual(seen?.object.metadata.labels?.["is"], "in")
    assert.strictEqual(seen?.object.metadata.resourceVersion, "9")
  })
})
