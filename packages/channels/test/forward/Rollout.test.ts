/**
 * A session to a deployment whose pods are replaced: what is known of the new pod holds for everything that comes later.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { settle, timePasses } from "../support/execServer.ts"
import { after, fail, goneWords, start } from "../support/forwardSession.ts"

const deployment = PortForward.deployment("d")

describe("after a rollout", () => {
  it.effect("new connections go to the new pod alone, once a new socket has met it", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, {}, deployment)
      const first = yield* Scope.make()
      yield* Scope.provide(forward.connect(80), first)
      server.roll("q")
      // The socket that there is is in use: another is opened, and the pod not found.
      yield* Effect.scoped(forward.connect(80))
      assert.strictEqual(yield* forward.pod, "q")
      yield* Scope.close(first, Exit.void)
      yield* settle
      for (let i = 0; i < 3; i++) yield* Effect.scoped(forward.connect(80))
      yield* forward.connect(80)
      yield* forward.connect(80)
      assert.deepStrictEqual(server.pairs.map(({ pod }) => pod), ["p", "q", "q", "q", "q", "q", "q"])
      assert.strictEqual((yield* forward.stats).sockets, 2)
      yield* settle
      assert.strictEqual(server.open(), 2)
      yield* timePasses
    }))

  it.effect("a socket that was being opened to the old pod when the new one was found is not used", () =>
    Effect.gen(function*() {
      const { forward, server } = yield* start({}, { upgradesAfter: (socket) => socket === 2 ? 1_000 : 0 }, deployment)
      const first = yield* forward.connect(80)
      yield* Effect.forkChild(Effect.ignore(Stream.runDrain(first.read)))
      const connecting = yield* Effect.forkChild(forward.connect(80))
      yield* settle
      server.roll("q")
      yield* fail(server.pairs[0]!, goneWords)
      yield* settle
      assert.strictEqual(yield* forward.pod, "q")
      yield* after(1_000)
      yield* Fiber.join(connecting)
      yield* settle
      assert.deepStrictEqual(server.pairs.map(({ pod }) => pod), ["p", "q", "q"])
      assert.strictEqual(server.open(), (yield* forward.stats).sockets)
      yield* timePasses
    }))
})
