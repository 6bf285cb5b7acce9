import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type { KillOptions } from "effect/process/ChildProcess"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

const recordOf = (session: Server.ServerSession): string => {
  const parsed = Programs.parseSupervised(session.asked.command)
  assert(parsed !== undefined, "the command is not supervised")
  return parsed.record
}

/** A command that runs in a scope of its own. The server's script is the test's. */
const started = Effect.fnUntraced(function*(options: ExecOptions = {}, settings: Server.Settings = {}) {
  const server = yield* Server.make(settings)
  const scope = yield* Scope.make()
  const starting = yield* Effect.forkChild(
    Effect.provideService(Scope.provide(Exec.on(target, options)(["psql"]), scope), KubeClient, server.client)
  )
  const session = yield* server.accepted
  yield* session.stdout(`${recordOf(session)}@4711\n`)
  const handle = yield* Fiber.join(starting)
  const close = Effect.gen(function*() {
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* Server.joined(closing)
  })
  yield* Effect.addFinalizer(() => Effect.forkDetach(close))
  yield* Server.timePasses
  const signals = (): ReadonlyArray<string> => server.killed.map(({ signal }) => signal)
  return { server, session, handle, scope, close, signals }
})

/** The supervisor's word that the command has ended. */
const trailers = (session: Server.ServerSession, code: number) =>
  Effect.andThen(
    session.stdout(`${recordOf(session)}:${code}\n`),
    session.stderr(`${recordOf(session)}:${code}\n`)
  )

const reasonOf = <A>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

const piped: ExecOptions = { stdin: "pipe" }

describe("kill", () => {
  const cases: ReadonlyArray<readonly [string, ExecOptions, Server.Settings, KillOptions, string, number]> = [
    ["with a stdin", piped, {}, {}, "TERM", 143],
    ["that was told to outlive its session", { onClose: "leave" }, {}, {}, "TERM", 143],
    ["on a protocol that cannot end stdin", {}, { protocols: [v4] }, {}, "TERM", 143],
    ["by another signal", {}, {}, { killSignal: "SIGINT" }, "INT", 130],
    ["that is to be killed later", {}, {}, { forceKillAfter: "1 minute" }, "TERM", 143]
  ]
  for (const [what, options, settings, how, signal, code] of cases) {
    it.effect(`signals a command ${what} by a second exec, and waits for its outcome`, () =>
      Effect.gen(function*() {
        const { handle, server, session } = yield* started(options, settings)
        const killing = yield* Effect.forkChild(handle.kill(how))
        while (server.killed.length === 0) yield* Server.settle
        yield* Server.settle
        assert.isUndefined(killing.pollUnsafe())
        const nonce = recordOf(session).slice(1)
        assert.deepStrictEqual(server.killed, [{ processGroup: 4711, nonce, signal }])
        yield* trailers(session, code)
        yield* Fiber.join(killing)
        assert.strictEqual(yield* handle.exitCode, code)
        assert.deepStrictEqual(yield* handle.verified, { stdout: true, stderr: true })
      }))
  }

  it.effect("sends SIGKILL to what has not ended in time, and again to what it missed", () =>
    Effect.gen(function*() {
      const { handle, session, signals } = yield* started(piped)
      const killing = yield* Effect.forkChild(handle.kill({ forceKillAfter: "10 seconds" }))
      while (signals().length < 1) yield* Server.settle
      yield* Server.settle
      yield* TestClock.adjust("10 seconds")
      while (signals().length < 2) yield* Server.settle
      yield* Server.settle
      yield* TestClock.adjust("2 seconds")
      while (signals().length < 3) yield* Server.settle
      assert.deepStrictEqual(signals(), ["TERM", "KILL", "KILL"])
      yield* trailers(session, 137)
      yield* Fiber.join(killing)
      assert.strictEqual(yield* handle.exitCode, 137)
    }))

  it.effect("sends SIGKILL after two seconds where a watcher would, on a protocol that cannot end stdin", () =>
    Effect.gen(function*() {
      const { handle, session, signals } = yield* started({}, { protocols: [v4] })
      const killing = yield* Effect.forkChild(handle.kill())
      while (signals().length < 1) yield* Server.settle
      yield* Server.settle
      yield* TestClock.adjust("1999 millis")
      yield* Server.settle
      assert.deepStrictEqual(signals(), ["TERM"])
      yield* TestClock.adjust("1 millis")
      while (signals().length < 2) yield* Server.settle
      assert.deepStrictEqual(signals(), ["TERM", "KILL"])
      yield* trailers(session, 137)
      yield* Fiber.join(killing)
      assert.strictEqual(yield* handle.exitCode, 137)
    }))

  it.effect("sends no SIGKILL that was not asked for to a command that no watcher ends", () =>
    Effect.gen(function*() {
      for (const options of [piped, { onClose: "leave" }] as const) {
        const { handle, session, signals } = yield* started(options)
        const killing = yield* Effect.forkChild(handle.kill())
        while (signals().length < 1) yield* Server.settle
        yield* Server.settle
        yield* TestClock.adjust("1 hour")
        yield* Server.settle
        assert.deepStrictEqual(signals(), ["TERM"])
        yield* trailers(session, 143)
        yield* Fiber.join(killing)
      }
    }))

  it.effect("sends nothing to a command that has ended", () =>
    Effect.gen(function*() {
      const { handle, session, signals } = yield* started(piped)
      yield* trailers(session, 3)
      assert.strictEqual(yield* handle.exitCode, 3)
      yield* handle.kill()
      assert.deepStrictEqual(signals(), [])
    }))

  it.effect("takes a command for ended that its second exec does not find, and waits for what it had to say", () =>
    Effect.gen(function*() {
      const { handle, server, session } = yield* started(piped, { kill: () => Effect.succeed(3) })
      const killing = yield* Effect.forkChild(handle.kill())
      while (server.killed.length === 0) yield* Server.settle
      yield* Server.settle
      assert.isUndefined(killing.pollUnsafe())
      yield* trailers(session, 0)
      yield* Fiber.join(killing)
    }))

  for (const [code, what] of [[4, "does not know SIGUSR1"], [5, "no /proc"]] as const) {
    it.effect(`says so when the container cannot do it: ${what}`, () =>
      Effect.gen(function*() {
        const { handle } = yield* started(piped, { kill: () => Effect.succeed(code) })
        const error = yield* Effect.flip(handle.kill({ killSignal: "SIGUSR1" }))
        assert.strictEqual(error.reason._tag, "KillUnsupported")
        assert.include(error.message, what)
        assert.isTrue(yield* handle.isRunning)
      }))
  }

  it.effect("reaches the processes of a session that was lost, and does not wait for what nobody tells", () =>
    Effect.gen(function*() {
      const { handle, session, signals } = yield* started(piped)
      yield* session.connection.reset
      assert.strictEqual(yield* reasonOf(handle.exitCode), "ConnectionLost")
      yield* handle.kill({ killSignal: "SIGKILL" })
      assert.deepStrictEqual(signals(), ["KILL"])
    }))

  it.effect("ends with the session's failure when nobody says how the command ended", () =>
    Effect.gen(function*() {
      const { handle, server, session } = yield* started(piped)
      const killing = yield* Effect.forkChild(reasonOf(handle.kill({ killSignal: "SIGKILL" })))
      while (server.killed.length === 0) yield* Server.settle
      // Somebody has killed the supervisor as well.
      yield* session.status(Server.exitStatus(137))
      yield* session.goodbye()
      assert.strictEqual(yield* Fiber.join(killing), "OutcomeUnknown")
      const { reason } = yield* Effect.flip(handle.exitCode)
      assert(reason._tag === "OutcomeUnknown")
      assert.strictEqual(reason.reportedExitCode, 137)
    }))
})

describe("the end of the scope of a command with stdin", () => {
  it.effect("tells it to end before its stdin ends", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const { close, session, signals } = yield* started(piped, {
        kill: () => Effect.sync(() => (order.push("killed"), 0))
      })
      yield* Effect.forkChild(Effect.andThen(session.left, Effect.sync(() => order.push("left"))))
      yield* close
      assert.deepStrictEqual(signals(), ["TERM"])
      assert.deepStrictEqual(order, ["killed", "left"])
    }))

  it.effect("waits for a server that is slow to start the second exec", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const { close, session, signals } = yield* started(piped, {
        kill: () => Effect.as(Effect.andThen(Effect.sleep("8 seconds"), Effect.sync(() => order.push("killed"))), 0)
      })
      yield* Effect.forkChild(Effect.andThen(session.left, Effect.sync(() => order.push("left"))))
      yield* close
      assert.deepStrictEqual([signals(), order], [["TERM"], ["killed", "left"]])
    }))

  for (const [seconds, what] of [[10, "whose connection lives"], [2, "whose connection was lost"]] as const) {
    it.effect(`waits no longer than ${seconds} seconds for that, of one ${what}, and says so`, () =>
      Effect.gen(function*() {
        const { handle, scope, server, session } = yield* started(piped, { kill: () => Effect.undefined })
        if (seconds === 2) {
          yield* session.connection.reset
          yield* Effect.exit(handle.exitCode)
        }
        const said: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => said.push(`${logLevel} ${String(message)}`))
        const closing = yield* Effect.forkChild(
          Effect.provide(Scope.close(scope, Exit.void), Logger.layer([logger]))
        )
        while (server.killed.length === 0) yield* Server.settle
        yield* TestClock.adjust(seconds * 1000 - 1)
        yield* Server.settle
        assert.isUndefined(closing.pollUnsafe())
        assert.deepStrictEqual(said, [])
        yield* TestClock.adjust(1)
        yield* Server.joined(closing)
        assert.deepStrictEqual(said, ["Warn A command with stdin was not told to end in time; its process may be left"])
        yield* session.left
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }))
  }

  it.effect("tells it too when the session was lost", () =>
    Effect.gen(function*() {
      const { close, handle, session, signals } = yield* started(piped)
      yield* session.connection.reset
      yield* Effect.exit(handle.exitCode)
      yield* close
      assert.deepStrictEqual(signals(), ["TERM"])
    }))

  const none: ReadonlyArray<
    readonly [string, ExecOptions, (session: Server.ServerSession) => Effect.Effect<unknown>]
  > = [
    ["it has ended", piped, (session) => trailers(session, 0)],
    ["it is to outlive its session", { ...piped, onClose: "leave" }, () => Effect.void],
    ["it has no stdin, because the supervisor sees to it", {}, () => Effect.void],
    [
      "the server has told its end",
      piped,
      (session) => Effect.andThen(session.status(Server.exitStatus(0)), session.goodbye())
    ]
  ]
  for (const [what, options, before] of none) {
    it.effect(`needs no second exec when ${what}`, () =>
      Effect.gen(function*() {
        const { close, session, signals } = yield* started(options)
        yield* before(session)
        yield* Server.settle
        yield* close
        assert.deepStrictEqual(signals(), [])
      }))
  }

  it.effect("is told of too when it comes before the supervisor's first word", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const run = Effect.scoped(Exec.on(target, piped)(["psql"]))
      const fiber = yield* Effect.forkChild(Effect.provideService(run, KubeClient, server.client))
      const session = yield* server.accepted
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Server.settle
      yield* session.stdout(`${recordOf(session)}@4711\n`)
      yield* Server.joined(interrupting)
      assert.deepStrictEqual(server.killed.map(({ signal }) => signal), ["TERM"])
    }))

  it.effect("a pipeline that ends early leaves none of its stages", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
      const pipeline = Exec.on(target)(["yes"]).pipe(
        Exec.pipeTo(Exec.on(target)(["cat"])),
        Exec.pipeTo(Exec.on(target)(["head", "10"]))
      )
      const running = yield* Effect.forkChild(Effect.provideService(Exec.run(pipeline), KubeClient, server.client))
      const results = yield* Server.joined(running)
      assert.deepStrictEqual(results.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"])
      assert.deepStrictEqual(server.killed.map(({ signal }) => signal), ["TERM"])
    }))
})

describe("a bare command", () => {
  it.effect("cannot be killed, and says so", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      yield* Server.timePasses
      const handle = yield* Effect.provideService(
        Exec.on(target, { supervise: "never" })(["x"]),
        KubeClient,
        server.client
      )
      assert.strictEqual(yield* reasonOf(handle.kill()), "KillUnsupported")
      assert.strictEqual(yield* Stream.runCount(Stream.fromIterable(server.killed)), 0)
    }))
})
