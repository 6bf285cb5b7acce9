import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as ShellLess from "@effect-k8s/channels/session/ShellLess"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

describe("an image without sh", () => {
  const containerd = "Internal error occurred: error executing command in container: failed to exec in container: " +
    "failed to start exec \"0123\": OCI runtime exec failed: exec failed: unable to start container process: exec: " +
    "\"sh\": executable file not found in $PATH: unknown"

  /** A runtime without sh: how it says so, and how it runs the rest. */
  const without = (say: (session: Server.ServerSession) => Effect.Effect<unknown>): Server.Settings => ({
    script: (session) =>
      Programs.parseSupervised(session.asked.command) === undefined
        ? Programs.serve(Programs.basic)(session)
        : say(session)
  })
  const ways: ReadonlyArray<readonly [string, (session: Server.ServerSession) => Effect.Effect<unknown>]> = [
    [
      "containerd",
      (session) => Effect.andThen(session.status(Server.internalError(containerd)), session.goodbye())
    ],
    [
      "CRI-O with crun, by stderr and an exit code",
      (session) =>
        Effect.all([
          session.stderr("executable file `sh` not found in $PATH: No such file or directory\n"),
          session.status(Server.exitStatus(255)),
          session.goodbye()
        ])
    ],
    [
      "CRI-O with runc, by stderr and an exit code",
      (session) =>
        Effect.all([
          session.stderr("time=\"2026\" level=error msg=\"exec failed: unable to start container process: exec: "),
          session.stderr("\\\"sh\\\": executable file not found in $PATH\"\n"),
          session.status(Server.exitStatus(255)),
          session.goodbye()
        ])
    ],
    [
      // As 1.28, 1.34 and 1.36 have told it, all alike.
      "containerd with runc, where there is a sh but what it needs to run is not",
      (session) =>
        Effect.all([
          session.stderr("exec /bin/sh: no such file or directory\n"),
          session.status(Server.exitStatus(1)),
          session.goodbye()
        ])
    ]
  ]
  const run = <A, E>(server: Server.ExecServer, effect: Effect.Effect<A, E, KubeClient>) =>
    Effect.provideService(effect, KubeClient, server.client)
  const echo = (options: ExecOptions = {}, where = target) =>
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Exec.on(where, options)(["echo", "hello"])
      const text = yield* Stream.mkString(Stream.decodeText(handle.stdout))
      return { text, supervised: handle.supervised, code: yield* handle.exitCode, verified: yield* handle.verified }
    }))

  for (const [who, say] of ways) {
    it.effect(`is told by ${who}: required fails before anything ran`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make(without(say))
        const error = yield* Effect.flip(run(server, echo({ supervise: "required" })))
        assert(error._tag === "KubeError" && error.reason._tag === "SupervisorUnavailable")
        assert.include(error.reason.description, "sh")
        assert.notInclude(error.reason.description, "Internal error occurred")
        assert.notMatch(error.reason.description, /\n$/, "it stands within a sentence")
        assert.strictEqual(server.asked.length, 1)
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }))

    it.effect(`is told by ${who}: preferred runs bare, once, and says so`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make(without(say))
        assert.deepStrictEqual(yield* run(server, echo()), {
          text: "hello\n",
          supervised: false,
          code: 0,
          verified: { stdout: false, stderr: false }
        })
        assert.strictEqual(server.asked.length, 2)
        assert.deepStrictEqual(server.asked[1]?.command, ["echo", "hello"])
      }))
  }

  const say = ways[0]![1]

  it.effect("is remembered, per image, and not for others", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      const pod = (name: string, image: string) =>
        Target.fromPod({
          metadata: { name, namespace: "ns", uid: "u", resourceVersion: "1", creationTimestamp: "" },
          spec: { containers: [{ name: "c", image }] }
        })
      yield* run(server, echo({}, pod("a", "distroless")))
      yield* run(server, echo({}, pod("b", "distroless")))
      yield* run(server, echo({}, pod("c", "scratch")))
      yield* run(server, echo({}, pod("c", "scratch")))
      assert.deepStrictEqual(
        server.asked.map(({ command, pod }) => [pod, command[0]]),
        [["a", "sh"], ["a", "echo"], ["b", "echo"], ["c", "sh"], ["c", "echo"], ["c", "echo"]]
      )
    }))

  it.effect("is not remembered for ever: a pod of the same name may have another image by then", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      yield* run(server, echo())
      yield* TestClock.adjust("9 minutes")
      yield* run(server, echo())
      assert.strictEqual(server.asked.length, 3)
      yield* TestClock.adjust("2 minutes")
      yield* run(server, echo())
      assert.deepStrictEqual(server.asked.map(({ command }) => command[0]), ["sh", "echo", "echo", "sh", "echo"])
    }))

  it.effect("is remembered per client only", () =>
    Effect.gen(function*() {
      const one = yield* Server.make(without(say))
      const two = yield* Server.make(without(say))
      yield* run(one, echo())
      yield* run(two, echo())
      assert.strictEqual(two.asked.length, 2)
    }))

  it.effect("is remembered for an hour, because its tag may be pushed again with a shell", () =>
    Effect.gen(function*() {
      let withShell = false
      const server = yield* Server.make({
        script: (session) =>
          withShell ? Programs.serve(Programs.basic)(session) : without(say).script?.(session) ?? Effect.void
      })
      const where = { ...target, image: "distroless" }
      const supervised = () => run(server, Effect.map(echo({}, where), (result) => result.supervised))
      assert.isFalse(yield* supervised())
      withShell = true
      yield* TestClock.adjust(60 * 60 * 1000 - 1)
      assert.isFalse(yield* supervised())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* supervised())
      assert.deepStrictEqual(server.asked.map(({ command }) => command[0]), ["sh", "echo", "echo", "sh"])
    }))

  it.effect("is forgotten when it has expired", () =>
    Effect.gen(function*() {
      const { client } = yield* Server.make()
      const remember = (image: string | undefined) =>
        ShellLess.remember(client, { namespace: "ns", pod: "p", container: "c", image })
      yield* remember("a")
      yield* TestClock.adjust("50 minutes")
      yield* remember("b")
      yield* remember(undefined)
      yield* TestClock.adjust("10 minutes")
      yield* remember("c")
      const known = Context.get(yield* Ref.get(client.memory), ShellLess.Known)
      assert.deepStrictEqual(Array.from(known.keys()), ["b", "c"])
    }))

  it.effect("is asked again when supervision is required", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      yield* run(server, echo())
      const error = yield* Effect.flip(run(server, echo({ supervise: "required" })))
      assert(error._tag === "KubeError")
      assert.strictEqual(error.reason._tag, "SupervisorUnavailable")
    }))

  it.effect("cannot set variables or a directory: that fails instead of running without them", () =>
    Effect.gen(function*() {
      for (const options of [{ env: { A: "1" } }, { cwd: "/" }]) {
        const server = yield* Server.make(without(say))
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(run(server, echo(options)))
          assert(error._tag === "KubeError")
          assert.strictEqual(error.reason._tag, "SupervisorUnavailable")
        }
        assert.isTrue(server.asked.every(({ command }) => command[0] === "sh"))
      }
    }))

  it.effect("is not what another program that is missing means", () =>
    Effect.gen(function*() {
      const text = "exec: \"/bin/other\": stat /bin/other: no such file or directory"
      const server = yield* Server.make(
        without((session) => Effect.andThen(session.status(Server.internalError(text)), session.goodbye()))
      )
      const error = yield* Effect.flip(run(server, echo()))
      assert(error._tag === "KubeError")
      assert.notStrictEqual(error.reason._tag, "SupervisorUnavailable")
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("is not what a container means that is not there", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(
        without((session) =>
          Effect.andThen(session.status(Server.internalError("container not found (\"c\")")), session.goodbye())
        )
      )
      const error = yield* Effect.flip(run(server, echo()))
      assert(error._tag === "KubeError" && error.reason._tag === "ServerFailure")
      assert.include(error.message, "container not found")
      assert.strictEqual(server.asked.length, 1)
    }))
})
