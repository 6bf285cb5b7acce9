/**
 * What was sent with success arrives, although the connection, or the whole session, has ended since: within bounds.
 */
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { settle, timePasses } from "../support/execServer.ts"
import * as ForwardServer from "../support/forwardServer.ts"
import { after, say, start } from "../support/forwardSession.ts"

const transports = ["tunnel", "spdy", "websocket"] as const

/** Runs a session to its end: so many connections, each written to its end, and then `last`. */
const session = <A, E>(
  server: { readonly client: KubeClient.KubeClient["Service"] },
  options: ForwardOptions & { readonly connections?: number; readonly bytes?: number },
  last: Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const { bytes = 8, connections = 1, ...rest } = options
    const forward = yield* PortForward.open(Target.pod("p"), { transport: "spdy", ...rest })
    for (let i = 0; i < connections; i++) {
      const connection = yield* forward.connect(80)
      yield* Stream.run(Stream.succeed(new Uint8Array(bytes)), connection.write)
    }
    return yield* last
  }).pipe(Effect.scoped, Effect.provideService(KubeClient.KubeClient, server.client))

/** Waits until so many connections were told their end. */
const told = (server: { readonly pairs: ReadonlyArray<ForwardServer.ServerPair> }, connections: number) =>
  Effect.repeat(settle, { until: () => server.pairs.filter((pair) => pair.got().ended).length === connections })

describe("what was sent before the end of the session", () => {
  for (const transport of transports) {
    it.effect(`arrives at a pod that reads slowly, and is ended, not reset (${transport})`, () =>
      Effect.gen(function*() {
        const server = yield* ForwardServer.make({ speaks: [transport], onBytes: () => Effect.sleep("1 second") })
        const bytes = 200 * 1024
        const running = yield* Effect.forkChild(session(server, { transport, bytes }, Effect.void))
        yield* Effect.repeat(settle, { until: () => server.pairs.length === 1 })
        yield* settle
        assert.isBelow(server.pairs[0]!.got().bytes, bytes)
        while (running.pollUnsafe() === undefined) yield* after(1_000)
        const isEnded = transport !== "websocket"
        assert.deepStrictEqual(server.pairs[0]!.got(), { bytes, ended: isEnded, reset: false })
        assert.strictEqual(server.open(), 0)
      }))
  }

  it.effect("is waited for no longer than until the server has ended the connections", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make({ cuts: false })
      const running = yield* Effect.forkChild(session(server, { connections: 8 }, Effect.void))
      yield* told(server, 8)
      assert.isUndefined(running.pollUnsafe())
      for (const pair of server.pairs) {
        yield* pair.end("data")
        yield* pair.end("error")
      }
      yield* settle
      assert.isDefined(running.pollUnsafe())
    }))

  for (const lingerTimeout of ["5 seconds", undefined] as const) {
    it.effect(`is waited for at most ${lingerTimeout ?? "half a minute"}, over all sockets`, () =>
      Effect.gen(function*() {
        const server = yield* ForwardServer.make({ cuts: false })
        const running = yield* Effect.forkChild(session(server, { connections: 8, lingerTimeout }, Effect.void))
        yield* told(server, 8)
        yield* after(lingerTimeout === undefined ? 29_999 : 4_999)
        assert.isUndefined(running.pollUnsafe())
        yield* after(1)
        yield* Fiber.join(running)
        yield* settle
        assert.strictEqual(server.open(), 0)
      }))
  }

  it.effect("is not waited for when the session has failed, nor after an interruption", () =>
    Effect.gen(function*() {
      const server = yield* ForwardServer.make({ cuts: false })
      assert.strictEqual(yield* Effect.flip(session(server, {}, Effect.fail("failure"))), "failure")
      const interrupted = yield* Effect.forkChild(session(server, {}, Effect.never))
      yield* settle
      yield* Fiber.interrupt(interrupted)
      const lingering = yield* Effect.forkChild(session(server, { connections: 2 }, Effect.void))
      yield* settle
      assert.isUndefined(lingering.pollUnsafe())
      yield* Fiber.interrupt(lingering)
      yield* settle
      assert.strictEqual(server.open(), 0)
    }))
})

describe("a connection whose scope has ended after all was sent", () => {
  it.effect("says its end, and is reset when the server does not end it in time", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, { cuts: false })
      yield* Effect.scoped(Effect.flatMap(forward.connect(80), (connection) => say(connection, "telegram")))
      yield* settle
      const [pair] = server.pairs
      yield* after(29_999)
      assert.deepStrictEqual(pair!.got(), { bytes: 8, ended: true, reset: false })
      assert.strictEqual((yield* forward.stats).connections, 0)
      yield* after(1)
      assert.isTrue(pair!.got().reset)
      yield* timePasses
    }))

  it.effect("keeps no one waiting, although its socket is its own", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({ transport: "websocket" }, {
        speaks: ["websocket"],
        onBytes: () => Effect.sleep("1 second")
      })
      yield* Effect.scoped(Effect.flatMap(forward.connect(80), (connection) => say(connection, "telegram")))
      assert.deepStrictEqual(yield* forward.stats, { connections: 0, sockets: 1 })
      yield* settle
      // It is read, and then it is passed on.
      for (let i = 0; i < 2; i++) yield* after(1_000)
      assert.strictEqual(server.pairs[0]!.heard(), "telegram")
      assert.deepStrictEqual(yield* forward.stats, { connections: 0, sockets: 0 })
      yield* timePasses
    }))
})
