import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** A bare command on a server that leaves the session to the test. */
const started = Effect.fnUntraced(function*(options: ExecOptions = {}, settings: Server.Settings = {}) {
  const server = yield* Server.make(settings)
  yield* TestClock.adjust("1 second")
  const command = Exec.on(target, { supervise: "never", ...options })(["psql", "-l"])
  const handle = yield* Effect.provideService(command, KubeClient, server.client)
  const session = yield* server.accepted
  yield* Server.timePasses
  return { server, session, handle }
})

const text = <E>(stream: Stream.Stream<Uint8Array, E>) => Stream.mkString(Stream.decodeText(stream))
const tags = (session: Server.ServerSession): ReadonlyArray<string> => session.seen.map(({ _tag }) => _tag)

describe("a bare command", () => {
  it.effect("is asked for as it is, with the streams that are wanted", () =>
    Effect.gen(function*() {
      for (const stdin of ["pipe", "ignore"] as const) {
        for (const [stdout, stderr] of [["pipe", "pipe"], ["ignore", "pipe"], ["pipe", "ignore"]] as const) {
          const { session } = yield* started({ stdin, stdout, stderr })
          const { asked } = session
          assert.deepStrictEqual(asked.command, ["psql", "-l"])
          assert.deepStrictEqual([asked.stdin, asked.stdout, asked.stderr], [
            stdin === "pipe",
            stdout === "pipe",
            stderr === "pipe"
          ])
        }
      }
    }))

  it.effect("is there when the server has upgraded", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      assert.isFalse(handle.supervised)
      assert.isUndefined(handle.processGroup)
      assert.strictEqual(handle.protocol, v4)
      assert.isTrue(yield* handle.isRunning)
      assert.deepStrictEqual(session.asked.subprotocols, [v4])
    }))

  it.effect("gives its outputs and the exit code of the Status, and verifies nothing", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("out")
      yield* session.stderr("err")
      yield* session.status(Server.exitStatus(7))
      yield* session.goodbye()
      assert.strictEqual(yield* text(handle.stdout), "out")
      assert.strictEqual(yield* text(handle.stderr), "err")
      assert.strictEqual(yield* handle.exitCode, 7)
      assert.deepStrictEqual(yield* handle.verified, { stdout: false, stderr: false })
      assert.deepStrictEqual(yield* handle.status, Server.exitStatus(7))
    }))

  it.effect("gives both outputs in one stream", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("out")
      yield* session.stderr("err")
      yield* session.status(Server.exitStatus(0))
      yield* session.goodbye()
      assert.strictEqual((yield* text(handle.all)).split("").toSorted().join(""), "eorrtu")
    }))

  for (const code of [0, 1, 255, 300, -1, -1_073_741_510, 4_294_967_295]) {
    it.effect(`has an exit code of 32 bits: ${code}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.status(Server.exitStatus(code))
        yield* session.goodbye()
        assert.strictEqual(yield* handle.exitCode, code)
      }))
  }

  it.effect("has its Status from all its pieces", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      for (const piece of JSON.stringify(Server.exitStatus(3)).match(/.{1,7}/g) ?? []) yield* session.status(piece)
      yield* session.goodbye()
      assert.strictEqual(yield* handle.exitCode, 3)
    }))

  it.effect("still gives output that comes behind the Status", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.status(Server.exitStatus(0))
      yield* Server.settle
      yield* session.stdout("late")
      yield* session.goodbye()
      assert.strictEqual(yield* text(handle.stdout), "late")
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("passes over empty messages", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.raw(Frame.encode({ opcode: Frame.Opcode.Binary, payload: new Uint8Array(0) }, undefined))
      yield* session.stdout("")
      yield* session.stdout("x")
      yield* session.status(Server.exitStatus(0))
      yield* session.goodbye()
      assert.strictEqual(yield* text(handle.stdout), "x")
    }))
})

describe("the outcome", () => {
  it.effect("is known when an output has ended, although the scope ends in the same moment", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const reading = yield* Effect.forkChild(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Exec.on(target, { supervise: "never" })(["a"])
          yield* Stream.runDrain(handle.stdout)
          return handle
        })).pipe(Effect.provideService(KubeClient, server.client))
      )
      const session = yield* server.accepted
      yield* Server.settle
      yield* Effect.forkChild(Effect.andThen(session.status(Server.exitStatus(0)), session.goodbye()))
      yield* Server.settle
      yield* TestClock.adjust("1 second")
      const handle = yield* Fiber.join(reading)
      assert.strictEqual(yield* handle.exitCode, 0)
    }))
})

describe("an end without an outcome is no success", () => {
  for (const code of [1000, 1001, 1006, 1011]) {
    const frame = code === 1006 ? undefined : code
    it.effect(`when the server closes with ${frame ?? "no code"} and no Status`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.stdout("half")
        yield* frame === undefined ? session.raw(Frame.encodeClose(undefined, "", undefined)) : session.goodbye(frame)
        const error = yield* Effect.flip(handle.exitCode)
        assert(error.reason._tag === "OutcomeUnknown")
        assert.strictEqual(error.reason.closeCode, frame)
        assert.strictEqual(error.reason.bytesReceived, 4)
        const output = yield* Effect.flip(text(handle.stdout))
        assert.strictEqual(output.reason._tag, "OutcomeUnknown")
        assert.strictEqual((yield* Effect.flip(handle.status)).reason._tag, "OutcomeUnknown")
      }))
  }

  for (const how of ["close", "reset"] as const) {
    it.effect(`when the connection ends without a goodbye (${how})`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.stdout("half")
        yield* Server.settle
        yield* session.connection[how]
        const error = yield* Effect.flip(handle.exitCode)
        assert(error.reason._tag === "ConnectionLost")
        assert.strictEqual(error.reason.bytesReceived, 4)
        assert.strictEqual((yield* Effect.flip(text(handle.stderr))).reason._tag, "ConnectionLost")
      }))
  }

  it.effect("when it ends in the middle of a frame", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      const frame = Frame.encode({ opcode: Frame.Opcode.Binary, prefix: 1, payload: Buffer.from("half") }, undefined)
      yield* session.raw(frame.subarray(0, 5))
      yield* session.connection.close
      assert.strictEqual((yield* Effect.flip(handle.exitCode)).reason._tag, "ConnectionLost")
    }))

  for (
    const [what, status] of [
      ["is broken JSON", "{\"status\":\"Suc"],
      ["is no object", "[1]"],
      ["says neither", "{}"],
      ["says NonZeroExitCode without a code", { status: "Failure", reason: "NonZeroExitCode" }],
      [
        "says NonZeroExitCode and 0",
        { status: "Failure", reason: "NonZeroExitCode", details: { causes: [{ reason: "ExitCode", message: "0" }] } }
      ]
    ] as const
  ) {
    it.effect(`when the Status ${what}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.status(status)
        yield* session.goodbye()
        assert.strictEqual((yield* Effect.flip(handle.exitCode)).reason._tag, "OutcomeUnknown")
        assert.strictEqual((yield* Effect.flip(handle.status)).reason._tag, "OutcomeUnknown")
      }))
  }

  for (
    const [what, bytes] of [
      ["a text message", Frame.encode({ opcode: Frame.Opcode.Text, payload: Buffer.from("\x01hi") }, undefined)],
      ["a masked frame", Frame.encode({ opcode: Frame.Opcode.Binary, payload: Buffer.from("\x01hi") }, 7)],
      ["garbage", Buffer.from("HTTP/1.1 200 OK\r\n\r\n")]
    ] as const
  ) {
    it.effect(`when the server sends ${what}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.raw(bytes)
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, "ProtocolViolation")
        assert.strictEqual((yield* Effect.flip(text(handle.stdout))).reason._tag, "ProtocolViolation")
      }))
  }
})

describe("a Status of failure", () => {
  const rows = [
    [
      "OCI runtime exec failed: exec failed: unable to start container process: exec: \"psql\": executable file not found in $PATH: unknown",
      "CommandNotFound",
      "psql"
    ],
    ["exec: \"/etc\": permission denied: unknown", "CommandNotExecutable", "/etc"],
    ["container not found (\"c\")", "RemoteFailure", "container not found"]
  ] as const
  for (const [message, tag, part] of rows) {
    it.effect(`is ${tag}: ${part}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started()
        yield* session.status(Server.internalError(message))
        yield* session.goodbye()
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, part)
        assert.notInclude(error.message, "Internal error occurred: ")
        assert.include(
          error.message,
          "psql -l in pod ns/p, container c at https://api.test (websocket v4.channel.k8s.io)"
        )
        assert.strictEqual((yield* handle.status)["code"], 500)
      }))
  }
})

describe("a Status that no close follows", () => {
  it.effect("is waited behind for 5 s, and then counts", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("out")
      yield* session.status(Server.exitStatus(4))
      const exit = yield* Effect.forkChild(handle.exitCode)
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(exit.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(exit), 4)
      assert.strictEqual(yield* text(handle.stdout), "out")
      yield* session.nextOf("Close")
    }))

  it.effect("is not given up while we ourselves do not read", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ bufferBytes: 1000 })
      yield* session.status(Server.exitStatus(4))
      yield* Server.settle
      for (let i = 0; i < 10; i++) yield* session.stdout("x".repeat(2000))
      yield* Server.settle
      const exit = yield* Effect.forkChild(handle.exitCode)
      // Nobody reads for a while, but not for as long as an unread output is suffered.
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(exit.pollUnsafe())
      const output = yield* Effect.forkChild(text(handle.stdout))
      yield* Server.settle
      yield* session.goodbye()
      assert.strictEqual((yield* Fiber.join(output)).length, 20_000)
      assert.strictEqual(yield* Fiber.join(exit), 4)
    }))
})

describe("stdin of a bare command", () => {
  const write = (handle: Effect.Success<ReturnType<typeof started>>["handle"], ...parts: ReadonlyArray<string>) =>
    Stream.run(Stream.encodeText(Stream.fromIterable(parts)), handle.stdin)

  it.effect("is offered v5 alone, written, and ended", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      assert.deepStrictEqual(session.asked.subprotocols, [v5])
      yield* write(handle, "in")
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "in")
      assert.deepStrictEqual(yield* session.next, { _tag: "StdinEnded" })
    }))

  it.effect("waits while output is just arriving, and goes when it is quiet", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* Effect.forkChild(Stream.runDrain(handle.stdout))
      yield* session.stdout("x")
      yield* Server.settle
      yield* Effect.forkChild(write(handle, "in"))
      yield* Server.settle
      assert.deepStrictEqual(tags(session), [])
      yield* TestClock.adjust("4 millis")
      assert.deepStrictEqual(tags(session), [])
      yield* TestClock.adjust("1 millis")
      yield* Server.settle
      assert.deepStrictEqual(tags(session), ["Stdin", "StdinEnded"])
    }))

  it.effect("goes after half a second although output keeps arriving, when it is read", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* Effect.forkChild(Stream.runDrain(handle.stdout))
      yield* session.stdout("x")
      yield* Server.settle
      yield* Effect.forkChild(write(handle, "in"))
      for (let i = 0; i < 249; i++) {
        yield* session.stdout("x")
        yield* Server.settle
        yield* TestClock.adjust("2 millis")
      }
      assert.deepStrictEqual(tags(session), [])
      yield* session.stdout("x")
      yield* Server.settle
      yield* TestClock.adjust("2 millis")
      yield* Server.settle
      assert.strictEqual(tags(session)[0], "Stdin")
    }))

  it.effect("is not written while reading is paused, and goes on when it is read", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe", bufferBytes: 1000 })
      yield* session.stdout("x".repeat(2000))
      yield* Server.settle
      yield* Effect.forkChild(write(handle, "in"))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(tags(session), [])
      yield* Effect.forkChild(Stream.runDrain(handle.stdout))
      yield* TestClock.adjust("10 millis")
      yield* Server.settle
      assert.deepStrictEqual(tags(session), ["Stdin", "StdinEnded"])
    }))

  it.effect("is not written after the Status, and is done without a failure", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* session.status(Server.exitStatus(0))
      yield* Server.settle
      const writing = yield* Effect.forkChild(write(handle, "in"))
      yield* Server.settle
      yield* session.goodbye()
      yield* Fiber.join(writing)
      assert.notInclude(tags(session), "Stdin")
    }))

  it.effect("that has ended is the last that is sent: no ping, no empty message", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* write(handle, "in")
      yield* TestClock.adjust("5 hours")
      assert.deepStrictEqual(tags(session), ["Stdin", "StdinEnded"])
      assert.isTrue(yield* handle.isRunning)
      yield* session.status(Server.exitStatus(0))
      yield* session.goodbye()
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("fails with the session's failure", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* session.status(Server.internalError("boom"))
      yield* session.goodbye()
      const error = yield* Effect.flip(Stream.run(Stream.forever(Stream.make(new Uint8Array(1))), handle.stdin))
      assert.strictEqual(error.reason._tag, "RemoteFailure")
    }))
})

describe("kill", () => {
  it.effect("is not supported without the supervisor", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      assert.strictEqual((yield* Effect.flip(handle.kill())).reason._tag, "KillUnsupported")
      yield* Server.settle
      assert.deepStrictEqual(tags(session), [])
    }))
})

describe("a terminal", () => {
  const onTerminal = (options: ExecOptions = {}, settings: Server.Settings = {}) =>
    started({ supervise: undefined, tty: true, stdin: "pipe", ...options }, settings)

  it.effect("has one output, and is never supervised; either protocol will do", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* onTerminal()
      const { stderr, stdin, stdout, subprotocols, tty } = session.asked
      assert.deepStrictEqual({ stdin, stdout, stderr, tty }, { stdin: true, stdout: true, stderr: false, tty: true })
      assert.deepStrictEqual(subprotocols, [v5, v4])
      assert.deepStrictEqual(session.asked.command, ["psql", "-l"])
      assert.isFalse(handle.supervised)
    }))

  it.effect("is told its size at the start, and when it changes", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* onTerminal({ size: { width: 80, height: 24 } })
      assert.strictEqual((yield* session.nextOf("Resize")).text, "{\"Width\":80,\"Height\":24}\n")
      yield* handle.resize({ width: 100, height: 30 })
      assert.strictEqual((yield* session.nextOf("Resize")).text, "{\"Width\":100,\"Height\":30}\n")
    }))

  it.effect("gets ^D at the end of stdin, on either protocol", () =>
    Effect.gen(function*() {
      for (const protocol of [v5, v4] as const) {
        const { handle, session } = yield* onTerminal({}, { protocols: [protocol] })
        yield* Stream.run(Stream.encodeText(Stream.make("ls\n")), handle.stdin)
        assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "ls\n")
        assert.deepStrictEqual((yield* session.nextOf("Stdin")).bytes, Uint8Array.of(4))
        yield* Server.settle
        assert.deepStrictEqual(tags(session), ["Stdin", "Stdin"])
      }
    }))

  it.effect("gets the user's keys although output is arriving", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* onTerminal()
      yield* session.stdout("x")
      yield* Server.settle
      yield* Effect.forkChild(Stream.run(Stream.encodeText(Stream.make("k")), handle.stdin))
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "k")
    }))

  it.effect("is the only thing that has a size", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ size: { width: 1, height: 1 } })
      yield* handle.resize({ width: 1, height: 1 })
      yield* Server.settle
      assert.deepStrictEqual(tags(session), [])
    }))
})
