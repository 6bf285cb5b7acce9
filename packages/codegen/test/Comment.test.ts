import { comment } from "@effect-k8s/codegen/emit/Comment"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import ts from "typescript"

describe("a documentation comment", () => {
  it("is one line if it can be", () => {
    assert.strictEqual(comment({ doc: { text: "A size." } }), "/** A size. */\n")
    assert.strictEqual(
      comment({ doc: { text: "A size.\n\nIn metres. " }, indent: "  " }),
      [
        "  /**",
        "   * A size.",
        "   *",
        "   * In metres.",
        "   */",
        ""
      ].join("\n")
    )
  })

  it("is absent when there is nothing to say", () => {
    assert.strictEqual(comment({ doc: undefined }), "")
    assert.strictEqual(comment({ doc: { text: " " } }), "")
  })

  it("says what is deprecated, behind the words", () => {
    assert.strictEqual(comment({ doc: undefined, deprecated: true }), "/** @deprecated */\n")
    assert.strictEqual(
      comment({ doc: { text: "Deprecated: use b." }, deprecated: true }),
      "/** @deprecated use b. */\n"
    )
    assert.strictEqual(
      comment({ doc: { text: "Deprecated: use\nb.\n\nIt is a.", default: "\"c\"" } }),
      "/**\n * It is a.\n * @deprecated use b.\n * @default \"c\"\n */\n"
    )
  })

  const part = Arbitrary.schema(
    Schema.Literals(["*", "/", "\\", "*/", "/*", "`", "${", "@", "\n", "\r", "\u2028", "\0", "{", "a"])
  )
  const nasty = Arbitrary.map(Arbitrary.array(part, { maxLength: 12 }), (parts) => parts.join(""))

  it.prop("cannot be left: whatever the text, what follows is what was there", [nasty, nasty], ([text, value]) => {
    const source = `${comment({ doc: { text, default: JSON.stringify(value) } })}export interface A {}\n`
    const file = ts.createSourceFile("a.ts", source, ts.ScriptTarget.Latest) as
      & ts.SourceFile
      & { readonly parseDiagnostics: ReadonlyArray<unknown> }
    assert.deepStrictEqual(file.parseDiagnostics, [])
    assert.deepStrictEqual(file.statements.map((one) => one.getText(file)), ["export interface A {}"])
  })

  it("has no tags that are not ours", () => {
    const source = `${comment({ doc: { text: "a\n@deprecated\n  @see b" } })}export interface A {}\n`
    const file = ts.createSourceFile("a.ts", source, ts.ScriptTarget.Latest, true)
    assert.deepStrictEqual(file.statements.flatMap((one) => ts.getJSDocTags(one)), [])
  })
})
