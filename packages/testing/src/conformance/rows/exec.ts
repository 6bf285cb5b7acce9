/**
 * Exec over WebSocket: what client-go tests of the streams of a command.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import type { Target } from "@effect-k8s/channels/Target"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { Lab, minorVersion } from "../Lab.ts"
import * as Data from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as Terminal from "../Terminal.ts"

const KiB = 1024
const MiB = 1024 * KiB

/** 1 MiB goes in, and out again. */
const loopback = Effect.fnUntraced(function*(target: Target, options: ExecOptions = {}) {
  const data = Data.make(1, MiB)
  const handle = yield* Exec.feed(Exec.on(target, options)(["cat"]), data.stream)
  yield* same(yield* Data.hash(handle.stdout), data.hash, "the hash of stdout")
  yield* same(yield* handle.exitCode, 0, "exit code")
  yield* same(handle.protocol, RemoteCommand.v5, "protocol")
})

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("E1", "1 MiB of random bytes on stdin comes back on stdout, over v5", function*() {
    yield* loopback((yield* Lab).target())
  }, { halfClose: true }),
  row("E2", "so it does whatever the server's buffers and messages hold: 1, 4, 64 and 128 KiB", function*() {
    for (const size of [KiB, 4 * KiB, 64 * KiB, 128 * KiB]) {
      const { client, target } = yield* Scripted.own({ messageBytes: size, backendBufferBytes: size })
      yield* Effect.provideService(loopback(target), KubeClient.KubeClient, client)
    }
  }, { scripted: "the buffers of a real server cannot be set from outside" }),
  row("E3", "a producer that writes each piece when the one before has come back loses and delays none", function*() {
    const { target } = yield* Lab
    const pieces = Array.from({ length: 20 }, (_, i) => `piece ${i}${"-".repeat(i * 100)}\n`)
    const input = yield* Queue.unbounded<Uint8Array, Cause.Done>()
    const handle = yield* Exec.feed(Exec.on(target())(["cat"]), Stream.fromQueue(input))
    const encoder = new TextEncoder()
    const write = (piece: string | undefined) =>
      piece === undefined ? Queue.end(input) : Queue.offer(input, encoder.encode(piece))
    yield* write(pieces[0])
    let next = 0
    yield* Stream.runForEach(Stream.splitLines(Stream.decodeText(handle.stdout)), (line) =>
      Effect.andThen(
        same(`${line}\n`, pieces[next], `piece ${next}`),
        Effect.suspend(() => write(pieces[++next]))
      ))
    yield* same(next, pieces.length, "pieces that came back")
    yield* same(yield* handle.exitCode, 0, "exit code")
  }),
  row("E4", "what a command writes to stderr arrives on stderr, and on nothing else", function*() {
    const { target } = yield* Lab
    const data = Data.make(4, MiB)
    const handle = yield* Exec.feed(Exec.on(target())(["sh", "-c", "cat >&2"]), data.stream)
    const [stderr, stdoutBytes] = yield* Effect.all(
      [Data.hash(handle.stderr), Remote.countBytes(handle.stdout)],
      { concurrency: "unbounded" }
    )
    yield* same(stderr, data.hash, "the hash of stderr")
    yield* same(stdoutBytes, 0, "bytes of stdout")
    yield* same(yield* handle.verified, { stdout: true, stderr: true }, "verified")
  }),
  row("E5", "both outputs at once are complete, each on its own", function*() {
    const { target } = yield* Lab
    const data = Data.make(5, 4 * MiB)
    const handle = yield* Exec.feed(Exec.on(target())(["tee", "/dev/stderr"]), data.stream)
    const [stdout, stderr] = yield* Effect.all([Data.hash(handle.stdout), Data.hash(handle.stderr)], {
      concurrency: "unbounded"
    })
    yield* same(stdout, data.hash, "the hash of stdout")
    yield* same(stderr, data.hash, "the hash of stderr")
    yield* same(yield* handle.exitCode, 0, "exit code")
  }),
  row("E6", "an exit code is a result, and of a checked command a failure with that code", function*() {
    const { target } = yield* Lab
    for (const supervise of ["preferred", "never"] as const) {
      for (const code of [0, 1, 42, 126, 255]) {
        const command = Exec.on(target(), { supervise })(["sh", "-c", `echo why >&2; exit ${code}`])
        yield* same(yield* Exec.exitCode(command), code, `exit code, ${supervise}`)
        if (code === 0) continue
        const error = yield* failureOf(Exec.exitCode(Exec.check(command)))
        yield* same(error._tag === "ExitedNonZero" ? error.exitCode : error._tag, code, `checked, ${supervise}`)
        yield* check(error.message.includes("why"), `the error does not show stderr: ${error.message}`)
      }
    }
  }),
  row(
    "E7",
    "stdin and sizes of the terminal interleave: every size takes effect, in order, and output flows meanwhile",
    function*() {
      const { target } = yield* Lab
      const sizes = Array.from({ length: 6 }, (_, i) => ({ width: 80 + i, height: 24 + 2 * i }))
      const terminal = yield* Terminal.open(target(), { width: 50, height: 20 })
      yield* terminal.shows("20 50")
      for (const { height, width } of sizes) {
        yield* terminal.resize({ width, height })
        yield* terminal.shows(`${height} ${width}`)
        yield* terminal.write(`at ${width}`)
        yield* terminal.shows(`read at ${width}`)
      }
      yield* terminal.end
    }
  ),
  row("E8", "a command may ask for v4: it is what it gets, and its outcome is as good", function*() {
    const { target } = yield* Lab
    const handle = yield* Exec.on(target(), { protocols: [RemoteCommand.v4] })(["sh", "-c", "echo out; exit 4"])
    yield* same(handle.protocol, RemoteCommand.v4, "protocol")
    yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "out\n", "stdout")
    yield* same(yield* handle.exitCode, 4, "exit code")
    yield* same(yield* handle.verified, { stdout: true, stderr: true }, "verified")
  }),
  // v3 and v2 exist over SPDY alone: no server answers them on a WebSocket, and the option does not take them.
  row("E8", "a command may ask for v5: it is what it gets, or servers before 1.30 refuse", function*() {
    const { server, target } = yield* Lab
    const protocol = Effect.scoped(Effect.flatMap(
      Exec.on(target(), { protocols: [RemoteCommand.v5] })(["true"]),
      (handle) => Effect.as(handle.exitCode, handle.protocol)
    ))
    const expected = minorVersion(server) < 30 ? "UpgradeRefused" : `success: "${RemoteCommand.v5}"`
    yield* same(yield* reasonOf(protocol), expected, "protocol")
  }),
  row("E24", "a non-zero exit code comes with all of the output before it", function*() {
    const { target } = yield* Lab
    for (const supervise of ["preferred", "never"] as const) {
      const handle = yield* Exec.on(target(), { supervise })(["sh", "-c", "echo out; echo err >&2; exit 17"])
      const [stdout, stderr] = yield* Effect.all([
        Stream.mkString(Stream.decodeText(handle.stdout)),
        Stream.mkString(Stream.decodeText(handle.stderr))
      ], { concurrency: "unbounded" })
      yield* same([stdout, stderr], ["out\n", "err\n"], `outputs, ${supervise}`)
      yield* same(yield* handle.exitCode, 17, `exit code, ${supervise}`)
    }
  })
]
