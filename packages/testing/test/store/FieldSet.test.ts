import * as FieldSet from "@effect-k8s/testing/store/FieldSet"
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"

const element = Schema.Literals([
  "f:a",
  "f:b",
  "f:.",
  "k:{\"name\":\"x\"}",
  "k:{\"port\":80,\"protocol\":\"TCP\"}",
  "v:\"x\"",
  "v:1",
  "i:0"
])
const sets = Schema.Array(Schema.Array(element).check(Schema.isMinLength(1), Schema.isMaxLength(3))).check(
  Schema.isMaxLength(6)
)
const make = (paths: ReadonlyArray<ReadonlyArray<string>>): FieldSet.FieldSet =>
  paths.map((path) => FieldSet.path(...path)).reduce(FieldSet.union, FieldSet.empty)

const same = (actual: FieldSet.FieldSet, expected: FieldSet.FieldSet): void => {
  assert.isTrue(FieldSet.equals(actual, expected))
  assert.deepStrictEqual(FieldSet.toJson(actual), FieldSet.toJson(expected))
}

describe("a set of fields", () => {
  it.prop("is what it is printed as", [sets], ([paths]) => {
    const set = make(paths)
    const parsed = FieldSet.fromJson(JSON.parse(JSON.stringify(FieldSet.toJson(set))))
    assert.isDefined(parsed)
    if (parsed !== undefined) same(parsed, set)
  })

  it.prop("has the members of both in a union, and of each but the other in a difference", [sets, sets], ([a, b]) => {
    const [left, right] = [make(a), make(b)]
    const both = FieldSet.union(left, right)
    same(both, make([...a, ...b]))
    const common = FieldSet.intersection(left, right)
    same(FieldSet.union(FieldSet.difference(left, right), common), left)
    same(FieldSet.difference(both, left), FieldSet.difference(right, left))
    assert.isTrue(FieldSet.isEmpty(FieldSet.intersection(FieldSet.difference(left, right), right)))
    assert.strictEqual(
      FieldSet.paths(both).length,
      FieldSet.paths(left).length + FieldSet.paths(right).length - FieldSet.paths(common).length
    )
  })

  const json = {
    "f:spec": {
      "f:containers": { "k:{\"name\":\"a\"}": { ".": {}, "f:image": {} } },
      "f:replicas": {},
      "f:set": { "v:\"x\"": {} }
    }
  }

  it("is shown as messages show it", () => {
    assert.deepStrictEqual(FieldSet.paths(FieldSet.fromJson(json) ?? FieldSet.empty), [
      ".spec.replicas",
      ".spec.containers[name=\"a\"]",
      ".spec.containers[name=\"a\"].image",
      ".spec.set[=\"x\"]"
    ])
  })

  it("takes keys in any order, and with blanks", () => {
    const set = FieldSet.fromJson({ "k:{\"protocol\": \"TCP\", \"port\": 80}": {} }) ?? FieldSet.empty
    assert.deepStrictEqual(FieldSet.toJson(set), { "k:{\"port\":80,\"protocol\":\"TCP\"}": {} })
  })

  it("loses what is below a field, too, without that field", () => {
    const set = FieldSet.fromJson(json) ?? FieldSet.empty
    assert.isTrue(FieldSet.isEmpty(FieldSet.without(set, FieldSet.path("f:spec"))))
    assert.deepStrictEqual(FieldSet.paths(FieldSet.without(set, FieldSet.path("f:spec", "f:containers"))), [
      ".spec.replicas",
      ".spec.set[=\"x\"]"
    ])
  })

  for (const wrong of [null, 1, "x", [], { "x:a": {} }, { "f:a": 1 }, { "k:[1]": {} }, { "k:{": {} }, { "i:x": {} }]) {
    it(`is not ${JSON.stringify(wrong)}`, () => {
      assert.isUndefined(FieldSet.fromJson(wrong))
    })
  }
})
