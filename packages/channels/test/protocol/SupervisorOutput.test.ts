import * as SupervisorOutput from "@effect-k8s/channels/protocol/SupervisorOutput"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"

const nonce = "0123456789abcdef0123456789abcdef"
const encoder = new TextEncoder()
const decoder = new TextDecoder("latin1")

const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))

/** Feeds `bytes` cut at `cuts`, and collects everything. */
const parse = (bytes: Uint8Array, cuts: ReadonlyArray<number>) => {
  const parser = SupervisorOutput.makeParser(nonce)
  const output: Array<Uint8Array> = []
  let trailer: SupervisorOutput.Trailer | undefined
  let processGroup: number | undefined
  const edges = [0, ...[...cuts].sort((a, b) => a - b), bytes.length]
  for (let i = 1; i < edges.length; i++) {
    const parsed = parser.push(bytes.slice(edges[i - 1], edges[i]))
    output.push(...parsed.output.map((chunk) => chunk.slice()))
    trailer ??= parsed.trailer
    processGroup ??= parsed.processGroup
  }
  output.push(...parser.end())
  return { output: concat(output), trailer, processGroup }
}

const session = (body: Uint8Array, end: string): Uint8Array =>
  concat([encoder.encode(`\x1e${nonce}@4711\n`), body, encoder.encode(end)])

const everyCut = (bytes: Uint8Array, check: (cuts: ReadonlyArray<number>) => void): void => {
  for (let cut = 0; cut <= bytes.length; cut++) check([cut])
  check(Array.from(bytes, (_, i) => i))
}

describe("SupervisorOutput", () => {
  it("separates records from output wherever the bytes are cut", () => {
    const body = encoder.encode("some output\n")
    const bytes = session(body, `\x1e${nonce}:7\nafter`)
    everyCut(bytes, (cuts) => {
      const { output, processGroup, trailer } = parse(bytes, cuts)
      assert.deepStrictEqual(output, body)
      assert.strictEqual(processGroup, 4711)
      assert.deepStrictEqual(trailer, { _tag: "Exited", code: 7 })
    })
  })

  it("tells the ways in which a command did not start apart", () => {
    const trailer = (text: string) => parse(encoder.encode(`\x1e${nonce}:${text}\n`), []).trailer
    assert.deepStrictEqual(trailer("n"), { _tag: "NotFound" })
    assert.deepStrictEqual(trailer("x"), { _tag: "NotExecutable" })
    assert.deepStrictEqual(trailer("d"), { _tag: "NoWorkingDirectory" })
    assert.deepStrictEqual(trailer("v"), { _tag: "VariableKept" })
    assert.deepStrictEqual(trailer("255"), { _tag: "Exited", code: 255 })
  })

  it("passes output through unchanged that only looks like a record", () => {
    const other = "f".repeat(32)
    for (
      const text of [
        "\x1e",
        "\x1e\x1e\x1e",
        `\x1e${nonce.slice(0, 20)}`,
        `\x1e${nonce.slice(0, 20)}\x1e${nonce.slice(0, 31)}`,
        `\x1e${other}:0\n`,
        `\x1e${nonce}`,
        `\x1e${nonce}\0sh\0`,
        `\x1e${nonce}:`,
        `\x1e${nonce}:\n`,
        `\x1e${nonce}:1234567890123\n`,
        `\x1e${nonce}:y\n`,
        `\x1e${nonce}@\n`,
        `\x1e${nonce}@x\n`,
        `\x1e${nonce}\x1e${nonce}@`,
        `\x1e${nonce}:7`
      ]
    ) {
      const body = encoder.encode(text)
      everyCut(body, (cuts) => {
        const { output, trailer } = parse(body, cuts)
        assert.strictEqual(decoder.decode(output), text)
        assert.isUndefined(trailer)
      })
      const bytes = session(body, `\x1e${nonce}:0\n`)
      everyCut(bytes, (cuts) => {
        const { output, trailer } = parse(bytes, cuts)
        assert.strictEqual(decoder.decode(output), text)
        assert.deepStrictEqual(trailer, { _tag: "Exited", code: 0 })
      })
    }
  })

  it("holds nothing of a line back that cannot begin a record", () => {
    const parser = SupervisorOutput.makeParser(nonce)
    const line = encoder.encode("a line of tail -f\n")
    assert.deepStrictEqual(concat(parser.push(line).output), line)
    // A marker is held back, and comes with the byte that shows it is none.
    assert.strictEqual(concat(parser.push(encoder.encode("x\x1e")).output).length, 1)
    assert.strictEqual(decoder.decode(concat(parser.push(encoder.encode("y")).output)), "\x1ey")
  })

  it.prop(
    "gives back any output, to the byte, for any cuts",
    [
      Arbitrary.array(Arbitrary.schema(Schema.Literals([0x1e, 0x30, 0x31, 0x3a, 0x40, 0x0a, 0x61]))),
      Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 2, 17, 32, 33, 34, 35, 36, 40, 45])))
    ],
    ([body, cuts]) => {
      const bytes = session(Uint8Array.from(body), `\x1e${nonce}:3\n`)
      const parsed = parse(bytes, cuts.map((cut) => cut % (bytes.length + 1)))
      assert.deepStrictEqual([...parsed.output], body)
      assert.deepStrictEqual(parsed.trailer, { _tag: "Exited", code: 3 })
    },
    { arbitrary: { runs: 500 } }
  )
})
