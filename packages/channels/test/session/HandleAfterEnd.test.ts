import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { parseSupervised } from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** A command in a scope of its own, on a server that reads nothing and says no goodbye. */
const started = Effect.fnUntraced(function*(options: ExecOptions) {
  const server = yield* Server.make({ reads: false })
  const scope = yield* Scope.make()
  const starting = yield* Effect.forkChild(
    Effect.provideService(Scope.provide(Exec.on(target, options)(["a"]), scope), KubeClient, server.client)
  )
  const session = yield* server.accepted
  const record = parseSupervised(session.asked.command)?.record
  if (record !== undefined) yield* session.stdout(`${record}@1\n`)
  const handle = yield* Fiber.join(starting)
  const close = Effect.gen(function*() {
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    // A command with stdin is told to end by a second exec, whose handshake takes real time and is waited for 2 s.
    yield* Server.joined(closing)
  })
  return { session, handle, close }
})

const reasonOf = <A>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>): Effect.Effect<string> =>
  Effect.match(effect, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "success" })

const asked: ReadonlyArray<readonly [string, (handle: ExecHandle) => Effect.Effect<string>]> = [
  ["exitCode", (handle) => reasonOf(handle.exitCode)],
  ["verified", (handle) => reasonOf(handle.verified)],
  ["status", (handle) => reasonOf(handle.status)],
  ["stdout", (handle) => reasonOf(Stream.runDrain(handle.stdout))],
  ["stderr", (handle) => reasonOf(Stream.runDrain(handle.stderr))],
  ["all", (handle) => reasonOf(Stream.runDrain(handle.all))]
]

describe("when the scope of a command has ended", () => {
  for (const supervise of ["required", "never"] as const) {
    for (const [name, ask] of asked) {
      it.effect(`${name} fails, whether it was asked before or is asked then (${supervise})`, () =>
        Effect.gen(function*() {
          const { close, handle } = yield* started({ supervise })
          const before = yield* Effect.forkChild(ask(handle))
          yield* Server.settle
          yield* close
          yield* Server.settle
          assert.isDefined(before.pollUnsafe(), "who asked before waits for ever")
          assert.strictEqual(yield* Fiber.join(before), "ConnectionLost")
          const after = yield* Effect.forkChild(ask(handle))
          yield* Server.settle
          assert.isDefined(after.pollUnsafe(), "who asks then waits for ever")
          assert.strictEqual(yield* Fiber.join(after), "ConnectionLost")
        }))
    }

    it.effect(`a write to stdin fails (${supervise})`, () =>
      Effect.gen(function*() {
        const { close, handle } = yield* started({ supervise, stdin: "pipe" })
        const blocked = yield* Effect.forkChild(
          reasonOf(Stream.run(Stream.make(new Uint8Array(4_000_000)), handle.stdin))
        )
        yield* Server.settle
        yield* TestClock.adjust("1 second")
        yield* close
        yield* Server.settle
        assert.strictEqual(yield* Fiber.join(blocked), "ConnectionLost")
        assert.strictEqual(
          yield* reasonOf(Stream.run(Stream.make(new Uint8Array(1)), handle.stdin)),
          "ConnectionLost"
        )
      }))
  }

  it.effect("a terminal can be resized, to no effect", () =>
    Effect.gen(function*() {
      const { close, handle } = yield* started({ tty: true })
      yield* close
      for (const height of [24, 25]) {
        const resizing = yield* Effect.forkChild(handle.resize({ width: 80, height }))
        yield* Server.settle
        assert.isDefined(resizing.pollUnsafe(), "it waits for ever")
        yield* Fiber.join(resizing)
      }
      assert.isFalse(yield* handle.isRunning)
    }))
})

describe("when an output was left unread", () => {
  it.effect("the status fails, too, while stdin is blocked and the server says nothing more", () =>
    Effect.gen(function*() {
      const { close, handle, session } = yield* started({ stdin: "pipe", bufferBytes: 1000 })
      const writing = yield* Effect.forkChild(
        reasonOf(Stream.run(Stream.make(new Uint8Array(4_000_000)), handle.stdin))
      )
      yield* Server.settle
      yield* session.stdout(new Uint8Array(5000))
      const status = yield* Effect.forkChild(reasonOf(handle.status))
      yield* Server.settle
      yield* TestClock.adjust("1 minute")
      yield* Server.settle
      assert.strictEqual(yield* Fiber.join(writing), "UnreadOutput")
      assert.isDefined(status.pollUnsafe(), "it waits for ever")
      assert.strictEqual(yield* Fiber.join(status), "UnreadOutput")
      yield* close
    }))
})
