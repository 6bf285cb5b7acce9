/**
 * What servers, and whatever stands between, may send: odd messages, odd ends, garbage. Each comes to a known end.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as ExecFault from "../../pods/ExecFault.ts"
import type { Peer } from "../../pods/Peer.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as SupervisorRecords from "../SupervisorRecords.ts"

const scripted = "real servers do not send this when asked to"
const bare: ExecOptions = { supervise: "never" }

/** Starts `echo hello` on a server with a fault. */
const hello = Effect.fnUntraced(function*(fault: ExecFault.ExecFault, options: ExecOptions = bare) {
  const { target } = yield* Lab
  const marker = Remote.makeMarker()
  yield* Scripted.fault(marker, fault)
  return yield* Exec.on(target(), options)(["sh", "-c", "echo hello", marker])
})

/** Everything of an output, and how it ended. */
const readAll = (output: ExecHandle["stdout"]) =>
  Effect.gen(function*() {
    let text = ""
    const end = yield* reasonOf(
      Stream.runForEach(Stream.decodeText(output), (part) =>
        Effect.sync(() => {
          text += part
        }))
    )
    return { text, end: end === "success: undefined" ? "ended" : end }
  })

/** What a handle comes to: its output, its exit code or the reason why there is none. */
const result = Effect.fnUntraced(function*(handle: ExecHandle) {
  const stdout = yield* readAll(handle.stdout)
  return { stdout: stdout.text, end: stdout.end, code: yield* reasonOf(handle.exitCode) }
})

const right = { stdout: "hello\n", end: "ended", code: "success: 0" }

const causes = (...list: ReadonlyArray<unknown>) => ({
  status: "Failure",
  message: "command terminated with non-zero exit code",
  reason: "NonZeroExitCode",
  details: { causes: list }
})
const exitCause = (code: string) => causes({ reason: "ExitCode", message: code })

const statuses: ReadonlyArray<readonly [status: string, code: string]> = [
  ["{}", "OutcomeUnknown"],
  ["{\"status\":\"Succ", "OutcomeUnknown"],
  ["no JSON at all", "OutcomeUnknown"],
  ["[]", "OutcomeUnknown"],
  ["{\"metadata\":{},\"status\":\"Success\"}", "success: 0"],
  ["{\"status\":\"Success\"}", "success: 0"],
  [JSON.stringify({ status: "Failure", message: "the node is on fire" }), "RemoteFailure"],
  [JSON.stringify({ status: "Failure", reason: "NonZeroExitCode" }), "OutcomeUnknown"],
  [JSON.stringify(causes()), "OutcomeUnknown"],
  [JSON.stringify(causes({})), "OutcomeUnknown"],
  [JSON.stringify(exitCause("")), "OutcomeUnknown"],
  [JSON.stringify(exitCause("nine")), "OutcomeUnknown"],
  [JSON.stringify(exitCause("0")), "OutcomeUnknown"],
  [JSON.stringify(exitCause("42")), "success: 42"]
]

const wideCodes: ReadonlyArray<readonly [code: string, expected: string]> = [
  ["300", "success: 300"],
  ["-1", "success: -1"],
  ["-2147483648", "success: -2147483648"],
  ["4294967295", "success: 4294967295"],
  ["4294967296", "OutcomeUnknown"]
]

/** A frame of random kind with random content, most of them in order. */
const randomFrame = (seed: number): Uint8Array => {
  const random = RandomData.bytes(seed, 4 + (seed * 7919) % 300)
  const frame = WebSocketFrame.encode({
    opcode: WebSocketFrame.Opcode.Binary,
    prefix: random[0]! % 6,
    payload: random.subarray(3)
  }, random[1]! > 250 ? seed : undefined)
  const first = [0x82, 0x82, 0x82, 0x82, 0x02, 0x00, 0x80, 0x81, 0x88, 0x89, 0x8a, 0x83, 0x8f, 0xc2]
  frame[0] = first[random[2]! % first.length]!
  return frame
}

/** After the 101, garbage: either bytes of any kind, or frames. */
const speakGarbage = (seed: number) =>
  Effect.fnUntraced(function*(peer: Peer): Effect.fn.Return<void, TransportError> {
    yield* peer.ready(1)
    yield* peer.say(1, SupervisorRecords.started(peer.call))
    if (seed % 2 === 0) return yield* peer.bytes(RandomData.bytes(seed, 4 * 1024))
    for (let i = 0; i < 60; i++) yield* peer.bytes(randomFrame(seed * 1000 + i))
  })

/** Output, and then an end that tells no outcome. */
const endWithout = (how: number | undefined | "fin" | "reset") => (peer: Peer) =>
  Effect.gen(function*() {
    yield* peer.ready(1)
    yield* peer.say(1, `${SupervisorRecords.started(peer.call)}half`)
    if (how === "fin") return
    if (how === "reset") return yield* peer.reset
    yield* peer.close(how)
  })

const closeCodeOf = (handle: ExecHandle): Effect.Effect<number | undefined> =>
  Effect.match(handle.exitCode, {
    onSuccess: () => undefined,
    onFailure: ({ reason }: ChannelError) => reason._tag === "OutcomeUnknown" ? reason.closeCode : undefined
  })

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("E12", "a text message, a masked frame and reserved bits are violations of the protocol", function*() {
    for (const fault of [ExecFault.textMessage, ExecFault.maskedFrame, ExecFault.reservedBits]) {
      const handle = yield* hello(fault)
      const { code, end } = yield* result(handle)
      yield* same([end, code], ["ProtocolViolation", "ProtocolViolation"], "end of stdout, and exit code")
    }
  }, { scripted }),
  row("E13", "an empty message, an unknown channel and a channel byte alone are ignored, as servers do", function*() {
    for (const options of [bare, {}]) {
      for (const fault of [ExecFault.emptyMessage, ExecFault.unknownChannel]) {
        yield* same(yield* result(yield* hello(fault, options)), right, "result")
      }
      const message = ExecFault.inject((wire) => wire.send(2, new Uint8Array(0)))
      yield* same(yield* result(yield* hello(message, options)), right, "result")
    }
  }, { scripted }),
  row(
    "E13",
    "our own empty message, which keeps the connection from the idle limit, is ignored by servers",
    function*() {
      const { target } = yield* Lab
      const command = Exec.on(target(), { heartbeat: { keepAliveAfter: "50 millis", after: "50 millis" } })
      yield* same(yield* result(yield* command(["sh", "-c", "sleep 0.5; echo hello"])), right, "result")
    }
  ),
  row("E13", "messages in fragments, with pings between them, are put together", function*() {
    for (const options of [bare, {}]) {
      yield* same(yield* result(yield* hello(ExecFault.fragmentOutput(2, true), options)), right, "result")
    }
  }, { scripted }),
  row("E26", "random garbage comes to a typed end, whatever it is: never to a defect, never to a success", function*() {
    const { target } = yield* Lab
    for (let seed = 1; seed <= 60; seed++) {
      const marker = Remote.makeMarker()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Scripted.fault(marker, ExecFault.script(speakGarbage(seed)))
        const command = Exec.on(target(), seed % 3 === 0 ? bare : {})(["true", marker])
        const exit = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
          const handle = yield* command
          yield* Effect.all([Stream.runDrain(handle.stderr), Stream.runDrain(handle.stdout), handle.exitCode], {
            concurrency: "unbounded"
          })
        })))
        yield* check(
          Exit.isFailure(exit) && exit.cause.reasons.every(Cause.isFailReason),
          `seed ${seed} came to ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "a success"}`
        )
      }))
    }
  }, { scripted }),
  row("E28", "every Status comes to an exit code, a failure in the server's words, or an unknown outcome", function*() {
    for (const protocols of [[RemoteCommand.v5], [RemoteCommand.v4]] as const) {
      for (const [status, expected] of statuses) {
        const handle = yield* hello(ExecFault.replaceStatus(status), { ...bare, protocols })
        yield* same((yield* result(handle)).code, expected, `${status} over ${protocols[0]}`)
        if (expected !== "RemoteFailure") continue
        const error = yield* failureOf(handle.exitCode)
        yield* check(error.message.includes("the node is on fire"), `the words are lost: ${error.message}`)
      }
    }
  }, { scripted }),
  row("E28", "a supervised command needs no Status: its own record of the outcome wins over any of them", function*() {
    for (const [status] of statuses) {
      const handle = yield* hello(ExecFault.replaceStatus(status), {})
      yield* same(yield* result(handle), right, status)
      yield* same(yield* handle.verified, { stdout: true, stderr: true }, "verified")
    }
  }, { scripted }),
  row("E28", "a Status in pieces is put together, and the first of two counts", function*() {
    for (const fault of [ExecFault.splitStatus(1), ExecFault.splitStatus(7), ExecFault.repeatStatus]) {
      yield* same(yield* result(yield* hello(fault)), right, "result")
    }
    const twice = ExecFault.inject((wire) => wire.status(new TextEncoder().encode(JSON.stringify(exitCause("5")))))
    yield* same((yield* result(yield* hello(twice))).code, "success: 5", "exit code of the first")
  }, { scripted }),
  row("A1", "a normal close without a Status is an unknown outcome, never a success", function*() {
    yield* same(
      yield* result(yield* hello(ExecFault.withoutStatus)),
      { stdout: "hello\n", end: "OutcomeUnknown", code: "OutcomeUnknown" },
      "bare"
    )
    yield* same(
      yield* result(yield* hello(ExecFault.script(endWithout(1000)), {})),
      { stdout: "half", end: "OutcomeUnknown", code: "OutcomeUnknown" },
      "supervised, without its own record"
    )
    yield* same(yield* result(yield* hello(ExecFault.withoutStatus, {})), right, "supervised, with its own record")
  }, { scripted }),
  row("A1", "a Success of a translator that has lost its backend is not taken for the outcome", function*() {
    const lost = (options: ExecOptions) => Effect.flatMap(hello(ExecFault.loseBackend(bytes), options), result)
    // The supervisor's first record and some of the output have passed.
    const bytes = 50
    const supervised = yield* lost({ protocols: [RemoteCommand.v5] })
    yield* same([supervised.end, supervised.code], ["OutcomeUnknown", "OutcomeUnknown"], "supervised, over v5")
    const older = yield* lost({ protocols: [RemoteCommand.v4] })
    yield* same([older.end, older.code], ["ConnectionLost", "ConnectionLost"], "supervised, over v4")
    // A bare command cannot know. It promises nothing.
    const handle = yield* hello(ExecFault.loseBackend(2), { ...bare, protocols: [RemoteCommand.v5] })
    yield* same(yield* result(handle), { stdout: "he", end: "ended", code: "success: 0" }, "bare")
    yield* same(yield* handle.verified, { stdout: false, stderr: false }, "verified")
  }, { scripted }),
  row("A2", "a close with another code is an unknown outcome that tells the code", function*() {
    for (const options of [bare, {}]) {
      for (const code of [1001, 1011, 4000, undefined]) {
        const handle = yield* hello(ExecFault.script(endWithout(code)), options)
        const expected = { stdout: "half", end: "OutcomeUnknown", code: "OutcomeUnknown" }
        yield* same(yield* result(handle), expected, `close ${code}`)
        yield* same(yield* closeCodeOf(handle), code, "the code told")
      }
    }
  }, { scripted }),
  row("A2", "an end of the connection without a close is a loss, whether in order or by reset", function*() {
    for (const options of [bare, {}]) {
      for (const how of ["fin", "reset"] as const) {
        const { code, end } = yield* result(yield* hello(ExecFault.script(endWithout(how)), options))
        yield* same([end, code], ["ConnectionLost", "ConnectionLost"], `end of stdout, and exit code, after ${how}`)
      }
    }
  }, { scripted }),
  row("A2", "after a Status it does not matter how the connection ends", function*() {
    for (const code of [1001, 1011, undefined]) {
      yield* same(yield* result(yield* hello(ExecFault.closeCode(code))), right, `close ${code}`)
    }
    yield* same(yield* result(yield* hello(ExecFault.withoutClose("fin"))), right, "no close")
  }, { scripted }),
  row("A3", "output behind the Status is delivered, and the Status counts", function*() {
    const late = yield* result(yield* hello(ExecFault.outputAfterStatus("late")))
    yield* same(late, { ...right, stdout: "hello\nlate" }, "result")
    const early = yield* result(yield* hello(ExecFault.earlyStatus(JSON.stringify(exitCause("6")))))
    yield* same(early, { ...right, code: "success: 6" }, "result of a Status before all output")
  }, { scripted }),
  row("A4", "an exit code of up to 32 bits arrives as it is, negative ones too", function*() {
    for (const [code, expected] of wideCodes) {
      const handle = yield* hello(ExecFault.replaceStatus(JSON.stringify(exitCause(code))))
      yield* same((yield* result(handle)).code, expected, `exit code ${code}`)
    }
  }, { scripted: "processes on Linux have exit codes of 8 bits" }),
  row("A6", "the close signal, which is not for servers to send, is ignored", function*() {
    for (const options of [bare, {}]) {
      for (const channel of [0, 1, 2, 3]) {
        yield* same(yield* result(yield* hello(ExecFault.closeSignal(channel), options)), right, `channel ${channel}`)
      }
    }
  }, { scripted })
]
