/**
 * Much data, and outputs that nobody reads: memory stays flat, and nothing waits for ever.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Lab } from "../Lab.ts"
import * as Memory from "../Memory.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"

const MiB = 1024 * 1024
const GiB = 1024 * MiB

// Measured on Node 26: 13 to 24 MiB for stdin, 11 to 45 MiB for stdout, where Node's own read buffers wait for the
// garbage collector; a test cluster's half is in it. A client that buffers what its peer or its reader leaves takes
// hundreds.
const stdinLimit = 48 * MiB
const stdoutLimit = 64 * MiB
const stallMillis = 1500

const block = new Uint8Array(64 * 1024)
const zeros = (size: number): Stream.Stream<Uint8Array> =>
  Stream.take(Stream.forever(Stream.succeed(block)), size / block.length)

/** Sends so many bytes to a command that reads nothing at first, and gives how many it has read. */
const send = (size: number, stall = 0) =>
  Effect.gen(function*() {
    const { target } = yield* Lab
    const command = Exec.on(target())(["sh", "-c", `sleep ${stall / 1000}; wc -c`])
    return Number((yield* Exec.string(Exec.feed(command, zeros(size)))).trim())
  })

/** Has a command write so many bytes, reads nothing for a while, and gives how many have arrived. */
const receive = (size: number, stall = 0) =>
  Effect.gen(function*() {
    const { target } = yield* Lab
    const command = Exec.on(target())(["head", "-c", String(size), "/dev/zero"])
    return yield* Remote.countBytes(Remote.pauseAfterFirst(stall)(Exec.stream(command)))
  })

const flat = (size: number, measured: Memory.Measured<number>, limit: number) =>
  Effect.andThen(
    same(measured.value, size, "bytes that have arrived"),
    check(measured.bytes < limit, `memory grew by ${Math.round(measured.bytes / MiB)} MiB`)
  )

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("A7", "a stderr that nobody reads does not hold up a busy stdout, and can be read afterwards", function*() {
    const { target } = yield* Lab
    const script = "head -c 100000 /dev/zero >&2; head -c 16777216 /dev/zero; head -c 100000 /dev/zero >&2"
    const handle = yield* Exec.on(target())(["sh", "-c", script])
    yield* same(yield* Remote.countBytes(handle.stdout), 16 * MiB, "bytes of stdout")
    yield* same(yield* handle.exitCode, 0, "exit code")
    yield* same(yield* Remote.countBytes(handle.stderr), 200_000, "bytes of stderr")
  }),
  row("A7", "a stderr that nobody reads and that is full fails what waits behind it, by name", function*() {
    const { target } = yield* Lab
    const script = "head -c 4194304 /dev/zero >&2; echo behind"
    const handle = yield* Exec.on(target(), { unreadGrace: "200 millis" })(["sh", "-c", script])
    const error = yield* failureOf(Stream.runDrain(handle.stdout))
    yield* same(error.reason._tag, "UnreadOutput", "reason")
    yield* same(error.reason._tag === "UnreadOutput" ? error.reason.stream : undefined, "stderr", "the one to read")
  }),
  row("A7", "a stderr that is not wanted holds up nothing, however much comes on it", function*() {
    const { target } = yield* Lab
    const script = "head -c 67108864 /dev/zero >&2; echo behind"
    for (const supervise of ["preferred", "never"] as const) {
      const command = Exec.on(target(), { stderr: "ignore", supervise })(["sh", "-c", script])
      yield* same(yield* Exec.string(command), "behind\n", `stdout, ${supervise}`)
    }
  }, { paths: ["direct"] }),
  row("A9", "1 GiB goes to the stdin of a command that is slow to begin, and memory stays flat", function*() {
    yield* send(64 * MiB)
    yield* flat(GiB, yield* Memory.growth(send(GiB, stallMillis)), stdinLimit)
  }, { paths: ["direct"] }),
  row("A9", "1 GiB comes from stdout to a reader that is slow to begin, and memory stays flat", function*() {
    yield* receive(64 * MiB)
    yield* flat(GiB, yield* Memory.growth(receive(GiB, stallMillis)), stdoutLimit)
  }, { paths: ["direct"] })
]
