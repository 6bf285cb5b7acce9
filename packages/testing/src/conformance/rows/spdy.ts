/**
 * Exec and attach over SPDY: what other rows ask of WebSocket, and what the choice between the two comes to. Every row asserts the
 * transport that was used.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as ExecFault from "../../pods/ExecFault.ts"
import { Lab } from "../Lab.ts"
import * as OverProtocol from "../OverProtocol.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as Used from "../Used.ts"
import { rows as attach } from "./attach.ts"
import { rows as exec } from "./exec.ts"
import { rows as kill } from "./kill.ts"
import { rows as liveness } from "./liveness.ts"
import { rows as outcomes } from "./outcomes.ts"
import { rows as starts } from "./starts.ts"
import { rows as volume } from "./volume.ts"

const MiB = 1024 * 1024

const again = OverProtocol.again({
  name: "SPDY",
  elsewhere: "WebSocket",
  carrier: { transport: "spdy", protocol: RemoteCommand.v4 },
  upgrade: (request) => request.headers?.["upgrade"] === "websocket" ? undefined : request,
  without: [
    // It scripts frames of WebSocket.
    "a pong echoes the ping, and the session goes on",
    // It is about v4.
    "nor is a bare command over v4, whose stdin nobody writes, sent signs of life while its output is waiting"
  ]
})

const only = { path: "tunnel", why: "it is about tunnels" } as const

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("T4", "a line that goes in over SPDY comes back while the command runs", function*() {
    const { target } = yield* Lab
    const input = Stream.concat(Stream.succeed(new TextEncoder().encode("hello\n")), Stream.never)
    const handle = yield* Exec.feed(Exec.on(target(), { transport: "spdy" })(["cat"]), input)
    yield* Used.check(handle, 1, "spdy")
    const first = yield* Stream.runHead(Stream.splitLines(Stream.decodeText(handle.stdout)))
    yield* same(first._tag === "Some" ? first.value : undefined, "hello", "the first line")
    yield* check(yield* handle.isRunning, "the command has ended")
  }, { only }),
  row("T5", "1 MiB of random bytes goes in, comes out, and goes both ways at once over SPDY, unchanged", function*() {
    const { target } = yield* Lab
    const file = Remote.makeFile()
    const data = RandomData.make(25, MiB)
    const on = Exec.on(target(), { transport: "spdy" })
    const up = yield* Exec.feed(on(["sh", "-c", `cat > ${file}`]), data.stream)
    yield* Used.check(up, 1, "spdy")
    yield* same(yield* up.exitCode, 0, "exit code")
    yield* same(yield* Remote.hashOf(target(), file), data.hash, "hash of what was stored")
    const down = yield* on(["cat", file])
    yield* Used.check(down, 3, "spdy")
    yield* same(yield* RandomData.hash(down.stdout), data.hash, "hash of what came back")
    const both = yield* Exec.feed(on(["cat"]), data.stream)
    yield* Used.check(both, 4, "spdy")
    yield* same(yield* RandomData.hash(both.stdout), data.hash, "hash of what went both ways")
    yield* Remote.remove(target(), file)
  }, { only }),
  row(
    "T6",
    "where WebSocket is refused SPDY is used, and where SPDY is refused WebSocket, each started once",
    function*() {
      const { target } = yield* Lab
      const { pods } = yield* Scripted.cluster
      const rows = [
        [ExecFault.refuseWebSocket, {}, "spdy"],
        [ExecFault.refuseSpdy, { bulk: true }, "websocket"]
      ] as const
      for (const [fault, options, transport] of rows) {
        const marker = Remote.makeMarker()
        const injected = yield* Scripted.fault(marker, fault)
        const command = Exec.on(target(), { ...options, stdin: "pipe" })(["sh", "-c", "cat; exit 4", marker])
        const handle = yield* Exec.feed(command, Stream.succeed(new TextEncoder().encode("hello")))
        yield* same(handle.transport, transport, "transport")
        yield* same(handle.attempts.map(({ body, code }) => [code, body]), [[501, "upgrade not supported"]], "attempts")
        yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "hello", "stdout")
        yield* same(yield* handle.exitCode, 4, "exit code")
        yield* same(yield* injected.hits, 2, "requests")
        yield* same(yield* pods.starts(Scripted.withWord(marker)), 1, "starts")
        const [record] = yield* Scripted.records(marker)
        yield* same(record?.transport, transport, "what the server served")
      }
    },
    { scripted: "a real server refuses neither" }
  ),
  row("T6", "bulk prefers SPDY, and interactive work WebSocket", function*() {
    const { target } = yield* Lab
    const transportOf = (options: Parameters<typeof Exec.on>[1]) =>
      Effect.scoped(Effect.map(Exec.on(target(), options)(["true"]), ({ transport }) => transport))
    yield* same(yield* transportOf({ bulk: true }), "spdy", "bulk")
    yield* same(yield* transportOf({}), "websocket", "interactive")
    const results = yield* Exec.run(Exec.pipeTo(Exec.on(target())(["echo", "hi"]), Exec.on(target())(["cat"])))
    yield* same(
      results.map((result) => result._tag === "Pod" ? result.transport : result._tag),
      ["spdy", "spdy"],
      "the stages of a pipeline"
    )
  }),
  ...again(exec, ["E3", "E4", "E5", "E6", "E7", "E24"]),
  // V2 and V4 are pipelines, and go over SPDY anyway.
  ...again(outcomes, ["V3", "V5", "V6", "V7", "V9", "V10", "V11"]),
  ...again(starts, ["V13"]),
  ...again(liveness, ["E11", "E25", "A8"]),
  ...again(volume, ["A7"]),
  ...again(attach, ["AT1", "AT3", "AT4", "AT6"]),
  ...again(kill, ["K1", "K3", "K7", "K8"])
]
