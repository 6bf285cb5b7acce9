import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { concat, cut, cuts, hex, placed, random, text, toHex, utf8 } from "./bytes.ts"
import { decodeAll } from "./frames.ts"
import type { Seen } from "./frames.ts"

const { Opcode } = WebSocketFrame
const client = { role: "client" } as const
const server = { role: "server" } as const

const frame = (first: boolean, last: boolean, bytes: Uint8Array, isText = false): Seen => ({
  _tag: "Frame",
  text: isText,
  first,
  last,
  bytes: toHex(bytes)
})
const ping = (bytes: Uint8Array): Seen => ({ _tag: "Ping", bytes: toHex(bytes) })
const pong = (bytes: Uint8Array): Seen => ({ _tag: "Pong", bytes: toHex(bytes) })
const violation = (closeCode: number): Seen => ({ _tag: "Violation", closeCode })
const close = (code: number | undefined, reason = ""): Seen => ({ _tag: "Close", code, reason })

describe("RFC 6455 5.7, examples", () => {
  const hello = utf8("Hello")
  const kilobytes = random(1).bytes(65_536)
  const rows: ReadonlyArray<readonly [string, WebSocketFrame.Role, Uint8Array, ReadonlyArray<Seen>]> = [
    ["unmasked text", "client", hex("81 05 48 65 6c 6c 6f"), [frame(true, true, hello, true)]],
    ["masked text", "server", hex("81 85 37 fa 21 3d 7f 9f 4d 51 58"), [frame(true, true, hello, true)]],
    ["fragmented text", "client", hex("01 03 48 65 6c 80 02 6c 6f"), [
      frame(true, false, utf8("Hel"), true),
      frame(false, true, utf8("lo"), true)
    ]],
    ["ping", "client", hex("89 05 48 65 6c 6c 6f"), [ping(hello)]],
    ["masked pong", "server", hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"), [pong(hello)]],
    ["256 bytes", "client", concat(hex("82 7e 01 00"), kilobytes.subarray(0, 256)), [
      frame(true, true, kilobytes.slice(0, 256))
    ]],
    ["64 KiB", "client", concat(hex("82 7f 00 00 00 00 00 01 00 00"), kilobytes), [frame(true, true, kilobytes)]]
  ]
  for (const [name, role, bytes, expected] of rows) {
    it(`decodes ${name}`, () => {
      assert.deepStrictEqual(decodeAll({ role }, [bytes.slice()]), [...expected])
    })
  }

  it("encodes the same bytes", () => {
    assert.deepStrictEqual(
      WebSocketFrame.encode({ opcode: Opcode.Text, payload: hello }, undefined),
      hex("81 05 48 65 6c 6c 6f")
    )
    assert.deepStrictEqual(
      WebSocketFrame.encode({ opcode: Opcode.Text, payload: hello }, 0x37fa213d),
      hex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
    )
    assert.deepStrictEqual(
      WebSocketFrame.encode({ opcode: Opcode.Text, fin: false, payload: utf8("Hel") }, undefined),
      hex("01 03 48 65 6c")
    )
    assert.deepStrictEqual(
      WebSocketFrame.encode({ opcode: Opcode.Binary, payload: kilobytes }, undefined),
      concat(hex("82 7f 00 00 00 00 00 01 00 00"), kilobytes)
    )
  })
})

interface Sequence {
  readonly messages: ReadonlyArray<{
    readonly text: boolean
    readonly fragments: ReadonlyArray<number>
    readonly controls: ReadonlyArray<"ping" | "pong" | "none">
  }>
  readonly seed: number
  readonly ends: boolean
}

describe("any sequence of frames", () => {
  const size = Arbitrary.schema(
    Schema.Literals([0, 1, 2, 3, 5, 95, 97, 124, 125, 126, 127, 1_000, 65_535, 65_536, 65_537])
  )
  const message = Arbitrary.all({
    text: Schema.Boolean.pipe(Arbitrary.schema),
    fragments: Arbitrary.array(size, { minLength: 1, maxLength: 3 }),
    controls: Arbitrary.array(Arbitrary.schema(Schema.Literals(["ping", "pong", "none"])), { maxLength: 3 })
  })
  const sequence: Arbitrary.Arbitrary<Sequence> = Arbitrary.all({
    messages: Arbitrary.array(message, { minLength: 1, maxLength: 3 }),
    seed: Arbitrary.schema(Schema.Int),
    ends: Arbitrary.schema(Schema.Boolean)
  })

  // Text in which each fragment border can fall into a character of 1 to 4 bytes.
  const characters = utf8("aé€😀")
  const content = (isText: boolean, length: number, draw: ReturnType<typeof random>): Uint8Array => {
    if (!isText) return draw.bytes(length)
    const bytes = new Uint8Array(length).fill(0x2e)
    for (let at = 0; at + characters.length <= length; at += characters.length) bytes.set(characters, at)
    return bytes
  }

  const build = (role: WebSocketFrame.Role, value: Sequence) => {
    const draw = random(value.seed)
    const mask = () => role === "server" ? draw.uint32() : undefined
    const bytes: Array<Uint8Array> = []
    const expected: Array<Seen> = []
    for (const { controls, fragments, text: isText } of value.messages) {
      const whole = content(isText, fragments.reduce((a, b) => a + b), draw)
      let at = 0
      fragments.forEach((length, i) => {
        const first = i === 0
        const last = i === fragments.length - 1
        const payload = placed(whole.subarray(at, at + length), draw.below(8))
        at += length
        const opcode = first ? (isText ? Opcode.Text : Opcode.Binary) : Opcode.Continuation
        bytes.push(WebSocketFrame.encode({ opcode, fin: last, payload }, mask()))
        expected.push(frame(first, last, payload.slice(), isText))
        const control = controls[i] ?? "none"
        if (control !== "none") {
          const payload = draw.bytes(draw.below(126))
          bytes.push(
            WebSocketFrame.encode({ opcode: control === "ping" ? Opcode.Ping : Opcode.Pong, payload }, mask())
          )
          expected.push(control === "ping" ? ping(payload) : pong(payload))
        }
      })
    }
    if (value.ends) {
      bytes.push(WebSocketFrame.encodeClose(1000, "über", mask()))
      expected.push(close(1000, "über"))
      bytes.push(draw.bytes(20))
    }
    return { bytes: concat(...bytes), expected }
  }

  for (const role of ["client", "server"] as const) {
    it.prop(
      `decodes to what was encoded, for a ${role}, wherever the bytes are cut`,
      [sequence],
      ([value]) => {
        const { bytes, expected } = build(role, value)
        for (const chunks of cuts(bytes, value.seed)) assert.deepStrictEqual(decodeAll({ role }, chunks), expected)
      },
      { arbitrary: { runs: 25 }, timeout: 180_000 }
    )

    it(`decodes the same for a ${role} when cut in two at each byte`, () => {
      const { bytes, expected } = build(role, {
        messages: [
          { text: true, fragments: [0, 127, 3], controls: ["ping", "none", "pong"] },
          { text: false, fragments: [126], controls: [] },
          { text: false, fragments: [0], controls: ["pong"] }
        ],
        seed: 7,
        ends: true
      })
      for (let at = 0; at <= bytes.length; at++) {
        assert.deepStrictEqual(decodeAll({ role }, [bytes.slice(0, at), bytes.slice(at)]), expected)
      }
    })
  }
})

describe("payload", () => {
  it("is handed on as a view of the chunk, never copied", () => {
    const chunk = placed(hex("82 03 01 02 03 02 02 04 05"), 3)
    const events = WebSocketFrame.makeDecoder(client).decode(chunk)
    assert.strictEqual(events.length, 2)
    for (const event of events) {
      assert(event._tag === "Data")
      assert.strictEqual(event.payload.buffer, chunk.buffer)
    }
  })

  it("of a part of a frame is handed on before the rest has come", () => {
    const decoder = WebSocketFrame.makeDecoder(client)
    assert.deepStrictEqual(decoder.decode(hex("82 7f 00 00 00 00 7f ff ff ff")), [])
    assert.deepStrictEqual(decoder.decode(hex("aa bb")), [
      { _tag: "Data", text: false, payload: hex("aa bb"), first: true, last: false, frame: true }
    ])
    assert.deepStrictEqual(decoder.decode(hex("cc")), [
      { _tag: "Data", text: false, payload: hex("cc"), first: false, last: false, frame: false }
    ])
  })

  it("of a control frame is a copy, which outlives the chunk", () => {
    const chunk = hex("89 02 01 02")
    const [event] = WebSocketFrame.makeDecoder(client).decode(chunk)
    chunk.fill(0)
    assert.deepStrictEqual(event, { _tag: "Ping", payload: hex("01 02") })
  })

  it("of a server is unmasked in place, and nothing beside it is touched", () => {
    for (let length = 0; length < 300; length++) {
      for (let offset = 0; offset < 4; offset++) {
        const payload = random(length).bytes(length)
        const encoded = WebSocketFrame.encode({ opcode: Opcode.Binary, payload }, 0xa1b2c3d4)
        const around = new Uint8Array(encoded.length + 16).fill(0xee)
        const chunk = new Uint8Array(around.buffer, offset, encoded.length)
        chunk.set(encoded)
        const [event] = WebSocketFrame.makeDecoder(server).decode(chunk)
        assert(event?._tag === "Data")
        assert.deepStrictEqual(event.payload, payload)
        assert.strictEqual(event.payload.buffer, chunk.buffer)
        const outside = [...around.subarray(0, offset), ...around.subarray(offset + encoded.length)]
        assert(outside.every((byte) => byte === 0xee))
      }
    }
  })

  it("of an empty message is an empty event", () => {
    assert.deepStrictEqual(decodeAll(client, [hex("82 00")]), [frame(true, true, new Uint8Array())])
    assert.deepStrictEqual(decodeAll(server, [hex("81 80 01 02 03 04")]), [frame(true, true, new Uint8Array(), true)])
  })

  it("given as a Node Buffer comes out as a plain array, whose slice copies", () => {
    const [event] = WebSocketFrame.makeDecoder(client).decode(Buffer.from(hex("82 02 01 02")))
    assert(event?._tag === "Data")
    assert.strictEqual(Object.getPrototypeOf(event.payload), Uint8Array.prototype)
  })
})

describe("encodeInto", () => {
  it("masks like a loop over bytes, at any alignment of payload, prefix and target", () => {
    const mask = 0x8badf00d
    const key = hex("8b ad f0 0d")
    const prefixes = [undefined, 4, hex("01 02 03 04 05 06 07 08")]
    for (const length of [0, 1, 5, 96, 97, 130, 200, 65_535, 65_536]) {
      for (const prefix of prefixes) {
        for (let alignment = 0; alignment < 8; alignment++) {
          const payload = placed(random(length).bytes(length), alignment)
          const before = payload.slice()
          const plain = concat(
            prefix === undefined ? hex("") : typeof prefix === "number" ? Uint8Array.of(prefix) : prefix,
            payload
          )
          const target = new Uint8Array(length + 64)
          const offset = alignment * 3 % 8
          const end = WebSocketFrame.encodeInto(target, offset, { opcode: Opcode.Binary, prefix, payload }, mask)
          assert.strictEqual(end, offset + WebSocketFrame.encodedSize(plain.length, true))
          const wire = target.subarray(offset, end)
          const start = wire.length - plain.length
          assert.deepStrictEqual(wire.subarray(start - 4, start), key)
          const expected = plain.map((byte, i) => byte ^ key[i % 4]!)
          assert.strictEqual(Buffer.compare(wire.subarray(start), expected), 0)
          assert(target.subarray(0, offset).every((byte) => byte === 0))
          assert(target.subarray(end).every((byte) => byte === 0))
          assert.deepStrictEqual(payload, before)
        }
      }
    }
  })

  it("packs frames one behind the other", () => {
    const target = new Uint8Array(64)
    let end = WebSocketFrame.encodeInto(target, 0, { opcode: Opcode.Binary, prefix: 0, payload: utf8("ab") }, 1)
    end = WebSocketFrame.encodeInto(target, end, { opcode: Opcode.Ping, payload: utf8("") }, 2)
    end = WebSocketFrame.encodeInto(target, end, { opcode: Opcode.Binary, prefix: 255, payload: hex("00") }, 0)
    assert.deepStrictEqual(decodeAll(server, [target.slice(0, end)]), [
      frame(true, true, hex("00 61 62")),
      ping(hex("")),
      frame(true, true, hex("ff 00"))
    ])
  })

  it("refuses a target that is too small instead of cutting the frame", () => {
    const payload = utf8("abc")
    const size = WebSocketFrame.encodedSize(4, true)
    const encode = (room: number) =>
      WebSocketFrame.encodeInto(new Uint8Array(room), 1, { opcode: Opcode.Binary, prefix: 0, payload }, 1)
    assert.strictEqual(encode(size + 1), size + 1)
    assert.throws(() => encode(size), RangeError)
    const empty = { opcode: Opcode.Ping, payload: utf8("") }
    assert.throws(() => WebSocketFrame.encodeInto(new Uint8Array(5), 0, empty, 1), RangeError)
  })

  it("never needs more than maxOverhead beyond payload and prefix", () => {
    for (const size of [0, 125, 126, 65_535, 65_536]) {
      assert.isAtMost(WebSocketFrame.encodedSize(size, true), size + WebSocketFrame.maxOverhead)
    }
  })
})

describe("encodeClose", () => {
  it("writes code and reason", () => {
    assert.deepStrictEqual(WebSocketFrame.encodeClose(1000, "", undefined), hex("88 02 03 e8"))
    assert.deepStrictEqual(WebSocketFrame.encodeClose(1001, "x", undefined), hex("88 03 03 e9 78"))
    assert.deepStrictEqual(WebSocketFrame.encodeClose(undefined, "dropped", undefined), hex("88 00"))
  })

  it("cuts a long reason between characters", () => {
    const bytes = WebSocketFrame.encodeClose(1011, "€".repeat(100), 3)
    assert.deepStrictEqual(decodeAll(server, [bytes]), [close(1011, "€".repeat(41))])
  })
})

describe("close frames", () => {
  const decode = (payload: Uint8Array): Seen | undefined =>
    decodeAll(client, [WebSocketFrame.encode({ opcode: Opcode.Close, payload }, undefined)])[0]

  const allowed = (code: number): boolean =>
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].includes(code) ||
    (code >= 3000 && code <= 4999)

  it("carry the codes of RFC 6455 7.4 and the registered ones, and no other", () => {
    for (let code = 0; code <= 0xffff; code++) {
      const payload = Uint8Array.of(code >> 8, code & 0xff)
      assert.deepStrictEqual(decode(payload), allowed(code) ? close(code) : violation(1002), String(code))
    }
  })

  it("of one byte are a violation, empty ones are not", () => {
    assert.deepStrictEqual(decode(hex("03")), violation(1002))
    assert.deepStrictEqual(decode(hex("")), close(undefined))
  })

  it("carry a reason in UTF-8", () => {
    assert.deepStrictEqual(decode(concat(hex("03 e8"), utf8("tschüß €😀"))), close(1000, "tschüß €😀"))
    assert.deepStrictEqual(decode(hex("03 e8 ff")), violation(1007))
    assert.deepStrictEqual(decode(hex("03 e8 e2 82")), violation(1007))
  })

  it("end everything: later bytes give no event, in the same chunk or after", () => {
    const decoder = WebSocketFrame.makeDecoder(client)
    const events = decoder.decode(hex("82 01 07 88 02 03 e8 82 01 08"))
    assert.deepStrictEqual(events.map((event) => event._tag), ["Data", "Close"])
    assert.deepStrictEqual(decoder.decode(hex("82 01 09")), [])
    assert.deepStrictEqual(decoder.decode(hex("f0 ff")), [])
  })

  it("may come between fragments", () => {
    assert.deepStrictEqual(decodeAll(client, [hex("02 01 07 88 00")]), [
      frame(true, false, hex("07")),
      close(undefined)
    ])
  })
})

describe("violations", () => {
  const k = "00 00 00 00"
  const rows: ReadonlyArray<readonly [string, WebSocketFrame.DecoderOptions, string, number]> = [
    ["reserved bit 1", client, "c2 01 00", 1002],
    ["reserved bit 2", client, "a2 01 00", 1002],
    ["reserved bit 3", client, "92 01 00", 1002],
    ["a reserved bit on a ping", client, "c9 00", 1002],
    ["reserved bit 1 from a client", server, `c2 81 ${k} 00`, 1002],
    ["opcode 3", client, "83 00", 1002],
    ["opcode 7", client, "87 00", 1002],
    ["opcode 11", client, "8b 00", 1002],
    ["opcode 15", client, "8f 00", 1002],
    ["a fragmented ping", client, "09 00", 1002],
    ["a fragmented close", client, "08 02 03 e8", 1002],
    ["a ping of 126 bytes", client, "89 7e 00 7e", 1002],
    ["a ping with a 64-bit length", client, "89 7f", 1002],
    ["a continuation without a start", client, "80 01 00", 1002],
    ["a continuation after the message has ended", client, "82 01 00 80 01 00", 1002],
    ["a new message inside another", client, "02 01 00 82 01 00", 1002],
    ["a text message inside another, after a ping", client, "02 01 00 89 00 81 01 00", 1002],
    ["a masked frame from a server", client, `82 81 ${k} 00`, 1002],
    ["a masked ping from a server", client, `89 80 ${k}`, 1002],
    ["an unmasked frame from a client", server, "82 01 00", 1002],
    ["an unmasked close from a client", server, "88 00", 1002],
    ["a length below 126 in 16 bits", client, "82 7e 00 7d", 1002],
    ["a length of 0 in 16 bits", client, "82 7e 00 00", 1002],
    ["a length below 65536 in 64 bits", client, "82 7f 00 00 00 00 00 00 ff ff", 1002],
    ["a length of 5 in 64 bits, masked", server, `82 ff 00 00 00 00 00 00 00 05 ${k}`, 1002],
    ["a length with its highest bit set", client, "82 7f 80 00 00 00 00 00 00 00", 1002],
    ["a length of 2^53", client, "82 7f 00 20 00 00 00 00 00 00", 1009],
    ["a length of 2^63 - 1", client, "82 7f 7f ff ff ff ff ff ff ff", 1009],
    ["a message over the limit", { role: "client", maxMessageBytes: 2 }, "82 03", 1009],
    [
      "a message over the limit by its last fragment",
      { role: "client", maxMessageBytes: 2 },
      "02 01 00 00 01 00 80 01",
      1009
    ],
    ["a fragment that would pass 2^53 - 1", client, "02 01 00 80 7f 00 1f ff ff ff ff ff ff", 1009],
    ["text that is no UTF-8", client, "81 01 ff", 1007],
    ["text that ends inside a character", client, "81 02 e2 82", 1007],
    ["text that ends inside a character, empty last fragment", client, "01 02 e2 82 80 00", 1007],
    ["a surrogate in text", client, "81 03 ed a0 80", 1007],
    ["an overlong form in text", client, "81 02 c0 af", 1007],
    ["a character beyond U+10FFFF, found at its second byte", client, "01 01 f4 00 01 90", 1007]
  ]
  for (const [name, options, bytes, closeCode] of rows) {
    it(`refuses ${name} with ${closeCode}`, () => {
      for (const chunks of cuts(hex(bytes), 3)) {
        const seen = decodeAll(options, chunks)
        assert.deepStrictEqual(seen.at(-1), violation(closeCode))
        assert(seen.slice(0, -1).every((entry) => entry._tag !== "Violation"))
      }
    })
  }

  const accepted: ReadonlyArray<readonly [string, WebSocketFrame.DecoderOptions, string]> = [
    ["a length of 126 in 16 bits", client, `82 7e 00 7e ${"00".repeat(126)}`],
    ["a length of 2^53 - 1, as far as it has come", client, "82 7f 00 1f ff ff ff ff ff ff 00"],
    ["a message at the limit", { role: "client", maxMessageBytes: 3 }, "02 01 00 80 02 00 00"],
    ["messages that together pass the limit", { role: "client", maxMessageBytes: 2 }, "82 02 00 00 82 02 00 00"],
    [
      "fragments that pass it with the message before",
      { role: "client", maxMessageBytes: 2 },
      "82 02 00 00 02 01 00 80 01 00"
    ],
    [
      "control frames whatever the limit",
      { role: "client", maxMessageBytes: 1 },
      "89 03 00 00 00 02 01 00 89 01 00 80 00"
    ],
    ["a ping of 125 bytes", client, `89 7d ${"00".repeat(125)}`],
    ["text cut inside a character by fragments", client, "01 01 e2 00 01 82 80 01 ac"],
    ["a byte order mark as text", client, "81 03 ef bb bf"],
    ["bytes that are no UTF-8 as binary", client, "82 02 ff fe"]
  ]
  for (const [name, options, bytes] of accepted) {
    it(`accepts ${name}`, () => {
      for (const chunks of cuts(hex(bytes), 4)) {
        const seen = decodeAll(options, chunks)
        assert.isNotEmpty(seen)
        assert(seen.every((entry) => entry._tag !== "Violation"))
      }
    })
  }

  it("are told as soon as the bytes show them, and after the valid events of the chunk", () => {
    const decoder = WebSocketFrame.makeDecoder(client)
    const events = decoder.decode(hex("89 01 07 82 02 01 02 83 00 82 01 03"))
    assert.deepStrictEqual(events.map((event) => event._tag), ["Ping", "Data", "Violation"])
    assert.deepStrictEqual(decoder.decode(hex("82 01 04")), [])
    assert.deepStrictEqual(decodeAll(client, [hex("81 02 61")]), [frame(true, false, utf8("a"), true)])
    assert.deepStrictEqual(decodeAll(client, [hex("81 7e ff ff ff")]), [violation(1007)])
  })

  it("say who broke which rule", () => {
    const message = (options: WebSocketFrame.DecoderOptions, bytes: string): string => {
      const event = WebSocketFrame.makeDecoder(options).decode(hex(bytes)).at(-1)
      assert(event?._tag === "Violation")
      return event.error.message
    }
    assert.match(message(client, "c2 00"), /^The server .*reserved bits \(0x40\).*RFC 6455 5\.2/)
    assert.match(message(server, "82 00"), /^The client .*unmasked.*RFC 6455 5\.1/)
    assert.match(message(client, "82 80"), /^The server .*masked.*RFC 6455 5\.1/)
    assert.match(message({ role: "server", maxMessageBytes: 9 }, "82 8a 00 00 00 00"), /more than 9 bytes/)
    assert.match(message(client, "88 02 03 ed"), /close code 1005/)
    assert.match(message(client, "8b 00"), /opcode 0x0b/)
    assert.match(message(client, "88 01 03"), /close frame of one byte/)
    assert.match(message(client, "82 7e 00 07"), /length 7 in more bytes than it needs/)
  })
})

it("a text message may be cut by chunks inside any character", () => {
  const whole = utf8("aé€😀".repeat(20))
  const bytes = WebSocketFrame.encode({ opcode: Opcode.Text, payload: whole }, undefined)
  const seen = decodeAll(client, cut(bytes, () => 3))
  assert.deepStrictEqual(seen, [frame(true, true, whole, true)])
  assert.strictEqual(text(whole).length, 100)
})
