/**
 * The streams of a command, over WebSocket and over SPDY alike: read late, written after their end, left blocked, with
 * messages of any size.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { Lab, minorVersion } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"

const transports = ["websocket", "spdy"] as const
const encoder = new TextEncoder()

// What differs is on this side of the connection.
const only = { path: "direct", why: "how the bytes get to the server makes no difference" } as const

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row(
    "E15",
    "an output whose reader comes late, when the outcome is known and the connection gone, is whole",
    function*() {
      const { target } = yield* Lab
      for (const transport of transports) {
        for (const supervise of ["preferred", "never"] as const) {
          const command = Exec.on(target(), { transport, supervise })(["sh", "-c", "echo out; echo err >&2; exit 3"])
          const handle = yield* command
          yield* same(yield* handle.exitCode, 3, "exit code")
          const read = (output: typeof handle.stdout) => Stream.mkString(Stream.decodeText(output))
          yield* same(
            [handle.transport, yield* read(handle.stdout), yield* read(handle.stderr), yield* read(handle.stdout)],
            [transport, "out\n", "err\n", ""],
            `outputs, and what is left of one that was read, ${supervise}`
          )
        }
      }
    },
    { only }
  ),
  row(
    "E16",
    "stdin is ended once: what is written behind its end, or the command's, is dropped without harm",
    function*() {
      const { target } = yield* Lab
      for (const transport of transports) {
        const handle = yield* Exec.on(target(), { transport, stdin: "pipe" })(["sh", "-c", "cat; exit 4"])
        const write = (text: string) => reasonOf(Stream.run(Stream.succeed(encoder.encode(text)), handle.stdin))
        const writes = [yield* write("first"), yield* write("second")]
        yield* same(
          yield* Stream.mkString(Stream.decodeText(handle.stdout)),
          "first",
          `what was read over ${transport}`
        )
        yield* same(yield* handle.exitCode, 4, "exit code")
        writes.push(yield* write("third"), yield* reasonOf(Stream.run(Stream.empty, handle.stdin)))
        yield* same(writes, writes.map(() => "success: undefined"), `writes over ${transport}`)
      }
    },
    { only, halfClose: true }
  ),
  row("E23", "a deadline ends a command whose output blocks, either one, and nothing of it is left", function*() {
    const { target } = yield* Lab
    for (const transport of transports) {
      for (const script of ["yes", "yes >&2"]) {
        const marker = Remote.makeMarker()
        const end = yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* Exec.on(target(), { transport })(["sh", "-c", `${script}; :`, marker])
          return yield* Effect.timeoutOption(handle.exitCode, "300 millis")
        }))
        yield* same(end._tag, "None", `an exit code of "${script}" over ${transport}`)
        yield* Remote.gone(target(), marker)
      }
    }
  }, { only }),
  row("O1", "messages of any size come back as they were: 16,385 bytes, and those around our own limit", function*() {
    const { server, target } = yield* Lab
    for (const transport of transports) {
      if (transport === "websocket" && minorVersion(server) < 30) continue
      for (const size of [0, 1, 125, 126, 16_385, 32_767, 32_768, 32_769, 65_537]) {
        const data = RandomData.make(size + 1, size)
        const handle = yield* Exec.feed(Exec.on(target(), { transport })(["cat"]), data.stream)
        yield* same(yield* RandomData.hash(handle.stdout), data.hash, `${size} bytes over ${transport}`)
        yield* same(yield* handle.exitCode, 0, "exit code")
      }
    }
  }, { only }),
  row("O2", "a shell on a terminal answers line by line, and its exit code is told", function*() {
    const { target } = yield* Lab
    for (const transport of transports) {
      const typed = yield* Queue.unbounded<Uint8Array, Cause.Done>()
      const type = (line: string) => Queue.offer(typed, encoder.encode(`${line}\n`))
      const handle = yield* Exec.on(target(), { transport, tty: true, stdin: "pipe" })(["sh"])
      yield* Effect.forkScoped(Effect.ignore(Stream.run(Stream.fromQueue(typed), handle.stdin)))
      yield* type("echo $((6 * 7))")
      let shown = ""
      yield* Stream.runForEach(Stream.decodeText(handle.stdout), (text) =>
        Effect.suspend(() => {
          const before = shown
          shown += text
          return !/\b42\b/.test(before) && /\b42\b/.test(shown) ? type("exit 3") : Effect.void
        }))
      yield* check(shown.includes("42"), `the terminal shows ${JSON.stringify(shown)} over ${transport}`)
      yield* same(yield* handle.exitCode, 3, `exit code over ${transport}`)
    }
  }, { only })
]
