import * as Inflate from "@effect-k8s/channels/protocol/Inflate"
import { dictionary, dictionaryId } from "@effect-k8s/channels/protocol/SpdyDictionary"
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import * as Zlib from "node:zlib"
import { concat, cuts, hex, random, toHex, utf8 } from "./bytes.ts"
import type { Random } from "./bytes.ts"

const spdy: Inflate.Dictionary = { id: dictionaryId, bytes: dictionary() }
const unlimited = 1 << 24

/** All that these chunks inflate to, or the close code of what is wrong with them. */
const inflate = (
  chunks: ReadonlyArray<Uint8Array>,
  limit = unlimited,
  preset: Inflate.Dictionary | "none" = spdy
) => {
  const inflater = Inflate.make(preset === "none" ? undefined : preset)
  const parts: Array<Uint8Array> = []
  for (const chunk of chunks) {
    const part = inflater.push(chunk, limit)
    if (!(part instanceof Uint8Array)) return part.error.closeCode
    parts.push(part)
  }
  return { text: toHex(concat(...parts)), ended: inflater.ended() }
}

/** Data of the kinds that make compressors choose different blocks. */
const draws: ReadonlyArray<(draw: Random) => Uint8Array> = [
  (draw) => draw.bytes(draw.below(3000)),
  (draw) => new Uint8Array(draw.below(5000)).fill(draw.below(256)),
  (draw) => utf8("streamtype: stdout\n".repeat(draw.below(300))),
  (draw) => Uint8Array.from({ length: draw.below(4000) }, () => draw.below(6) * draw.below(6)),
  (draw) => concat(draw.bytes(33_000), utf8("far back"), draw.bytes(40_000).fill(1, 5), utf8("far back"))
]

describe("the dictionary", () => {
  it("is the one of SPDY/3", () => {
    assert.strictEqual(dictionary().length, 1423)
    assert.strictEqual(
      createHash("sha256").update(dictionary()).digest("hex"),
      "51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02"
    )
  })
})

describe("an inflater", () => {
  it("reads what zlib writes, at every level and strategy, with and without a dictionary, wherever it is cut", () => {
    for (let seed = 0; seed < 300; seed++) {
      const draw = random(seed)
      const data = draws[seed % draws.length]!(draw)
      const level = draw.below(10)
      const strategy = draw.below(5)
      const withDictionary = draw.below(2) === 0
      const zipped = Zlib.deflateSync(data, {
        level,
        strategy,
        windowBits: 9 + draw.below(7),
        ...(withDictionary ? { dictionary: dictionary() } : {})
      })
      for (const chunks of cuts(zipped, seed)) {
        assert.deepStrictEqual(
          inflate(chunks, unlimited, withDictionary ? spdy : "none"),
          { text: toHex(data), ended: true },
          `seed ${seed}, level ${level}, strategy ${strategy}`
        )
      }
    }
  }, 180_000)

  it("gives all that a sync flush has flushed, at once", () => {
    // As kubectl 1.32 (Go's zlib) sends the first three streams.
    const inflater = Inflate.make(spdy)
    const texts = [
      "78 f9 e3 c6 a7 c2 62 60 60 60 04 a7 b3 92 a2 d4 c4 5c 68 51 c2 9a 0a 0a 68 00 00 00 00 ff ff",
      "c2 2e 55 5c 92 92 99 07 00 00 00 ff ff",
      "c2 2a c5 56 5c 92 92 5f 5a 02 00 00 00 ff ff"
    ].map((text) => {
      const plain = inflater.push(hex(text), unlimited)
      assert(plain instanceof Uint8Array)
      return Buffer.from(plain).toString("latin1")
    })
    const block = (value: string) => `\0\0\0\x01\0\0\0\x0astreamtype\0\0\0${String.fromCharCode(value.length)}${value}`
    assert.deepStrictEqual(texts, [block("error"), block("stdin"), block("stdout")])
  })

  it("holds the window of 32 KiB over any number of pushes", () => {
    const draw = random(7)
    const data = draw.bytes(32_000)
    const zipped = Zlib.deflateSync(concat(data, ...Array.from({ length: 20 }, () => data)), { level: 9 })
    assert.isBelow(zipped.length, 40_000)
    const expected = toHex(concat(data, ...Array.from({ length: 20 }, () => data)))
    for (const chunks of cuts(zipped, 3)) {
      assert.deepStrictEqual(inflate(chunks, unlimited, "none"), { text: expected, ended: true })
    }
  })

  it("stops at the limit: what inflates to much more is refused, and takes no memory", () => {
    const bomb = Zlib.deflateSync(new Uint8Array(64 << 20), { level: 9, dictionary: dictionary() })
    for (const limit of [0, 1, 100, 16_384]) assert.strictEqual(inflate([bomb], limit), 1009)
    assert.deepStrictEqual(inflate([Zlib.deflateSync("abc", { dictionary: dictionary() })], 3), {
      text: "616263",
      ended: true
    })
    assert.strictEqual(inflate([Zlib.deflateSync("abcd", { dictionary: dictionary() })], 3), 1009)
    assert.strictEqual(inflate([Zlib.deflateSync("abcd", { level: 0, dictionary: dictionary() })], 3), 1009)
  })

  it("ignores what comes behind the end of the stream", () => {
    const zipped = concat(Zlib.deflateSync("abc"), utf8("more"))
    for (const chunks of cuts(zipped, 1)) {
      assert.deepStrictEqual(inflate(chunks, unlimited, "none"), { text: "616263", ended: true })
    }
  })

  it("refuses what zlib refuses, and nothing else; a stream that breaks off just has not ended", () => {
    let refused = 0
    for (let seed = 0; seed < 20_000; seed++) {
      const draw = random(seed)
      const data = draws[draw.below(4)]!(draw).subarray(0, 200)
      const zipped = Uint8Array.from(Zlib.deflateSync(data, { level: draw.below(10), strategy: draw.below(5) }))
      const damages = draw.below(3)
      for (let i = 0; i < damages; i++) zipped[draw.below(zipped.length)]! ^= 1 << draw.below(8)
      const ours = inflate([zipped], unlimited, "none")
      let theirs: string | undefined
      try {
        theirs = Zlib.inflateSync(zipped).toString("hex")
      } catch (cause) {
        assert.instanceOf(cause, Error)
      }
      const name = `seed ${seed}`
      if (typeof ours === "number") {
        refused++
        assert.isUndefined(theirs, name)
      } else if (ours.ended) assert.strictEqual(ours.text, theirs, name)
      else assert.isUndefined(theirs, name)
    }
    assert.isAbove(refused, 2000)
  }, 180_000)

  it("says that it was damaged ever after", () => {
    const inflater = Inflate.make(spdy)
    assert.isFalse(inflater.push(hex("ffff"), unlimited) instanceof Uint8Array)
    assert.isFalse(inflater.push(Zlib.deflateSync("abc"), unlimited) instanceof Uint8Array)
  })

  it("refuses a dictionary that it has not", () => {
    // "abc" with the dictionary "another", and with that of SPDY; as bytes, because zlib of Deno 2.9 passes over one.
    assert.strictEqual(inflate([hex("78bb0bb102f24b4c4a0600024d0127")]), 1002)
    assert.strictEqual(inflate([hex("78bbe3c6a7c24b4c4a0600024d0127")], unlimited, "none"), 1002)
  })
})
