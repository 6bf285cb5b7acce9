import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as CommandLine from "effect/process/CommandLine"
import * as Redacted from "effect/Redacted"
import * as Server from "../support/execServer.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

describe("a command that cannot be asked for", () => {
  // What the type forbids, JavaScript and JSON do not.
  const soon = JSON.parse("\"soon\"")
  const rows: ReadonlyArray<readonly [string, ReadonlyArray<CommandLine.Word>, ExecOptions, string]> = [
    ["an empty command", [], {}, "empty"],
    ["a word with NUL", ["a", "b\0c"], {}, "NUL"],
    ["a word with a lone surrogate", ["a", "b\ud800c"], {}, "lone surrogate"],
    ["a secret word with a lone surrogate", ["a", Redacted.make("\udc00")], {}, "lone surrogate"],
    ["a directory with a lone surrogate", ["a"], { cwd: "/\ud800" }, "lone surrogate"],
    ["a variable with a lone surrogate", ["a"], { env: { A: "\ud800" } }, "the variable A contains a lone surrogate"],
    ["no buffer", ["a"], { bufferBytes: 0 }, "bufferBytes must be more than 0"],
    ["a negative buffer", ["a"], { bufferBytes: -1 }, "bufferBytes"],
    ["a buffer of no number", ["a"], { bufferBytes: Number.NaN }, "bufferBytes"],
    ["a timeout that is no duration", ["a"], { handshakeTimeout: soon }, "handshakeTimeout is no duration"],
    ["a timeout of nothing", ["a"], { handshakeTimeout: 0 }, "handshakeTimeout must be more than 0"],
    ["a start that is no duration", ["a"], { startTimeout: soon }, "startTimeout is no duration"],
    ["a start of nothing", ["a"], { startTimeout: "0 seconds" }, "startTimeout must be more than 0"],
    ["a grace that is no duration", ["a"], { unreadGrace: soon }, "unreadGrace is no duration"],
    ["a negative grace", ["a"], { unreadGrace: -1 }, "unreadGrace must not be less than 0"],
    ["life signs all the time", ["a"], { heartbeat: { after: 0 } }, "heartbeat.after must be more than 0"],
    ["negative life signs", ["a"], { heartbeat: { after: -1 } }, "heartbeat.after"],
    ["a negative time for a sign", ["a"], { heartbeat: { within: "-1 seconds" } }, "heartbeat.within"],
    ["a negative idle limit", ["a"], { heartbeat: { keepAliveAfter: -5 } }, "heartbeat.keepAliveAfter"],
    ["life signs that are no duration", ["a"], { heartbeat: { within: soon } }, "heartbeat.within is no duration"],
    ["supervision on a terminal", ["a"], { tty: true, supervise: "required" }, "terminal"],
    ["a directory on a terminal", ["a"], { tty: true, cwd: "/" }, "supervisor"],
    ["a directory without the supervisor", ["a"], { supervise: "never", cwd: "/" }, "supervisor"],
    ["variables without the supervisor", ["a"], { supervise: "never", env: { A: "1" } }, "supervisor"],
    ["a directory with no name", ["a"], { cwd: "" }, "directory"],
    ["a directory with NUL", ["a"], { cwd: "/a\0b" }, "directory"],
    ["a variable without a name", ["a"], { env: { "": "1" } }, "variable"],
    ["a variable with a bad name", ["a"], { env: { "A-B": "1" } }, "A-B"],
    ["a variable of the supervisor's", ["a"], { env: { ek_n: "1" } }, "ek_n cannot be set: names that begin with ek_"],
    ["a secret with such a name", ["a"], { env: { ek_: Redacted.make("1") } }, "ek_ cannot be set"],
    ["a variable with NUL", ["a"], { env: { A: "\0" } }, "NUL"],
    ["nothing of a bare command", ["a"], { supervise: "never", stdout: "ignore", stderr: "ignore" }, "any of stdin"],
    ["nothing of a terminal", ["a"], { tty: true, stdout: "ignore" }, "any of stdin"]
  ]
  for (const [what, argv, options, message] of rows) {
    it.effect(`fails before anything is asked: ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make()
        const error = yield* Effect.flip(
          Effect.provideService(Exec.on(target, options)(argv), KubeClient, server.client)
        )
        assert.strictEqual(error.reason._tag, "Encode")
        assert.include(error.message, message)
        assert.strictEqual(server.asked.length, 0)
      }))
  }

  for (const name of ["", ".", "..", "a/b"]) {
    it.effect(`fails before anything is asked: a pod or a namespace named ${JSON.stringify(name)}`, () =>
      Effect.gen(function*() {
        const places = [
          Target.pod(name, { namespace: "ns", container: "c" }),
          Target.pod("p", { namespace: name, container: "c" })
        ]
        for (const where of places) {
          const server = yield* Server.make()
          const error = yield* Effect.flip(Effect.provideService(Exec.on(where)(["a"]), KubeClient, server.client))
          assert.strictEqual(error.reason._tag, "Encode")
          assert.strictEqual(server.asked.length + server.reads.length, 0)
        }
      }))
  }
})
