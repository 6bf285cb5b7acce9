/**
 * What becomes of forwarded connections when their pod goes, and what of those that come after it.
 */
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { text, utf8 } from "../protocol/bytes.ts"
import { joined, settle, timePasses } from "../support/execServer.ts"
import * as ForwardServer from "../support/forwardServer.ts"

const transports = ["tunnel", "spdy", "websocket"] as const

const start = Effect.fnUntraced(function*(
  transport: ForwardServer.Carrier,
  target: PortForward.ForwardTarget = Target.pod("p"),
  options: ForwardOptions = {}
) {
  const server = yield* ForwardServer.make({ speaks: [transport] })
  const forward = yield* Effect.provideService(
    PortForward.open(target, { transport, ...options }),
    KubeClient,
    server.client
  )
  const pairs = (count: number) => Effect.repeat(settle, { until: () => server.pairs.length >= count, times: 50 })
  return { server, forward, /** Waits for so many connections at the server. */ pairs }
})

/** What containerd says when the pod's sandbox has ended. */
const isClosed = "error forwarding port 80 to pod ab, uid : network namespace for sandbox \"ab\" is closed"

/** The server says that the pod of a connection is gone. */
const saysGone = Effect.fnUntraced(function*({ end, say }: ForwardServer.ServerPair) {
  yield* say(isClosed)
  yield* end("error")
  yield* end("data")
})

const answers = Effect.fnUntraced(function*({ end, send }: ForwardServer.ServerPair, words: string) {
  yield* send(utf8(words))
  yield* end("error")
  yield* end("data")
})

const read = (connection: PortForward.Connection) => Stream.mkString(Stream.decodeText(connection.read))

/** The reason that an effect fails with, and what it says. */
const failureOf = <A, E extends { readonly reason: { readonly _tag: string }; readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>
) =>
  Effect.match(effect, {
    onSuccess: () => ["success", ""] as const,
    onFailure: ({ message, reason }) => [reason._tag, message] as const
  })

const last = ({ pairs }: { readonly pairs: ReadonlyArray<ForwardServer.ServerPair> }): ForwardServer.ServerPair => {
  const pair = pairs.at(-1)
  assert.isDefined(pair)
  return pair
}

describe("B7: a connection whose pod has gone", () => {
  for (const transport of transports) {
    it.effect(`fails with PodGone when it was open, and is never moved to another pod (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start(transport)
        const connection = yield* forward.connect(80)
        const got: Array<string> = []
        const reading = yield* Effect.forkChild(
          failureOf(Stream.runForEach(connection.read, (bytes) => Effect.sync(() => got.push(text(bytes)))))
        )
        yield* last(server).send(utf8("the beginning"))
        yield* settle
        server.replace()
        yield* saysGone(last(server))
        const [reason, message] = yield* joined(reading)
        assert.strictEqual(reason, "PodGone")
        assert.include(message, isClosed)
        assert.include(message, "connect again")
        assert.deepStrictEqual(got, ["the beginning"])
        assert.lengthOf(server.pairs, 1)
        const writing = Stream.run(Stream.succeed(utf8("more")), connection.write)
        assert.strictEqual((yield* failureOf(writing))[0], "PodGone")
        yield* timePasses
      }))

    it.effect(`fails with PodGone when no other has taken its name (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start(transport)
        const connection = yield* forward.connect(80)
        server.pods.delete("p")
        yield* saysGone(last(server))
        const reading = yield* Effect.forkChild(failureOf(read(connection)))
        assert.strictEqual((yield* joined(reading))[0], "PodGone")
        yield* timePasses
      }))

    it.effect(`fails with PodGone when the pod that has its name is gone too (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, pairs, server } = yield* start(transport)
        const connection = yield* forward.connect(80)
        yield* saysGone(last(server))
        const reading = yield* Effect.forkChild(failureOf(read(connection)))
        yield* pairs(2)
        yield* saysGone(last(server))
        assert.strictEqual((yield* joined(reading))[0], "PodGone")
        yield* settle
        assert.lengthOf(server.pairs, 2)
        yield* timePasses
      }))

    it.effect(`fails to be made with NotFound, which names the pod, when nothing carries it any more (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start(transport)
        const before = yield* forward.connect(80)
        server.pods.delete("p")
        const reading = yield* Effect.forkChild(failureOf(read(before)))
        yield* last(server).goodbye
        yield* joined(reading)
        const [reason, message] = yield* failureOf(forward.connect(80))
        assert.strictEqual(reason, "NotFound")
        assert.include(message, "\"p\" in namespace \"ns\"")
        // The session lives, for a pod that comes.
        server.replace()
        const after = yield* forward.connect(80)
        yield* answers(last(server), "hello")
        assert.strictEqual(yield* read(after), "hello")
        yield* timePasses
      }))

    it.effect(`is followed by connections to the pod that has its name, at the port that this names (${transport})`, () =>
      Effect.gen(function*() {
        const { forward, pairs, server } = yield* start(transport)
        const connection = yield* forward.connect("http")
        assert.strictEqual(connection.port, 80)
        server.pods.set("p", { uid: "second", http: 8080 })
        yield* saysGone(last(server))
        const reading = yield* Effect.forkChild(read(connection))
        yield* pairs(2)
        assert.strictEqual(last(server).port, "8080")
        assert.strictEqual(connection.port, 8080)
        yield* answers(last(server), "hello")
        assert.strictEqual(yield* joined(reading), "hello")
        yield* timePasses
      }))
  }
})

const selecting = [
  [PortForward.service("web"), "page"],
  [PortForward.deployment("web"), "http"],
  [PortForward.statefulSet("web"), "http"]
] as const

describe("B7: a session to what selects pods", () => {
  for (const [target, port] of selecting) {
    for (const transport of transports) {
      it.effect(`of a ${target.kind} goes on with a pod of another name, at its port, when the first is gone (${transport})`, () =>
        Effect.gen(function*() {
          const { forward, server } = yield* start(transport, target)
          const open = yield* forward.connect(port)
          assert.deepStrictEqual([last(server).pod, last(server).port], ["p", "80"])
          yield* last(server).send(utf8("first"))
          const lost = yield* Effect.forkChild(failureOf(read(open)))
          yield* settle
          server.pods.delete("p")
          server.pods.set("q", { uid: "of q", http: 8080 })
          // Over WebSocket alone nothing is left that would have to go.
          if (transport !== "websocket") {
            yield* last(server).goodbye
            assert.strictEqual((yield* joined(lost))[0], "ConnectionLost")
          }
          const connection = yield* forward.connect(port)
          assert.deepStrictEqual([last(server).pod, last(server).port], ["q", "8080"])
          assert.strictEqual(connection.port, 8080)
          yield* answers(last(server), "second")
          assert.strictEqual(yield* read(connection), "second")
          assert.strictEqual(yield* forward.pod, "q")
          yield* timePasses
        }))
    }

    it.effect(`of a ${target.kind} sends to it again what was sent to the one that is gone`, () =>
      Effect.gen(function*() {
        const { forward, pairs, server } = yield* start("spdy", target)
        const connection = yield* forward.connect(port)
        const first = last(server)
        yield* Stream.run(Stream.succeed(utf8("request")), connection.write)
        yield* settle
        server.pods.delete("p")
        server.pods.set("q", { uid: "of q", http: 8080 })
        yield* saysGone(first)
        const reading = yield* Effect.forkChild(read(connection))
        yield* pairs(2)
        yield* settle
        const { heard, pod } = last(server)
        assert.deepStrictEqual([pod, last(server).port, heard()], ["q", "8080", "request"])
        yield* answers(last(server), "answer")
        assert.strictEqual(yield* joined(reading), "answer")
        yield* timePasses
      }))

    it.effect(`of a ${target.kind} goes on with it when the node of the first knows that no more`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start("websocket", target)
        server.pods.set("p", { uid: "first", http: 80, isLeaving: true })
        server.pods.set("q", { uid: "of q", http: 8080 })
        const connection = yield* forward.connect(port)
        assert.deepStrictEqual([last(server).pod, connection.port], ["q", 8080])
        yield* timePasses
      }))

    it.effect(`of a ${target.kind} waits for a pod, and then says that there is none`, () =>
      Effect.gen(function*() {
        const { forward, server } = yield* start("websocket", target, { podTimeout: "1 second" })
        server.pods.delete("p")
        const connecting = yield* Effect.forkChild(failureOf(forward.connect(port)))
        const tick = Effect.andThen(settle, Effect.andThen(TestClock.adjust("500 millis"), settle))
        yield* tick
        assert.isUndefined(connecting.pollUnsafe())
        yield* tick
        const [reason, message] = yield* joined(connecting)
        assert.strictEqual(reason, "PodUnavailable")
        assert.include(message, "app=web")

        // Nobody has to wait to the end.
        const waiting = yield* Effect.forkChild(forward.connect(port))
        yield* settle
        assert.isUndefined(waiting.pollUnsafe())
        yield* Fiber.interrupt(waiting)
        server.pods.set("q", { uid: "of q", http: 8080 })
        yield* forward.connect(port)
        assert.strictEqual(last(server).pod, "q")
        yield* timePasses
      }))
  }
})
