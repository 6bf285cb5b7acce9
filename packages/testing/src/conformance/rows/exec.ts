/**
 * Exec over WebSocket: what client-go tests, and what nobody does.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Lab } from "../Lab.ts"
import * as Data from "../RandomData.ts"
import { type Row, row, same } from "../Row.ts"

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("E1", "1 MiB of random bytes on stdin comes back on stdout, over v5", function*() {
    const lab = yield* Lab
    const data = Data.make(1, 1024 * 1024)
    const handle = yield* Exec.on(lab.target(), { stdin: "pipe" })`cat`
    yield* Effect.forkScoped(Stream.run(data.stream, handle.stdin))
    const hash = yield* Data.hash(handle.stdout)
    yield* same(hash, data.hash, "the hash of stdout")
    yield* same(yield* handle.exitCode, 0, "exit code")
    yield* same(handle.protocol, "v5.channel.k8s.io", "protocol")
  })
]
