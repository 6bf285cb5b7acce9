import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** A command on a server that leaves the session to the test. */
const started = Effect.fnUntraced(function*(options: ExecOptions = {}, settings: Server.Settings = {}) {
  const server = yield* Server.make(settings)
  const starting = yield* Effect.forkScoped(
    Effect.provideService(Exec.on(target, options)(["tail", "-f"]), KubeClient, server.client)
  )
  const session = yield* server.accepted
  const record = Programs.parseSupervised(session.asked.command)?.record
  if (record !== undefined) yield* session.stdout(`${record}@1\n`)
  const handle = yield* Fiber.join(starting)
  yield* Server.settle
  yield* Server.timePasses
  const end = (code: number) =>
    record === undefined
      ? Effect.andThen(session.status(Server.exitStatus(code)), session.goodbye())
      : Effect.andThen(session.stdout(`${record}:${code}\n`), session.stderr(`${record}:${code}\n`))
  return { server, session, handle, end }
})

const counted = (session: Server.ServerSession, tag: Server.Sent["_tag"]): number =>
  session.seen.filter(({ _tag }) => _tag === tag).length

const reasonOf = <A>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

for (const supervise of ["required", "never"] as const) {
  describe(supervise === "never" ? "a bare session" : "a supervised session", () => {
    it.effect("that is silent for a day lives, and tells its outcome", () =>
      Effect.gen(function*() {
        const { end, handle, session } = yield* started({ supervise })
        yield* TestClock.adjust("24 hours")
        assert.isTrue(yield* handle.isRunning)
        assert.isAtLeast(counted(session, "Empty"), 23)
        assert.isAtMost(counted(session, "Empty"), 24)
        assert.isAbove(counted(session, "Ping"), 1000)
        assert.strictEqual(counted(session, "Stdin"), 0)
        yield* end(5)
        assert.strictEqual(yield* handle.exitCode, 5)
      }), 180_000)

    it.effect("is not pinged while output comes", () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ supervise })
        yield* Effect.forkChild(Effect.exit(Stream.runDrain(handle.stdout)))
        for (let i = 0; i < 100; i++) {
          yield* TestClock.adjust("9 seconds")
          yield* session.stdout("line\n")
          yield* Server.settle
        }
        assert.strictEqual(counted(session, "Ping"), 0)
      }))

    it.effect("fails with PeerStalled when a ping is not answered: its exit code, its outputs, its writers", () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ supervise }, { pongs: false })
        const exit = yield* Effect.forkChild(Effect.exit(handle.exitCode))
        const output = yield* Effect.forkChild(reasonOf(Stream.runDrain(handle.stdout)))
        yield* TestClock.adjust("10 seconds")
        yield* Server.settle
        assert.strictEqual(counted(session, "Ping"), 1)
        yield* TestClock.adjust("29999 millis")
        assert.isUndefined(exit.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* Fiber.join(output), "PeerStalled")
        const error = yield* Effect.flip(handle.exitCode)
        assert(error.reason._tag === "PeerStalled")
        assert.strictEqual(error.reason.silentMillis, 40_000)
        assert.isFalse(yield* handle.isRunning)
        yield* Fiber.join(exit)
      }))

    it.effect("takes any byte for a sign of life", () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ supervise }, { pongs: false })
        yield* Effect.forkChild(Effect.exit(Stream.runDrain(handle.stdout)))
        for (let i = 0; i < 20; i++) {
          yield* TestClock.adjust("35 seconds")
          yield* session.stdout("x")
          yield* Server.settle
        }
        assert.isTrue(yield* handle.isRunning)
      }))

    it.effect("is not dead of missing pongs when stdin was sent: the process may not read it", () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ supervise, stdin: "pipe" }, { pongs: false })
        yield* TestClock.adjust("1 second")
        yield* Effect.forkChild(
          Effect.exit(Stream.run(Stream.concat(Stream.make(new Uint8Array(10)), Stream.never), handle.stdin))
        )
        yield* TestClock.adjust("3 hours")
        assert.isTrue(yield* handle.isRunning)
        assert.isAtLeast(counted(session, "Ping"), 1)
      }))

    it.effect("is not pinged while its output is not read, and not dead", () =>
      Effect.gen(function*() {
        const { end, handle, session } = yield* started({ supervise, bufferBytes: 1000 }, { pongs: false })
        yield* session.stdout("x".repeat(10_000))
        yield* Server.settle
        yield* TestClock.adjust("8 hours")
        assert.strictEqual(counted(session, "Ping") + counted(session, "Empty"), 0)
        assert.isTrue(yield* handle.isRunning)
        const output = yield* Effect.forkChild(
          Stream.runFold(handle.stdout, () => 0, (size, { length }) => size + length)
        )
        yield* end(3)
        assert.strictEqual(yield* Fiber.join(output), 10_000)
        assert.strictEqual(yield* handle.exitCode, 3)
      }))

    it.effect("has the life signs that it is told", () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({
          supervise,
          heartbeat: { after: "1 second", within: "2 seconds", keepAliveAfter: "90 millis" }
        }, { pongs: false })
        yield* TestClock.adjust("999 millis")
        yield* Server.settle
        assert.strictEqual(counted(session, "Ping"), 0)
        assert.isAtLeast(counted(session, "Empty"), 10)
        yield* TestClock.adjust("1 millis")
        yield* Server.settle
        assert.strictEqual(counted(session, "Ping"), 1)
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual(yield* reasonOf(handle.exitCode), "PeerStalled")
      }))
  })
}

describe("after the last word", () => {
  it.effect("nothing is sent to the server of a bare command", () =>
    Effect.gen(function*() {
      const { session } = yield* started({ supervise: "never" })
      yield* session.status(Server.exitStatus(0))
      yield* TestClock.adjust("4 seconds")
      yield* Server.settle
      assert.deepStrictEqual(session.seen, [])
    }))

  it.effect("a supervised command that was acknowledged has 5 s, and then the connection ends", () =>
    Effect.gen(function*() {
      const { end, server, session } = yield* started({}, { pongs: false })
      yield* end(0)
      yield* session.nextOf("StdinEnded")
      yield* TestClock.adjust("5 seconds")
      yield* session.nextOf("Close")
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
    }))
})

describe("an output that nobody reads", () => {
  const full = "x".repeat(5000)
  const cases = [["stdout", "stderr"], ["stderr", "stdout"]] as const

  for (const [name, other] of cases) {
    for (const supervise of ["required", "never"] as const) {
      it.effect(`is a failure that names ${name}, when the exit code is awaited (${supervise})`, () =>
        Effect.gen(function*() {
          const { handle, session } = yield* started({ supervise, bufferBytes: 1000 })
          yield* session[name](full)
          yield* Server.settle
          const exit = yield* Effect.forkChild(Effect.flip(handle.exitCode))
          yield* TestClock.adjust("9999 millis")
          assert.isUndefined(exit.pollUnsafe())
          yield* TestClock.adjust("1 millis")
          const { reason } = yield* Fiber.join(exit)
          assert(reason._tag === "UnreadOutput")
          assert.strictEqual(reason.stream, name)
          assert.strictEqual(reason.bufferedBytes, 5000)
          yield* session.nextOf("Close")
        }))
    }

    it.effect(`is a failure that names ${name}, when a reader waits for ${other}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ bufferBytes: 1000 })
        const reading = yield* Effect.forkChild(reasonOf(Stream.runDrain(handle[other])))
        yield* session[name](full)
        yield* Server.settle
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Fiber.join(reading), "UnreadOutput")
      }))

    it.effect(`is a failure that names ${name}, when both are full and a reader has emptied ${other} and waits`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ bufferBytes: 1000 })
        const frame = (channel: number) =>
          Frame.encode({ opcode: Frame.Opcode.Binary, payload: new Uint8Array(5000), prefix: channel }, undefined)
        // In one piece, so that one read fills both.
        yield* session.raw(Buffer.concat([frame(1), frame(2)]))
        yield* Server.settle
        let bytes = 0
        const reading = yield* Effect.forkChild(
          reasonOf(Stream.runForEach(handle[other], ({ length }) =>
            Effect.sync(() => {
              bytes += length
            })))
        )
        yield* Server.settle
        assert.strictEqual(bytes, 5000)
        yield* TestClock.adjust("10 seconds")
        assert.isDefined(reading.pollUnsafe(), "it waits for ever")
        assert.strictEqual(yield* Fiber.join(reading), "UnreadOutput")
        const { reason } = yield* Effect.flip(handle.exitCode)
        assert(reason._tag === "UnreadOutput")
        assert.strictEqual(reason.stream, name)
      }))

    it.effect(`is a failure that names ${name}, when a write of stdin waits`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ bufferBytes: 1000, stdin: "pipe" }, { reads: false })
        yield* session[name](full)
        yield* Server.settle
        const writing = yield* Effect.forkChild(
          reasonOf(Stream.run(Stream.make(new Uint8Array(1_000_000)), handle.stdin))
        )
        yield* Server.settle
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Fiber.join(writing), "UnreadOutput")
      }))
  }

  it.effect("is none as long as nobody waits for anything, and can be read later", () =>
    Effect.gen(function*() {
      const { end, handle, session } = yield* started({ bufferBytes: 1000 })
      yield* session.stdout(full)
      yield* Server.settle
      yield* TestClock.adjust("3 hours")
      const reading = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(handle.stdout)))
      yield* end(0)
      assert.strictEqual(yield* Fiber.join(reading), full)
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("is none when there is a reader, however slow", () =>
    Effect.gen(function*() {
      const { end, handle, session } = yield* started({ bufferBytes: 1000 })
      const exit = yield* Effect.forkChild(handle.exitCode)
      yield* Effect.forkChild(Stream.runForEachArray(handle.stdout, () => Effect.sleep("1 hour")))
      yield* Effect.forkChild(Effect.gen(function*() {
        for (let i = 0; i < 5; i++) yield* session.stdout(full)
        yield* end(6)
      }))
      yield* TestClock.adjust("10 hours")
      assert.strictEqual(yield* Fiber.join(exit), 6)
    }))

  it.effect("is a failure when its reader has left", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ bufferBytes: 1000 })
      const exit = yield* Effect.forkChild(reasonOf(handle.exitCode))
      const reading = yield* Effect.forkChild(Stream.runForEach(handle.stdout, () => Effect.never))
      yield* session.stdout(full)
      yield* Server.settle
      yield* session.stdout(full)
      yield* Server.settle
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(exit.pollUnsafe())
      yield* Fiber.interrupt(reading)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(exit), "UnreadOutput")
    }))

  it.effect("is none when it is ignored: a bare command is not asked for it", () =>
    Effect.gen(function*() {
      const { end, handle, session } = yield* started({ supervise: "never", stdout: "ignore" })
      assert.isFalse(session.asked.stdout)
      assert.deepStrictEqual(yield* Stream.runCollect(handle.stdout), [])
      yield* end(0)
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("has the grace that it is told", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ bufferBytes: 1000, unreadGrace: "1 second" })
      const exit = yield* Effect.forkChild(reasonOf(handle.exitCode))
      yield* session.stdout(full)
      yield* Server.settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(exit), "UnreadOutput")
    }))

  it.effect("holds the server back: memory is the buffer and what one read brings", () =>
    Effect.gen(function*() {
      const { session } = yield* started({ bufferBytes: 10_000 })
      let written = 0
      yield* Effect.forkChild(Effect.forever(Effect.andThen(
        session.stdout(new Uint8Array(16_000)),
        Effect.sync(() => {
          written += 16_000
        })
      )))
      yield* Server.settle
      yield* TestClock.adjust("1 hour")
      yield* Server.settle
      // A pipe of 256 KiB on the way, one read of as much, and the buffer.
      assert.isAtMost(written, 600_000)
    }))
})
