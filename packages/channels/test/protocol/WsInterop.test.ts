/**
 * The frame codec and the handshake against `ws`, in both directions over real sockets.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import type { WebSocket } from "ws"
import { concat, hex, random, toHex, utf8 } from "./bytes.ts"
import { closed, nextMessage, ourClient, wsClientOfOurs, wsServer } from "./peers.ts"
import type { Peer } from "./peers.ts"

const { Opcode } = WebSocketFrame
const v5 = "v5.channel.k8s.io"
const v4 = "v4.channel.k8s.io"

const sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_048_576]
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** A `ws` socket whose other end is ours. */
interface Pair {
  readonly peer: Peer
  readonly socket: WebSocket
}

/** The next whole message that our end gets, and how many frames it came in. */
const nextOurs = Effect.fnUntraced(function*(peer: Peer) {
  const pieces: Array<Uint8Array> = []
  let frames = 0
  while (true) {
    const event = yield* peer.next
    assert(event?._tag === "Data", `instead of data: ${JSON.stringify(event)}`)
    if (event.frame) frames++
    pieces.push(event.payload)
    if (event.last) return { text: event.text, bytes: concat(...pieces), frames }
  }
})

const pairs: ReadonlyArray<readonly [string, Effect.Effect<Pair, never, Scope.Scope>]> = [
  [
    "our client and a ws server",
    Effect.gen(function*() {
      const connected = Promise.withResolvers<WebSocket>()
      const port = yield* wsServer((socket) => connected.resolve(socket), {
        handleProtocols: (offered) => offered.has(v4) ? v4 : false
      })
      const peer = yield* ourClient(port, [v5, v4])
      return { peer, socket: yield* Effect.promise(() => connected.promise) }
    })
  ],
  ["our server and a ws client", wsClientOfOurs([v4], [v5, v4])]
]

for (const [name, acquire] of pairs) {
  describe(name, () => {
    it.live("agree on a subprotocol", () =>
      Effect.gen(function*() {
        const { peer, socket } = yield* acquire
        assert.strictEqual(peer.subprotocol, v4)
        assert.strictEqual(socket.protocol, v4)
      }))

    it.live("exchange text and binary messages of every length encoding, up to 1 MiB, unchanged", () =>
      Effect.gen(function*() {
        const { peer, socket } = yield* acquire
        for (const size of sizes) {
          for (const text of [false, true]) {
            const payload = text ? utf8("x".repeat(size)) : random(size).bytes(size)
            const theirs = yield* Effect.forkChild(nextMessage(socket), { startImmediately: true })
            peer.send(WebSocketFrame.encode({ opcode: text ? Opcode.Text : Opcode.Binary, payload }, peer.mask()))
            const got = yield* Fiber.join(theirs)
            assert.deepStrictEqual([got.text, got.bytes.length, hash(got.bytes)], [text, size, hash(payload)])

            socket.send(payload, { binary: !text })
            const ours = yield* nextOurs(peer)
            assert.deepStrictEqual([ours.text, ours.bytes.length, hash(ours.bytes)], [text, size, hash(payload)])
          }
        }
      }))

    it.live("exchange fragments, with pings between them", () =>
      Effect.gen(function*() {
        const { peer, socket } = yield* acquire
        const parts = [random(1).bytes(70_000), hex(""), random(2).bytes(3)]
        const theirs = yield* Effect.forkChild(nextMessage(socket), { startImmediately: true })
        for (let i = 0; i < parts.length; i++) {
          const opcode = i === 0 ? Opcode.Binary : Opcode.Continuation
          peer.send(WebSocketFrame.encode({ opcode, fin: i === 2, payload: parts[i]! }, peer.mask()))
          peer.send(WebSocketFrame.encode({ opcode: Opcode.Ping, payload: Uint8Array.of(i) }, peer.mask()))
        }
        const got = yield* Fiber.join(theirs)
        assert.strictEqual(hash(got.bytes), hash(concat(...parts)))
        for (let i = 0; i < parts.length; i++) {
          assert.deepStrictEqual(yield* peer.next, { _tag: "Pong", payload: Uint8Array.of(i) })
        }

        const pongs: Array<string> = []
        socket.on("pong", (payload) => pongs.push(toHex(payload)))
        socket.send(parts[0]!, { binary: true, fin: false })
        socket.ping(hex("07 08"))
        socket.send(parts[1]!, { binary: true, fin: false })
        socket.send(parts[2]!, { binary: true, fin: true })
        let size = 0
        let frames = 0
        while (true) {
          const event = yield* peer.next
          if (event?._tag === "Ping") {
            peer.send(WebSocketFrame.encode({ opcode: Opcode.Pong, payload: event.payload }, peer.mask()))
            continue
          }
          assert(event?._tag === "Data")
          size += event.payload.length
          if (event.frame) frames++
          if (event.last) break
        }
        assert.deepStrictEqual([size, frames], [70_003, 3])
        const end = yield* Effect.forkChild(closed(socket), { startImmediately: true })
        peer.send(WebSocketFrame.encodeClose(1000, "", peer.mask()))
        assert.deepStrictEqual(yield* peer.next, { _tag: "Close", code: 1000, reason: "" })
        peer.end()
        yield* Fiber.join(end)
        assert.deepStrictEqual(pongs, ["0708"])
      }))

    for (
      const [code, reason] of [[1000, ""], [1001, "going"], [1011, "€"], [3000, "x"], [4999, "r".repeat(123)]] as const
    ) {
      it.live(`understand each other's close ${code} ${reason.slice(0, 8)}`, () =>
        Effect.gen(function*() {
          const first = yield* acquire
          const theirs = yield* Effect.forkChild(closed(first.socket), { startImmediately: true })
          first.peer.send(WebSocketFrame.encodeClose(code, reason, first.peer.mask()))
          // ws repeats code and reason.
          assert.deepStrictEqual(yield* first.peer.next, { _tag: "Close", code, reason })
          first.peer.end()
          assert.deepStrictEqual(yield* Fiber.join(theirs), { code, reason })

          const second = yield* acquire
          second.socket.close(code, reason)
          assert.deepStrictEqual(yield* second.peer.next, { _tag: "Close", code, reason })
        }))
    }

    it.live("understand each other's close without a code", () =>
      Effect.gen(function*() {
        const first = yield* acquire
        const theirs = yield* Effect.forkChild(closed(first.socket), { startImmediately: true })
        first.peer.send(WebSocketFrame.encodeClose(undefined, "", first.peer.mask()))
        assert.deepStrictEqual(yield* first.peer.next, { _tag: "Close", code: undefined, reason: "" })
        first.peer.end()
        assert.deepStrictEqual(yield* Fiber.join(theirs), { code: 1005, reason: "" })

        const second = yield* acquire
        second.socket.close()
        assert.deepStrictEqual(yield* second.peer.next, { _tag: "Close", code: undefined, reason: "" })
      }))
  })
}

describe("malformed frames get the same verdict from us and from ws", () => {
  const fine = 4000
  const limit = 300
  /** Frames, unmasked: first byte, length bytes, payload. The verdict is a close code; `fine` is none. */
  type Row = readonly [
    name: string,
    frames: ReadonlyArray<readonly [string, string, string]>,
    ours: number,
    ws?: number
  ]
  const rows: ReadonlyArray<Row> = [
    ["a binary message", [["82", "01", "00"]], fine],
    ["an empty message", [["82", "00", ""]], fine],
    ["fragments with a ping between", [["02", "01", "00"], ["89", "01", "07"], ["80", "01", "00"]], fine],
    ["a ping of 125 bytes", [["89", "7d", "00".repeat(125)]], fine],
    ["an unsolicited pong", [["8a", "02", "01 02"]], fine],
    ["a character over fragments", [["01", "01", "e2"], ["80", "02", "82 ac"]], fine],
    ["a message at the limit", [["82", "7e 01 2c", "00".repeat(300)]], fine],
    ["reserved bit 1", [["c2", "01", "00"]], 1002],
    ["reserved bit 2", [["a2", "01", "00"]], 1002],
    ["reserved bit 3", [["92", "01", "00"]], 1002],
    ["a reserved bit on a ping", [["c9", "00", ""]], 1002],
    ["a reserved bit on a continuation", [["02", "01", "00"], ["c0", "01", "00"]], 1002],
    ["opcode 3", [["83", "00", ""]], 1002],
    ["opcode 7", [["87", "00", ""]], 1002],
    ["opcode 11", [["8b", "00", ""]], 1002],
    ["opcode 15", [["8f", "00", ""]], 1002],
    ["a fragmented ping", [["09", "00", ""]], 1002],
    ["a fragmented close", [["08", "00", ""]], 1002],
    ["a ping of 126 bytes", [["89", "7e 00 7e", "00".repeat(126)]], 1002],
    ["a continuation without a start", [["80", "01", "00"]], 1002],
    ["a new message inside another", [["02", "01", "00"], ["82", "01", "00"]], 1002],
    ["a close of one byte", [["88", "01", "03"]], 1002],
    ["a close with a bad reason", [["88", "03", "03 e8 ff"]], 1007],
    ["text that is no UTF-8", [["81", "02", "c0 af"]], 1007],
    ["text that ends inside a character", [["81", "02", "e2 82"]], 1007],
    ["a message over the limit", [["82", "7e 01 2d", "00".repeat(301)]], 1009],
    ["fragments over the limit", [["02", "7e 01 2c", "00".repeat(300)], ["80", "01", "00"]], 1009],
    ["a length of 2^53", [["82", "7f 00 20 00 00 00 00 00 00", ""]], 1009],
    // ws is laxer, or has another code, where the specification is plain:
    ["a length below 126 in 16 bits", [["82", "7e 00 01", "00"]], 1002, fine],
    ["a length below 65536 in 64 bits", [["82", "7f 00 00 00 00 00 00 00 01", "00"]], 1002, fine],
    ["a length with its highest bit set", [["82", "7f 80 00 00 00 00 00 00 00", ""]], 1002, 1009],
    // ws looks at text when the message is whole, we as it comes:
    ["bad text in a message that goes on", [["01", "01", "ff"]], 1007, fine],
    ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code): Row => [
      `close code ${code}`,
      [["88", "02", code.toString(16).padStart(4, "0")]],
      1002
    ]),
    ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999].map((code): Row => [
      `close code ${code}`,
      [["88", "02", code.toString(16).padStart(4, "0")]],
      code
    ])
  ]

  const wire = (frames: Row[1], masked: boolean): Uint8Array =>
    concat(...frames.map(([start, length, payload]) => {
      const lengthBytes = hex(length)
      if (masked) lengthBytes[0]! |= 0x80
      // The key 0 leaves the payload as it is.
      return concat(hex(start), lengthBytes, hex(masked ? "00 00 00 00" : ""), hex(payload))
    }))

  const ourVerdict = (role: WebSocketFrame.Role, bytes: Uint8Array): number => {
    const last = WebSocketFrame.makeDecoder({ role, maxMessageBytes: limit }).decode(bytes).at(-1)
    return last?._tag === "Violation" ? last.error.closeCode : last?._tag === "Close" ? last.code ?? 1005 : fine
  }

  /** Sends the frames, then a good close: `ws` answers with its verdict, or repeats the code it was closed with. */
  const wsVerdict = Effect.fnUntraced(function*(peer: Peer, bytes: Uint8Array) {
    peer.send(bytes)
    peer.send(WebSocketFrame.encodeClose(fine, "", peer.mask()))
    while (true) {
      const event = yield* peer.next
      if (event === undefined) return "no close frame"
      if (event._tag === "Close") return event.code
    }
  })

  const wsAsServer = Effect.gen(function*() {
    const port = yield* wsServer(() => {}, { maxPayload: limit })
    return yield* ourClient(port, [v4])
  })
  const wsAsClient = Effect.map(wsClientOfOurs([v4], [v4], { maxPayload: limit }), ({ peer }) => peer)

  for (const [name, frames, ours, theirs] of rows) {
    it.live(`${name}: ${ours}${theirs === undefined ? "" : `, ws ${theirs}`}`, () =>
      Effect.gen(function*() {
        for (const role of ["client", "server"] as const) {
          const bytes = wire(frames, role === "server")
          assert.strictEqual(ourVerdict(role, bytes.slice()), ours)
          const peer = yield* (role === "server" ? wsAsServer : wsAsClient)
          assert.strictEqual(yield* wsVerdict(peer, bytes), theirs ?? ours)
        }
      }))
  }

  it.live("masking by the wrong end: 1002", () =>
    Effect.gen(function*() {
      assert.strictEqual(ourVerdict("client", wire([["82", "01", "00"]], true)), 1002)
      assert.strictEqual(yield* wsVerdict(yield* wsAsClient, wire([["82", "01", "00"]], true)), 1002)
      assert.strictEqual(ourVerdict("server", wire([["82", "01", "00"]], false)), 1002)
      assert.strictEqual(yield* wsVerdict(yield* wsAsServer, wire([["82", "01", "00"]], false)), 1002)
    }))
})
