/**
 * A consumer that pauses for longer than any deadline (protocol reference 11): nothing is lost, and nobody is dead.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })
const size = 3_000_000

describe("a consumer that pauses for 120 seconds", () => {
  for (const transport of ["websocket", "spdy"] as const) {
    it.effect(`loses nothing of what waits meanwhile, and the session goes on (${transport})`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make({ spdy: true, script: Programs.serve(Programs.basic) })
        const reading = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const command = Exec.on(target, { transport, bufferBytes: 64 * 1024 })(["produce", `${size}`])
          const handle = yield* Effect.provideService(command, KubeClient, server.client)
          let bytes = 0
          yield* Stream.runForEach(handle.stdout, (chunk) => {
            const isFirst = bytes === 0
            bytes += chunk.length
            return isFirst ? Effect.sleep("120 seconds") : Effect.void
          })
          return [bytes, yield* handle.exitCode, yield* handle.verified]
        })))
        const result: ReadonlyArray<unknown> = yield* Server.joined(reading, "1 second")
        assert.deepStrictEqual(result, [size, 0, { stdout: true, stderr: true }])
        yield* Server.timePasses
      }))
  }
})
