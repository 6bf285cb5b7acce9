import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { lost, refused } from "../support/refusals.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

describe("a subprotocol that the server does not know", () => {
  const none: Server.Settings = { refuse: () => ({ status: 403 }) }
  const offered = (asked: ReadonlyArray<Server.Asked>) =>
    asked.map(({ subprotocols, transport }) => `${transport} ${subprotocols.join(", ")}`)
  const spdy = `spdy ${v5}, ${v4}`
  const started = Effect.fnUntraced(function*(settings: Server.Settings, options: ExecOptions) {
    const server = yield* Server.make({
      ...settings,
      script: (session) => Effect.andThen(session.status(Server.exitStatus(0)), session.goodbye())
    })
    const handle = yield* Effect.provideService(
      Exec.on(target, { supervise: "never", ...options })(["psql"]),
      KubeClient,
      server.client
    )
    return { handle, asked: server.asked, server }
  })

  it.effect("is followed by SPDY where the end of stdin must be said, and what was tried is on the handle", () =>
    Effect.gen(function*() {
      const { asked, handle } = yield* started({ protocols: [v4], spdy: true }, { stdin: "pipe" })
      assert.deepStrictEqual(offered(asked), [`websocket ${v5}`, spdy])
      assert.deepStrictEqual([handle.transport, handle.protocol], ["spdy", v4])
      assert.deepStrictEqual(handle.attempts, [{ protocol: `websocket ${v5}`, code: 403, body: "" }])
      assert.strictEqual(handle.info.protocol, `spdy ${v4}`)
    }))

  it.effect("leaves no way to end stdin when SPDY is refused too: HalfCloseUnsupported", () =>
    Effect.gen(function*() {
      for (const supervise of ["required", "never"] as const) {
        const { asked, error } = yield* refused({ protocols: [v4] }, { stdin: "pipe", supervise })
        assert(error.reason._tag === "HalfCloseUnsupported")
        assert.deepStrictEqual(offered(asked), [`websocket ${v5}`, spdy])
        assert.strictEqual(error.reason.attempts.length, 2)
        const only = yield* refused(
          { protocols: [v4], spdy: true },
          { stdin: "pipe", supervise, transport: "websocket" }
        )
        assert.strictEqual(only.error.reason._tag, "HalfCloseUnsupported")
        assert.deepStrictEqual(offered(only.asked), [`websocket ${v5}`])
      }
    }))

  it.effect("is no choice of the caller's either: a stdin whose end cannot be said is asked of nobody", () =>
    Effect.gen(function*() {
      for (const protocols of [[v4], [v5, v4]] as const) {
        for (const supervise of ["required", "never"] as const) {
          const { asked, error } = yield* refused({}, { stdin: "pipe", supervise, protocols })
          assert.strictEqual(error.reason._tag, "Encode")
          assert.include(error.message, `offer ${v5} alone`)
          assert.deepStrictEqual(asked, [])
        }
      }
    }))

  it.effect("is tried after others by a bare command without a stdin: v5 last", () =>
    Effect.gen(function*() {
      const last = yield* started({ protocols: [v5] }, {})
      assert.deepStrictEqual([last.handle.transport, last.handle.protocol], ["websocket", v5])
      assert.deepStrictEqual(offered(last.asked), [`websocket ${v4}`, spdy, `websocket ${v5}`])
      const second = yield* started({ protocols: [v5], spdy: true }, {})
      assert.deepStrictEqual(offered(second.asked), [`websocket ${v4}`, spdy])
    }))

  it.effect("is the last: all tries are told", () =>
    Effect.gen(function*() {
      const { error } = yield* refused(none, { supervise: "never" })
      assert(error.reason._tag === "UpgradeRefused")
      assert.deepStrictEqual(error.reason.attempts.map(({ code, protocol }) => [code, protocol]), [
        [403, `websocket ${v4}`],
        [403, spdy],
        [403, `websocket ${v5}`]
      ])
      assert.include(error.message, "knows none of the protocols offered")
      const supervised = yield* refused(none)
      assert.deepStrictEqual(offered(supervised.asked), [`websocket ${v5}, ${v4}`, spdy])
    }))

  it.effect("may be named by the caller, and then nothing else is offered", () =>
    Effect.gen(function*() {
      const options: ExecOptions = { supervise: "never", protocols: [v4] }
      assert.deepStrictEqual(offered((yield* refused({ protocols: [v5] }, options)).asked), [`websocket ${v4}`])
      assert.deepStrictEqual(offered((yield* refused(none, { ...options, transport: "spdy" })).asked), [`spdy ${v4}`])
    }))

  it.effect("is remembered: the next command asks once, until the memory expires", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* started({ protocols: [v4], spdy: true }, { stdin: "pipe" })
      const again = Effect.scoped(
        Effect.provideService(
          Exec.on(target, { supervise: "never", stdin: "pipe" })(["psql"]),
          KubeClient,
          server.client
        )
      )
      yield* again
      assert.deepStrictEqual(offered(asked), [`websocket ${v5}`, spdy, spdy])
      yield* TestClock.adjust("10 minutes")
      yield* again
      assert.deepStrictEqual(offered(asked), [`websocket ${v5}`, spdy, spdy, `websocket ${v5}`, spdy])
    }))
})

describe("bulk work", () => {
  it.effect("prefers SPDY, and takes WebSocket where SPDY is refused", () =>
    Effect.gen(function*() {
      for (const spdy of [true, false]) {
        const server = yield* Server.make({
          spdy,
          script: (session) => Effect.andThen(session.status(Server.exitStatus(0)), session.goodbye())
        })
        const handle = yield* Effect.provideService(
          Exec.on(target, { bulk: true, supervise: "never", stdin: "pipe" })(["psql"]),
          KubeClient,
          server.client
        )
        assert.strictEqual(handle.transport, spdy ? "spdy" : "websocket")
        assert.deepStrictEqual(handle.attempts.length, spdy ? 0 : 1)
      }
    }))

  it.effect("and all else avoid a transport whose upgrades have broken three times in a row", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        spdy: true,
        refuse: ({ transport }) => transport === "websocket" ? { error: lost } : undefined
      })
      const start = Effect.scoped(
        Effect.provideService(Exec.on(target, { supervise: "never" })(["psql"]), KubeClient, server.client)
      )
      for (let i = 0; i < 3; i++) {
        // It may have been started: it is not asked for again.
        const error = yield* Effect.flip(start)
        assert.strictEqual(error.reason._tag, "Transport")
        assert.strictEqual(server.asked.length, i + 1)
      }
      yield* start
      assert.deepStrictEqual(server.asked.map(({ transport }) => transport), [
        "websocket",
        "websocket",
        "websocket",
        "spdy"
      ])
    }))
})
