import * as WebSocketConnection from "@effect-k8s/channels/connection/WebSocketConnection"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import { settle } from "../support/execServer.ts"

const { Opcode } = Frame

/** A connection, and the peer's end of its bytes. */
const opened = (protocol = v5) =>
  Effect.gen(function*() {
    const [left, peer] = yield* MemoryTransport.pair({ host: "memory", port: 1 })
    const scope = yield* Scope.make()
    const connection = yield* Scope.provide(WebSocketConnection.make(left, protocol), scope)
    const closeScope = Scope.close(scope, Exit.void)
    return { connection, left, peer, closeScope }
  })

/** The events of what the peer has got, until the bytes end. */
const received = Effect.fnUntraced(function*(peer: MemoryTransport.MemoryConnection) {
  const decoder = Frame.makeDecoder({ role: "server" })
  const events: Array<Frame.Event> = []
  while (true) {
    const chunks = yield* Pull.catchDone(peer.pull, () => Effect.undefined)
    if (chunks === undefined) return events
    for (const chunk of chunks) events.push(...decoder.decode(chunk))
  }
})

/** The messages among them, put together. */
const messages = (events: ReadonlyArray<Frame.Event>): ReadonlyArray<Uint8Array> => {
  const whole: Array<Array<Uint8Array>> = []
  for (const event of events) {
    if (event._tag !== "Data") continue
    if (event.first) whole.push([])
    whole.at(-1)?.push(event.payload)
  }
  return whole.map((parts) => Uint8Array.from(Buffer.concat(parts)))
}

describe("stdin", () => {
  it.effect("is sent in messages of 32 KiB at most, never in fragments, in order", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const chunks = [1, 0, 32_768, 32_769, 500_000, 3].map((size) => Buffer.alloc(size, size & 0xff))
      const reading = yield* Effect.forkChild(received(peer))
      yield* connection.sendStdin([chunks[0]!, ...chunks.slice(1)])
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.isTrue(events.every((event) => event._tag === "Data" && (event.first || !event.frame)))
      const sent = messages(events)
      assert.isTrue(sent.every((message) => message[0] === 0 && message.length > 1 && message.length <= 32_769))
      const stdin = Buffer.concat(sent.map((message) => message.subarray(1)))
      assert.strictEqual(stdin.compare(Buffer.concat(chunks)), 0)
    }))

  it.effect("of many small pieces is joined into one message", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* connection.sendStdin([Buffer.from("a"), Buffer.from(""), Buffer.from("bc")])
      yield* left.end
      assert.deepStrictEqual(messages(yield* received(peer)), [Uint8Array.from(Buffer.from("\0abc"))])
    }))

  it.effect("that is empty is not sent: an empty message says something else", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* connection.sendStdin([new Uint8Array(0)])
      yield* left.end
      assert.deepStrictEqual(yield* received(peer), [])
    }))

  it.effect("may be used again by its owner when it was sent", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const chunk = Buffer.from("before")
      yield* connection.sendStdin([chunk])
      chunk.fill(0x78)
      yield* left.end
      assert.deepStrictEqual(messages(yield* received(peer)), [Uint8Array.from(Buffer.from("\0before"))])
    }))

  it.effect("waits while the peer does not take it", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const sending = yield* Effect.forkChild(connection.sendStdin([new Uint8Array(1_000_000)]))
      yield* settle
      assert.isUndefined(sending.pollUnsafe())
      const reading = yield* Effect.forkChild(received(peer))
      yield* Fiber.join(sending)
      yield* left.end
      assert.strictEqual(
        messages(yield* Fiber.join(reading)).reduce((size, message) => size + message.length - 1, 0),
        1_000_000
      )
    }))
})

describe("writes at once", () => {
  it.effect("are each whole on the wire", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const reading = yield* Effect.forkChild(received(peer))
      yield* Effect.all([
        connection.sendStdin([new Uint8Array(500_000).fill(1)]),
        connection.ping,
        connection.keepAlive,
        connection.resize({ width: 80, height: 24 }),
        connection.sendStdin([new Uint8Array(500_000).fill(2)]),
        connection.endStdin
      ], { concurrency: "unbounded" })
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "Violation").length, 0)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "Ping").length, 1)
      const sent = messages(events)
      for (const message of sent) {
        if (message[0] === 0) assert.isTrue(message.subarray(1).every((byte) => byte === message[1]))
      }
      assert.strictEqual(sent.filter(({ length }) => length === 0).length, 1)
      assert.deepStrictEqual(sent.at(-1), Uint8Array.of(255, 0))
      const resize = sent.find((message) => message[0] === 4)
      assert.strictEqual(Buffer.from(resize ?? []).toString(), "\x04{\"Width\":80,\"Height\":24}\n")
    }))

  it.effect("go on when their caller is interrupted, and keep their frames whole", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const sending = yield* Effect.forkChild(connection.sendStdin([new Uint8Array(1_000_000).fill(1)]))
      yield* settle
      yield* Fiber.interrupt(sending)
      const reading = yield* Effect.forkChild(received(peer))
      yield* connection.sendStdin([Buffer.from("next")])
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "Violation").length, 0)
      assert.deepStrictEqual(messages(events).at(-1), Uint8Array.from(Buffer.from("\0next")))
    }))

  it.effect("that wait for their turn and are interrupted send nothing", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      const first = yield* Effect.forkChild(connection.sendStdin([new Uint8Array(1_000_000)]))
      yield* settle
      const second = yield* Effect.forkChild(connection.sendStdin([Buffer.from("never")]))
      yield* settle
      yield* Fiber.interrupt(second)
      const reading = yield* Effect.forkChild(received(peer))
      yield* Fiber.join(first)
      yield* connection.ping
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.isTrue(messages(events).every((message) => message.every((byte) => byte === 0)))
    }))
})

describe("a ping of the peer", () => {
  it.effect("is answered with its payload", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* peer.write([Frame.encode({ opcode: Opcode.Ping, payload: Buffer.from("hello") }, undefined)])
      const reading = yield* Effect.forkChild(connection.receive)
      yield* settle
      yield* Fiber.interrupt(reading)
      yield* left.end
      const [pong] = yield* received(peer)
      assert(pong?._tag === "Pong")
      assert.strictEqual(Buffer.from(pong.payload).toString(), "hello")
    }))

  it.effect("of a flood is answered by the last pongs only, and reading goes on", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      // Nobody takes the pongs.
      yield* Effect.forkChild(connection.sendStdin([new Uint8Array(1_000_000)]))
      yield* settle
      const ping = (i: number) => Frame.encode({ opcode: Opcode.Ping, payload: Buffer.from(`${i}`) }, undefined)
      const output = Frame.encode({ opcode: Opcode.Binary, prefix: 1, payload: Buffer.from("x") }, undefined)
      for (let i = 0; i < 50; i++) {
        yield* peer.write([ping(i), output])
        assert.strictEqual((yield* connection.receive)[0]._tag, "Output")
        yield* settle
      }
      const reading = yield* Effect.forkChild(received(peer))
      // Behind whatever waits for its turn.
      for (let i = 0; i < 5; i++) yield* Effect.andThen(settle, connection.keepAlive)
      yield* left.end
      const pongs = (yield* Fiber.join(reading)).filter(({ _tag }) => _tag === "Pong")
      assert.isAtMost(pongs.length, 2)
      const last = pongs.at(-1)
      assert(last?._tag === "Pong")
      assert.strictEqual(Buffer.from(last.payload).toString(), "49")
    }))
})

describe("goodbye", () => {
  it.effect("is said once", () =>
    Effect.gen(function*() {
      const { connection, left, peer } = yield* opened()
      yield* connection.close
      yield* connection.close
      const chunks = yield* peer.pull
      assert.strictEqual(chunks.length, 1)
      const [close] = Frame.makeDecoder({ role: "server" }).decode(chunks[0])
      assert.deepStrictEqual(close, { _tag: "Close", code: 1000, reason: "" })
      yield* left.end
      assert.deepStrictEqual(yield* received(peer), [])
    }))

  it.effect("is not said into a frame that the end of the scope has cut", () =>
    Effect.gen(function*() {
      const { closeScope, connection, left, peer } = yield* opened()
      yield* Effect.forkChild(Effect.exit(connection.sendStdin([new Uint8Array(1_000_000)])))
      yield* settle
      yield* closeScope
      const reading = yield* Effect.forkChild(received(peer))
      yield* connection.close
      yield* left.end
      const events = yield* Fiber.join(reading)
      assert.isAbove(events.length, 0)
      for (const event of events) {
        assert(event._tag === "Data")
        assert.isTrue(event.payload.every((byte) => byte === 0))
      }
    }))

  it.effect("is said although the scope ends with a write that has not begun", () =>
    Effect.gen(function*() {
      const { closeScope, connection, left, peer } = yield* opened()
      const ping = yield* Effect.forkChild(Effect.exit(connection.ping), { startImmediately: true })
      yield* closeScope
      yield* connection.close
      yield* Fiber.await(ping)
      yield* left.end
      assert.deepStrictEqual((yield* received(peer)).map(({ _tag }) => _tag), ["Ping", "Close"])
    }))
})

describe("the protocol", () => {
  it.effect("tells whether the end of stdin can be said", () =>
    Effect.gen(function*() {
      assert.isTrue((yield* opened(v5)).connection.halfClose)
      assert.isFalse((yield* opened(v4)).connection.halfClose)
    }))

  it.effect("gives outputs, statuses, pongs and the goodbye as events, and passes over the rest", () =>
    Effect.gen(function*() {
      const { connection, peer } = yield* opened()
      const frame = (opcode: Frame.Opcode, payload: string, prefix?: number) =>
        Frame.encode({ opcode, prefix, payload: Buffer.from(payload) }, undefined)
      yield* peer.write([
        frame(Opcode.Binary, "o", 1),
        frame(Opcode.Binary, "e", 2),
        frame(Opcode.Binary, "{", 3),
        frame(Opcode.Binary, "ignored", 7),
        frame(Opcode.Binary, ""),
        frame(Opcode.Pong, ""),
        Frame.encodeClose(1001, "bye", undefined)
      ])
      const events: Array<unknown> = []
      while (events.length < 5) {
        for (const event of yield* connection.receive) {
          events.push("bytes" in event ? { ...event, bytes: Buffer.from(event.bytes).toString() } : event)
        }
      }
      assert.deepStrictEqual(events, [
        { _tag: "Output", channel: 1, bytes: "o" },
        { _tag: "Output", channel: 2, bytes: "e" },
        { _tag: "Status", bytes: "{" },
        { _tag: "Pong" },
        { _tag: "Closed", code: 1001, reason: "bye" }
      ])
    }))

  it.effect("broken by the peer is a violation: text, a masked frame", () =>
    Effect.gen(function*() {
      for (
        const bytes of [
          Frame.encode({ opcode: Opcode.Text, payload: Buffer.from("hi") }, undefined),
          Frame.encode({ opcode: Opcode.Binary, payload: Buffer.from("hi") }, 1)
        ]
      ) {
        const { connection, peer } = yield* opened()
        yield* peer.write([bytes])
        const [event] = yield* connection.receive
        assert.strictEqual(event._tag, "Violation")
      }
    }))
})
