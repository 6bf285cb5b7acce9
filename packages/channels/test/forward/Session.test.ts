/**
 * A session of forwarded connections on virtual time, against a server in memory.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { text, utf8 } from "../protocol/bytes.ts"
import { gate, joined, settle, timePasses } from "../support/execServer.ts"
import * as ForwardServer from "../support/forwardServer.ts"
import { after, fail, goneWords, reasonOf, refusedWords, say, start } from "../support/forwardSession.ts"

describe("a session", () => {
  it.effect("asks for the tunnel first, then for SPDY, and says what was tried", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ transport: "auto" })
      assert.deepStrictEqual(server.asked, ["GET portforward", "POST portforward"])
      assert.strictEqual(forward.transport, "spdy")
      assert.deepStrictEqual(forward.attempts, [
        { protocol: "tunnel SPDY/3.1+portforward.k8s.io", code: 400, body: "" }
      ])
      yield* timePasses
    }))

  it.effect("that cannot be opened says all that was tried, whatever the last answer was", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make({ refuses: (method) => method === "GET" ? 400 : 401 })
      const error = yield* Effect.flip(
        Effect.provideService(PortForward.open(Target.pod("p")), KubeClient.KubeClient, server.client)
      )
      assert.strictEqual(error.reason._tag, "Unauthorized")
      assert.deepStrictEqual(error.attempts?.map(({ code, protocol }) => [code, protocol]), [
        [400, "tunnel SPDY/3.1+portforward.k8s.io"],
        [401, "spdy portforward.k8s.io"]
      ])
    }))

  it.effect("does not ask again for what the cluster has just refused, or does not answer", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make()
      const opened = Effect.scoped(Effect.map(PortForward.open(Target.pod("p")), ({ transport }) => transport)).pipe(
        Effect.provideService(KubeClient.KubeClient, server.client)
      )
      assert.strictEqual(yield* opened, "spdy")
      assert.strictEqual(yield* opened, "spdy")
      assert.deepStrictEqual(server.asked, ["GET portforward", "POST portforward", "POST portforward"])
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* opened, "spdy")
      assert.deepStrictEqual(server.asked.slice(3), ["GET portforward", "POST portforward"])

      const gateway = yield* ForwardServer.make({ refuses: (method) => method === "GET" ? 502 : undefined })
      const through = Effect.provideService(
        Effect.scoped(Effect.asVoid(PortForward.open(Target.pod("p")))),
        KubeClient.KubeClient,
        gateway.client
      )
      for (let i = 0; i < 4; i++) yield* through
      assert.deepStrictEqual(gateway.asked, [
        ...["GET", "POST", "GET", "POST", "GET", "POST"].map((method) => `${method} portforward`),
        "POST portforward"
      ])
    }))

  it.effect("falls back for a later socket as for the first one, and asks first for what has worked", () =>
    Effect.gen(function*() {
      const refused = new Set<string>()
      const { forward, server } = yield* start({ transport: "auto" }, {
        speaks: ["tunnel", "spdy", "websocket"],
        refuses: (_method, _path, transport) => refused.has(transport) ? 400 : undefined
      })
      /** Connects anew, by a socket of its own. */
      const connected = Effect.gen(function*() {
        const before = server.asked.length
        yield* server.pairs.at(-1)?.goodbye ?? Effect.void
        yield* settle
        const { transport } = yield* forward.connect(80)
        return [transport, ...server.asked.slice(before)]
      })
      assert.deepStrictEqual(yield* connected, ["tunnel"])
      // Another API server of the cluster, an older one, answers from now on.
      refused.add("tunnel")
      assert.deepStrictEqual(yield* connected, ["spdy", "GET portforward", "POST portforward"])
      assert.deepStrictEqual(yield* connected, ["spdy", "POST portforward"])
      refused.add("spdy")
      const all = ["POST portforward", "GET portforward", "GET portforward"]
      assert.deepStrictEqual(yield* connected, ["websocket", ...all])
      // It takes a socket for each connection, and so is no more than a way out.
      refused.clear()
      assert.deepStrictEqual(yield* connected, ["spdy", "POST portforward"])
      yield* timePasses
    }))

  it.effect("asks by no other protocol than the one that was wanted, for a later socket either", () =>
    Effect.gen(function*() {
      let isRefused = false
      const { forward, server } = yield* start({ transport: "tunnel" }, {
        speaks: ["tunnel", "spdy", "websocket"],
        refuses: () => isRefused ? 400 : undefined
      })
      yield* forward.connect(80)
      isRefused = true
      yield* server.pairs[0]!.goodbye
      yield* settle
      assert.strictEqual(yield* reasonOf(forward.connect(80)), "UpgradeRefused")
      assert.deepStrictEqual(server.asked, ["GET portforward", "GET portforward"])
      yield* timePasses
    }))

  it.effect("spreads connections over its sockets, uses them again, and closes all with its scope", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make()
      yield* Effect.scoped(Effect.gen(function*() {
        const forward = yield* Effect.provideService(
          PortForward.open(Target.pod("p"), { transport: "spdy", sockets: 3 }),
          KubeClient.KubeClient,
          server.client
        )
        for (let i = 0; i < 3; i++) yield* Effect.scoped(forward.connect(80))
        assert.strictEqual(server.sockets(), 1)
        yield* Effect.forEach(Array.from({ length: 9 }), () => forward.connect(80))
        assert.deepStrictEqual(yield* forward.stats, { sockets: 3, connections: 9 })
        const count = (socket: number) => server.pairs.slice(3).filter((pair) => pair.socket === socket).length
        assert.deepStrictEqual([1, 2, 3].map(count), [3, 3, 3])
        yield* timePasses
      }))
      yield* settle
      assert.strictEqual(server.open(), 0)
    }))

  it.effect("leaves a socket that does not take a connection, after three seconds", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, { takes: (socket) => socket > 1 })
      const connecting = yield* Effect.forkChild(forward.connect(80))
      yield* settle
      yield* after(2_999)
      assert.isUndefined(connecting.pollUnsafe())
      yield* after(1)
      const connection = yield* Fiber.join(connecting)
      assert.strictEqual(connection.port, 80)
      assert.deepStrictEqual(server.pairs.map(({ got, socket }) => [socket, got().reset]), [[1, true], [2, false]])
      yield* timePasses
    }))

  it.effect("fails with PeerStalled when none takes it", () =>
    Effect.gen(function*() {
      const { forward } = yield* start({ handshakeTimeout: "10 seconds" }, { takes: () => false })
      const connecting = yield* Effect.forkChild(reasonOf(forward.connect(80)))
      yield* settle
      yield* after(3_000)
      yield* after(10_000)
      assert.strictEqual(yield* Fiber.join(connecting), "PeerStalled")
      yield* timePasses
    }))

  it.effect("pings in silence, and again before it takes the server for dead", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, { pongs: false })
      const connection = yield* forward.connect(80)
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
      yield* settle
      for (let i = 0; i < 39; i++) yield* after(1_000)
      assert.isUndefined(reading.pollUnsafe())
      assert.isAtLeast(server.pings.length, 3)
      for (let i = 0; i < 2; i++) yield* after(1_000)
      assert.strictEqual(yield* Fiber.join(reading), "PeerStalled")
      yield* timePasses
    }))

  it.effect("says one ping while a write waits for the server, however long that is", () =>
    Effect.gen(function*() {
      const goes = Latch.makeUnsafe(false)
      const { forward, server } = yield* start({}, { onBytes: () => goes.await })
      const connection = yield* forward.connect(80)
      const writing = yield* Effect.forkChild(
        Stream.run(Stream.succeed(new Uint8Array(8 * 1024 * 1024)), connection.write)
      )
      yield* settle
      for (let i = 0; i < 60; i++) yield* after(10_000)
      assert.isUndefined(writing.pollUnsafe())
      goes.openUnsafe()
      yield* Fiber.join(writing)
      yield* settle
      assert.strictEqual(server.pings.length, 1)
      // And again when that was written.
      for (let i = 0; i < 4; i++) yield* after(10_000)
      assert.isAbove(server.pings.length, 2)
      yield* timePasses
    }))

  it.effect("lives for hours while the server answers", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      const connection = yield* forward.connect(80)
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
      yield* settle
      for (let i = 0; i < 100; i++) yield* after(11_000)
      assert.isUndefined(reading.pollUnsafe())
      assert.isAbove(server.pings.length, 50)
      yield* timePasses
    }))
})

describe("a connection", () => {
  it.effect("ends in order when the server ends its data and forgets the error stream", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      const connection = yield* forward.connect(80)
      const [pair] = server.pairs
      yield* pair!.send(utf8("bye"))
      yield* pair!.end("data")
      const reading = yield* Effect.forkChild(Stream.runCollect(connection.read))
      yield* settle
      assert.isUndefined(reading.pollUnsafe())
      yield* after(1_000)
      assert.deepStrictEqual((yield* Fiber.join(reading)).map(text), ["bye"])
      yield* timePasses
    }))

  it.effect("withholds its end until the pod has ended, or says it at once where told", () =>
    Effect.gen(function*() {
      for (const tellEnd of ["when-the-pod-has-ended", "at-once-and-lose-late-answers"] as const) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { forward, server } = yield* start({ tellEnd })
          const connection = yield* forward.connect(80)
          yield* say(connection, "request")
          yield* settle
          const [pair] = server.pairs
          const got = pair!.got()
          assert.deepStrictEqual([got.bytes, got.ended], [7, tellEnd === "at-once-and-lose-late-answers"])
          yield* pair!.send(utf8("answer"))
          yield* pair!.end("data")
          yield* pair!.end("error")
          assert.deepStrictEqual((yield* Stream.runCollect(connection.read)).map(text), ["answer"])
          yield* settle
          assert.deepStrictEqual(pair!.got(), { bytes: 7, ended: true, reset: false })
          yield* timePasses
        }))
      }
    }))

  it.effect("says its end also when that was interrupted while it waited behind a write", () =>
    Effect.gen(function*() {
      const goOn = yield* gate
      const { forward, server } = yield* start({ tellEnd: "at-once-and-lose-late-answers" }, {
        onBytes: () => goOn.opened
      })
      const connection = yield* forward.connect(80)
      yield* timePasses
      for (const input of [Stream.make(new Uint8Array(1_000_000)), Stream.empty]) {
        const writing = yield* Effect.forkChild(Stream.run(input, connection.write))
        yield* settle
        assert.isUndefined(writing.pollUnsafe(), "it did not wait")
        yield* Fiber.interrupt(writing)
      }
      yield* goOn.open
      yield* settle
      assert.isTrue(server.pairs[0]!.got().ended)
    }))

  it.effect("whose scope ends otherwise is reset at once", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      yield* Effect.scoped(forward.connect(80))
      yield* settle
      assert.isTrue(server.pairs[0]!.got().reset)
      yield* timePasses
    }))

  it.effect("that nobody reads is given up for another that was full as well, when its reader has emptied it", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 16 * 1024 })
      const unread = yield* forward.connect(80)
      const other = yield* forward.connect(81)
      const full = new Uint8Array(32 * 1024)
      // Both before the client reads.
      yield* Effect.andThen(server.pairs[0]!.send(full), server.pairs[1]!.send(full))
      yield* settle
      let bytes = 0
      yield* Effect.forkChild(Stream.runForEach(other.read, ({ length }) =>
        Effect.sync(() => {
          bytes += length
        })))
      yield* settle
      assert.strictEqual(bytes, full.length)
      yield* Effect.forkChild(server.pairs[1]!.send(utf8("more")))
      yield* after(10_000)
      assert.strictEqual(bytes, full.length + 4, "it waits for ever")
      assert.strictEqual(yield* reasonOf(Stream.runDrain(unread.read)), "UnreadConnection")
      yield* timePasses
    }))

  it.effect("that nobody reads is given up for another on the same socket, and only then", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 })
      const unread = yield* forward.connect(80)
      const other = yield* forward.connect(81)
      const pouring = yield* Effect.forkChild(Effect.forever(server.pairs[0]!.send(new Uint8Array(32 * 1024))))
      yield* settle
      // Nobody waits: it is only held back.
      yield* after(60_000)
      const { received } = yield* unread.stats
      assert.isBelow(received, 1024 * 1024)
      const reading = yield* Effect.forkChild(Stream.runHead(Stream.map(other.read, text)))
      yield* Effect.forkChild(server.pairs[1]!.send(utf8("hello")))
      yield* settle
      yield* after(10_000)
      assert.deepInclude(yield* Fiber.join(reading), { value: "hello" })
      yield* Fiber.interrupt(pouring)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(unread.read)), "UnreadConnection")
      yield* timePasses
    }))

  it.effect("that is closed with a full buffer holds up nothing any more", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ sockets: 1, bufferBytes: 64 * 1024 })
      yield* Effect.scoped(Effect.gen(function*() {
        yield* forward.connect(80)
        const { send } = server.pairs[0]!
        // More than the buffers on the way hold, and all of it in the end.
        yield* Effect.forkDetach(Effect.repeat(send(new Uint8Array(32 * 1024)), { times: 50 }))
        yield* settle
      }))
      const other = yield* forward.connect(81)
      yield* Effect.forkChild(server.pairs[1]!.send(utf8("hello")))
      assert.deepInclude(yield* Stream.runHead(Stream.map(other.read, text)), { value: "hello" })
      yield* timePasses
    }))

  it.effect("goes on with the pod that has taken the place of the one that is gone, with what was sent", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      const connection = yield* forward.connect(80)
      yield* say(connection, "request")
      yield* settle
      server.replace()
      const [gone] = server.pairs
      yield* fail(gone!, goneWords)
      const reading = yield* Effect.forkChild(Stream.runCollect(connection.read))
      yield* settle
      const second = server.pairs[1]
      assert.deepStrictEqual([second?.socket, second?.got().bytes], [2, 7])
      yield* second!.send(utf8("answer"))
      yield* second!.end("data")
      yield* second!.end("error")
      assert.deepStrictEqual((yield* Fiber.join(reading)).map(text), ["answer"])
      yield* timePasses
    }))

  // A `Buffer` gives a view where other arrays give a copy.
  for (const [kind, memory] of [["an array", new Uint8Array(7)], ["a Buffer", Buffer.alloc(7)]] as const) {
    it.effect(`sends again what was sent, although ${kind} that held it has another use by now`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start()
        const connection = yield* forward.connect(80)
        memory.set(utf8("request"))
        yield* Stream.run(Stream.succeed(memory), connection.write)
        yield* settle
        memory.fill(0)
        server.replace()
        const [gone] = server.pairs
        yield* fail(gone!, goneWords)
        yield* Effect.forkChild(Stream.runCollect(connection.read))
        yield* settle
        assert.strictEqual(server.pairs[1]?.heard(), "request")
        yield* timePasses
      }))
  }

  it.effect("that was refused by the pod it was meant for fails, and is not tried again", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start()
      const connection = yield* forward.connect(80)
      const [pair] = server.pairs
      yield* fail(pair!, refusedWords)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(connection.read)), "PortRefused")
      assert.lengthOf(server.pairs, 1)
      yield* timePasses
    }))

  it.effect("that is refused while it is written to fails so for who writes, who is not interrupted by the end of the socket", () =>
    Effect.gen(function*() {
      // The server reads no more: what is written waits.
      const { forward, server } = yield* start({}, { onBytes: () => Effect.never })
      const connection = yield* forward.connect(80)
      // More pieces than fit into the pipe, and no more bytes than are kept to be sent again.
      const pieces = Stream.rechunk(Stream.fromIterable(Array.from({ length: 50 }, () => utf8("piece"))), 1)
      const writing = yield* Effect.forkChild(Stream.run(pieces, connection.write))
      const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
      yield* settle
      assert.isUndefined(writing.pollUnsafe())
      const [pair] = server.pairs
      yield* pair!.say("error forwarding port 80 to pod ab, uid : dial tcp4 127.0.0.1:80: connect: connection refused")
      yield* pair!.end("error")
      yield* pair!.end("data")
      assert.strictEqual(yield* joined(reading), "PortRefused")
      assert.strictEqual((yield* forward.stats).sockets, 0)
      assert.strictEqual(yield* reasonOf(Fiber.join(writing)), "PortRefused")
      yield* timePasses
    }))

  it.effect("P10: that the server resets instead of taking it fails alone, and the next one is taken", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, { resets: (port) => port === "81" })
      const other = yield* forward.connect(80)
      assert.strictEqual(yield* reasonOf(forward.connect(81)), "PortRefused")
      yield* server.pairs[0]!.send(utf8("still here"))
      assert.deepInclude(yield* Stream.runHead(Stream.map(other.read, text)), { value: "still here" })
      assert.strictEqual((yield* forward.connect(82)).port, 82)
      assert.strictEqual(server.sockets(), 2)
      yield* timePasses
    }))

  for (const transport of ["tunnel", "spdy"] as const) {
    it.effect(`P5: is lost when the server ends in order what carries it; the next one has another (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start({ transport }, { speaks: [transport] })
        const connection = yield* forward.connect(80)
        const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(connection.read)))
        yield* settle
        yield* server.pairs[0]!.goodbye
        assert.strictEqual(yield* Fiber.join(reading), "ConnectionLost")
        yield* forward.connect(80)
        assert.deepStrictEqual(server.pairs.map(({ socket }) => socket), [1, 2])
        yield* timePasses
      }))
  }
})
