/**
 * Commands whose connection is cut at every byte, in each direction, over every protocol, supervised and bare.
 *
 * - Until the client has opened the streams of SPDY, a write that fails is the `KubeError` of an upgrade that broke.
 * - Before the outcome has arrived, which is the last byte of both records of the supervisor, or of a bare command's
 *   Status, and at all cuts that keep it from arriving, the end is `ConnectionLost`, or of a bare command whose Status has
 *   begun `OutcomeUnknown`: of the exit code, and of each output that has not told its own end.
 * - From that byte on the outcome counts, whatever becomes of the connection.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"
import * as Sessions from "../support/sessions.ts"
import * as Wire from "../support/wire.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })
const input = "some input\n"
const words = "words\n"
const exitCode = 7

/** Copies stdin, if any, says something on stderr, and ends with a code. */
const program: Programs.Program = ({ read, stderr, stdout }) =>
  Effect.gen(function*() {
    yield* stdout("out ")
    while (true) {
      const chunk = yield* read
      if (chunk === undefined) break
      yield* stdout(chunk)
    }
    yield* stderr(words)
    return exitCode
  })

// As short as one can be, because it is cut at every byte.
const status = {
  metadata: {},
  status: "Failure",
  reason: "NonZeroExitCode",
  details: { causes: [{ reason: "ExitCode", message: `${exitCode}` }] }
}

/** The same without a supervisor, as runtimes serve it. */
const bare: Server.Script = (session) =>
  Effect.gen(function*() {
    yield* session.stdout("out ")
    while (session.asked.stdin) {
      const sent = yield* session.next
      if (sent._tag === "Stdin") {
        // ^D is the end at a terminal.
        const at = session.asked.tty ? sent.bytes.indexOf(4) : -1
        yield* session.stdout(at === -1 ? sent.bytes : sent.bytes.subarray(0, at))
        if (at !== -1) break
      } else if (sent._tag === "StdinEnded") break
      else if (sent._tag === "Close" || sent._tag === "Fin") return
    }
    if (!session.asked.tty) yield* session.stderr(words)
    yield* session.endOutputs
    yield* session.status(status)
    yield* session.goodbye()
    yield* session.left
  })

/** A way to run the command. */
interface Kind {
  readonly name: string
  readonly protocol: string
  readonly options: ExecOptions
  readonly supervised: boolean
  readonly stdin: boolean
}

const supervised = { what: "supervised", supervised: true, stdin: false, options: { supervise: "required" } } as const
const unsupervised = { what: "bare", supervised: false, stdin: false, options: { supervise: "never" } } as const
const terminal = {
  what: "a terminal",
  supervised: false,
  stdin: true,
  options: { tty: true, size: { width: 80, height: 24 } }
} as const
const fed = <A extends { readonly what: string }>(self: A) => ({
  ...self,
  what: `${self.what} with stdin`,
  stdin: true
})
const all = [supervised, fed(supervised), unsupervised, fed(unsupervised), terminal]

const kinds: ReadonlyArray<Kind> = [
  { transport: "websocket", protocol: v5, whats: all } as const,
  // On v4 the end of stdin cannot be said.
  { transport: "websocket", protocol: v4, whats: [supervised, unsupervised, terminal] } as const,
  { transport: "spdy", protocol: v4, whats: all } as const
].flatMap(({ protocol, transport, whats }) =>
  whats.map(({ options, stdin, supervised, what }): Kind => ({
    name: `${what}, ${transport} ${protocol}`,
    protocol,
    supervised,
    stdin,
    options: { ...options, transport, protocols: transport === "websocket" ? [protocol] : undefined }
  }))
)

/** What became of a session. */
interface End {
  /** What starting has failed with. */
  readonly start: string | undefined
  readonly exit: string
  readonly verified: string
  readonly stdout: readonly [text: string, end: string]
  readonly stderr: readonly [text: string, end: string]
  readonly tapes: ReadonlyArray<Wire.Tape>
  /** How often the command was asked for. */
  readonly asked: number
}

const session = (kind: Kind) => (wire: Wire.Wire) =>
  Effect.gen(function*() {
    const server = yield* Server.make({
      protocols: kind.protocol === v4 ? [v4] : [v5],
      spdy: true,
      script: kind.supervised ? Programs.serve({ program }) : bare
    })
    const { client, tapes } = Wire.client(server.client, [wire, { _tag: "Whole" }])
    const command = Exec.on(target, kind.options)(["program"])
    const run = Effect.gen(function*() {
      const started = yield* Effect.result(
        kind.stdin ? Exec.feed(command, Stream.encodeText(Stream.make(input))) : command
      )
      if (Result.isFailure(started)) {
        const nothing = ["", ""] as const
        return { start: started.failure.reason._tag, exit: "", verified: "", stdout: nothing, stderr: nothing }
      }
      const handle = started.success
      return yield* Effect.all({
        start: Effect.undefined,
        exit: Sessions.endOf(handle.exitCode),
        verified: Sessions.endOf(handle.verified),
        stdout: Sessions.collect(handle.stdout),
        stderr: Sessions.collect(handle.stderr)
      }, { concurrency: "unbounded" })
    })
    return {
      run: Effect.map(
        Effect.provideService(run, KubeClient, client),
        (end): End => ({ ...end, tapes, asked: server.asked.length })
      ),
      open: server.open
    }
  })

describe("a command whose connection", { timeout: 120_000 }, () => {
  for (const kind of kinds) {
    const stdout = `out ${kind.stdin ? input : ""}`
    const stderr = kind.options.tty === true ? "" : words
    const verified = JSON.stringify({ stdout: kind.supervised, stderr: kind.supervised })
    const expected = { start: undefined, exit: "7", verified, stdout: [stdout, "end"], stderr: [stderr, "end"] }
    const only = ({ asked: _asked, tapes: _tapes, ...end }: End) => end

    const recorded = Effect.gen(function*() {
      const whole = yield* Sessions.runOne({ _tag: "Whole" }, session(kind), Wire.describe)
      assert.deepStrictEqual<unknown>(only(whole), expected)
      const [tape] = whole.tapes
      const down = tape!.down()
      const outcomeAt = kind.supervised ? Wire.behind(down, `:${exitCode}\n`) : Wire.behind(down, "}")
      // A supervised command has its outcome before there is a Status.
      const statusAt = kind.supervised ? outcomeAt : Buffer.from(down).indexOf("{\"metadata\"") + 1
      return { tape: tape!, down: down.length, outcomeAt, statusAt, sentBefore: tape!.sentBefore(outcomeAt) }
    })

    /** That it was lost: what was read is the beginning of what there is, and no output has an end that was not told. */
    const checkLost = (end: End, what: string, reason = "ConnectionLost") => {
      assert.deepStrictEqual([end.start, end.exit, end.verified], [undefined, reason, reason], what)
      for (const [[text, how], all] of [[end.stdout, stdout], [end.stderr, stderr]] as const) {
        assert.isTrue(all.startsWith(text), `${what}: ${JSON.stringify(text)} was read`)
        if (how === "end") assert.deepStrictEqual([kind.supervised, text], [true, all], `${what}: an output has ended`)
        else assert.strictEqual(how, reason, what)
      }
    }

    it.effect(`carries one byte at a time has the same outcome (${kind.name})`, () =>
      Effect.gen(function*() {
        const end = yield* Sessions.runOne({ _tag: "Bytewise" }, session(kind), Wire.describe)
        assert.deepStrictEqual<unknown>(only(end), expected)
      }))

    it.effect(`is cut at any byte from the server is lost before the outcome, and not after (${kind.name})`, () =>
      Effect.gen(function*() {
        const { down, outcomeAt, statusAt } = yield* recorded
        const wires = Wire.cutsDown(down)
        for (const [wire, end] of yield* Sessions.runAll(wires, session(kind), Wire.describe)) {
          const what = Wire.describe(wire)
          assert.strictEqual(end.asked, 1, `${what}: times that the command was asked for`)
          if (wire.at >= outcomeAt) assert.deepStrictEqual<unknown>(only(end), expected, what)
          else checkLost(end, what, wire.at >= statusAt ? "OutcomeUnknown" : "ConnectionLost")
        }
      }))

    it.effect(`is cut at any byte to the server is lost before the outcome, and not after (${kind.name})`, () =>
      Effect.gen(function*() {
        const { sentBefore, tape } = yield* recorded
        // The streams of SPDY are opened by the first write, of which the upgrade is not done without.
        const opening = kind.options.transport === "spdy" ? tape.opening() : 0
        const wires = Wire.cutsUp(tape.sent())
        for (const [wire, end] of yield* Sessions.runAll(wires, session(kind), Wire.describe)) {
          const what = Wire.describe(wire)
          assert.strictEqual(end.asked, 1, `${what}: times that the command was asked for`)
          if (wire.at >= sentBefore) assert.deepStrictEqual<unknown>(only(end), expected, what)
          else if (wire.at < opening && wire.how === "failed write") assert.strictEqual(end.start, "Transport", what)
          else checkLost(end, what)
        }
      }))
  }
})
