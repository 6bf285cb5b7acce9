import * as Doc from "@effect-k8s/codegen/normalise/Doc"
import { assert, describe, it } from "@effect/vitest"

describe("the words of a schema", () => {
  it("have no default that only repeats a zero value of Go", () => {
    for (const value of ["", 0, false, null, {}, []]) assert.isUndefined(Doc.fromSchema({ default: value }))
    for (const [value, text] of [["TCP", "\"TCP\""], [86400, "86400"], [true, "true"]] as const) {
      assert.deepStrictEqual(Doc.fromSchema({ default: value }), { text: "", default: text })
    }
  })

  it("say of a union which fields exclude each other", () => {
    const union = { "fields-to-discriminateBy": { rollingUpdate: "RollingUpdate", recreate: "Recreate" } }
    const words = (unions: ReadonlyArray<unknown>) =>
      Doc.fromSchema({ description: "How.", "x-kubernetes-unions": unions })?.text
    assert.strictEqual(words([union]), "How.\n\nAt most one of: `rollingUpdate`, `recreate`.")
    assert.strictEqual(
      words([{ ...union, discriminator: "type" }]),
      "How.\n\nAt most one of: `rollingUpdate`, `recreate`; `type` tells which."
    )
    for (const other of [[], ["text"], [{}]]) assert.strictEqual(words(other), "How.")
  })

  it("say which fields an alternative of validations asks for", () => {
    const a = { required: ["a"] }
    assert.strictEqual(
      Doc.fromSchema({ oneOf: [a, { required: ["b", "c"] }] })?.text,
      "Exactly one of: `a`, `b` and `c`."
    )
    assert.strictEqual(Doc.fromSchema({ anyOf: [a, { required: ["b"] }] })?.text, "At least one of: `a`, `b`.")
    assert.isUndefined(Doc.fromSchema({ oneOf: [a, { not: a }] }))
  })

  it("are a notice of deprecation when they begin so", () => {
    assert.isTrue(Doc.isDeprecation("Deprecated: use b"))
    assert.isTrue(Doc.isDeprecation("Deprecated. Not used."))
    assert.isFalse(Doc.isDeprecation("This is not deprecated"))
    assert.isFalse(Doc.isDeprecation("DeprecatedServiceAccount is an alias"))
  })
})
