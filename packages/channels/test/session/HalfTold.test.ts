/**
 * Sessions in which one of the supervisor's two last records is here and the other is not: it may come late, behind what
 * waits on its output, and when it was lost nobody waits for it for ever.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
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
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** A supervised command on a server that leaves the session to the test, in a scope of its own. */
const started = Effect.fnUntraced(function*(options: ExecOptions = {}, settings: Server.Settings = {}) {
  const server = yield* Server.make({ spdy: true, ...settings })
  const scope = yield* Scope.make()
  const starting = yield* Effect.forkScoped(
    Effect.provideService(Scope.provide(Exec.on(target, options)(["node"]), scope), KubeClient, server.client)
  )
  const session = yield* server.accepted
  const record = Programs.parseSupervised(session.asked.command)?.record ?? ""
  yield* session.stdout(`${record}@1\n`)
  const handle = yield* Fiber.join(starting)
  yield* Server.settle
  yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
  yield* Server.timePasses
  return { server, scope, session, handle, record }
})

/** Time passes in steps in which the peer can answer. */
const pass = (seconds: number) =>
  Effect.repeat(Effect.andThen(Server.settle, TestClock.adjust("1 second")), { times: seconds - 1 })

const outputs = [["stdout", "stderr"], ["stderr", "stdout"]] as const

describe("one record without the other", () => {
  for (const [told, missing] of outputs) {
    for (
      const [name, options] of [
        ["v5", { protocols: [v5] }],
        ["v5, with stdin", { protocols: [v5], stdin: "pipe" }],
        ["v4", { protocols: [v4] }],
        ["SPDY", { transport: "spdy" }]
      ] as const
    ) {
      it.effect(`is an outcome that is not known, after two minutes of nothing else (${told}, ${name})`, () =>
        Effect.gen(function*() {
          const { handle, record, scope, server, session } = yield* started(options)
          yield* session[told]("output")
          yield* session[missing]("cut")
          yield* session[told](`${record}:0\n`)
          const exit = yield* Effect.forkChild(Effect.flip(handle.exitCode))
          yield* pass(119)
          assert.isUndefined(exit.pollUnsafe())
          yield* pass(15)
          const { reason } = yield* Fiber.join(exit)
          assert(reason._tag === "OutcomeUnknown")
          assert.include(reason.description, `the end of ${missing} never arrived: on ${told} the supervisor`)
          assert.include(reason.description, "exit code 0")
          assert.strictEqual(reason.reportedExitCode, 0)
          assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle[told])), "output")
          assert.strictEqual(
            (yield* Effect.flip(Stream.runDrain(handle[missing]))).reason._tag,
            "OutcomeUnknown"
          )
          // The supervisor waits for the end of the session.
          yield* Server.settle
          assert.strictEqual(server.open(), 0)
          yield* Scope.close(scope, Exit.void)
          assert.deepStrictEqual(server.killed, [])
        }))
    }

    it.effect(`is waited for while its output still comes, however slowly (${missing})`, () =>
      Effect.gen(function*() {
        const { handle, record, session } = yield* started()
        const reading = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(handle[missing])))
        yield* session[told](`${record}:3\n`)
        for (let i = 0; i < 20; i++) {
          yield* pass(100)
          yield* session[missing]("x")
        }
        yield* pass(100)
        yield* session[missing](`${record}:3\n`)
        assert.strictEqual(yield* Fiber.join(reading), "x".repeat(20))
        assert.strictEqual(yield* handle.exitCode, 3)
        assert.deepStrictEqual(yield* handle.verified, { stdout: true, stderr: true })
      }))

    it.effect(`is waited for while what the command left behind writes to the other output (${told})`, () =>
      Effect.gen(function*() {
        const { handle, record, session } = yield* started()
        yield* session[told](`${record}:3\n`)
        for (let i = 0; i < 20; i++) {
          yield* pass(100)
          yield* session[told]("of a child\n")
        }
        yield* session[missing](`${record}:3\n`)
        assert.strictEqual(yield* handle.exitCode, 3)
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle[told])), "")
      }))

    it.effect(`is waited for while nobody reads its output, and then from there (${missing})`, () =>
      Effect.gen(function*() {
        const { handle, record, session } = yield* started({ bufferBytes: 1000 })
        yield* session[told](`${record}:3\n`)
        yield* session[missing]("x".repeat(5000))
        yield* Server.settle
        yield* TestClock.adjust("8 hours")
        assert.isTrue(yield* handle.isRunning)
        const reading = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(handle[missing])))
        yield* pass(110)
        yield* session[missing](`${record}:3\n`)
        assert.strictEqual((yield* Fiber.join(reading)).length, 5000)
        assert.strictEqual(yield* handle.exitCode, 3)
      }))
  }

  it.effect("is waited for longer by a session whose pings are not answered, because stdin was sent", () =>
    Effect.gen(function*() {
      const feed = (handle: Effect.Success<ReturnType<typeof started>>["handle"]) =>
        Effect.forkChild(Effect.exit(Stream.run(Stream.make(new Uint8Array(10)), handle.stdin)))
      const right = yield* started({ stdin: "pipe" }, { pongs: false })
      const cut = yield* started({ stdin: "pipe" }, { pongs: false })
      yield* feed(right.handle)
      yield* feed(cut.handle)
      yield* right.session.stdout(`${right.record}:3\n`)
      yield* cut.session.stdout(`${cut.record}:3\n`)
      yield* pass(590)
      yield* right.session.stderr(`${right.record}:3\n`)
      assert.strictEqual(yield* right.handle.exitCode, 3)
      assert.isTrue(yield* cut.handle.isRunning)
      yield* pass(30)
      assert.strictEqual((yield* Effect.flip(cut.handle.exitCode)).reason._tag, "OutcomeUnknown")
    }))

  it.effect("is no reason to wait where life signs are rare", () =>
    Effect.gen(function*() {
      const { handle, record, session } = yield* started({ heartbeat: { after: "1 minute" } })
      yield* pass(5)
      yield* session.stdout(`${record}:n\n`)
      yield* pass(185)
      const { reason } = yield* Effect.flip(handle.exitCode)
      assert(reason._tag === "OutcomeUnknown")
      assert.isUndefined(reason.reportedExitCode)
    }))

  it.effect("is PeerStalled where the server has died meanwhile", () =>
    Effect.gen(function*() {
      const { handle, record, session } = yield* started({}, { pongs: false })
      yield* session.stdout(`${record}:0\n`)
      yield* pass(45)
      assert.strictEqual((yield* Effect.flip(handle.exitCode)).reason._tag, "PeerStalled")
    }))
})
