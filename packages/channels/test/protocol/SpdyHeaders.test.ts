import * as SpdyDictionary from "@effect-k8s/channels/protocol/SpdyDictionary"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import { assert, describe, it } from "@effect/vitest"
import * as Zlib from "node:zlib"
import { concat, cuts, hex, random, text, toHex, utf8 } from "./bytes.ts"

const { maxBlockBytes, maxHeaders, maxNameBytes, maxValueBytes } = SpdyHeaders

const uint32 = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255)
const field = (value: string): Uint8Array => concat(uint32(utf8(value).length), utf8(value))
const plain = (headers: ReadonlyArray<readonly [string, string]>, count = headers.length): Uint8Array =>
  concat(uint32(count), ...headers.flatMap(([name, value]) => [field(name), field(value)]))

/** A compressor as peers have it: one stream of zlib, flushed behind each block. */
const zlibWriter = (level: number) => {
  const deflate = Zlib.createDeflate({ level, dictionary: SpdyDictionary.dictionary() })
  const parts: Array<Uint8Array> = []
  deflate.on("data", (part: Uint8Array) => parts.push(part))
  return (block: Uint8Array): Promise<Uint8Array> => {
    deflate.write(block)
    return new Promise((resolve) =>
      deflate.flush(Zlib.constants.Z_SYNC_FLUSH, () => {
        // What was written comes as data before the flush is done.
        resolve(concat(...parts.splice(0)))
      })
    )
  }
}

/** What a reader makes of one block, in these pieces. */
const read = (reader: SpdyHeaders.Reader, pieces: ReadonlyArray<Uint8Array>): SpdyHeaders.Headers | number => {
  for (const piece of pieces) {
    const broken = reader.push(piece)
    if (broken !== undefined) return broken.error.closeCode
  }
  const headers = reader.end()
  return "_tag" in headers ? headers.error.closeCode : headers
}

describe("header blocks", () => {
  it("are written as stored blocks of one zlib stream that names its dictionary first", () => {
    const write = SpdyHeaders.makeWriter()
    assert.strictEqual(
      toHex(write([["streamtype", "error"]])),
      toHex(hex(
        "78 20 e3 c6 a7 c2  00 1b 00 e4 ff  00000001 0000000a 73747265616d74797065 00000005 6572726f72  00 00 00 ff ff"
      ))
    )
    assert.strictEqual(
      toHex(write([["StreamType", "stdin"]])),
      toHex(hex("00 1b 00 e4 ff  00000001 0000000a 73747265616d74797065 00000005 737464696e  00 00 00 ff ff"))
    )
  })

  it("that are written are read by zlib, each as soon as it is here", async () => {
    const inflate = Zlib.createInflate({ dictionary: SpdyDictionary.dictionary() })
    const parts: Array<Uint8Array> = []
    inflate.on("data", (part: Uint8Array) => parts.push(part))
    const write = SpdyHeaders.makeWriter()
    const blocks: ReadonlyArray<ReadonlyArray<readonly [string, string]>> = [
      [["streamtype", "error"]],
      [],
      [["streamtype", "data"], ["port", "8080"], ["requestid", "0"]],
      [["long", "x".repeat(200_000)]],
      [["streamtype", "stdin"]]
    ]
    for (const block of blocks) {
      await new Promise<void>((resolve) => inflate.write(write(block), () => resolve()))
      assert.strictEqual(toHex(concat(...parts.splice(0))), toHex(plain(block)))
    }
  })

  it("of any compressor are read, wherever they are cut", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const draw = random(seed)
      const compress = zlibWriter(draw.below(10))
      const reader = SpdyHeaders.makeReader()
      const bytewise = SpdyHeaders.makeReader()
      for (let n = 0; n < 8; n++) {
        const headers = Array.from(
          { length: draw.below(6) },
          (_, i) => [`h${i}-${"n".repeat(draw.below(9))}`, "é\0v ".repeat(draw.below(60))] as const
        )
        const block = await compress(plain(headers))
        assert.deepStrictEqual(read(reader, cuts(block, seed)[2]!), headers, `seed ${seed}`)
        assert.deepStrictEqual(read(bytewise, cuts(block, seed)[1]!), headers, `seed ${seed}`)
      }
    }
  })

  it("that break a limit or a rule are refused", async () => {
    const name = "n".repeat(maxNameBytes)
    const value = "v".repeat(maxValueBytes)
    const many = (count: number) => Array.from({ length: count }, (_, i) => [`n${i}`, ""] as const)
    const rows: ReadonlyArray<readonly [what: string, block: Uint8Array, expected: number | "headers"]> = [
      ["as many headers as may be", plain(many(maxHeaders)), "headers"],
      ["one header more", plain(many(maxHeaders + 1)), 1009],
      ["a count beyond all", plain([], 0xffff_ffff), 1009],
      ["the longest name and value", plain([[name, value]]), "headers"],
      ["a longer name", plain([[`${name}n`, ""]]), 1009],
      ["a longer value", plain([["n", `${value}v`]]), 1009],
      ["a length beyond all", concat(uint32(1), uint32(0xffff_fff0)), 1009],
      ["a block too long", plain(Array.from({ length: 5 }, (_, i) => [`n${i}`, value] as const)), 1009],
      ["no name", plain([["", "v"]]), 1002],
      ["a capital", plain([["streamType", "v"]]), 1002],
      ["a name twice", plain([["n", "v"], ["n", "w"]]), 1002],
      ["nothing", new Uint8Array(0), 1002],
      ["fewer headers than it says", plain([["n", "v"]], 2), 1002],
      ["more headers than it says", plain([["n", "v"], ["m", "v"]], 1), 1002],
      ["half a value", plain([["n", "value"]]).subarray(0, 12), 1002]
    ]
    for (const [what, block, expected] of rows) {
      const result = read(SpdyHeaders.makeReader(), [await zlibWriter(9)(block)])
      assert.strictEqual(typeof result === "number" ? result : "headers", expected, what)
    }
  })

  it("that inflate to more than a block may are refused while they arrive", () => {
    const bomb = Zlib.deflateSync(new Uint8Array(1 << 24), { level: 9, dictionary: SpdyDictionary.dictionary() })
    const reader = SpdyHeaders.makeReader()
    const broken = reader.push(bomb)
    assert.strictEqual(broken?.error.closeCode, 1009)
    assert.include(broken?.error.message, String(maxBlockBytes))
  })

  it("are looked up by name", () => {
    assert.strictEqual(SpdyHeaders.get([["port", "80"], ["streamtype", "data"]], "streamtype"), "data")
    assert.isUndefined(SpdyHeaders.get([], "streamtype"))
    assert.strictEqual(text(utf8("é")), "é")
  })
})
