/**
 * What a server of SPDY may do to a command: refuse a stream, send garbage, say anything for a Status.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { random } from "../protocol/bytes.ts"
import * as Server from "../support/execServer.ts"
import * as Sessions from "../support/sessions.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

interface Case {
  readonly supervise: "required" | "never"
  readonly tty?: boolean
  readonly settings: Server.Settings
  readonly name: string
}

/** Starts a command with a stdin, and gives its exit code, or how it has failed and in which words. */
const session = ({ settings, supervise, tty }: Case) =>
  Effect.gen(function*() {
    const server = yield* Server.make({ spdy: true, ...settings })
    const run = Effect.gen(function*() {
      const options = tty === true ? { tty } as const : { supervise }
      const command = Exec.on(target, { ...options, stdin: "pipe", transport: "spdy", startTimeout: "20 seconds" })
      const result = yield* Effect.result(Effect.flatMap(command(["cat"]), ({ exitCode }) => exitCode))
      return Result.isSuccess(result)
        ? { end: `${result.success}`, words: "" }
        : { end: result.failure.reason._tag, words: result.failure.message }
    })
    return { run: Effect.provideService(run, KubeClient, server.client), open: server.open }
  })

const both = ["required", "never"] as const

describe("a server of SPDY", () => {
  it.effect("E27: that refuses a stream, in whatever position, ends the session by name, before any deadline", () =>
    Effect.gen(function*() {
      const cases = ["error", "stdin", "stdout", "stderr", "resize"].flatMap((type) =>
        type === "resize"
          ? [{ supervise: "never", tty: true, settings: { refusesStream: type }, name: type } as const]
          : both.map((supervise) => ({ supervise, settings: { refusesStream: type }, name: type }))
      )
      for (
        const [{ name }, { end, words }] of yield* Sessions.runAll<Case, { end: string; words: string }>(
          cases,
          session,
          ({ name }) => name
        )
      ) {
        assert.strictEqual(end, "ProtocolViolation", name)
        assert.include(words, `refused the stream of ${name}`)
      }
    }))

  it.effect("E26: that sends garbage comes to a typed end, whatever it is: never to a defect, never to a success", () =>
    Effect.gen(function*() {
      const cases = Array.from({ length: 400 }, (_, seed): Case => ({
        supervise: both[seed % 2]!,
        name: `seed ${seed}`,
        settings: {
          script: (peer) =>
            Effect.gen(function*() {
              const draw = random(seed + 1)
              for (let n = draw.below(20); n >= 0; n--) {
                const bytes = draw.bytes(8 + draw.below(64))
                // Frames of known kinds with random contents, or anything.
                if (draw.below(3) > 0) {
                  const isControl = draw.below(2) === 0
                  bytes.set(isControl ? [0x80, 3, 0, draw.below(11)] : [0, 0, 0, 2 * draw.below(5)])
                  bytes.set([draw.below(4), 0, 0, bytes.length - 8], 4)
                }
                yield* peer.raw(bytes)
              }
            })
        }
      }))
      for (const [{ name }, { end }] of yield* Sessions.runAll(cases, session, ({ name }) => name)) {
        assert.include(["ProtocolViolation", "ConnectionLost", "OutcomeUnknown"], end, name)
      }
    }))

  const exit = (causes: ReadonlyArray<object>) => ({
    status: "Failure",
    reason: "NonZeroExitCode",
    details: { causes }
  })
  const statuses: ReadonlyArray<readonly [status: string | object, end: string]> = [
    ["{}", "OutcomeUnknown"],
    ["{\"status\":\"Succ", "OutcomeUnknown"],
    ["no JSON", "OutcomeUnknown"],
    [{ status: "Success" }, "0"],
    [{ status: "Failure", message: "the node is on fire" }, "RemoteFailure"],
    [exit([]), "OutcomeUnknown"],
    [exit([{}]), "OutcomeUnknown"],
    [exit([{ reason: "ExitCode", message: "" }]), "OutcomeUnknown"],
    [exit([{ reason: "ExitCode", message: "42" }]), "42"]
  ]
  it.effect("E28: tells an outcome by its Status, in one piece or in many, or none that is a success", () =>
    Effect.gen(function*() {
      const cases = statuses.flatMap(([status, end]) =>
        [1, 1000].map((size) => {
          const bytes = Server.bytesOf(typeof status === "string" ? status : JSON.stringify(status))
          const script: Server.Script = (peer) =>
            Effect.gen(function*() {
              yield* peer.endOutputs
              for (let at = 0; at < bytes.length; at += size) yield* peer.status(bytes.slice(at, at + size))
              yield* peer.goodbye()
              yield* peer.left
            })
          return { supervise: "never", settings: { script }, name: JSON.stringify(status), end } as const
        })
      )
      for (const [{ end, name }, found] of yield* Sessions.runAll(cases, session, ({ name }) => name)) {
        assert.strictEqual(found.end, end, name)
      }
    }))
})
