import * as ForwardChannels from "@effect-k8s/channels/protocol/ForwardChannels"
import * as ForwardFailure from "@effect-k8s/channels/protocol/ForwardFailure"
import * as ForwardPairs from "@effect-k8s/channels/protocol/ForwardPairs"
import type { ForwardProtocol } from "@effect-k8s/channels/protocol/ForwardProtocol"
import * as ForwardTunnel from "@effect-k8s/channels/protocol/ForwardTunnel"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { assert, describe, it } from "@effect/vitest"
import { concat, cuts, random, toHex, utf8 } from "./bytes.ts"
import { makeServer, seen } from "./forward.ts"
import * as Spdy from "./spdy.ts"

const { Opcode } = Frame
const noMask = () => 0
const refused = "error forwarding port 7777 to pod 12ab, uid : failed to execute portforward in network namespace " +
  "\"/var/run/netns/cni-1\": failed to connect to localhost:7777 inside namespace \"12ab\", IPv4: dial tcp4 " +
  "127.0.0.1:7777: connect: connection refused IPv6 dial tcp6: address localhost: no suitable address found "

/** A client with so many connections, and a server that knows them. */
const opened = (count = 1) => {
  const client = ForwardPairs.makeProtocol()
  const server = makeServer()
  for (let i = 0; i < count; i++) server.receive(client.open(8000 + i).bytes)
  return { client, server }
}

const payloadOf = (client: ForwardProtocol, pair: number, payload: Uint8Array): Uint8Array => {
  const target = new Uint8Array(payload.length + client.overhead)
  return target.subarray(0, client.encodeInto(target, 0, pair, payload))
}

describe("connections over SPDY", () => {
  it("P3: are asked for by an error stream that we end, and a data stream, with the port and the number of the request", () => {
    const { server } = opened(2)
    assert.deepStrictEqual(server.events, [
      {
        _tag: "Opened",
        stream: 1,
        headers: [["streamtype", "error"], ["port", "8000"], ["requestid", "0"]]
      },
      { _tag: "Ended", stream: 1 },
      {
        _tag: "Opened",
        stream: 3,
        headers: [["streamtype", "data"], ["port", "8000"], ["requestid", "0"]]
      },
      {
        _tag: "Opened",
        stream: 5,
        headers: [["streamtype", "error"], ["port", "8001"], ["requestid", "1"]]
      },
      { _tag: "Ended", stream: 5 },
      {
        _tag: "Opened",
        stream: 7,
        headers: [["streamtype", "data"], ["port", "8001"], ["requestid", "1"]]
      }
    ])
  })

  it("are accepted when both streams are, carry bytes both ways, and end with the pod's end", () => {
    const { client, server } = opened()
    const reply = server.reply(0)
    assert.deepStrictEqual(client.receive(reply.subarray(0, -1)), [])
    assert.deepStrictEqual(client.receive(reply.subarray(-1)), [{ _tag: "Accepted", pair: 0 }])
    server.receive(payloadOf(client, 0, utf8("GET")))
    assert.deepStrictEqual(server.events.at(-1), { _tag: "Data", stream: 3, bytes: utf8("GET") })
    const answer = concat(server.send(0, "data", utf8("200")), server.end(0, "data"), server.end(0, "error"))
    assert.deepStrictEqual(seen(client.receive(answer)), [
      { _tag: "Data", pair: 0, bytes: toHex(utf8("200")) },
      { _tag: "Ending", pair: 0 },
      { _tag: "Ended", pair: 0 }
    ])
    assert.strictEqual(client.sendable(0), 0)
    // What is still open is our half of the data.
    server.receive(client.end(0)!)
    assert.deepStrictEqual(server.events.at(-1), { _tag: "Ended", stream: 3 })
    assert.isUndefined(client.release(0))
    assert.strictEqual(server.streams.size(), 0)
  })

  // Each way in which servers end a connection that has failed.
  type Server = ReturnType<typeof makeServer>
  const say = (server: Server): Uint8Array => server.send(0, "error", utf8(refused))
  const endings: ReadonlyArray<readonly [name: string, end: (server: Server) => Uint8Array]> = [
    ["resets of both", (server) => concat(say(server), server.reset(0, "data"), server.reset(0, "error"))],
    ["the ends of both", (server) => concat(say(server), server.end(0, "data"), server.end(0, "error"))],
    ["the end of the error stream alone", (server) => concat(say(server), server.end(0, "error"))],
    // As containerd does.
    ["the end of the data first", (server) => concat(server.end(0, "data"), say(server), server.end(0, "error"))],
    [
      "the reset of the data first",
      (server) => concat(server.reset(0, "data"), say(server), server.reset(0, "error"))
    ]
  ]
  for (const [name, end] of endings) {
    it(`fail alone, with the server's text, by ${name}`, () => {
      const { client, server } = opened(2)
      client.receive(concat(server.reply(0), server.reply(1)))
      const events = client.receive(end(server))
      assert.deepStrictEqual(seen(events), [
        { _tag: "Ending", pair: 0 },
        { _tag: "Failed", pair: 0, text: refused, accepted: true }
      ])
      assert.deepStrictEqual(seen(client.receive(server.send(1, "data", utf8("alive")))), [
        { _tag: "Data", pair: 1, bytes: toHex(utf8("alive")) }
      ])
      client.release(0)
      assert.isAbove(client.sendable(1), 0)
    })
  }

  it("fail with what was said so far when the server forgets to end its words", () => {
    const { client, server } = opened()
    client.receive(server.send(0, "error", utf8("timed out waiting for streams")))
    assert.deepStrictEqual(client.settle(0), {
      _tag: "Failed",
      pair: 0,
      text: "timed out waiting for streams",
      accepted: false
    })
    assert.isUndefined(client.settle(0))
  })

  it("end in order when the server forgets to end its words, and has said none", () => {
    const { client, server } = opened()
    client.receive(concat(server.reply(0), server.end(0, "data")))
    assert.deepStrictEqual(client.settle(0), { _tag: "Ended", pair: 0 })
    const other = opened()
    other.client.receive(other.server.reply(0))
    assert.isUndefined(other.client.settle(0))
  })

  it("P10: fail without a word when they are reset, before they are accepted or after", () => {
    const { client, server } = opened(2)
    client.receive(server.reply(1))
    assert.deepStrictEqual(seen(client.receive(server.reset(0, "error"))), [
      { _tag: "Failed", pair: 0, text: "", accepted: false }
    ])
    assert.deepStrictEqual(seen(client.receive(concat(server.reset(1, "data"), server.reset(1, "error")))), [
      { _tag: "Ending", pair: 1 },
      { _tag: "Failed", pair: 1, text: "", accepted: true }
    ])
  })

  it("are reset both ways when they are released, and what comes of them afterwards says nothing", () => {
    const { client, server } = opened()
    client.receive(server.reply(0))
    const late = concat(server.send(0, "data", utf8("late")), server.end(0, "data"), server.end(0, "error"))
    const decoded = SpdyFrame.makeDecoder().decode(client.release(0)!)
    assert.deepStrictEqual(Spdy.seen(decoded), [
      { _tag: "RstStream", stream: 3, status: 5 },
      { _tag: "RstStream", stream: 1, status: 5 }
    ])
    assert.deepStrictEqual(client.receive(late), [])
    assert.isUndefined(client.release(0))
  })

  it("all end with the server's goodbye", () => {
    const { client, server } = opened(2)
    assert.deepStrictEqual(seen(client.receive(concat(server.streams.goAway(), server.send(0, "data", utf8("x"))))), [
      { _tag: "Closed", code: undefined, reason: "GOAWAY, status 0" }
    ])
  })

  it("keep nothing of 2,000 that have ended", () => {
    const pairs = ForwardPairs.make()
    const server = makeServer()
    for (let i = 0; i < 2_000; i++) {
      const { frames, pair } = pairs.open(80)
      server.receive(concat(...frames))
      pairs.receive(concat(server.reply(pair), server.end(pair, "data"), server.end(pair, "error")))
      server.receive(concat(...pairs.end(pair), ...pairs.release(pair)))
    }
    assert.deepStrictEqual([pairs.size(), server.streams.size()], [0, 0])
  })
})

/** What a server says to three connections: answers, a failure, pings of both kinds, an end. */
const conversation = (server: ReturnType<typeof makeServer>): ReadonlyArray<Uint8Array> => [
  server.reply(0),
  server.reply(1),
  server.send(0, "data", random(1).bytes(300)),
  SpdyFrame.encodePing(2),
  server.reply(2),
  server.send(1, "error", utf8("für immer fort")),
  server.send(2, "data", random(2).bytes(500)),
  server.reset(1, "data"),
  SpdyFrame.encodePing(1),
  server.reset(1, "error"),
  server.send(0, "data", new Uint8Array(0)),
  server.end(2, "data"),
  server.end(2, "error"),
  server.send(0, "data", random(3).bytes(700)),
  server.streams.goAway()
]

describe("what a server sends means the same", () => {
  const expected = (() => {
    const { client, server } = opened(3)
    return seen(client.receive(concat(...conversation(server))))
  })()

  it("(which is this)", () => {
    assert.deepStrictEqual(expected.map((event) => event._tag), [
      "Accepted",
      "Accepted",
      "Data",
      "Accepted",
      "Ending",
      "Data",
      "Pong",
      "Failed",
      "Ending",
      "Ended",
      "Data",
      "Closed"
    ])
  })

  it("wherever the bytes are cut", () => {
    for (let seed = 0; seed < 5; seed++) {
      const { server } = opened(3)
      for (const pieces of cuts(concat(...conversation(server)), seed)) {
        const client = ForwardPairs.makeProtocol()
        for (let i = 0; i < 3; i++) client.open(8000 + i)
        assert.deepStrictEqual(seen(pieces.flatMap((piece) => client.receive(piece))), expected)
      }
    }
  })

  it("in a tunnel, whatever messages and fragments it comes in, empty ones too, and wherever these are cut", () => {
    for (let seed = 0; seed < 40; seed++) {
      const draw = random(seed)
      const { server } = opened(3)
      const inner = concat(...conversation(server))
      const frames: Array<Uint8Array> = []
      let isOpen = false
      for (let at = 0; at < inner.length;) {
        const size = [0, 1, 2, 7, draw.below(200), draw.below(2_000)][draw.below(6)]!
        const fin = draw.below(3) > 0
        const opcode = isOpen ? Opcode.Continuation : Opcode.Binary
        isOpen = !fin
        frames.push(Frame.encode({ opcode, fin, payload: inner.subarray(at, at + size) }, undefined))
        if (draw.below(10) === 0) frames.push(Frame.encode({ opcode: Opcode.Ping, payload: utf8("?") }, undefined))
        at += size
      }
      for (const pieces of [...cuts(concat(...frames), seed)].slice(0, 3)) {
        const client = ForwardTunnel.make(noMask)
        for (let i = 0; i < 3; i++) client.open(8000 + i)
        assert.deepStrictEqual(seen(pieces.flatMap((piece) => client.receive(piece))), expected, `seed ${seed}`)
      }
    }
  })
})

describe("P7: a tunnel", () => {
  /** The messages of a client. */
  const messages = (bytes: Uint8Array | undefined): ReadonlyArray<Uint8Array> =>
    Frame.makeDecoder({ role: "server" }).decode(bytes ?? new Uint8Array(0)).map((event) => {
      assert.deepInclude(event, { _tag: "Data", text: false, first: true, last: true })
      return event._tag === "Data" ? event.payload : new Uint8Array(0)
    })
  const kinds = (bytes: Uint8Array | undefined) =>
    messages(bytes).map((message) => SpdyFrame.makeDecoder().decode(message).map(({ _tag }) => _tag))

  it("writes one message a frame", () => {
    const client = ForwardTunnel.make(() => 0x01020304)
    const { bytes } = client.open(80)
    // The second header block needs the state of the first.
    const decoder = SpdyFrame.makeDecoder()
    assert.deepStrictEqual(
      messages(bytes.slice()).map((message) => decoder.decode(message).map(({ _tag }) => _tag)),
      [["SynStream"], ["Data"], ["SynStream"]]
    )
    const sent = payloadOf(client, 0, random(4).bytes(32_768))
    assert.deepStrictEqual(messages(sent.slice()).map(({ length }) => length), [32_776])
    assert.deepStrictEqual(Spdy.seen(SpdyFrame.makeDecoder().decode(messages(sent)[0]!)), [
      { _tag: "Data", stream: 3, bytes: toHex(random(4).bytes(32_768)) }
    ])
    assert.deepStrictEqual(kinds(client.ping()), [["Ping"]])
    assert.deepStrictEqual(kinds(client.end(0)), [["Data"]])
    assert.deepStrictEqual(kinds(client.release(0)), [["RstStream"], ["RstStream"]])
  })

  it("answers the pings of both protocols", () => {
    const client = ForwardTunnel.make(noMask)
    client.receive(concat(
      Frame.encode({ opcode: Opcode.Binary, payload: SpdyFrame.encodePing(2) }, undefined),
      Frame.encode({ opcode: Opcode.Ping, payload: utf8("!") }, undefined)
    ))
    const [inner, pong] = Frame.makeDecoder({ role: "server" }).decode(client.replies()!)
    assert.deepInclude(inner, { payload: SpdyFrame.encodePing(2) })
    assert.deepStrictEqual(pong, { _tag: "Pong", payload: utf8("!") })
    assert.isUndefined(client.replies())
  })

  it("says goodbye in both", () => {
    const events = Frame.makeDecoder({ role: "server" }).decode(ForwardTunnel.make(noMask).goodbye())
    assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Data", "Close"])
  })

  it("takes a text message for a breach, and a close for an end with its code", () => {
    const text = Frame.encode({ opcode: Opcode.Text, payload: utf8("hello") }, undefined)
    assert.deepStrictEqual(seen(ForwardTunnel.make(noMask).receive(text)), [{ _tag: "Violation", closeCode: 1003 }])
    const close = Frame.encodeClose(1001, "away", undefined)
    assert.deepStrictEqual(seen(ForwardTunnel.make(noMask).receive(concat(close, text))), [
      { _tag: "Closed", code: 1001, reason: "away" }
    ])
  })
})

describe("P12: a connection over WebSocket alone", () => {
  const message = (channel: number, payload: Uint8Array): Uint8Array =>
    Frame.encode({ opcode: Opcode.Binary, prefix: channel, payload }, undefined)
  const port = ForwardChannels.prologue(8080)
  const begin = concat(message(0, port), message(1, port))
  const close = Frame.encodeClose(1000, "", undefined)

  it("begins when its data channel has named the port, and ends with the connection", () => {
    assert.strictEqual(toHex(port), "901f")
    const client = ForwardChannels.make(8080, noMask)
    const events = client.receive(concat(begin, message(0, utf8("ping")), close))
    assert.deepStrictEqual(seen(events), [
      { _tag: "Accepted", pair: 0 },
      { _tag: "Data", pair: 0, bytes: toHex(utf8("ping")) },
      { _tag: "Ended", pair: 0 },
      { _tag: "Closed", code: 1000, reason: "" }
    ])
  })

  it("takes its port from the first two bytes of each channel, split or merged with data, in any fragments and cuts", () => {
    const expected = ["Accepted", "Data", "Ending", "Failed", "Closed"]
    for (let seed = 0; seed < 100; seed++) {
      const draw = random(seed)
      // Each payload in one or several messages, each message in one or several fragments.
      const send = (channel: number, payload: Uint8Array): Uint8Array => {
        const parts: Array<Uint8Array> = []
        for (let at = 0; at < payload.length;) {
          const size = 1 + draw.below(payload.length - at)
          const whole = concat(Uint8Array.of(channel), payload.subarray(at, at + size))
          const split = draw.below(whole.length + 1)
          parts.push(
            Frame.encode({ opcode: Opcode.Binary, fin: false, payload: whole.subarray(0, split) }, undefined),
            Frame.encode({ opcode: Opcode.Continuation, payload: whole.subarray(split) }, undefined)
          )
          at += size
        }
        return concat(...parts)
      }
      const wire = concat(
        send(0, concat(port, utf8("data that is long enough"))),
        message(1, concat(port)),
        Frame.encode({ opcode: Opcode.Binary, payload: new Uint8Array(0) }, undefined),
        message(1, utf8("gone")),
        close
      )
      for (const pieces of cuts(wire, seed)) {
        const client = ForwardChannels.make(8080, noMask)
        const tags = seen(pieces.flatMap((piece) => client.receive(piece)))
        assert.deepStrictEqual(
          tags.filter(({ _tag }) => _tag !== "Ending").map(({ _tag }) => _tag),
          expected.filter((tag) => tag !== "Ending"),
          `seed ${seed}`
        )
        assert.deepInclude(tags, { _tag: "Data", pair: 0, bytes: toHex(utf8("data that is long enough")) })
        assert.deepInclude(tags, { _tag: "Failed", pair: 0, text: "gone", accepted: true })
      }
    }
  })

  it("fails with the server's text, at once, though the server goes on", () => {
    const client = ForwardChannels.make(8080, noMask)
    const events = client.receive(concat(begin, message(1, utf8(refused)), message(0, utf8("late"))))
    assert.deepStrictEqual(seen(events), [
      { _tag: "Accepted", pair: 0 },
      { _tag: "Failed", pair: 0, text: refused, accepted: true }
    ])
  })

  it("takes another port, another channel, and a text message for a breach", () => {
    for (const bytes of [message(0, ForwardChannels.prologue(80)), message(2, port)]) {
      assert.deepStrictEqual(seen(ForwardChannels.make(8080, noMask).receive(bytes)), [
        { _tag: "Violation", closeCode: 1002 }
      ])
    }
    const text = Frame.encode({ opcode: Opcode.Text, payload: utf8("0") }, undefined)
    assert.deepStrictEqual(seen(ForwardChannels.make(8080, noMask).receive(text)), [
      { _tag: "Violation", closeCode: 1003 }
    ])
  })

  it("is closed once, and cannot say the end of what it sends", () => {
    const client = ForwardChannels.make(8080, noMask)
    assert.isUndefined(client.end(0))
    assert.strictEqual(client.sendable(0), Number.POSITIVE_INFINITY)
    assert.isDefined(client.release(0))
    assert.isUndefined(client.release(0))
    assert.strictEqual(client.sendable(0), 0)
    assert.lengthOf(client.goodbye(), 0)
  })
})

describe("a connection over WebSocket alone that is left", () => {
  const pong = (payload: Uint8Array) => Frame.encode({ opcode: Opcode.Pong, payload }, undefined)

  it("has ended when the server has answered what was said last, and no other ping", () => {
    const client = ForwardChannels.make(80, noMask)
    client.receive(pong(new Uint8Array(0)))
    const [asked] = Array.from(Frame.makeDecoder({ role: "server" }).decode(client.leave(0)!))
    assert.strictEqual(asked?._tag, "Ping")
    assert.deepStrictEqual(client.receive(pong(new Uint8Array(0))), [{ _tag: "Pong" }])
    assert.deepStrictEqual(client.receive(pong(asked?._tag === "Ping" ? asked.payload.slice() : new Uint8Array(0))), [
      { _tag: "Pong" },
      { _tag: "Ending", pair: 0 }
    ])
    assert.deepStrictEqual(client.settle(0), { _tag: "Ended", pair: 0 })
    assert.isUndefined(client.settle(0))
  })

  it("has failed when the server has said so", () => {
    const client = ForwardChannels.make(80, noMask)
    client.leave(0)
    const words = concat(ForwardChannels.prologue(80), utf8("broken"))
    client.receive(Frame.encode({ opcode: Opcode.Binary, prefix: 1, payload: words }, undefined))
    assert.isUndefined(client.settle(0))
  })
})

describe("P11: the ports of a request", () => {
  const rows: ReadonlyArray<readonly [values: ReadonlyArray<string>, expected: ForwardChannels.Ports]> = [
    [["8080"], { _tag: "Ports", ports: [8080] }],
    [["8080", "9090"], { _tag: "Ports", ports: [8080, 9090] }],
    [["8080,9090", "80"], { _tag: "Ports", ports: [8080, 9090, 80] }],
    [["80", "80"], { _tag: "Ports", ports: [80, 80] }],
    [["0"], { _tag: "Ports", ports: [0] }],
    [[], { _tag: "Ports", ports: [] }],
    [["abc"], { _tag: "BadPort", text: "abc", why: "invalid syntax" }],
    [["80,"], { _tag: "BadPort", text: "", why: "invalid syntax" }],
    [["-1"], { _tag: "BadPort", text: "-1", why: "invalid syntax" }],
    [["70000"], { _tag: "BadPort", text: "70000", why: "value out of range" }]
  ]
  for (const [values, expected] of rows) {
    it(JSON.stringify(values), () => {
      assert.deepStrictEqual(ForwardChannels.parsePorts(values), expected)
    })
  }
})

describe("what servers say of a failure is told apart", () => {
  const rows: ReadonlyArray<readonly [text: string, kind: ForwardFailure.Kind]> = [
    [refused, "refused"],
    [
      "error forwarding port 80 to pod 12, uid : port forward into network namespace \"/run/netns/1\": failed to " +
      "connect to localhost:80 inside namespace 12: dial tcp 127.0.0.1:80: connect: connection refused",
      "refused"
    ],
    ["error forwarding port 80 to pod 12, uid : network namespace for sandbox \"12ab\" is closed", "gone"],
    ["error forwarding port 80 to pod 12, uid : sandbox 12ab is not running", "gone"],
    [
      "error forwarding port 80 to pod 12, uid : failed to execute portforward in network namespace \"/n\": read tcp4 " +
      "127.0.0.1:1->127.0.0.1:80: read: connection reset by peer",
      "broken"
    ],
    ["", "broken"]
  ]
  for (const [text, kind] of rows) {
    it(`${kind}: ${text.slice(-60)}`, () => assert.strictEqual(ForwardFailure.classify(text), kind))
  }
})
