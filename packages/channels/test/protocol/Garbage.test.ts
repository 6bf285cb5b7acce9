/**
 * 100,000 random byte strings into each parser that a peer can reach. All of them are drawn from fixed seeds, so a
 * failure names the string that caused it.
 */
import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as JsonObject from "@effect-k8s/channels/protocol/JsonObject"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { assert, describe, it } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import { concat, random, toHex, utf8 } from "./bytes.ts"
import type { Random } from "./bytes.ts"
import { assemble } from "./frames.ts"
import type { Seen } from "./frames.ts"
import { must } from "./must.ts"
import * as Spdy from "./spdy.ts"

const count = 100_000

/** Bytes that get past the first checks: frames of random kinds, some of them damaged. */
const likeFrames = (draw: Random, role: WebSocketFrame.Role): Uint8Array => {
  const opcodes = [0, 1, 2, 8, 9, 10] as const
  const mask = () => role === "server" ? draw.uint32() : undefined
  const frames = Array.from({ length: 1 + draw.below(5) }, () => {
    const opcode = opcodes[draw.below(6)]!
    if (opcode === 8 && draw.below(4) > 0) return WebSocketFrame.encodeClose(1000 + draw.below(16), "é", mask())
    return WebSocketFrame.encode({
      opcode,
      fin: opcode >= 8 || draw.below(3) > 0,
      prefix: draw.below(2) === 0 ? undefined : [0, 1, 2, 3, 4, 255][draw.below(6)],
      payload: [utf8("aé€😀").slice(0, draw.below(11)), draw.bytes(draw.below(200)), Uint8Array.of(draw.below(6))][
        draw.below(3)
      ]!
    }, mask())
  })
  const bytes = concat(...frames)
  if (draw.below(2) === 0 && bytes.length > 0) bytes[draw.below(bytes.length)]! ^= 1 << draw.below(8)
  return bytes.subarray(0, draw.below(4) === 0 ? draw.below(bytes.length + 1) : bytes.length)
}

const pieces = (bytes: Uint8Array, draw: Random): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const size = 1 + draw.below(1 + draw.below(60))
    chunks.push(bytes.slice(at, at + size))
    at += size
  }
  return chunks
}

const isEnd = (tag: string): boolean => tag === "Close" || tag === "Violation"

/** What is the same wherever bad text was cut: how much of it was told before does depend on the cuts. */
const comparable = (seen: ReadonlyArray<Seen>): string => {
  const last = seen.at(-1)
  const known = last?._tag === "Violation" && last.closeCode === 1007
    ? seen.filter((entry) => entry._tag !== "Frame" || !entry.text)
    : seen
  return JSON.stringify(known)
}

for (const role of ["client", "server"] as const) {
  describe(`the frame decoder of a ${role}`, () => {
    for (
      const [kind, make] of [
        ["random bytes", (draw: Random) => draw.bytes(draw.below(64))],
        ["damaged frames", (draw: Random) => likeFrames(draw, role)]
      ] as const
    ) {
      it(`takes ${kind} without throwing, ends at its last event, and does not care for the cuts`, () => {
        let violations = 0
        let closes = 0
        for (let seed = 0; seed < count; seed++) {
          const draw = random(seed)
          const bytes = make(draw)
          const name = () => `seed ${seed}: ${toHex(bytes)}`
          const options = { role, maxMessageBytes: draw.below(2) === 0 ? undefined : 300 }

          const whole = WebSocketFrame.makeDecoder(options)
          const events = whole.decode(bytes.slice())
          const end = events.findIndex((event) => isEnd(event._tag))
          if (end >= 0) {
            must(end === events.length - 1, name)
            must(whole.decode(bytes.slice()).length === 0, name)
            if (events[end]!._tag === "Close") closes++
            else violations++
          }

          const cut = WebSocketFrame.makeDecoder(options)
          const cutEvents = pieces(bytes, draw).flatMap((piece) => cut.decode(piece))
          must(comparable(assemble(cutEvents)) === comparable(assemble(events)), name)
        }
        // The strings are of use only if they reach both ends.
        assert.isAbove(violations, count / 10)
        if (kind === "damaged frames") assert.isAbove(closes, count / 100)
      }, 180_000)
    }
  })
}

/** Frames of SPDY of random kinds and streams, some of them damaged. */
const likeSpdy = (draw: Random): Uint8Array => {
  const write = SpdyHeaders.makeWriter()
  const frames = Array.from({ length: 1 + draw.below(6) }, () => {
    const stream = draw.below(6)
    switch (draw.below(9)) {
      case 0:
        return SpdyFrame.encodeSynStream(stream, write([["streamtype", "stdin"]]), { fin: draw.below(4) === 0 })
      case 1:
        return SpdyFrame.encodeSynReply(stream, write([]))
      case 2:
        return SpdyFrame.encodeRstStream(stream, draw.below(12))
      case 3:
        return SpdyFrame.encodePing(draw.below(4))
      case 4:
        return draw.below(4) === 0 ? SpdyFrame.encodeGoAway(stream, draw.below(3)) : draw.bytes(draw.below(20))
      case 5:
        return SpdyFrame.encodeWindowUpdate(stream, draw.uint32() >>> (1 + draw.below(31)))
      case 6:
        return SpdyFrame.encodeSettings([[draw.below(9), draw.uint32() >>> draw.below(32)]])
      default:
        return SpdyFrame.encodeData(stream, draw.bytes(draw.below(100)), draw.below(4) === 0)
    }
  })
  const bytes = concat(...frames)
  if (draw.below(2) === 0) bytes[draw.below(bytes.length)]! ^= 1 << draw.below(8)
  return bytes.subarray(0, draw.below(4) === 0 ? draw.below(bytes.length + 1) : bytes.length)
}

describe("the frame decoder of SPDY", () => {
  for (
    const [kind, make] of [["random bytes", (draw: Random) => draw.bytes(draw.below(64))], [
      "damaged frames",
      likeSpdy
    ]] as const
  ) {
    it(`takes ${kind} without throwing, ends at its last event, and does not care for the cuts`, () => {
      let violations = 0
      for (let seed = 0; seed < count; seed++) {
        const draw = random(seed)
        const bytes = make(draw)
        const name = () => `seed ${seed}: ${toHex(bytes)}`
        const whole = SpdyFrame.makeDecoder()
        const events = whole.decode(bytes)
        const end = events.findIndex(({ _tag }) => _tag === "Violation")
        if (end >= 0) {
          must(end === events.length - 1, name)
          must(whole.decode(bytes).length === 0, name)
          violations++
        }
        const cut = SpdyFrame.makeDecoder()
        const cutEvents = pieces(bytes, draw).flatMap((piece) => cut.decode(piece))
        must(isDeepStrictEqual(Spdy.seen(cutEvents), Spdy.seen(events)), name)
      }
      assert.isAbove(violations, count / 10)
    }, 180_000)
  }
})

describe("the streams of SPDY", () => {
  it("take anything without throwing: few streams, few answers, no more bytes than came, nothing behind an end", () => {
    const tags = new Set<string>()
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const streams = SpdyStreams.make({
        role: seed % 2 === 0 ? "client" : "server",
        maxStreams: 2,
        maxUnreadBytes: draw.below(2) === 0 ? undefined : 50
      })
      const own = [streams.open([]), streams.open([])].map(({ stream }) => stream)
      const name = () => `seed ${seed}`
      let size = 0
      let got = 0
      let over = false
      for (let n = 0; n < 3; n++) {
        const bytes = likeSpdy(draw)
        got += bytes.length
        for (const event of streams.receive(bytes)) {
          must(!over, name)
          tags.add(event._tag)
          if (event._tag === "Data") {
            size += event.bytes.length
            if (draw.below(2) === 0) streams.consumed(event.stream, event.bytes.length)
          }
          over = event._tag === "Violation" || event._tag === "GoAway"
        }
        must(streams.size() <= 4, name)
        must((streams.replies()?.length ?? 0) <= 66_000, name)
        must(streams.replies() === undefined, name)
        for (const stream of own) {
          const sendable = streams.sendable(stream)
          must(sendable >= 0, name)
          if (sendable > 0 && draw.below(3) === 0) {
            streams.data(new Uint8Array(8), 0, stream, Math.min(sendable, 40_000))
          }
          if (draw.below(8) === 0) streams.end(stream)
        }
      }
      must(size <= got, name)
    }
    assert.deepStrictEqual(
      [...tags].sort(),
      ["Data", "Ended", "GoAway", "Opened", "Ping", "Pong", "Replied", "Reset", "Violation", "Window"]
    )
  }, 180_000)
})

describe("the readers of messages", () => {
  it("take any message without throwing, and hand on no more bytes than came", () => {
    const tags = new Set<string>()
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const role = seed % 2 === 0 ? "client" : "server"
      const reader = role === "client"
        ? RemoteCommand.makeClientReader()
        : RemoteCommand.makeServerReader(seed % 4 === 1 ? "v5.channel.k8s.io" : "v4.channel.k8s.io")
      const bytes = likeFrames(draw, role)
      const decoder = WebSocketFrame.makeDecoder({ role })
      let size = 0
      for (const piece of pieces(bytes, draw)) {
        for (const event of decoder.decode(piece)) {
          if (event._tag !== "Data") continue
          const message = reader.read(event)
          if (message === undefined) continue
          tags.add(`${role} ${message._tag}`)
          if (message._tag === "Part") size += message.bytes.length
        }
      }
      must(size < Math.max(bytes.length, 1), () => `seed ${seed}`)
    }
    assert.deepStrictEqual([...tags].sort(), [
      "client Ignored",
      "client Part",
      "client Violation",
      "server ChannelClosed",
      "server Ignored",
      "server Part",
      "server Violation"
    ])
  }, 180_000)
})

describe("the parsers of JSON", () => {
  const words = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    " ",
    "\n",
    "1",
    "-3",
    "null",
    "{\"Width\":1,\"Height\":2}",
    "\"Width\":",
    "\"status\":\"Success\"",
    "\"status\":\"Failure\",",
    "\"reason\":\"NonZeroExitCode\",",
    "\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"3\"}]}",
    "{\"status\":\"Success\"}",
    "{\"status\":\"Failure\",\"message\":\"m\"}",
    "é"
  ]
  const likeJson = (draw: Random): Uint8Array =>
    draw.below(4) === 0
      ? draw.bytes(draw.below(64))
      : utf8(Array.from({ length: draw.below(12) }, () => words[draw.below(words.length)]!).join(""))

  it("hold no more than their limit, take each byte once, and do not care for the cuts", () => {
    const states = new Set<string>()
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const bytes = likeJson(draw)
      const limit = 1 + draw.below(80)
      const whole = JsonObject.makeCollector(limit)
      const taken = whole.push(bytes, 0)
      must(taken === whole.size() && taken <= limit, () => `seed ${seed}`)

      const cut = JsonObject.makeCollector(limit)
      for (const piece of pieces(bytes, draw)) cut.push(piece, 0)
      const name = () => `seed ${seed}`
      must(cut.state() === whole.state(), name)
      must(cut.text() === whole.text(), name)
      states.add(whole.state())
    }
    assert.deepStrictEqual([...states].sort(), ["Complete", "Empty", "NotObject", "Open", "TooLarge"])
  }, 180_000)

  it("read sizes from any bytes without throwing, and only sizes in range", () => {
    let sizes = 0
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const bytes = likeJson(draw)
      const whole = RemoteCommand.makeResizeParser().push(bytes)
      const parser = RemoteCommand.makeResizeParser()
      const cut = pieces(bytes, draw).flatMap((piece) => parser.push(piece))
      must(isDeepStrictEqual(cut, [...whole]), () => `seed ${seed}`)
      for (const { height, width } of whole) {
        assert(width >= 0 && width <= 65_535 && height >= 0 && height <= 65_535)
        sizes++
      }
    }
    assert.isAbove(sizes, count / 100)
  }, 180_000)

  it("read outcomes from any bytes without throwing, and success from nothing but a whole Status", () => {
    const tags = new Set<string>()
    for (let seed = 0; seed < count; seed++) {
      const draw = random(seed)
      const bytes = likeJson(draw)
      const whole = ExitStatus.makeAccumulator(200)
      whole.push(bytes)
      const outcome = whole.end()
      const cut = ExitStatus.makeAccumulator(200)
      for (const piece of pieces(bytes, draw)) cut.push(piece)
      const name = () => `seed ${seed}: ${toHex(bytes)}`
      must(isDeepStrictEqual(cut.end(), outcome), name)
      tags.add(outcome._tag)
      must(outcome._tag !== "Exited" || outcome.code !== 0 || outcome.status["status"] === "Success", name)
      if (outcome._tag === "Unreadable") assert.isAtMost(outcome.text.length, 200)
    }
    assert.deepStrictEqual([...tags].sort(), ["Exited", "Failed", "Missing", "Unreadable"])
  }, 180_000)
})
