/**
 * Much data, and outputs that nobody reads: memory stays flat, and nothing waits for ever.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as ClientProcess from "../ClientProcess.ts"
import { Lab } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, type Options, type Row, row, same } from "../Row.ts"

const MiB = 1024 * 1024
const GiB = 1024 * MiB

// Measured with garbage collected meanwhile, at a load of 4 to 15. On Node 26 11 to 16 MiB are taken for stdin and 12 to 23 for
// stdout, 0 to 3 of them after the first 128 MiB. On Deno it is up to 39, of which 0 to 2 come after the first 256. A client
// that buffers what its peer or its reader leaves takes hundreds.
const isDeno = "Deno" in globalThis
const warmUp = (isDeno ? 256 : 128) * MiB
const takenLimit = (isDeno ? 48 : 32) * MiB
const growthLimit = 8 * MiB
const stallMillis = 1000

/** A transfer by a client in a process of its own, whose other side reads nothing at first. */
const transfer = (_tag: ClientProcess.Transfer["_tag"], transport?: ClientProcess.Transfer["transport"]) =>
  Effect.gen(function*() {
    const { client, path, target } = yield* Lab
    // The tunnel's relay costs its time in this process, and Deno takes three times as long. What is flat over a quarter of
    // it stays flat, and the table has little time.
    const size = path === "direct" && transport !== "spdy" && !isDeno ? GiB : GiB / 4
    const { stdout } = yield* client(target(), { _tag, size, warmUp, stallMillis, transport })
    const report: ClientProcess.Report = JSON.parse(yield* Stream.mkString(Stream.decodeText(stdout)))
    yield* same(report.arrived, size, "bytes that have arrived")
    const megabytes = (bytes: number) => `${Math.round(bytes / MiB)} MiB`
    yield* check(report.growth < growthLimit, `the memory of the client grew by ${megabytes(report.growth)}`)
    yield* check(report.taken < takenLimit, `the client took ${megabytes(report.taken)}`)
  })

const directOnly: Options = { only: { path: "direct", why: "the other rows go through the tunnel" } }

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
  }),
  row(
    "A9",
    "1 GiB goes to the stdin of a command that is slow to begin, and memory stays flat",
    transfer("Send")
  ),
  row(
    "A9",
    "1 GiB comes from stdout to a reader that is slow to begin, and memory stays flat",
    transfer("Receive")
  ),
  row("A9", "over SPDY 256 MiB go to stdin, and memory stays flat as well", transfer("Send", "spdy"), directOnly),
  row(
    "A9",
    "over SPDY 256 MiB come from stdout, and memory stays flat as well",
    transfer("Receive", "spdy"),
    directOnly
  )
]
