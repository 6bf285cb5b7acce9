import * as Selector from "@effect-k8s/testing/store/Selector"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"

const object = (labels: Record<string, string>, more: object = {}) => ({
  metadata: { name: "a", namespace: "n", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z", labels },
  ...more
})

describe("a label selector", () => {
  const labels = { app: "web", tier: "front", empty: "" }
  const rows: ReadonlyArray<readonly [string, boolean]> = [
    ["", true],
    ["app=web", true],
    ["app==web", true],
    ["app = web , tier != back", true],
    ["app=db", false],
    ["missing=x", false],
    ["empty=", true],
    ["app!=web", false],
    ["missing!=x", true],
    ["app in (web, db)", true],
    ["app in (db)", false],
    ["missing in (x)", false],
    ["app notin (db)", true],
    ["app notin (web,db)", false],
    ["missing notin (x)", true],
    ["app", true],
    ["missing", false],
    ["!missing", true],
    ["!app", false],
    ["app=web,!missing,tier in (front,back)", true],
    ["app=web,missing", false]
  ]
  for (const [selector, expected] of rows) {
    it(`"${selector}" ${expected ? "selects" : "leaves out"} it`, () => {
      const predicate = Result.getOrThrow(Selector.labels(selector))
      assert.strictEqual(predicate(object(labels)), expected)
    })
  }

  // The texts of a real server (1.34).
  const refusals: ReadonlyArray<readonly [string, string]> = [
    ["a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ["x in (a", "unable to parse requirement: found '', expected: ',' or ')'"]
  ]
  for (const [selector, message] of refusals) {
    it(`"${selector}" is refused`, () => {
      const failure = Result.getOrThrow(Result.flip(Selector.labels(selector)))
      assert.strictEqual(failure.message, message)
      assert.strictEqual(failure.status.code, 400)
    })
  }
})

describe("a field selector", () => {
  const pod = object({}, { spec: { nodeName: "n1" }, status: { phase: "Running" } })
  const selectable = { "spec.nodeName": "", "status.phase": "", "spec.hostNetwork": "false" }
  const rows: ReadonlyArray<readonly [string, boolean]> = [
    ["metadata.name=a", true],
    ["metadata.name==b", false],
    ["metadata.namespace=n,status.phase=Running", true],
    ["status.phase!=Running", false],
    ["spec.hostNetwork=false", true],
    ["metadata.name=a\\,b", false]
  ]
  for (const [selector, expected] of rows) {
    it(`"${selector}" ${expected ? "selects" : "leaves out"} it`, () => {
      const predicate = Result.getOrThrow(Selector.fields(selector, selectable))
      assert.strictEqual(predicate(pod), expected)
    })
  }

  it("that names an unknown field is refused, in one wording for kinds with fields of their own and another without", () => {
    const message = (fields: Selector.SelectableFields | undefined) =>
      Result.getOrThrow(Result.flip(Selector.fields("data.k=v", fields))).message
    assert.strictEqual(message(selectable), "field label not supported: data.k")
    assert.strictEqual(
      message(undefined),
      "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    )
  })

  it("without an operator is refused", () => {
    const failure = Result.getOrThrow(Result.flip(Selector.fields("foo", undefined)))
    assert.strictEqual(failure.message, "invalid selector: 'foo'; can't understand 'foo'")
  })
})

describe("the selector of a workload", () => {
  const rows: ReadonlyArray<readonly [Parameters<typeof Selector.fromObject>[0], boolean]> = [
    [{}, true],
    [{ matchLabels: { app: "web" } }, true],
    [{ matchLabels: { app: "db" } }, false],
    [{ matchExpressions: [{ key: "app", operator: "In", values: ["web"] }] }, true],
    [{ matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] }, false],
    [{ matchExpressions: [{ key: "zone", operator: "NotIn", values: ["a"] }] }, true],
    [{ matchExpressions: [{ key: "app", operator: "Exists" }] }, true],
    [{ matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, false]
  ]
  for (const [selector, expected] of rows) {
    it(`${JSON.stringify(selector)} ${expected ? "selects" : "leaves out"} app=web`, () => {
      assert.strictEqual(Selector.fromObject(selector)({ app: "web" }), expected)
    })
  }
})
