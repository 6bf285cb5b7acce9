/**
 * Listeners in front of forwarded ports on virtual time: where they listen, and how a local connection ends.
 */
import * as ReopenedSocket from "@effect-k8s/channels/connection/reopenedSocket"
import * as Listeners from "@effect-k8s/channels/Listeners"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import type { Address } from "@effect-k8s/core/Endpoint"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { text, utf8 } from "../protocol/bytes.ts"
import { bytesOf, settle, timePasses } from "../support/execServer.ts"
import * as ForwardServer from "../support/forwardServer.ts"

/** The local addresses in memory; `refuses` says why one cannot be listened on. */
const makeListeners = (refuses: (address: Address) => Listeners.ListenError["why"] | undefined = () => undefined) => {
  const free = 40_000
  const all: Array<Address & { readonly queue: Queue.Queue<Listeners.Accepted> }> = []
  const service = Listeners.Listeners.of({
    listen: Effect.fnUntraced(function*(address) {
      const why = refuses(address)
      if (why !== undefined) return yield* new Listeners.ListenError({ address, why })
      const queue = yield* Queue.unbounded<Listeners.Accepted>()
      const bound = { host: address.host, port: address.port === 0 ? free + all.length : address.port }
      all.push({ ...bound, queue })
      return {
        address: bound,
        run: (handler) => Effect.forever(Effect.flatMap(Queue.take(queue), (one) => Effect.forkChild(handler(one))))
      }
    })
  })

  /** A program connects to the first address. */
  const connect = Effect.gen(function*() {
    const incoming = yield* Queue.unbounded<Uint8Array, Socket.SocketError>()
    const events: Array<string> = []
    const note = (event: string) => Effect.sync(() => void events.push(event))
    const socket = ReopenedSocket.make(Effect.succeed({
      pull: Queue.takeAll(incoming),
      writeAll: (chunks) => Effect.forEach(chunks, (chunk) => note(text(bytesOf(chunk))), { discard: true }),
      end: () => note("<end>")
    }))
    yield* Queue.offer(all[0]!.queue, { socket, reset: note("<reset>") })
    return {
      events,
      say: (words: string) => Queue.offer(incoming, utf8(words)),
      end: Queue.fail(incoming, ReopenedSocket.closing(1000))
    }
  })
  return { service, connect, addresses: () => all.map(({ host, port }) => `${host} ${port}`) }
}

const listen = Effect.fnUntraced(function*(
  listeners: ReturnType<typeof makeListeners>,
  port: PortForward.ForwardedPort,
  options: PortForward.ListenOptions = {}
) {
  const server = yield* ForwardServer.make()
  const listening = yield* PortForward.listen(Target.pod("p"), [port], { transport: "spdy", ...options }).pipe(
    Effect.provideService(KubeClient, server.client),
    Effect.provideService(Listeners.Listeners, listeners.service)
  )
  return { server, listening }
})

const after = (seconds: number) => Effect.andThen(TestClock.adjust(`${seconds} seconds`), settle)

describe("P2: localhost", () => {
  const why = (family: string, reason: Listeners.ListenError["why"]) => ({ host }: Address) =>
    host.includes(family) ? reason : undefined

  const rows: ReadonlyArray<
    readonly [name: string, local: number, refuses: Parameters<typeof makeListeners>[0], expected: string]
  > = [
    ["is both loopbacks at one number", 5000, undefined, "127.0.0.1 5000, ::1 5000"],
    ["is both loopbacks at the number that was chosen for the first", 0, undefined, "127.0.0.1 40000, ::1 40000"],
    ["is IPv4 where there is no IPv6", 5000, why(":", "no-address"), "127.0.0.1 5000"],
    ["is IPv4 where the number that was chosen is in use at ::1", 0, why(":", "in-use"), "127.0.0.1 40000"],
    ["is in use where ::1 is", 5000, why(":", "in-use"), "in-use [::1]:5000"],
    ["is in use where 127.0.0.1 is", 5000, why(".", "in-use"), "in-use 127.0.0.1:5000"],
    ["is none where IPv4 is none", 5000, why(".", "no-address"), "no-address 127.0.0.1"]
  ]
  for (const [name, local, refuses, expected] of rows) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const listeners = makeListeners(refuses)
        const listening = yield* Effect.result(listen(listeners, { remote: 80, local }))
        if (listening._tag === "Success") assert.strictEqual(listeners.addresses().join(", "), expected)
        else {
          const { failure } = listening
          assert(Listeners.isListenError(failure))
          assert.strictEqual(`${failure.why} ${failure.message.split(" ")[0]}`, expected)
        }
        yield* timePasses
      }))
  }
})

describe("P13: a local connection that has ended its way", () => {
  const rows = [[undefined, 60], ["10 seconds", 10], ["100 millis", 2]] as const
  for (const [lingerAfterEnd, seconds] of rows) {
    it.effect(`waits while the pod says something every ${seconds} s, and no longer`, () =>
      Effect.gen(function*() {
        const listeners = makeListeners()
        const { server } = yield* listen(listeners, { remote: 80, local: 0 }, { lingerAfterEnd })
        const { end, events, say } = yield* listeners.connect
        yield* say("question")
        // As long as it has not ended its way, it may be silent.
        yield* settle
        yield* after(10 * seconds)
        yield* end
        yield* settle
        const [pair] = server.pairs
        assert.deepStrictEqual(pair?.got(), { bytes: 8, ended: false, reset: false })
        for (const words of ["an", "sw", "er"]) {
          yield* after(seconds - 1)
          yield* pair!.send(utf8(words))
          yield* settle
        }
        yield* after(seconds - 1)
        assert.deepStrictEqual(events, ["an", "sw", "er"])
        yield* after(1)
        assert.deepStrictEqual(events, ["an", "sw", "er", "<reset>"])
        // What the pod might still say reaches nobody any more, and it is told so.
        assert.isTrue(pair!.got().reset)
        yield* timePasses
      }))
  }

  it.effect("ends when the pod does, and is not reset", () =>
    Effect.gen(function*() {
      const listeners = makeListeners()
      const { server } = yield* listen(listeners, { remote: 80, local: 0 })
      const { end, events } = yield* listeners.connect
      yield* end
      yield* settle
      const [pair] = server.pairs
      yield* pair!.send(utf8("bye"))
      yield* pair!.end("error")
      yield* pair!.end("data")
      yield* settle
      assert.deepStrictEqual(events, ["bye", "<end>"])
      yield* timePasses
    }))
})

describe("P13: a local connection whose forwarded one has failed", () => {
  it.effect("is reset before anything of its end is said, and its listener is told once", () =>
    Effect.gen(function*() {
      const told = yield* Queue.unbounded<readonly [port: number, message: string]>()
      const listeners = makeListeners()
      const { server } = yield* listen(listeners, { remote: 80, local: 0 }, {
        onBroken: (port, { message }) => Effect.asVoid(Queue.offer(told, [port, message]))
      })
      const { events, say } = yield* listeners.connect
      yield* say("question")
      yield* settle
      const [pair] = server.pairs
      yield* pair!.say("error forwarding port 80 to pod ab, uid : dial tcp4 127.0.0.1:80: connect: connection refused")
      yield* pair!.end("error")
      yield* pair!.end("data")
      const telling = yield* Effect.forkChild(Queue.take(told))
      for (let i = 0; i < 20 && telling.pollUnsafe() === undefined; i++) yield* settle
      const [port, message] = yield* Fiber.join(telling)
      assert.strictEqual(port, 80)
      assert.include(message, "connection refused")
      assert.strictEqual(events[0], "<reset>")
      assert.strictEqual(yield* Queue.size(told), 0)

      // The others go on.
      const next = yield* listeners.connect
      yield* settle
      yield* server.pairs.at(-1)!.send(utf8("hello"))
      yield* settle
      assert.deepStrictEqual(next.events, ["hello"])
      yield* timePasses
    }))
})

describe("P14: a port of a service", () => {
  const rows: ReadonlyArray<readonly [port: PortForward.ForwardedPort, local: number]> = [
    ["page", 80],
    [80, 80],
    [{ remote: "page" }, 80],
    [{ remote: "page", local: 1234 }, 1234]
  ]
  for (const [port, local] of rows) {
    it.effect(`is listened at by the service's number unless told: ${JSON.stringify(port)} at ${local}`, () =>
      Effect.gen(function*() {
        const server = yield* ForwardServer.make()
        server.pods.set("p", { uid: "first", http: 8080 })
        const { ports } = yield* PortForward.listen(PortForward.service("web"), [port], {
          transport: "spdy",
          addresses: ["127.0.0.1"]
        }).pipe(
          Effect.provideService(KubeClient, server.client),
          Effect.provideService(Listeners.Listeners, makeListeners().service)
        )
        assert.deepStrictEqual(ports, [{ local: { host: "127.0.0.1", port: local }, remote: 8080 }])
        yield* timePasses
      }))
  }
})
