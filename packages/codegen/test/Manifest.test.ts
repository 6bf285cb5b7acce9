import * as Manifest from "@effect-k8s/codegen/load/Manifest"
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"

const parse = (text: string) => Result.getOrThrow(Manifest.parse(text))
const problem = (text: string) => Result.getOrThrow(Result.flip(Manifest.parse(text)))

describe("the documents of a file", () => {
  it("are separated by markers, and empty ones do not count", () => {
    const text = "# first\n---\n\n---\r\nkind: A\n...\n--- # second\nkind: B\n---\n# nothing\n"
    assert.deepStrictEqual(parse(text), [
      { number: 1, json: { kind: "A" } },
      { number: 2, json: { kind: "B" } }
    ])
    assert.deepStrictEqual(parse(""), [])
  })

  it("may begin behind a marker, and may hold markers in their texts", () => {
    assert.deepStrictEqual(parse("--- {kind: A}\n---\ntext: |\n  ---\n  b\n"), [
      { number: 1, json: { kind: "A" } },
      { number: 2, json: { text: "---\nb\n" } }
    ])
  })

  it("are the items of a list", () => {
    assert.deepStrictEqual(parse(`{"kind":"List","items":[{"kind":"A"},{"kind":"B"}]}`), [
      { number: 1, path: "items[0]", json: { kind: "A" } },
      { number: 1, path: "items[1]", json: { kind: "B" } }
    ])
  })

  it("are YAML 1.2: an equals sign is a text, and so is yes", () => {
    assert.deepStrictEqual(parse("enum:\n- \"!=\"\n- =\n- yes\n- true"), [{
      number: 1,
      json: { enum: ["!=", "=", "yes", true] }
    }])
  })

  it("may have any names of members", () => {
    const [first] = parse("__proto__: {a: 1}\nconstructor: 2")
    assert.deepStrictEqual(Object.keys(first?.json ?? {}), ["__proto__", "constructor"])
    assert.deepStrictEqual(Object.keys(parse(`{"__proto__":{"a":1}}`)[0]?.json ?? {}), ["__proto__"])
  })

  it("that cannot be read are named by number and line", () => {
    assert.deepStrictEqual(problem("kind: A\n---\nkind: B\n---\na:\n  b: 1\n c: 2\n").number, 3)
    assert.match(problem("kind: A\n---\nkind: B\nkind: C\n").problem, /^is not YAML \(Duplicate key 'kind', line 4 of/)
    assert.match(problem("{\"a\": ]").problem, /^is neither YAML nor JSON \(/)
    assert.deepStrictEqual(problem("kind: A\n---\njust text"), { number: 2, problem: "is not an object" })
    assert.strictEqual(problem("a: {{ .Values.a }}\n b").problem, "is a template of Helm; render it first")
  })
})
