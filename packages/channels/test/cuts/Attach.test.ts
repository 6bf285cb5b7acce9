/**
 * Attaches whose connection is cut at every byte, in each direction, over every protocol.
 *
 * - Until the client has opened the streams of SPDY, a write that fails is the `KubeError` of an upgrade that broke.
 * - Before the Status has begun, and at all cuts that keep it from arriving, the end is `ConnectionLost`.
 * - From its first byte on the streams have ended: the exit code is in the pod's status then. The outputs end with the
 *   last byte of the Status, and have no end that can be trusted before.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Server from "../support/execServer.ts"
import * as Sessions from "../support/sessions.ts"
import * as Wire from "../support/wire.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })
const input = "some input\n"
const exitCode = 5

/** A pod, whose container has ended since it was attached to. */
const podOf = (stdin: boolean, hasEnded: boolean) => ({
  kind: "Pod",
  metadata: { name: "p", namespace: "ns", uid: "u1", resourceVersion: "7" },
  spec: { containers: [{ name: "c", image: "i", stdin, stdinOnce: stdin }] },
  status: {
    phase: "Running",
    containerStatuses: [{
      name: "c",
      containerID: "containerd://one",
      state: hasEnded ? { terminated: { exitCode, containerID: "containerd://one", reason: "Error" } } : { running: {} }
    }]
  }
})

const script: Server.Script = (session) =>
  Effect.gen(function*() {
    yield* session.stdout("out ")
    while (session.asked.stdin) {
      const sent = yield* session.next
      if (sent._tag === "Stdin") yield* session.stdout(sent.bytes)
      else if (sent._tag === "StdinEnded") break
      else if (sent._tag === "Close" || sent._tag === "Fin") return
    }
    yield* session.endOutputs
    yield* session.status(Server.exitStatus(0))
    yield* session.goodbye()
    yield* session.left
  })

const kinds = [
  { name: "output, websocket v4", stdin: false, options: { transport: "websocket", protocols: [v4] } },
  { name: "output and stdin, websocket v5", stdin: true, options: { transport: "websocket", protocols: [v5] } },
  { name: "output and stdin, spdy", stdin: true, options: { transport: "spdy" } }
] as const satisfies ReadonlyArray<{ readonly options: Attach.AttachOptions; readonly [name: string]: unknown }>

type Kind = (typeof kinds)[number]

const session = (kind: Kind) => (wire: Wire.Wire) =>
  Effect.gen(function*() {
    let reads = 0
    const server = yield* Server.make({
      protocols: [v5, v4],
      spdy: true,
      script,
      pod: () => Response.json(podOf(kind.stdin, reads++ > 0))
    })
    const { client, tapes } = Wire.client(server.client, [wire])
    const run = Effect.gen(function*() {
      const options = { ...kind.options, stderr: "ignore", stdin: kind.stdin ? "pipe" : "ignore" } as const
      const attached = yield* Effect.result(Attach.attach(target, options))
      if (Result.isFailure(attached)) {
        return { start: attached.failure.reason._tag, exit: "", stdout: ["", ""] as const }
      }
      const handle = attached.success
      const [exit, stdout] = yield* Effect.all([
        Sessions.endOf(handle.exitCode),
        Sessions.collect(handle.stdout),
        Effect.ignore(Stream.run(Stream.encodeText(Stream.make(input)), handle.stdin))
      ], { concurrency: "unbounded" })
      return { start: undefined, exit, stdout }
    })
    return {
      run: Effect.map(Effect.provideService(run, KubeClient, client), (end) => ({ ...end, tapes })),
      open: server.open
    }
  })

describe("an attach whose connection", { timeout: 120_000 }, () => {
  for (const kind of kinds) {
    const stdout = `out ${kind.stdin ? input : ""}`
    const expected = { start: undefined, exit: String(exitCode), stdout: [stdout, "end"] }
    const recorded = Effect.gen(function*() {
      const { tapes, ...end } = yield* Sessions.runOne({ _tag: "Whole" }, session(kind), Wire.describe)
      assert.deepStrictEqual<unknown>(end, expected)
      const tape = tapes[0]!
      const down = tape.down()
      const statusAt = Buffer.from(down).indexOf("{\"metadata\"") + 1
      const outcomeAt = Wire.behind(down, "}")
      return { tape, statusAt, outcomeAt, sentBefore: tape.sentBefore(outcomeAt) }
    })

    it.effect(`carries one byte at a time has the same outcome (${kind.name})`, () =>
      Effect.gen(function*() {
        const { tapes: _, ...end } = yield* Sessions.runOne({ _tag: "Bytewise" }, session(kind), Wire.describe)
        assert.deepStrictEqual<unknown>(end, expected)
      }))

    it.effect(`is cut at any byte is lost before the Status, and not after (${kind.name})`, () =>
      Effect.gen(function*() {
        const { outcomeAt, sentBefore, statusAt, tape } = yield* recorded
        const opening = kind.options.transport === "spdy" ? tape.opening() : 0
        const wires = [...Wire.cutsDown(tape.down().length), ...Wire.cutsUp(tape.sent())]
        for (const [wire, { tapes: _, ...end }] of yield* Sessions.runAll(wires, session(kind), Wire.describe)) {
          const what = Wire.describe(wire)
          if (wire.at >= (wire._tag === "Down" ? outcomeAt : sentBefore)) {
            assert.deepStrictEqual<unknown>(end, expected, what)
          } else if (wire._tag === "Up" && wire.at < opening && wire.how === "failed write") {
            assert.strictEqual(end.start, "Transport", what)
          } else {
            const hasBegun = wire._tag === "Down" && wire.at >= statusAt
            const [text, how] = end.stdout
            assert.isTrue(stdout.startsWith(text), `${what}: ${JSON.stringify(text)} was read`)
            assert.deepStrictEqual(
              [end.start, end.exit, how],
              hasBegun
                ? [undefined, String(exitCode), "OutcomeUnknown"]
                : [undefined, "ConnectionLost", "ConnectionLost"],
              what
            )
          }
        }
      }))
  }
})
