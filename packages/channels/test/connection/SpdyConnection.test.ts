import type { Streams } from "@effect-k8s/channels/connection/Connection"
import * as SpdyConnection from "@effect-k8s/channels/connection/SpdyConnection"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import { concat, text, utf8 } from "../protocol/bytes.ts"
import { settle } from "../support/execServer.ts"

const { Reset } = SpdyFrame
const all: Streams = { stdin: true, stdout: true, stderr: true, tty: false }
const v4 = "v4.channel.k8s.io"
const large = new Uint8Array(1_000_000)

/** A connection, and the peer's end of its bytes. */
const opened = (asked: Streams = all) =>
  Effect.gen(function*() {
    const [left, peer] = yield* MemoryTransport.pair({ host: "memory", port: 1 })
    const scope = yield* Scope.make()
    const connection = yield* Scope.provide(SpdyConnection.make(left, v4, asked), scope)
    return { connection, left, peer, closeScope: Scope.close(scope, Exit.void) }
  })

/** What the peer has got, until the bytes end. */
const received = Effect.fnUntraced(function*(peer: MemoryTransport.MemoryConnection) {
  const streams = SpdyStreams.make({ role: "server" })
  const events: Array<SpdyStreams.Event> = []
  while (true) {
    const chunks = yield* Pull.catchDone(peer.pull, () => Effect.undefined)
    if (chunks === undefined) return events
    for (const chunk of chunks) events.push(...streams.receive(chunk))
  }
})

const opens = (events: ReadonlyArray<SpdyStreams.Event>) =>
  events.flatMap((event) => event._tag === "Opened" ? [[event.stream, event.headers] as const] : [])

/** The bytes of a stream. */
const dataOf = (events: ReadonlyArray<SpdyStreams.Event>, stream: number): Uint8Array =>
  concat(...events.flatMap((event) => event._tag === "Data" && event.stream === stream ? [event.bytes] : []))

const tagsOf = (events: ReadonlyArray<SpdyStreams.Event>): ReadonlyArray<string> =>
  events.map(({ _tag }) => _tag).filter((tag) => tag !== "Opened")

/** Reads what the peer has written so far. */
const inbound = Effect.fnUntraced(
  function*(connection: Effect.Success<ReturnType<typeof opened>>["connection"], count: number) {
    const events: Array<unknown> = []
    while (events.length < count) {
      for (const event of yield* connection.receive) {
        events.push("bytes" in event ? { ...event, bytes: text(event.bytes) } : event)
      }
    }
    return events
  }
)

describe("the streams", () => {
  const rows: ReadonlyArray<readonly [name: string, asked: Streams, types: ReadonlyArray<string>]> = [
    ["all", all, ["error", "stdin", "stdout", "stderr"]],
    ["outputs", { ...all, stdin: false }, ["error", "stdout", "stderr"]],
    ["stdin alone", { ...all, stdout: false, stderr: false }, ["error", "stdin"]],
    ["a terminal, which has one output", { ...all, tty: true }, ["error", "stdin", "stdout", "resize"]],
    ["a terminal without stdin", { ...all, stdin: false, stderr: false, tty: true }, ["error", "stdout", "resize"]]
  ]
  for (const [name, asked, types] of rows) {
    it.effect(`E27: are opened at once, in order, as many as were asked for: ${name}`, () =>
      Effect.gen(function*() {
        const { left, peer } = yield* opened(asked)
        yield* left.end
        assert.deepStrictEqual(
          opens(yield* received(peer)),
          types.map((type, i) => [2 * i + 1, [["streamtype", type]]] as const)
        )
      }))
  }
})

describe("stdin", () => {
  it.effect("is sent in frames of 32 KiB at most, in order, and ended by a FIN", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const chunks = [1, 0, 32_768, 32_769, 500_000, 3].map((size) => Buffer.alloc(size, size & 0xff))
      const reading = yield* Effect.forkChild(Effect.gen(function*() {
        const bytes: Array<Uint8Array> = []
        while (true) {
          const more = yield* Pull.catchDone(peer.pull, () => Effect.undefined)
          if (more === undefined) return concat(...bytes)
          bytes.push(...more)
        }
      }))
      yield* connection.sendStdin([chunks[0]!, ...chunks.slice(1)])
      yield* connection.endStdin
      yield* connection.endStdin
      yield* left.end
      const bytes = yield* Fiber.join(reading)
      const frames = SpdyFrame.makeDecoder().decode(bytes).filter((frame) => frame._tag === "Data")
      assert.isTrue(frames.every(({ payload }) => payload.length <= 32_768))
      assert.deepStrictEqual(frames.filter(({ fin }) => fin).length, 1)
      const events = SpdyStreams.make({ role: "server" }).receive(bytes)
      assert.strictEqual(Buffer.compare(dataOf(events, 3), Buffer.concat(chunks)), 0)
      assert.deepStrictEqual(events.at(-1), { _tag: "Ended", stream: 3 })
    }))

  it.effect("of many small pieces is joined into one frame, and nothing is sent of none", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* connection.sendStdin([utf8("a"), utf8(""), utf8("bc")])
      yield* connection.sendStdin([utf8("")])
      yield* left.end
      const events = yield* received(peer)
      assert.deepStrictEqual(tagsOf(events), ["Data"])
      assert.strictEqual(text(dataOf(events, 3)), "abc")
    }))

  it.effect("waits while the peer does not take it", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const sending = yield* Effect.forkChild(connection.sendStdin([large]))
      yield* settle
      assert.isUndefined(sending.pollUnsafe())
      const reading = yield* Effect.forkChild(received(peer))
      yield* Fiber.join(sending)
      yield* left.end
      assert.strictEqual(dataOf(yield* Fiber.join(reading), 3).length, large.length)
    }))

  it.effect("keeps to the window of a peer that counts, while pings go out and windows come in", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* peer.write([SpdyFrame.encodeSettings([[SpdyFrame.initialWindowSetting, 10_000]])])
      const receiving = yield* Effect.forkChild(Effect.forever(connection.receive))
      yield* settle
      const sending = yield* Effect.forkChild(connection.sendStdin([new Uint8Array(100_000).fill(7)]))
      const streams = SpdyStreams.make({ role: "server" })
      let got = 0
      let pings = 0
      const take = Effect.gen(function*() {
        for (const chunk of yield* peer.pull) {
          for (const event of SpdyFrame.makeDecoder().decode(chunk)) if (event._tag === "Ping") pings++
          for (const event of streams.receive(chunk)) if (event._tag === "Data") got += event.bytes.length
        }
      })
      yield* Effect.forkChild(Effect.forever(take))
      yield* settle
      assert.strictEqual(got, 10_000)
      assert.isUndefined(sending.pollUnsafe())
      yield* connection.ping
      yield* settle
      assert.strictEqual(pings, 1)
      for (let i = 0; i < 9; i++) {
        yield* peer.write([SpdyFrame.encodeWindowUpdate(3, 10_000)])
        yield* settle
        assert.strictEqual(got, 20_000 + i * 10_000)
      }
      yield* Fiber.join(sending)
      yield* Fiber.interrupt(receiving)
      yield* left.end
    }))

  it.effect("waits for ever when the peer has reset it: the command takes no more", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* opened()
      yield* peer.write([SpdyFrame.encodeRstStream(3, Reset.Cancel)])
      yield* Effect.forkChild(Effect.forever(connection.receive))
      yield* settle
      const sending = yield* Effect.forkChild(connection.sendStdin([utf8("more")]))
      yield* settle
      assert.isUndefined(sending.pollUnsafe())
      yield* Fiber.interrupt(sending)
      yield* connection.endStdin
    }))
})

describe("writes at once", () => {
  it.effect("are each whole on the wire", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened({ ...all, tty: true })
      const reading = yield* Effect.forkChild(received(peer))
      yield* Effect.all([
        connection.sendStdin([large.slice().fill(1)]),
        connection.ping,
        connection.keepAlive,
        connection.resize({ width: 80, height: 24 }),
        connection.sendStdin([large.slice().fill(2)]),
        connection.endStdin
      ], { concurrency: "unbounded" })
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.strictEqual(text(dataOf(events, 7)), "{\"Width\":80,\"Height\":24}\n")
      const stdin = dataOf(events, 3)
      assert.strictEqual(stdin.length, 2 * large.length)
      assert.isTrue(stdin.subarray(0, large.length).every((byte) => byte === 1))
      assert.isTrue(stdin.subarray(large.length).every((byte) => byte === 2))
      assert.isFalse(events.some(({ _tag }) => _tag === "Violation" || _tag === "Reset"))
      assert.deepStrictEqual(events.at(-1), { _tag: "Ended", stream: 3 })
    }))

  it.effect("go on when their caller is interrupted, and keep their frames whole", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const sending = yield* Effect.forkChild(connection.sendStdin([large]))
      yield* settle
      yield* Fiber.interrupt(sending)
      const reading = yield* Effect.forkChild(received(peer))
      yield* connection.sendStdin([utf8("next")])
      yield* left.end
      const stdin = dataOf(yield* Fiber.join(reading), 3)
      assert.strictEqual(stdin.length, large.length + 4)
      assert.strictEqual(text(stdin.subarray(large.length)), "next")
    }))

  it.effect("that wait for their turn and are interrupted send nothing", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const first = yield* Effect.forkChild(connection.sendStdin([large]))
      yield* settle
      const second = yield* Effect.forkChild(connection.sendStdin([utf8("never")]))
      yield* settle
      yield* Fiber.interrupt(second)
      const reading = yield* Effect.forkChild(received(peer))
      yield* Fiber.join(first)
      yield* left.end
      assert.strictEqual(dataOf(yield* Fiber.join(reading), 3).length, large.length)
    }))
})

describe("what the server sends", () => {
  const write = SpdyHeaders.makeWriter()
  const frames = (streams: ReadonlyArray<number>) =>
    concat(...streams.map((stream) => SpdyFrame.encodeSynReply(stream, write([]))))

  it.effect("comes as outputs, statuses and pongs, and its end as one: as a runtime ends a command", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* opened()
      yield* peer.write([
        concat(
          frames([1, 3, 5, 7]),
          SpdyFrame.encodeData(5, utf8("o")),
          SpdyFrame.encodeData(7, utf8("e"), true),
          SpdyFrame.encodePing(1),
          SpdyFrame.encodeData(5, utf8(""), true),
          SpdyFrame.encodeData(1, utf8("{")),
          SpdyFrame.encodeData(1, utf8("}"))
        ),
        concat(
          ...[1, 7, 3, 5].map((stream) => SpdyFrame.encodeRstStream(stream, Reset.Cancel)),
          SpdyFrame.encodeGoAway(7)
        )
      ])
      assert.deepStrictEqual(
        yield* inbound(connection, 7),
        [
          { _tag: "Output", channel: 1, bytes: "o" },
          { _tag: "Output", channel: 2, bytes: "e" },
          { _tag: "Pong" },
          { _tag: "OutputsEnded" },
          { _tag: "Status", bytes: "{" },
          { _tag: "Status", bytes: "}" },
          { _tag: "Closed", code: undefined, reason: "all streams have ended" }
        ]
      )
    }))

  it.effect("ends with its goodbye, whatever streams are open", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* opened()
      yield* peer.write([SpdyFrame.encodeData(5, utf8("o")), SpdyFrame.encodeGoAway(7, 2)])
      assert.deepStrictEqual(yield* inbound(connection, 2), [
        { _tag: "Output", channel: 1, bytes: "o" },
        { _tag: "Closed", code: undefined, reason: "GOAWAY, status 2" }
      ])
    }))

  it.effect("is passed over where it says nothing: streams of its own, data of unknown streams, headers", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const write = SpdyHeaders.makeWriter()
      yield* peer.write([
        SpdyFrame.encodeSynStream(2, write([["streamtype", "stdout"]])),
        SpdyFrame.encodeData(2, utf8("never")),
        SpdyFrame.encodeData(9, utf8("never")),
        SpdyFrame.encodeSynReply(11, write([])),
        SpdyFrame.encodeData(5, utf8("o"))
      ])
      assert.deepStrictEqual(yield* inbound(connection, 1), [{ _tag: "Output", channel: 1, bytes: "o" }])
      yield* settle
      yield* left.end
      const sent = yield* Effect.map(peer.pull, (chunks) => SpdyFrame.makeDecoder().decode(concat(...chunks)))
      assert.deepStrictEqual(sent.at(-1), { _tag: "RstStream", stream: 2, status: Reset.RefusedStream })
    }))

  it.effect("is a violation where it breaks the protocol", () =>
    Effect.gen(function*() {
      for (
        const bytes of [
          utf8("HTTP/1.1 500 Internal Server Error\r\n\r\n").map((byte, i) => i === 0 ? 0xc8 : byte),
          concat(SpdyFrame.encodeData(5, utf8(""), true), SpdyFrame.encodeData(5, utf8("more"))),
          SpdyFrame.encodePing(0)
        ]
      ) {
        const { connection, peer } = yield* opened({ ...all, stderr: false })
        yield* peer.write([bytes])
        const events = yield* connection.receive
        assert.strictEqual(events.at(-1)?._tag, "Violation")
      }
    }))

  it.effect("in pings is answered, and a flood ends the session instead of growing", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* peer.write([SpdyFrame.encodePing(2), SpdyFrame.encodePing(4), SpdyFrame.encodeData(5, utf8("o"))])
      yield* inbound(connection, 1)
      yield* settle
      const [, ...sent] = SpdyFrame.makeDecoder().decode(concat(...yield* peer.pull)).filter(({ _tag }) =>
        _tag !== "SynStream"
      )
      assert.deepStrictEqual(sent, [{ _tag: "Ping", id: 4 }])
      // Nobody takes the answers.
      yield* Effect.forkChild(connection.sendStdin([large]))
      yield* settle
      const flood = concat(...Array.from({ length: 9000 }, (_, i) => SpdyFrame.encodePing(2 * i + 2)))
      yield* peer.write([flood])
      const events = yield* connection.receive
      assert.strictEqual(events.at(-1)?._tag, "Violation")
      yield* left.end
    }))

  it.effect("is given to a peer that counts windows as it is read", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* peer.write([
        SpdyFrame.encodeSettings([[SpdyFrame.initialWindowSetting, 65_536]]),
        SpdyFrame.encodeData(5, new Uint8Array(50_000))
      ])
      let size = 0
      while (size < 50_000) {
        for (const event of yield* connection.receive) if (event._tag === "Output") size += event.bytes.length
      }
      yield* settle
      yield* left.end
      const events = SpdyFrame.makeDecoder().decode(concat(...yield* peer.pull))
      assert.deepStrictEqual(
        events.filter(({ _tag }) => _tag === "WindowUpdate").map((event) => "stream" in event ? event.stream : -1),
        [0, 5]
      )
    }))
})

describe("goodbye", () => {
  it.effect("is said once", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* connection.close
      yield* connection.close
      yield* left.end
      assert.deepStrictEqual(tagsOf(yield* received(peer)), ["GoAway"])
    }))

  it.effect("is not said into a frame that the end of the scope has cut", () =>
    Effect.gen(function*() {
      const { closeScope, connection, left, peer } = yield* opened()
      yield* Effect.forkChild(Effect.exit(connection.sendStdin([large])))
      yield* settle
      yield* closeScope
      const reading = yield* Effect.forkChild(received(peer))
      yield* connection.close
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.isTrue(tagsOf(events).every((tag) => tag === "Data"))
      assert.isTrue(dataOf(events, 3).every((byte) => byte === 0))
    }))
})
