import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** The record that begins the supervisor's lines in this session. */
const recordOf = (session: Server.ServerSession): string => {
  const parsed = Programs.parseSupervised(session.asked.command)
  assert(parsed !== undefined, "the command is not supervised")
  return parsed.record
}

/** A server that leaves the session to the test, and the handle of a command on it. */
const started = Effect.fnUntraced(function*(
  options: ExecOptions = {},
  settings: Server.Settings = {},
  command: ReadonlyArray<string> = ["psql", "-c", "select 1"]
) {
  const server = yield* Server.make(settings)
  const starting = yield* Effect.forkChild(
    Effect.provideService(
      Effect.flatMap(Effect.scope, (scope) => Scope.provide(Exec.on(target, options)(command), scope)),
      KubeClient,
      server.client
    )
  )
  const session = yield* server.accepted
  const record = recordOf(session)
  yield* session.stdout(`${record}@4711\n`)
  const handle = yield* Fiber.join(starting)
  yield* Server.timePasses
  return { server, session, record, handle }
})

/** The supervisor's word that the command has ended. */
const trailers = (session: Server.ServerSession, text = "0") =>
  Effect.andThen(
    session.stdout(`${recordOf(session)}:${text}\n`),
    session.stderr(`${recordOf(session)}:${text}\n`)
  )

const reasonOf = <A>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

describe("a supervised command", () => {
  it.effect("is there when the supervisor has said so, with its process group", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const starting = yield* Effect.forkChild(
        Effect.provideService(Exec.on(target)(["sleep", "1"]), KubeClient, server.client)
      )
      const session = yield* server.accepted
      yield* Server.settle
      assert.isUndefined(starting.pollUnsafe())
      yield* session.stdout(`${recordOf(session)}@4711\n`)
      const handle = yield* Fiber.join(starting)
      assert.isTrue(handle.supervised)
      assert.strictEqual(handle.processGroup, 4711)
      assert.strictEqual(handle.protocol, v5)
      assert.strictEqual(handle.transport, "websocket")
    }))

  it.effect("asks for both outputs and stdin, whatever is wanted of them", () =>
    Effect.gen(function*() {
      const { session } = yield* started({ stdout: "ignore", stderr: "ignore" })
      const { stderr, stdin, stdout, tty } = session.asked
      assert.deepStrictEqual({ stdin, stdout, stderr, tty }, { stdin: true, stdout: true, stderr: true, tty: false })
    }))

  it.effect("asks for the container, the pod and the words of the command", () =>
    Effect.gen(function*() {
      const words = ["printf", "%s", "", "a b&c", "ü", "--"]
      const { session } = yield* started({}, {}, words)
      const { container, namespace, pod } = session.asked
      assert.deepStrictEqual({ container, namespace, pod }, { container: "c", namespace: "ns", pod: "p" })
      assert.deepStrictEqual(Programs.parseSupervised(session.asked.command)?.argv, words)
    }))

  it.effect("has a nonce of its own in each session", () =>
    Effect.gen(function*() {
      const one = yield* started()
      const two = yield* started()
      assert.match(one.record.slice(1), /^[0-9a-f]{32}$/)
      assert.notStrictEqual(one.record, two.record)
    }))

  it.effect("gives its outputs without the records, and its exit code from the trailers", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      const reading = yield* Effect.forkChild(Effect.all([
        Stream.mkString(Stream.decodeText(handle.stdout)),
        Stream.mkString(Stream.decodeText(handle.stderr)),
        handle.exitCode,
        handle.verified
      ], { concurrency: "unbounded" }))
      yield* session.stdout("out")
      yield* session.stderr("err")
      yield* session.stdout("put")
      yield* trailers(session, "7")
      assert.deepStrictEqual(yield* Fiber.join(reading), ["output", "err", 7, { stdout: true, stderr: true }])
      assert.isFalse(yield* handle.isRunning)
      const { stderrBytes, stdinBytes, stdoutBytes } = yield* handle.stats
      assert.deepStrictEqual({ stdinBytes, stdoutBytes, stderrBytes }, {
        stdinBytes: 0,
        stdoutBytes: 6,
        stderrBytes: 3
      })
    }))

  it.effect("gives a line at once although records might begin at its end", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("a line\n")
      assert.strictEqual(
        Server.textOf(
          (yield* Stream.runHead(handle.stdout)).pipe((o) => o._tag === "Some" ? o.value : new Uint8Array())
        ),
        "a line\n"
      )
    }))

  it.effect("passes on what looks like a record of another", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      const other = `\x1e${"0".repeat(32)}:0\n`
      yield* session.stdout(other)
      yield* trailers(session)
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle.stdout)), other)
    }))

  it.effect("ends an output with its trailer, before the other has ended", () =>
    Effect.gen(function*() {
      const { handle, record, session } = yield* started()
      yield* session.stdout(`done${record}:0\n`)
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "done")
      assert.isTrue(yield* handle.isRunning)
      yield* session.stderr(`${record}:0\n`)
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  for (
    const [text, tag] of [["n", "CommandNotFound"], ["x", "CommandNotExecutable"], ["d", "NoWorkingDirectory"]] as const
  ) {
    it.effect(`fails with ${tag} when the supervisor says so, in its exit code and its outputs`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ cwd: "/data" })
        yield* trailers(session, text)
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, tag === "NoWorkingDirectory" ? "/data" : "psql")
        assert.strictEqual(yield* reasonOf(Stream.runDrain(handle.stdout)), tag)
        assert.strictEqual(yield* reasonOf(Stream.runDrain(handle.stderr)), tag)
      }))
  }
})

describe("a variable that the shell keeps for itself", () => {
  for (
    const [env, words] of [
      [{ A: "1", UID: "1000", TOKEN: Redacted.make("S3CRET") }, "keeps UID for itself"],
      [{ A: "1", B: "2" }, "keeps one of A, B for itself"]
    ] as const
  ) {
    it.effect(`is the failure of its command, before anything has started: ${words}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* started({ env })
        yield* trailers(session, "v")
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, "VariableKept")
        assert.include(error.message, words)
        assert.include(error.message, "nothing was started")
        assert.notInclude(error.message, "S3CRET")
        assert.strictEqual(yield* reasonOf(Stream.runDrain(handle.stdout)), "VariableKept")
      }))
  }
})

describe("the acknowledgement", () => {
  it.effect("on v5 is the end of stdin, when both trailers are here and not before", () =>
    Effect.gen(function*() {
      const { handle, record, session } = yield* started()
      yield* session.stdout(`${record}:0\n`)
      yield* Server.settle
      assert.deepStrictEqual(session.seen, [])
      yield* session.stderr(`${record}:0\n`)
      assert.deepStrictEqual(yield* session.next, { _tag: "StdinEnded" })
      assert.strictEqual(yield* handle.exitCode, 0)
      yield* Server.settle
      assert.strictEqual(session.seen.length, 1)
    }))

  it.effect("on v4 is the close of the connection", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({}, { protocols: [v4] })
      assert.strictEqual(handle.protocol, v4)
      yield* trailers(session, "3")
      assert.deepStrictEqual(yield* session.next, { _tag: "Close", code: 1000 })
      assert.strictEqual(yield* handle.exitCode, 3)
    }))

  it.effect("comes although nobody has read the output yet, when its buffer holds it", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("x".repeat(100_000))
      yield* trailers(session)
      yield* session.nextOf("StdinEnded")
      assert.strictEqual((yield* Stream.mkString(Stream.decodeText(handle.stdout))).length, 100_000)
    }))

  it.effect("comes although a write of stdin is under way, which is done early", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" }, { reads: false })
      const writing = yield* Effect.forkChild(
        Stream.run(Stream.make(new Uint8Array(4_000_000)), handle.stdin)
      )
      yield* Server.settle
      assert.isUndefined(writing.pollUnsafe())
      yield* trailers(session, "1")
      assert.strictEqual(yield* handle.exitCode, 1)
      yield* Fiber.join(writing)
    }))

  it.effect("is followed by the server's close, or by ours after 5 s", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* trailers(session)
      yield* session.nextOf("StdinEnded")
      const status = yield* Effect.forkChild(Effect.exit(handle.status))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(status.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(status)))
      assert.deepStrictEqual(yield* session.nextOf("Close"), { _tag: "Close", code: 1000 })
    }))

  it.effect("leaves time for the Status, which is told", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* trailers(session, "7")
      yield* session.nextOf("StdinEnded")
      yield* session.status(Server.exitStatus(7))
      yield* session.goodbye()
      assert.deepStrictEqual(yield* handle.status, Server.exitStatus(7))
      assert.strictEqual(yield* handle.exitCode, 7)
    }))
})

describe("an outcome of a supervised command", () => {
  it.effect("is the trailers' although the Status says otherwise", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.status(Server.exitStatus(0))
      yield* trailers(session, "7")
      yield* session.goodbye()
      assert.strictEqual(yield* handle.exitCode, 7)
    }))

  it.effect("is not known when the trailers are missing, although the Status says success", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("half of the outp")
      yield* session.status(Server.exitStatus(0))
      yield* session.goodbye()
      const error = yield* Effect.flip(handle.exitCode)
      assert(error.reason._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason.reportedExitCode, 0)
      assert.strictEqual(error.reason.bytesReceived, 16)
      assert.strictEqual(yield* reasonOf(Stream.runDrain(handle.stdout)), "OutcomeUnknown")
    }))

  it.effect("is not known when one trailer is missing", () =>
    Effect.gen(function*() {
      const { handle, record, session } = yield* started()
      yield* session.stdout(`${record}:0\n`)
      yield* session.status(Server.exitStatus(0))
      yield* session.goodbye()
      assert.strictEqual(yield* reasonOf(handle.exitCode), "OutcomeUnknown")
      assert.strictEqual(yield* reasonOf(Stream.runDrain(handle.stderr)), "OutcomeUnknown")
    }))

  it.effect("is lost with the connection, and output that came can be read before the failure", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      yield* session.stdout("half")
      yield* Server.settle
      yield* session.connection.reset
      const got: Array<string> = []
      const error = yield* Effect.flip(
        Stream.runForEach(Stream.decodeText(handle.stdout), (text) => Effect.sync(() => got.push(text)))
      )
      assert(error.reason._tag === "ConnectionLost")
      assert.strictEqual(error.reason.bytesReceived, 4)
      assert.deepStrictEqual(got, ["half"])
      assert.strictEqual(yield* reasonOf(handle.exitCode), "ConnectionLost")
    }))

  it.effect("gives what was held back as the beginning of a record when the end comes instead, and not at a loss", () =>
    Effect.gen(function*() {
      for (const how of ["closed", "lost"] as const) {
        const { handle, record, session } = yield* started()
        yield* session.stdout(`half${record.slice(0, 10)}`)
        if (how === "closed") yield* session.goodbye()
        yield* session.connection.close
        const got: Array<string> = []
        const { reason } = yield* Effect.flip(
          Stream.runForEach(Stream.decodeText(handle.stdout), (text) => Effect.sync(() => got.push(text)))
        )
        const expected = how === "closed"
          ? ["OutcomeUnknown", `half${record.slice(0, 10)}`]
          : ["ConnectionLost", "half"]
        assert.deepStrictEqual([reason._tag, got.join("")], expected)
      }
    }))
})

describe("stdin of a supervised command", () => {
  it.effect("is written, and ended when its stream ends", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* Stream.run(Stream.encodeText(Stream.make("one", "two")), handle.stdin)
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "onetwo")
      assert.deepStrictEqual(yield* session.next, { _tag: "StdinEnded" })
      assert.strictEqual((yield* handle.stats).stdinBytes, 6)
    }))

  it.effect("is not ended when its stream fails: that is no end", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      const failing = Stream.concat(Stream.encodeText(Stream.make("one")), Stream.fail("broken"))
      assert.strictEqual(yield* Effect.flip(Stream.run(failing, handle.stdin)), "broken")
      yield* Server.settle
      assert.deepStrictEqual(session.seen.map(({ _tag }) => _tag), ["Stdin"])
    }))

  it.effect("takes no more after the trailers, and that is no failure", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* trailers(session)
      yield* session.nextOf("StdinEnded")
      yield* Stream.run(Stream.forever(Stream.make(new Uint8Array(10))), handle.stdin)
      yield* Server.settle
      assert.deepStrictEqual(session.seen.map(({ _tag }) => _tag), ["StdinEnded"])
    }))

  it.effect("is written while output waits to be read: the supervisor holds the server back from closing", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe", bufferBytes: 1000 })
      yield* session.stdout("x".repeat(200_000))
      yield* Server.settle
      const writing = yield* Effect.forkChild(Stream.run(Stream.encodeText(Stream.make("in")), handle.stdin))
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "in")
      yield* Fiber.join(writing)
    }))

  it.effect("cannot be written when the command was started without one", () =>
    Effect.gen(function*() {
      const { handle } = yield* started()
      assert.strictEqual(yield* reasonOf(Stream.run(Stream.make(new Uint8Array(1)), handle.stdin)), "StdinNotPiped")
    }))

  it.effect("fails with the session's failure when it is lost", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started({ stdin: "pipe" })
      yield* session.connection.reset
      const failure = Stream.run(Stream.forever(Stream.make(new Uint8Array(10))), handle.stdin)
      assert.strictEqual(yield* reasonOf(failure), "ConnectionLost")
    }))
})

describe("variables and the directory", () => {
  it.effect("are the supervisor's to set", () =>
    Effect.gen(function*() {
      const { session } = yield* started({ cwd: "/data", env: { A: "1", B: "x y", C: undefined } })
      const parsed = Programs.parseSupervised(session.asked.command)
      assert.deepStrictEqual(parsed?.env, { A: "1", B: "x y" })
      assert.strictEqual(parsed?.cwd, "/data")
    }))

  it.effect("that are secret come on stdin, only after the supervisor's word, and in front of the user's stdin", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const env = { PLAIN: "p", TOKEN: Redacted.make("S3C'RET\nline") }
      const starting = yield* Effect.forkChild(
        Effect.provideService(Exec.on(target, { env, stdin: "pipe" })(["cat"]), KubeClient, server.client)
      )
      const session = yield* server.accepted
      yield* Server.settle
      assert.deepStrictEqual(session.seen, [])
      assert.notInclude(session.asked.command.join(" "), "S3C")
      assert.deepStrictEqual(Programs.parseSupervised(session.asked.command)?.env, { PLAIN: "p" })
      const record = recordOf(session)
      yield* session.stdout(`${record}@1\n`)
      const handle = yield* Fiber.join(starting)
      yield* Stream.run(Stream.encodeText(Stream.make("user")), handle.stdin)
      const preamble = `ek_v='S3C'\\''RET\nline'\nexport TOKEN="$ek_v" && [ "x$TOKEN" = "x$ek_v" ] || exit\n${record}\n`
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), preamble)
      assert.strictEqual(Server.textOf((yield* session.nextOf("Stdin")).bytes), "user")
      assert.strictEqual((yield* handle.stats).stdinBytes, 4)
    }))

  it.effect("that are secret are in no error, and in nothing printed", () =>
    Effect.gen(function*() {
      const command = Exec.on(target, { env: { TOKEN: Redacted.make("S3CRET") } })([
        "login",
        Redacted.make("S3CRET")
      ])
      const server = yield* Server.make({ refuse: () => ({ status: 500, body: "no" }) })
      const error = yield* Effect.flip(Effect.provideService(command, KubeClient, server.client))
      assert.notInclude(
        `${error.message}${JSON.stringify(error)}${String(command)}${JSON.stringify(command)}`,
        "S3CRET"
      )
      assert.include(server.asked[0]?.command ?? [], "S3CRET")
    }))
})

describe("the end of the scope", () => {
  it.effect("says goodbye and destroys the connection", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const scope = yield* Scope.make()
      const starting = yield* Effect.forkChild(
        Effect.provideService(Scope.provide(Exec.on(target)(["sleep", "9"]), scope), KubeClient, server.client)
      )
      const session = yield* server.accepted
      yield* session.stdout(`${recordOf(session)}@1\n`)
      const handle = yield* Fiber.join(starting)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(yield* session.nextOf("Close"), { _tag: "Close", code: 1000 })
      yield* Server.joined(closing)
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
      assert.strictEqual(yield* reasonOf(handle.exitCode), "ConnectionLost")
    }))

  it.effect("does not wait for a peer that reads nothing", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ reads: false })
      const scope = yield* Scope.make()
      const starting = yield* Effect.forkChild(
        Effect.provideService(
          Scope.provide(Exec.on(target, { stdin: "pipe" })(["x"]), scope),
          KubeClient,
          server.client
        )
      )
      const session = yield* server.accepted
      yield* session.stdout(`${recordOf(session)}@1\n`)
      const handle = yield* Fiber.join(starting)
      yield* Effect.forkChild(Effect.exit(Stream.run(Stream.make(new Uint8Array(4_000_000)), handle.stdin)))
      yield* Server.settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* Server.joined(closing)
      assert.deepStrictEqual(server.killed.map(({ signal }) => signal), ["TERM"])
    }))

  it.effect("after the outcome changes nothing of it", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
      const run = Effect.scoped(Effect.gen(function*() {
        const handle = yield* Exec.on(target)(["exit", "3"])
        yield* handle.exitCode
        return handle
      }))
      const handle = yield* Effect.provideService(run, KubeClient, server.client)
      assert.strictEqual(yield* handle.exitCode, 3)
    }))
})

describe("kill", () => {
  it.effect("ends the session's stdin, and waits for the outcome", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* started()
      const killing = yield* Effect.forkChild(handle.kill())
      yield* session.nextOf("StdinEnded")
      yield* Server.settle
      assert.isUndefined(killing.pollUnsafe())
      yield* trailers(session, "143")
      yield* Fiber.join(killing)
      assert.strictEqual(yield* handle.exitCode, 143)
    }))
})
