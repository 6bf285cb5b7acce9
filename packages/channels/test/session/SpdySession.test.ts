import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
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

/** A command over SPDY, on a server that does this. */
const started = Effect.fnUntraced(
  function*(script: Server.Script, options: ExecOptions = {}, more: Server.Settings = {}) {
    const server = yield* Server.make({ spdy: true, script, ...more })
    const handle = yield* Effect.provideService(
      Exec.on(target, { supervise: "never", transport: "spdy", ...options })(["psql"]),
      KubeClient,
      server.client
    )
    assert.strictEqual(handle.transport, "spdy")
    return { handle, server }
  }
)

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))
const finish = (session: Server.ServerSession, code: number) =>
  Effect.all([session.endOutputs, session.status(Server.exitStatus(code)), session.goodbye()])

describe("a command over SPDY", () => {
  it.effect("has its outputs, its exit code, and what the supervisor says of them", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ spdy: true, script: Programs.serve(Programs.basic) })
      const handle = yield* Effect.provideService(
        Exec.on(target, { transport: "spdy" })(["echo", "hello"]),
        KubeClient,
        server.client
      )
      assert.strictEqual(yield* text(handle.stdout), "hello\n")
      assert.strictEqual(yield* handle.exitCode, 0)
      assert.deepStrictEqual(yield* handle.verified, { stdout: true, stderr: true })
    }))

  it.effect("has them without the supervisor, and asks by POST for just the streams that it opens", () =>
    Effect.gen(function*() {
      const { handle, server } = yield* started((session) =>
        Effect.all([session.stdout("out"), session.stderr("err"), finish(session, 7)])
      )
      assert.deepStrictEqual([yield* text(handle.stdout), yield* text(handle.stderr)], ["out", "err"])
      assert.strictEqual(yield* handle.exitCode, 7)
      const [asked] = server.asked
      assert.deepStrictEqual(
        [asked?.method, asked?.stdin, asked?.stdout, asked?.stderr],
        ["POST", false, true, true]
      )
    }))

  it.effect("is told the end of its stdin", () =>
    Effect.gen(function*() {
      const { handle } = yield* started((session) =>
        Effect.gen(function*() {
          const { bytes } = yield* session.nextOf("Stdin")
          yield* session.nextOf("StdinEnded")
          yield* session.stdout(bytes)
          yield* finish(session, 0)
        }), { stdin: "pipe" })
      const writing = yield* Effect.forkChild(Stream.run(Stream.make(Server.bytesOf("data")), handle.stdin))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(writing)
      assert.strictEqual(yield* text(handle.stdout), "data")
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("is not taken for a success when the connection ends without a Status: by FIN, reset or goodbye", () =>
    Effect.gen(function*() {
      const ends: ReadonlyArray<readonly [(session: Server.ServerSession) => Effect.Effect<unknown>, string]> = [
        [() => Effect.void, "ConnectionLost"],
        [(session) => session.endOutputs, "ConnectionLost"],
        [(session) => session.connection.reset, "ConnectionLost"],
        [(session) => session.raw(SpdyFrame.encodeGoAway(0, 2)), "OutcomeUnknown"],
        [(session) => session.goodbye(), "OutcomeUnknown"],
        [(session) => Effect.andThen(session.endOutputs, session.goodbye()), "OutcomeUnknown"],
        [(session) => session.raw(SpdyFrame.encodePing(0)), "ProtocolViolation"]
      ]
      for (const [end, reason] of ends) {
        const { handle } = yield* started((session) =>
          Effect.all([session.stdout("part"), Server.settle, end(session)])
        )
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, reason)
        assert.include(error.message, "spdy v4.channel.k8s.io")
      }
    }))

  it.effect("whose outputs have ended is waited for 5 s: a server may never send the Status of one that left its stdin", () =>
    Effect.gen(function*() {
      const { handle } = yield* started((session) =>
        Effect.all([session.stdout("out"), session.endOutputs, Effect.never])
      )
      const exit = yield* Effect.forkChild(Effect.flip(handle.exitCode))
      for (let i = 0; i < 3; i++) yield* Server.settle
      yield* TestClock.adjust(4999)
      assert.isUndefined(exit.pollUnsafe())
      yield* TestClock.adjust(1)
      const { message, reason } = yield* Fiber.join(exit)
      assert.strictEqual(reason._tag, "OutcomeUnknown")
      assert.include(message, "the outputs have ended, but the server has not said how the command did")
      // What has come can be read, but not taken for all.
      const chunks: Array<string> = []
      const reading = Stream.runForEach(
        Stream.decodeText(handle.stdout),
        (chunk) => Effect.sync(() => void chunks.push(chunk))
      )
      assert.strictEqual((yield* Effect.flip(reading)).reason._tag, "OutcomeUnknown")
      assert.deepStrictEqual(chunks, ["out"])
      yield* Server.timePasses
    }))

  it.effect("whose Status comes within that time has an outcome", () =>
    Effect.gen(function*() {
      const { handle } = yield* started((session) =>
        Effect.gen(function*() {
          yield* session.endOutputs
          yield* Effect.sleep("4 seconds")
          yield* session.status(Server.exitStatus(3))
          yield* session.goodbye()
        })
      )
      const exit = yield* Effect.forkChild(handle.exitCode)
      for (let i = 0; i < 3; i++) yield* Server.settle
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* Fiber.join(exit), 3)
    }))

  it.effect("is asked for a sign of life in silence, and given up when it gives none", () =>
    Effect.gen(function*() {
      for (const pongs of [true, false]) {
        const { handle, server } = yield* started(() => Effect.never, {}, { pongs })
        const exit = yield* Effect.forkChild(Effect.flip(handle.exitCode))
        const session = yield* server.accepted
        for (let i = 0; i < 6; i++) {
          yield* Server.settle
          yield* TestClock.adjust("10 seconds")
        }
        yield* Server.settle
        assert.isTrue(session.seen.some(({ _tag }) => _tag === "Ping"))
        if (pongs) assert.isUndefined(exit.pollUnsafe())
        else assert.strictEqual((yield* Fiber.join(exit)).reason._tag, "PeerStalled")
      }
      yield* Server.timePasses
    }))

  it.effect("is told that its client leaves, and its connection ends with the scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { server } = yield* Scope.provide(started(() => Effect.never), scope)
      const session = yield* server.accepted
      yield* Server.settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Server.settle
      yield* Server.joined(closing)
      yield* session.left
      assert.deepStrictEqual(session.seen.at(-1), { _tag: "Close", code: undefined })
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
    }))

  it.effect("on a terminal has one output, its size, and ^D at the end of stdin", () =>
    Effect.gen(function*() {
      const { handle, server } = yield* started((session) =>
        Effect.gen(function*() {
          const { text: size } = yield* session.nextOf("Resize")
          const { bytes } = yield* session.nextOf("Stdin")
          yield* session.stdout(size)
          yield* session.stdout(`${bytes[0]}`)
          yield* finish(session, 0)
        }), { tty: true, stdin: "pipe", size: { width: 80, height: 24 } })
      yield* Stream.run(Stream.empty, handle.stdin)
      assert.strictEqual(yield* text(handle.stdout), "{\"Width\":80,\"Height\":24}\n4")
      assert.strictEqual(yield* handle.exitCode, 0)
      assert.deepStrictEqual([server.asked[0]?.tty, server.asked[0]?.stderr], [true, false])
    }))
})
