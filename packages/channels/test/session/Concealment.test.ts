import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as JsonObject from "@effect-k8s/channels/protocol/JsonObject"
import * as Concealment from "@effect-k8s/channels/session/Concealment"
import { assert, describe, it } from "@effect/vitest"

describe("a secret is hidden", () => {
  const secret = "a \"b\" <c>&\\ é/+*'~\n\ud800"
  const { text } = Concealment.make(["other", secret])
  const forms: ReadonlyArray<readonly [string, string]> = [
    ["as it is", secret],
    ["in JSON", JSON.stringify(secret).slice(1, -1)],
    ["in JSON of Go", JsonObject.stringify({ a: secret }).slice(6, -2)],
    ["in JSON within JSON", JSON.stringify(JSON.stringify(secret)).slice(3, -3)],
    ["in an address", encodeURIComponent(secret.toWellFormed())],
    ["in a form", new URLSearchParams({ a: secret }).toString().slice(2)]
  ]
  for (const [where, form] of forms) {
    it(where, () => {
      assert.strictEqual(text(`before ${form}${form} after`), "before <redacted><redacted> after")
    })
  }

  it("also when another is a part of it", () => {
    const both = Concealment.make(["abc", "abcdef", ""])
    assert.strictEqual(both.text("abcdef abc"), "<redacted> <redacted>")
  })
})

describe("a part of a secret is hidden", () => {
  const { cut, outcome, text } = Concealment.make(["other", "secret \"ü\""])

  it("at the end of a text that was cut, in whatever form", () => {
    for (
      const part of [
        "s",
        "secret",
        "secret \"",
        "secret \"ü",
        "secret \"\ufffd",
        "secret \\",
        "secret \\\"ü",
        "secret%20%2"
      ]
    ) {
      assert.strictEqual(cut(`before ${part}`), "before <redacted>", part)
    }
    assert.strictEqual(cut("secret \"ü\" before secret \"ü\""), "<redacted> before <redacted>")
    assert.strictEqual(cut("nothing of it"), "nothing of it")
  })

  it("not in a text that is whole", () => {
    assert.strictEqual(text("before s"), "before s")
  })

  it("in a Status that cannot be read, which may have broken off", () => {
    const unreadable = ExitStatus.parse("{\"message\":\"login secret")
    const hidden = outcome(unreadable)
    assert(hidden._tag === "Unreadable")
    assert.strictEqual(hidden.text, "{\"message\":\"login <redacted>")
  })
})

describe("what programs read stays as it is", () => {
  const failed = {
    kind: "Status",
    status: "Failure",
    reason: "Failure of 1",
    message: "Failure of 1",
    details: { causes: [{ reason: "ExitCode", message: "1" }, { message: "Failure" }] },
    code: 1
  }
  const { body, outcome } = Concealment.make(["Failure", "1", "status", "{"])

  it("in a Status of a refusal", () => {
    assert.deepStrictEqual(JSON.parse(body(JSON.stringify(failed))), {
      ...failed,
      message: "<redacted> of <redacted>",
      details: { causes: [{ reason: "ExitCode", message: "1" }, { message: "<redacted>" }] }
    })
    assert.strictEqual(body("Failure {"), "<redacted> <redacted>")
  })

  it("in an outcome", () => {
    const exited = ExitStatus.parse(JSON.stringify({ ...failed, reason: "NonZeroExitCode" }))
    const hidden = outcome(exited)
    assert(hidden._tag === "Exited")
    assert.strictEqual(hidden.code, 1)
    assert.strictEqual(hidden.status["message"], "<redacted> of <redacted>")
    assert.deepStrictEqual(outcome({ _tag: "Missing" }), { _tag: "Missing" })
  })

  it("without a secret", () => {
    const plain = Concealment.make([""])
    assert.strictEqual(plain.body("{ \"a\": 1 }"), "{ \"a\": 1 }")
  })
})
