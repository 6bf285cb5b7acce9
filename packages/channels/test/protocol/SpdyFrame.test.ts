import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import { assert, describe, it } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import { concat, cuts, hex, random, toHex, utf8 } from "./bytes.ts"
import type { Random } from "./bytes.ts"
import { seen } from "./spdy.ts"
import type { Seen } from "./spdy.ts"

const { Type } = SpdyFrame

const decodeAll = (chunks: Iterable<Uint8Array>): ReadonlyArray<Seen> => {
  const decoder = SpdyFrame.makeDecoder()
  const events: Array<SpdyFrame.Event> = []
  for (const chunk of chunks) events.push(...decoder.decode(chunk))
  return seen(events)
}

/** A control frame written by hand. */
const control = (type: number, flags: number, payload: Uint8Array, version = 3): Uint8Array =>
  concat(
    Uint8Array.of(0x80 | (version >> 8), version & 255, type >> 8, type & 255, flags),
    Uint8Array.of(payload.length >> 16, (payload.length >> 8) & 255, payload.length & 255),
    payload
  )

describe("frames", () => {
  it("are written as real peers write them", () => {
    const rows: ReadonlyArray<readonly [Uint8Array, string]> = [
      [
        SpdyFrame.encodeSynStream(1, utf8("block")),
        "80 03 00 01  00 00 00 0f  00 00 00 01  00 00 00 00  00 00 626c6f636b"
      ],
      [SpdyFrame.encodeSynStream(3, utf8(""), { fin: true }), "80030001 0100000a 00000003 00000000 0000"],
      [SpdyFrame.encodeSynReply(1, utf8("b")), "80 03 00 02  00 00 00 05  00 00 00 01 62"],
      [SpdyFrame.encodePing(1), "80 03 00 06  00 00 00 04  00 00 00 01"],
      [SpdyFrame.encodeRstStream(1, SpdyFrame.Reset.Cancel), "80 03 00 03  00 00 00 08  00 00 00 01  00 00 00 05"],
      [SpdyFrame.encodeGoAway(7), "80 03 00 07  00 00 00 08  00 00 00 07  00 00 00 00"],
      [SpdyFrame.encodeWindowUpdate(0, 65_536), "80 03 00 09  00 00 00 08  00 00 00 00  00 01 00 00"],
      [
        SpdyFrame.encodeSettings([[SpdyFrame.initialWindowSetting, 65_536]]),
        "80 03 00 04  00 00 00 0c  00 00 00 01  00 00 00 07  00 01 00 00"
      ],
      [SpdyFrame.encodeData(3, utf8("hi")), "00 00 00 03  00 00 00 02  68 69"],
      [SpdyFrame.encodeData(3, utf8(""), true), "00 00 00 03  01 00 00 00"]
    ]
    for (const [bytes, expected] of rows) assert.strictEqual(toHex(bytes), toHex(hex(expected)))
  })

  it("of a real client and a real server are read, wherever they are cut", () => {
    const client = hex(`
      80 03 00 01  00 00 00 29  00 00 00 01  00 00 00 00  00 00
      78 f9 e3 c6 a7 c2 62 60 60 60 04 a7 b3 92 a2 d4 c4 5c 68 51 c2 9a 0a 0a 68 00 00 00 00 ff ff
      80 03 00 01  00 00 00 17  00 00 00 03  00 00 00 00  00 00  c2 2e 55 5c 92 92 99 07 00 00 00 ff ff
      80 03 00 01  00 00 00 19  00 00 00 05  00 00 00 00  00 00  c2 2a c5 56 5c 92 92 5f 5a 02 00 00 00 ff ff
      00 00 00 03  00 00 00 02  68 69   00 00 00 03  01 00 00 00`)
    const stream = (stream: number, value: string): Seen => ({
      _tag: "SynStream",
      stream,
      fin: false,
      unidirectional: false,
      headers: [["streamtype", value]]
    })
    const server = hex(`
      80 03 00 02  00 00 00 14  00 00 00 01  78 f9 e3 c6 a7 c2 62 60 60 60 00 00 00 00 ff ff
      80 03 00 02  00 00 00 0c  00 00 00 03  02 61 00 00 00 00 ff ff
      80 03 00 06  00 00 00 04  00 00 00 01
      80 03 00 03  00 00 00 08  00 00 00 01  00 00 00 05
      80 03 00 07  00 00 00 08  00 00 00 07  00 00 00 00`)
    for (let i = 0; i < 4; i++) {
      assert.deepStrictEqual(decodeAll(cuts(client, 1)[i]!), [
        stream(1, "error"),
        stream(3, "stdin"),
        stream(5, "stdout"),
        { _tag: "Data", stream: 3, bytes: "6869" },
        { _tag: "Fin", stream: 3 }
      ])
      assert.deepStrictEqual(decodeAll(cuts(server, 1)[i]!), [
        { _tag: "SynReply", stream: 1, fin: false, headers: [] },
        { _tag: "SynReply", stream: 3, fin: false, headers: [] },
        { _tag: "Ping", id: 1 },
        { _tag: "RstStream", stream: 1, status: 5 },
        { _tag: "GoAway", lastStream: 7, status: 0 }
      ])
    }
  })

  it("of any sequence are read as they were written, wherever they are cut", () => {
    for (let seed = 0; seed < 300; seed++) {
      const { bytes, expected } = sequence(random(seed))
      for (const chunks of cuts(bytes, seed)) {
        const decoded = decodeAll(chunks)
        // The assertion is slow, and is there for its words.
        if (!isDeepStrictEqual(decoded, expected)) assert.deepStrictEqual(decoded, expected, `seed ${seed}`)
      }
    }
  }, 180_000)

  it("of data are handed on as views, without waiting for the rest", () => {
    const decoder = SpdyFrame.makeDecoder()
    const first = concat(hex("00000005 000f4240"), utf8("abc"))
    const [event] = decoder.decode(first)
    assert(event?._tag === "Data")
    assert.strictEqual(event.payload.buffer, first.buffer)
    assert.strictEqual(toHex(event.payload), "616263")
    const next = utf8("def")
    const [more] = decoder.decode(next)
    assert(more?._tag === "Data")
    assert.strictEqual(more.payload.buffer, next.buffer)
  })

  it("of a type that is not known are passed over", () => {
    const unknown = [5, 10, 11, 0x7fff].map((type) => control(type, 0xff, new Uint8Array(100_000)))
    const bytes = concat(...unknown, SpdyFrame.encodePing(9))
    for (const chunks of cuts(bytes, 5).filter((_, i) => i !== 1)) {
      assert.deepStrictEqual(decodeAll(chunks), [{ _tag: "Ping", id: 9 }])
    }
  })

  it("that break the protocol are a violation, after the events before it, and the last one", () => {
    const stored = SpdyHeaders.makeWriter()([["n", "v"]])
    const rows: ReadonlyArray<readonly [what: string, bytes: Uint8Array]> = [
      ["another version", control(Type.Ping, 0, new Uint8Array(4), 2)],
      ["HTTP", utf8("HTTP/1.1 400 Bad Request\r\n\r\n").map((byte, i) => (i === 0 ? byte | 0x80 : byte))],
      ["data of stream 0", hex("00000000 00000000")],
      ["a stream 0", SpdyFrame.encodeSynStream(0, stored)],
      ["a ping too short", control(Type.Ping, 0, new Uint8Array(3))],
      ["a ping too long", control(Type.Ping, 0, new Uint8Array(5))],
      ["a reset too short", control(Type.RstStream, 0, new Uint8Array(4))],
      ["a window too long", control(Type.WindowUpdate, 0, new Uint8Array(9))],
      ["a goodbye of version 2", control(Type.GoAway, 0, new Uint8Array(4))],
      ["a stream without room for its number", control(Type.SynStream, 0, new Uint8Array(9))],
      ["a reply without headers", control(Type.SynReply, 0, new Uint8Array(4))],
      ["no settings at all", control(Type.Settings, 0, new Uint8Array(0))],
      ["settings that are not as many as they say", control(Type.Settings, 0, hex("00000002 00000007 00010000"))],
      ["too many settings", control(Type.Settings, 0, concat(hex("00000021"), new Uint8Array(33 * 8)))],
      ["headers that are too long", control(Type.SynStream, 0, new Uint8Array(100_000))],
      ["headers that are not compressed", control(Type.SynStream, 0, concat(new Uint8Array(10), utf8("plain text")))],
      ["headers that end early", control(Type.SynReply, 0, concat(hex("00000001"), stored.subarray(0, 20)))]
    ]
    for (const [what, bytes] of rows) {
      for (const chunks of cuts(concat(SpdyFrame.encodePing(1), bytes, SpdyFrame.encodePing(3)), 1)) {
        const events = decodeAll(chunks)
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Ping", "Violation"], what)
      }
    }
  })
})

/** A number of frames, and what they mean. Pieces of data of one stream that follow each other are one. */
function sequence(draw: Random): { readonly bytes: Uint8Array; readonly expected: ReadonlyArray<Seen> } {
  const write = SpdyHeaders.makeWriter()
  const parts: Array<Uint8Array> = []
  const expected: Array<Seen> = []
  const count = 1 + draw.below(20)
  for (let i = 0; i < count; i++) {
    const stream = 1 + draw.below(0x7fff_fffe)
    const word = draw.uint32()
    const headers = Array.from({ length: draw.below(4) }, (_, n) => [`n${n}`, `v${draw.below(1000)}`] as const)
    switch (draw.below(8)) {
      case 0: {
        const fin = draw.below(2) === 0
        parts.push(SpdyFrame.encodeSynStream(stream, write(headers), { fin }))
        expected.push({ _tag: "SynStream", stream, fin, unidirectional: false, headers })
        break
      }
      case 1:
        parts.push(SpdyFrame.encodeSynReply(stream, write(headers)))
        expected.push({ _tag: "SynReply", stream, fin: false, headers })
        break
      case 2:
        parts.push(SpdyFrame.encodeRstStream(stream, word))
        expected.push({ _tag: "RstStream", stream, status: word })
        break
      case 3:
        parts.push(SpdyFrame.encodePing(word))
        expected.push({ _tag: "Ping", id: word })
        break
      case 4:
        parts.push(SpdyFrame.encodeGoAway(stream, word))
        expected.push({ _tag: "GoAway", lastStream: stream, status: word })
        break
      case 5:
        parts.push(SpdyFrame.encodeWindowUpdate(stream, word >>> 1))
        expected.push({ _tag: "WindowUpdate", stream, delta: word >>> 1 })
        break
      case 6: {
        const settings = Array.from({ length: draw.below(5) }, (_, n) => [n, draw.uint32()] as const)
        parts.push(SpdyFrame.encodeSettings(settings))
        expected.push({ _tag: "Settings", settings })
        break
      }
      default: {
        const payload = draw.bytes(draw.below(draw.below(2) === 0 ? 20 : 70_000))
        const fin = draw.below(3) === 0
        parts.push(SpdyFrame.encodeData(stream, payload, fin))
        if (payload.length > 0) expected.push({ _tag: "Data", stream, bytes: toHex(payload) })
        if (fin) expected.push({ _tag: "Fin", stream })
      }
    }
  }
  return { bytes: concat(...parts), expected }
}
