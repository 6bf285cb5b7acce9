import * as FieldSet from "@effect-k8s/testing/store/FieldSet"
import type { Json } from "@effect-k8s/testing/store/Json"
import * as MergeSchema from "@effect-k8s/testing/store/MergeSchema"
import * as Typed from "@effect-k8s/testing/store/Typed"
import { assert, describe, it } from "@effect/vitest"

const text = { type: "string" }
const schema = MergeSchema.make({
  type: "object",
  properties: {
    list: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: { type: "object", properties: { name: text, v: { type: "integer" }, w: { type: "integer" } } }
    },
    set: { type: "array", items: text, "x-kubernetes-list-type": "set" },
    plain: { type: "array", items: text },
    map: { type: "object", additionalProperties: text }
  }
}, {})

describe("a value laid over another", () => {
  // As seen on a real server.
  const rows: ReadonlyArray<readonly [live: string, applied: string, expected: string]> = [
    ["abc", "", "abc"],
    ["", "abc", "abc"],
    ["abc", "abc", "abc"],
    ["abc", "cba", "cba"],
    ["abc", "d", "abcd"],
    ["abc", "cd", "abcd"],
    ["abc", "xb", "axbc"],
    ["abcd", "db", "acdb"],
    ["1a2b3", "ba", "12b3a"],
    ["abcd", "axc", "abxcd"],
    ["abcde", "ebx", "acdebx"],
    ["abcdef", "fxbyd", "acefxbyd"],
    ["a1b2", "2b1x", "a2b1x"]
  ]
  for (const [live, applied, expected] of rows) {
    it(`has the elements ${expected} where ${applied || "nothing"} is laid over ${live || "nothing"}`, () => {
      const merged = Typed.merge({ set: Array.from(live) }, { set: Array.from(applied) }, schema)
      assert.deepStrictEqual(merged, { set: Array.from(expected) })
    })
  }

  it("merges elements with the same keys", () => {
    const live = { list: [{ name: "a", v: 1, w: 1 }, { name: "b", v: 2 }] }
    const applied = { list: [{ name: "b", w: 3 }, { name: "a", v: 9 }] }
    assert.deepStrictEqual(Typed.merge(live, applied, schema), {
      list: [{ name: "b", v: 2, w: 3 }, { name: "a", v: 9, w: 1 }]
    })
  })
})

describe("a live list that has an element twice", () => {
  const live = { list: [{ name: "a", v: 1 }, { name: "a", v: 2 }, { name: "b" }] }

  it("keeps both where nobody speaks of them", () => {
    assert.deepStrictEqual(Typed.merge(live, { list: [{ name: "c" }] }, schema), {
      list: [...live.list, { name: "c" }]
    })
  })

  it("has the one on top where somebody does", () => {
    assert.deepStrictEqual(Typed.merge(live, { list: [{ name: "a", w: 3 }] }, schema), {
      list: [{ name: "a", w: 3 }, { name: "b" }]
    })
  })

  it("differs in the element when one of them does", () => {
    const { modified } = Typed.compare(
      live,
      { list: [{ name: "a", v: 1 }, { name: "a", v: 9 }, { name: "b" }] },
      schema
    )
    assert.deepStrictEqual(FieldSet.paths(modified), [".list[name=\"a\"]"])
    assert.isTrue(FieldSet.isEmpty(Typed.compare(live, live, schema).modified))
  })
})

describe("two values", () => {
  const rows: ReadonlyArray<readonly [before: Json, after: Json, differs: Readonly<Record<string, Json>>]> = [
    [{ map: { a: "1" } }, { map: { a: "2" } }, { modified: [".map.a"] }],
    [{}, { map: { a: "1" } }, { added: [".map", ".map.a"] }],
    [{ map: { a: "1" } }, {}, { removed: [".map", ".map.a"] }],
    [{ map: {} }, { map: null }, { modified: [".map"] }],
    [{ map: {} }, { map: { a: "1" } }, { added: [".map.a"] }],
    [{ set: ["a", "b"] }, { set: ["b", "c"] }, { added: [".set[=\"c\"]"], removed: [".set[=\"a\"]"] }],
    [{ plain: ["a"] }, { plain: ["a", "b"] }, { modified: [".plain"] }],
    [{ list: [{ name: "a", v: 1 }] }, { list: [{ name: "a", v: 2 }] }, { modified: [".list[name=\"a\"].v"] }],
    [{ list: [] }, { list: [{ name: "a" }] }, { added: [".list[name=\"a\"]", ".list[name=\"a\"].name"] }]
  ]
  for (const [before, after, differs] of rows) {
    it(`${JSON.stringify(before)} and ${JSON.stringify(after)} differ by what is ${JSON.stringify(differs)}`, () => {
      const { added, modified, removed } = Typed.compare(before, after, schema)
      const found = Object.entries({ added, modified, removed }).map(([part, set]) =>
        [part, FieldSet.paths(set)] as const
      )
      assert.deepStrictEqual(Object.fromEntries(found.filter(([, paths]) => paths.length > 0)), differs)
    })
  }
})

describe("a value without some fields", () => {
  const set = (...paths: ReadonlyArray<ReadonlyArray<string>>) =>
    paths.map((path) => FieldSet.path(...path)).reduce(FieldSet.union, FieldSet.empty)

  it("has null where nothing is left", () => {
    const value = { map: { a: "1" }, set: ["a", "b"], plain: ["a"] }
    const gone = set(["f:map", "f:a"], ["f:set", "v:\"a\""], ["f:plain"])
    assert.deepStrictEqual(Typed.remove(value, gone, schema), { map: null, set: ["b"] })
  })

  it("has no null when that is not allowed", () => {
    assert.deepStrictEqual(Typed.withoutNulls({ map: null, set: ["b"] }, schema), { set: ["b"] })
  })
})
