import * as Conformance from "@effect-k8s/testing/conformance/Row"
import * as Contract from "@effect-k8s/testing/contract/Row"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

const alike: ReadonlyArray<readonly [name: string, a: unknown, b: unknown]> = [
  ["NaN", Number.NaN, Number.NaN],
  ["undefined", undefined, undefined],
  ["arrays", [1, [undefined, "a"]], [1, [undefined, "a"]]],
  ["objects, whatever the order of their keys", { a: 1, b: { c: null } }, { b: { c: null }, a: 1 }],
  ["bytes", Uint8Array.of(1, 2), Uint8Array.of(1, 2)],
  ["sets", new Set(["a"]), new Set(["a"])]
]

const different: ReadonlyArray<readonly [name: string, a: unknown, b: unknown]> = [
  ["undefined and null in an array", [undefined], [null]],
  ["NaN and null", Number.NaN, null],
  ["NaN and null in an object", { a: Number.NaN }, { a: null }],
  ["a key that is undefined and none", { a: undefined }, {}],
  ["infinity and null", [Infinity], [null]],
  ["bytes and numbers", Uint8Array.of(1), [1]],
  ["sets", new Set(["a"]), new Set(["b"])],
  ["a number and its text", 1, "1"]
]

for (const [name, same] of [["conformance", Conformance.same], ["contract", Contract.same]] as const) {
  describe(`the comparison of ${name} rows`, () => {
    for (const [what, a, b] of alike) {
      it.effect(`takes for the same: ${what}`, () => same<unknown>(a, b, "value"))
    }
    for (const [what, a, b] of different) {
      it.effect(`tells apart: ${what}`, () =>
        Effect.gen(function*() {
          yield* Effect.flip(same<unknown>(a, b, "value"))
          yield* Effect.flip(same<unknown>(b, a, "value"))
        }))
    }

    it.effect("shows what differs as it is", () =>
      Effect.gen(function*() {
        const { message } = yield* Effect.flip(same<unknown>([undefined, Number.NaN], [null, 0], "value"))
        assert.strictEqual(message, "value: expected [null,0], got [undefined,NaN]")
      }))
  })
}
