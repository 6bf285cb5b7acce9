import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import { assert, describe, it } from "@effect/vitest"
import { concat, cuts, random, text, toHex, utf8 } from "./bytes.ts"
import { seen } from "./spdy.ts"

const { Reset } = SpdyFrame
const stdin: SpdyHeaders.Headers = [["streamtype", "stdin"]]

/** Two ends, whose bytes go to each other when told. */
const pair = (options: Partial<SpdyStreams.Options> = {}) => {
  const client = SpdyStreams.make({ ...options, role: "client" })
  const server = SpdyStreams.make({ ...options, role: "server" })
  return { client, server }
}

/** A data frame as it is sent. */
const data = (streams: SpdyStreams.Streams, stream: number, payload: Uint8Array): Uint8Array => {
  const header = new Uint8Array(8)
  streams.data(header, 0, stream, payload.length)
  return concat(header, payload)
}

const tags = (events: ReadonlyArray<SpdyStreams.Event>): ReadonlyArray<string> => events.map(({ _tag }) => _tag)

/** The frames that a side wants to send by itself. */
const replies = (streams: SpdyStreams.Streams) => {
  const bytes = streams.replies()
  return bytes === undefined ? [] : seen(SpdyFrame.makeDecoder().decode(bytes))
}

describe("streams", () => {
  it("begin with odd numbers at a client, carry bytes both ways, and end each way by itself", () => {
    const { client, server } = pair()
    const opened = [client.open([["streamtype", "error"]]), client.open(stdin)]
    assert.deepStrictEqual(opened.map(({ stream }) => stream), [1, 3])
    assert.deepStrictEqual(server.receive(concat(...opened.map(({ frame }) => frame))), [
      { _tag: "Opened", stream: 1, headers: [["streamtype", "error"]] },
      { _tag: "Opened", stream: 3, headers: stdin }
    ])
    assert.deepStrictEqual(client.receive(concat(server.reply(1), server.reply(3))), [
      { _tag: "Replied", stream: 1 },
      { _tag: "Replied", stream: 3 }
    ])
    assert.strictEqual(client.sendable(3), Number.POSITIVE_INFINITY)
    const sent = concat(data(client, 3, utf8("hi")), client.end(3)!)
    assert.deepStrictEqual(server.receive(sent), [
      { _tag: "Data", stream: 3, bytes: utf8("hi") },
      { _tag: "Ended", stream: 3 }
    ])
    assert.strictEqual(client.sendable(3), 0)
    assert.isFalse(client.isOpen(3))
    assert.isUndefined(client.end(3))
    // The other way still works.
    assert.deepStrictEqual(client.receive(concat(data(server, 3, utf8("ho")), server.end(3)!)), [
      { _tag: "Data", stream: 3, bytes: utf8("ho") },
      { _tag: "Ended", stream: 3 }
    ])
    assert.deepStrictEqual([client.size(), server.size()], [1, 1])
  })

  it("E16: end both ways by a reset, once; what comes of them afterwards is dropped", () => {
    const { client, server } = pair()
    server.receive(client.open(stdin).frame)
    const late = data(client, 1, utf8("late"))
    assert.deepStrictEqual(client.receive(server.reset(1, Reset.Cancel)!), [
      { _tag: "Reset", stream: 1, status: Reset.Cancel, byPeer: true }
    ])
    assert.isUndefined(server.reset(1, Reset.Cancel))
    assert.isUndefined(client.end(1))
    assert.deepStrictEqual(server.receive(concat(late, SpdyFrame.encodeRstStream(1, 5))), [])
    assert.deepStrictEqual(replies(server), [])
    assert.deepStrictEqual([client.size(), server.size()], [0, 0])
  })

  it("E16: of the wrong number are reset, as by real servers, and the connection goes on", () => {
    const { client, server } = pair()
    client.open(stdin)
    server.receive(concat(client.open(stdin).frame))
    const write = SpdyHeaders.makeWriter()
    const other = SpdyStreams.make({ role: "server" })
    const syn = (stream: number) => SpdyFrame.encodeSynStream(stream, write(stdin))
    assert.deepStrictEqual(tags(other.receive(concat(syn(5), syn(3), syn(5), syn(8), syn(7)))), ["Opened", "Opened"])
    assert.deepStrictEqual(
      replies(other),
      [3, 5, 8].map((stream) => ({
        _tag: "RstStream",
        stream,
        status: Reset.ProtocolError
      }))
    )
  })

  it("that a server begins are refused, and so are more than the limit", () => {
    const { client, server } = pair({ maxStreams: 2 })
    assert.deepStrictEqual(client.receive(server.open(stdin).frame), [])
    assert.deepStrictEqual(replies(client), [{ _tag: "RstStream", stream: 2, status: Reset.RefusedStream }])
    const three = concat(...[1, 2, 3].map(() => client.open(stdin).frame))
    assert.deepStrictEqual(tags(server.receive(three)), ["Opened", "Opened"])
    assert.deepStrictEqual(replies(server), [{ _tag: "RstStream", stream: 5, status: Reset.RefusedStream }])
    server.receive(client.reset(1, Reset.Cancel)!)
    assert.deepStrictEqual(tags(server.receive(client.open(stdin).frame)), ["Opened"])
  })

  it("E16: that get bytes behind their end are reset", () => {
    const { client, server } = pair()
    server.receive(client.open(stdin).frame)
    const end = SpdyFrame.encodeData(1, new Uint8Array(0), true)
    assert.deepStrictEqual(server.receive(concat(end, SpdyFrame.encodeData(1, utf8("x")))), [
      { _tag: "Ended", stream: 1 },
      { _tag: "Reset", stream: 1, status: Reset.StreamAlreadyClosed, byPeer: false }
    ])
    assert.deepStrictEqual(replies(server), [{ _tag: "RstStream", stream: 1, status: Reset.StreamAlreadyClosed }])
  })

  it("that are left unread are reset at the limit, and only they", () => {
    const { client, server } = pair({ maxUnreadBytes: 1000 })
    server.receive(concat(client.open(stdin).frame, client.open(stdin).frame))
    const kilo = new Uint8Array(1000)
    assert.deepStrictEqual(tags(server.receive(concat(data(client, 1, kilo), data(client, 3, kilo)))), ["Data", "Data"])
    server.consumed(3, 1000)
    assert.deepStrictEqual(server.receive(concat(data(client, 1, utf8("x")), data(client, 3, utf8("x")))), [
      { _tag: "Reset", stream: 1, status: Reset.FlowControlError, byPeer: false },
      { _tag: "Data", stream: 3, bytes: utf8("x") }
    ])
  })
})

describe("pings", () => {
  it("of the peer are echoed, and answers to ours are pongs", () => {
    const { client, server } = pair()
    assert.deepStrictEqual(server.receive(concat(client.ping(), client.ping())), [
      { _tag: "Ping", id: 1 },
      { _tag: "Ping", id: 3 }
    ])
    const answers = server.replies()!
    assert.deepStrictEqual(client.receive(answers), [{ _tag: "Pong" }, { _tag: "Pong" }])
    assert.strictEqual(toHex(answers), toHex(concat(SpdyFrame.encodePing(1), SpdyFrame.encodePing(3))))
    client.receive(server.ping())
    assert.deepStrictEqual(replies(client), [{ _tag: "Ping", id: 2 }])
  })

  it("are left to an owner who says so", () => {
    const client = SpdyStreams.make({ role: "client", answersPings: false })
    assert.deepStrictEqual(client.receive(SpdyFrame.encodePing(2)), [{ _tag: "Ping", id: 2 }])
    assert.isUndefined(client.replies())
  })

  it("in a flood end the connection: answers that nobody takes are not kept", () => {
    const { client, server } = pair()
    const pings = concat(...Array.from({ length: 10_000 }, () => client.ping()))
    const events = server.receive(pings)
    assert.strictEqual(events.at(-1)?._tag, "Violation")
    assert.isAtMost(server.replies()!.length, 65_600)
    assert.deepStrictEqual(server.receive(pings), [])
  })

  it("without a number are a violation", () => {
    assert.deepStrictEqual(tags(pair().client.receive(SpdyFrame.encodePing(0))), ["Violation"])
  })
})

describe("windows", () => {
  const windowed = (setting = 65_536) => {
    const { client, server } = pair()
    const { stream, frame } = client.open(stdin)
    server.receive(frame)
    return { client, server, stream, settings: SpdyFrame.encodeSettings([[7, setting]]) }
  }

  it("limit nothing while the peer counts none, as Kubernetes servers do not", () => {
    const { client, stream } = windowed()
    data(client, stream, new Uint8Array(1 << 24))
    assert.strictEqual(client.sendable(stream), Number.POSITIVE_INFINITY)
    client.consumed(stream, 1 << 24)
    assert.isUndefined(client.replies())
  })

  it("are kept from when the peer counts, and it has counted from the start", () => {
    const { client, settings, stream } = windowed(100_000)
    data(client, stream, new Uint8Array(90_000))
    assert.deepStrictEqual(client.receive(settings), [{ _tag: "Window" }])
    assert.strictEqual(client.sendable(stream), 10_000)
    data(client, stream, new Uint8Array(10_000))
    assert.strictEqual(client.sendable(stream), 0)
    assert.deepStrictEqual(client.receive(SpdyFrame.encodeWindowUpdate(stream, 50_000)), [{ _tag: "Window" }])
    assert.strictEqual(client.sendable(stream), 50_000)
    // A smaller window may leave less than nothing.
    client.receive(SpdyFrame.encodeSettings([[7, 10_000]]))
    assert.strictEqual(client.sendable(stream), 0)
  })

  it("of the connection are kept when the peer gives them", () => {
    const { client, settings, stream } = windowed(1_000_000)
    const second = client.open(stdin).stream
    client.receive(settings)
    data(client, stream, new Uint8Array(60_000))
    assert.strictEqual(client.sendable(second), 1_000_000)
    client.receive(SpdyFrame.encodeWindowUpdate(0, 1000))
    assert.strictEqual(client.sendable(second), 65_536 + 1000 - 60_000)
    data(client, second, new Uint8Array(6_536))
    assert.strictEqual(client.sendable(stream), 0)
  })

  it("are given back to a peer that counts, for the stream and the connection, also for what was read before", () => {
    const { client, server, stream } = windowed()
    server.receive(data(client, stream, new Uint8Array(40_000)))
    server.consumed(stream, 40_000)
    assert.isUndefined(server.replies())
    server.receive(SpdyFrame.encodeSettings([[7, 65_536]]))
    assert.deepStrictEqual(replies(server), [
      { _tag: "WindowUpdate", stream: 0, delta: 40_000 },
      { _tag: "WindowUpdate", stream, delta: 40_000 }
    ])
    server.receive(data(client, stream, new Uint8Array(40_000)))
    server.consumed(stream, 10_000)
    assert.isUndefined(server.replies())
    server.consumed(stream, 30_000)
    assert.lengthOf(replies(server), 2)
    // What comes for a stream that has ended must not eat up the connection's.
    server.reset(stream, Reset.Cancel)
    server.receive(data(client, stream, new Uint8Array(40_000)))
    assert.deepStrictEqual(replies(server), [{ _tag: "WindowUpdate", stream: 0, delta: 40_000 }])
  })

  it("move any amount between two peers that both count", () => {
    for (let seed = 0; seed < 20; seed++) {
      const draw = random(seed)
      const { client, server, settings, stream } = windowed()
      client.receive(settings)
      server.receive(settings)
      const whole = draw.bytes(1_000_000)
      const got: Array<Uint8Array> = []
      let sent = 0
      let rounds = 0
      while (sent < whole.length) {
        assert.isBelow(rounds++, 10_000, "no progress")
        const size = Math.min(client.sendable(stream), 1 + draw.below(50_000), whole.length - sent)
        const frame = data(client, stream, whole.subarray(sent, sent + size))
        sent += size
        for (const event of server.receive(frame)) {
          assert(event._tag === "Data")
          got.push(event.bytes)
          server.consumed(stream, event.bytes.length)
        }
        client.receive(server.replies() ?? new Uint8Array(0))
      }
      assert.strictEqual(toHex(concat(...got)), toHex(whole))
    }
  })

  it("that grow beyond all are refused", () => {
    const { client, settings, stream } = windowed()
    client.receive(settings)
    assert.deepStrictEqual(tags(client.receive(SpdyFrame.encodeWindowUpdate(stream, 0x7fff_ffff))), ["Reset"])
    assert.deepStrictEqual(tags(client.receive(SpdyFrame.encodeWindowUpdate(0, 0x7fff_ffff))), ["Violation"])
    assert.deepStrictEqual(tags(pair().client.receive(SpdyFrame.encodeSettings([[7, 0xffff_ffff]]))), ["Violation"])
  })
})

describe("a connection", () => {
  it("ends with the peer's goodbye: nothing follows", () => {
    const { client, server } = pair()
    server.receive(client.open(stdin).frame)
    const bytes = concat(data(server, 1, utf8("last")), server.goAway(), data(server, 1, utf8("late")))
    for (const chunks of cuts(bytes, 1)) {
      const { client } = pair()
      client.open(stdin)
      const events = chunks.flatMap((chunk) => client.receive(chunk))
      assert.deepStrictEqual(events.at(-1), { _tag: "GoAway", status: 0 })
      assert.strictEqual(events.map((event) => event._tag === "Data" ? text(event.bytes) : "").join(""), "last")
    }
    assert.strictEqual(toHex(server.goAway(1)), toHex(SpdyFrame.encodeGoAway(1, 1)))
  })
})
