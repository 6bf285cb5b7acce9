import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import { concat, cut, cuts, hex, random, text, toHex, utf8 } from "./bytes.ts"

const { Opcode } = WebSocketFrame

/** What a reader makes of some bytes of WebSocket. */
const readAll = <Message>(
  role: WebSocketFrame.Role,
  reader: RemoteCommand.Reader<Message>,
  chunks: Iterable<Uint8Array>
): Array<Message> => {
  const decoder = WebSocketFrame.makeDecoder({ role })
  const messages: Array<Message> = []
  for (const chunk of chunks) {
    for (const event of decoder.decode(chunk)) {
      assert(event._tag === "Data")
      const message = reader.read(event)
      if (message !== undefined) messages.push(message)
    }
  }
  return messages
}

const message = (payload: Uint8Array, mask?: number): Uint8Array =>
  WebSocketFrame.encode({ opcode: Opcode.Binary, payload }, mask)

const fragments = (mask: number | undefined, ...payloads: ReadonlyArray<Uint8Array>): Uint8Array =>
  concat(...payloads.map((payload, i) =>
    WebSocketFrame.encode({
      opcode: i === 0 ? Opcode.Binary : Opcode.Continuation,
      fin: i === payloads.length - 1,
      payload
    }, mask)
  ))

const fromServer = (...frames: ReadonlyArray<Uint8Array>) =>
  readAll("client", RemoteCommand.makeClientReader(), [concat(...frames)])

const fromClient = (subprotocol: RemoteCommand.Subprotocol, ...frames: ReadonlyArray<Uint8Array>) =>
  readAll("server", RemoteCommand.makeServerReader(subprotocol), [concat(...frames)])

describe("a client's reader", () => {
  it("takes the channel byte off, and copies nothing", () => {
    const chunk = message(hex("01 68 69"))
    const [event] = WebSocketFrame.makeDecoder({ role: "client" }).decode(chunk)
    assert(event?._tag === "Data")
    const part = RemoteCommand.makeClientReader().read(event)
    assert.deepStrictEqual(part, { _tag: "Part", channel: 1, bytes: hex("68 69") })
    assert(part?._tag === "Part")
    assert.strictEqual(part.bytes.buffer, chunk.buffer)
  })

  it("reads stdout, stderr and the status, and ignores what a server never sends", () => {
    assert.deepStrictEqual(
      fromServer(
        ...["01 61", "02 62", "03 7b 7d", "00 63", "04 64", "05 65 66", "ff 01", "37"].map((bytes) =>
          message(hex(bytes))
        )
      ),
      [
        { _tag: "Part", channel: 1, bytes: hex("61") },
        { _tag: "Part", channel: 2, bytes: hex("62") },
        { _tag: "Part", channel: 3, bytes: hex("7b 7d") },
        { _tag: "Ignored", channel: 0, size: 1 },
        { _tag: "Ignored", channel: 4, size: 1 },
        { _tag: "Ignored", channel: 5, size: 2 },
        { _tag: "Ignored", channel: 255, size: 1 },
        { _tag: "Ignored", channel: 0x37, size: 0 }
      ]
    )
  })

  it("takes an empty payload for nothing but a sign of life, before and between output", () => {
    assert.deepStrictEqual(
      fromServer(message(hex("01")), message(hex("01 61")), message(hex("01")), message(hex("01 62"))),
      [
        { _tag: "Part", channel: 1, bytes: hex("") },
        { _tag: "Part", channel: 1, bytes: hex("61") },
        { _tag: "Part", channel: 1, bytes: hex("") },
        { _tag: "Part", channel: 1, bytes: hex("62") }
      ]
    )
  })

  it("ignores an empty message, and takes the channel from the next one", () => {
    assert.deepStrictEqual(
      fromServer(message(hex("")), message(hex("02 61")), message(hex("")), message(hex("01 62"))),
      [
        { _tag: "Part", channel: 2, bytes: hex("61") },
        { _tag: "Part", channel: 1, bytes: hex("62") }
      ]
    )
  })

  it("finds the channel wherever a message is cut into fragments", () => {
    const empty = hex("")
    assert.deepStrictEqual(fromServer(fragments(undefined, empty, hex("02"), empty, hex("61"), hex("01 62"), empty)), [
      { _tag: "Part", channel: 2, bytes: hex("61") },
      { _tag: "Part", channel: 2, bytes: hex("01 62") }
    ])
    assert.deepStrictEqual(fromServer(fragments(undefined, hex("01"), empty)), [
      { _tag: "Part", channel: 1, bytes: empty }
    ])
    assert.deepStrictEqual(fromServer(fragments(undefined, empty, empty)), [])
  })

  it("refuses text (client-go: TextMessageTypeError)", () => {
    const [violation] = fromServer(WebSocketFrame.encode({ opcode: Opcode.Text, payload: utf8("1aGkK") }, undefined))
    assert(violation?._tag === "Violation")
    assert.strictEqual(violation.error.closeCode, 1003)
    assert.match(violation.error.message, /server sent a text message/)
  })
})

describe("a server's reader", () => {
  it("reads stdin and resize, and ignores the rest as real servers do", () => {
    assert.deepStrictEqual(
      fromClient(
        "v5.channel.k8s.io",
        ...["00 61", "", "00", "04 7b", "01 61", "07 62"].map((bytes) => message(hex(bytes), 7))
      ),
      [
        { _tag: "Part", channel: 0, bytes: hex("61") },
        { _tag: "Part", channel: 0, bytes: hex("") },
        { _tag: "Part", channel: 4, bytes: hex("7b") },
        { _tag: "Ignored", channel: 1, size: 1 },
        { _tag: "Ignored", channel: 7, size: 1 }
      ]
    )
  })

  it("takes text for bytes", () => {
    assert.deepStrictEqual(
      fromClient("v4.channel.k8s.io", WebSocketFrame.encode({ opcode: Opcode.Text, prefix: 0, payload: utf8("a") }, 9)),
      [{ _tag: "Part", channel: 0, bytes: hex("61") }]
    )
  })

  it("learns of the end of stdin under v5, once, and drops what comes on it later", () => {
    assert.deepStrictEqual(
      fromClient(
        "v5.channel.k8s.io",
        message(hex("00 61"), 7),
        message(RemoteCommand.encodeClose(0), 7),
        message(hex("00 62"), 7),
        message(RemoteCommand.encodeClose(0), 7),
        message(hex("04 63"), 7),
        message(RemoteCommand.encodeClose(4), 7)
      ),
      [
        { _tag: "Part", channel: 0, bytes: hex("61") },
        { _tag: "ChannelClosed", channel: 0 },
        { _tag: "Ignored", channel: 0, size: 1 },
        { _tag: "Part", channel: 4, bytes: hex("63") },
        { _tag: "ChannelClosed", channel: 4 }
      ]
    )
  })

  it("reads a close signal that comes in pieces", () => {
    const signal = message(hex("ff 00"), 7)
    const reader = RemoteCommand.makeServerReader("v5.channel.k8s.io")
    assert.deepStrictEqual(readAll("server", reader, cut(signal, () => 1)), [{ _tag: "ChannelClosed", channel: 0 }])
    assert.deepStrictEqual(fromClient("v5.channel.k8s.io", fragments(7, hex("ff"), hex(""), hex("02"), hex(""))), [
      { _tag: "ChannelClosed", channel: 2 }
    ])
  })

  for (const bytes of ["ff", "ff 00 00", "ff 05", "ff ff", "ff 00 01 02 03"]) {
    it(`refuses the close signal ${bytes} under v5, by closing with 1000`, () => {
      for (
        const frames of [
          message(hex(bytes), 7),
          fragments(7, ...[...hex(bytes)].map((byte) => Uint8Array.of(byte)))
        ]
      ) {
        const last = fromClient("v5.channel.k8s.io", frames).at(0)
        assert(last?._tag === "Violation")
        assert.strictEqual(last.error.closeCode, 1000)
      }
    })

    it(`ignores the message ${bytes} under v4`, () => {
      assert.deepStrictEqual(fromClient("v4.channel.k8s.io", message(hex(bytes), 7)), [
        { _tag: "Ignored", channel: 255, size: hex(bytes).length - 1 }
      ])
    })
  }

  it("does not mistake a byte 255 inside a message for the close signal", () => {
    assert.deepStrictEqual(fromClient("v5.channel.k8s.io", fragments(7, hex("00 61"), hex("ff 00"))), [
      { _tag: "Part", channel: 0, bytes: hex("61") },
      { _tag: "Part", channel: 0, bytes: hex("ff 00") }
    ])
  })
})

describe("any messages", () => {
  const messages = Arbitrary.array(
    Arbitrary.all({
      channel: Arbitrary.schema(Schema.Literals([1, 2, 3, 9])),
      sizes: Arbitrary.array(Arbitrary.schema(Schema.Literals([0, 1, 2, 124, 125, 32_767, 32_768])), { maxLength: 3 })
    }),
    { maxLength: 5 }
  )

  it.prop(
    "give each channel its bytes, wherever frames and chunks are cut",
    [messages, Schema.Int],
    ([sent, seed]) => {
      const draw = random(seed)
      const expected = new Map<number, string>()
      const frames = sent.map(({ channel, sizes }) => {
        const payloads = sizes.map((size) => draw.bytes(size))
        expected.set(channel, (expected.get(channel) ?? "") + payloads.map(toHex).join(""))
        return fragments(undefined, Uint8Array.of(channel), ...payloads)
      })
      expected.delete(9)
      for (const chunks of cuts(concat(...frames), seed)) {
        const seen = new Map<number, string>()
        for (const read of readAll("client", RemoteCommand.makeClientReader(), chunks)) {
          if (read._tag === "Ignored") assert.strictEqual(read.channel, 9)
          else {
            assert(read._tag === "Part")
            seen.set(read.channel, (seen.get(read.channel) ?? "") + toHex(read.bytes))
          }
        }
        assert.deepStrictEqual(seen, expected)
      }
    },
    { arbitrary: { runs: 25 }, timeout: 180_000 }
  )
})

describe("messages to a server", () => {
  it("are byte for byte those of kubectl", () => {
    const stdin = WebSocketFrame.encode({
      opcode: Opcode.Binary,
      prefix: RemoteCommand.Channel.Stdin,
      payload: utf8("abc")
    }, 0)
    assert.deepStrictEqual(stdin, hex("82 84 00 00 00 00 00 61 62 63"))
    assert.deepStrictEqual(RemoteCommand.encodeClose(RemoteCommand.Channel.Stdin), hex("ff 00"))
    assert.strictEqual(text(RemoteCommand.encodeResize({ width: 100, height: 30 })), "{\"Width\":100,\"Height\":30}\n")
  })

  it("stay within what servers take", () => {
    assert.strictEqual(RemoteCommand.maxChunkBytes, 32 * 1024)
    assert.strictEqual(RemoteCommand.maxMessageBytes, 32 * 1024 * 1024)
    assert.deepStrictEqual([RemoteCommand.v5, RemoteCommand.v4], ["v5.channel.k8s.io", "v4.channel.k8s.io"])
  })

  it("carry only sizes that a server can read", () => {
    const sizes: ReadonlyArray<readonly [RemoteCommand.TerminalSize, RemoteCommand.TerminalSize]> = [
      [{ width: 70_000, height: -1 }, { width: 65_535, height: 0 }],
      [{ width: 80.9, height: Number.NaN }, { width: 80, height: 0 }],
      [{ width: Number.POSITIVE_INFINITY, height: Number.NEGATIVE_INFINITY }, { width: 65_535, height: 0 }]
    ]
    for (const [asked, sent] of sizes) {
      assert.deepStrictEqual(RemoteCommand.makeResizeParser().push(RemoteCommand.encodeResize(asked)), [sent])
    }
  })
})

describe("a resize parser", () => {
  const size = (width: number, height: number): RemoteCommand.TerminalSize => ({ width, height })
  const parse = (...pieces: ReadonlyArray<string>): ReadonlyArray<RemoteCommand.TerminalSize> => {
    const parser = RemoteCommand.makeResizeParser()
    return pieces.flatMap((piece) => parser.push(utf8(piece)))
  }

  const rows: ReadonlyArray<readonly [string, ReadonlyArray<string>, ReadonlyArray<RemoteCommand.TerminalSize>]> = [
    ["one object", ["{\"Width\":77,\"Height\":33}"], [size(77, 33)]],
    ["objects one behind the other", [
      "{\"Width\":1,\"Height\":2}{\"Width\":3,\"Height\":4}\n {\"Width\":5,\"Height\":6}"
    ], [
      size(1, 2),
      size(3, 4),
      size(5, 6)
    ]],
    ["an object over messages", ["{\"Wid", "th\":1", "0,\"Height\":2", "0", "}"], [size(10, 20)]],
    ["the end of one and the start of the next in a message", [
      "{\"Width\":1,",
      "\"Height\":2}{\"Width\"",
      ":3,\"Height\":4}"
    ], [
      size(1, 2),
      size(3, 4)
    ]],
    ["keys in any case", ["{\"width\":1,\"HEIGHT\":2}"], [size(1, 2)]],
    ["the last of keys that differ in case alone", ["{\"width\":1,\"Width\":2,\"height\":3}"], [size(2, 3)]],
    ["other members, nested and with brackets in strings", [
      "{\"a\":{\"b\":[\"}\",{}]},\"Width\":1,\"c\\\"}\":\"\\\\\",\"Height\":2}"
    ], [size(1, 2)]],
    ["missing and null members as 0", ["{}", "{\"Width\":5,\"Height\":null}"], [size(0, 0), size(5, 0)]],
    ["the largest size", ["{\"Width\":65535,\"Height\":65535}"], [size(65_535, 65_535)]],
    ["white space alone", [" \n\t\r", ""], []]
  ]
  for (const [name, pieces, expected] of rows) {
    it(`reads ${name}`, () => {
      assert.deepStrictEqual(parse(...pieces), [...expected])
      assert.deepStrictEqual(parse(...pieces.join("").split("")), [...expected])
    })
  }

  const good = "{\"Width\":1,\"Height\":2}"
  for (
    const garbage of [
      "x",
      "[]",
      "1",
      "null",
      "\"a\"",
      "{a}",
      "{\"Width\":65536,\"Height\":1}",
      "{\"Width\":-1,\"Height\":1}",
      "{\"Width\":1.5,\"Height\":1}",
      "{\"Width\":\"1\",\"Height\":1}",
      "{\"Width\":[1],\"Height\":1}",
      `{"a":"${"x".repeat(5_000)}"}`
    ]
  ) {
    it(`ends at ${garbage.slice(0, 30)}, for good`, () => {
      assert.deepStrictEqual(parse(good + garbage + good, good), [size(1, 2)])
      assert.deepStrictEqual(parse(...(good + garbage + good).split("")), [size(1, 2)])
    })
  }
})
