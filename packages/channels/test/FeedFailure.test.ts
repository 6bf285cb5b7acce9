/**
 * A feed that fails: while the command runs that is the command's failure, whenever it is asked; afterwards it is nothing.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Server from "./support/execServer.ts"
import * as Programs from "./support/programs.ts"

const on = Exec.on(Target.pod("p", { namespace: "ns", container: "c" }))
const size = 2_100_000

const programs: Programs.Programs = {
  ...Programs.basic,
  /** Waits for stdin, and writes so many bytes. */
  answer: (io) => Effect.andThen(io.read, Programs.basic["produce"]!(io)),
  /** Waits for stdin, writes a byte, and ends half a minute later. */
  linger: ({ read, stdout }) =>
    Effect.as(Effect.andThen(Effect.andThen(read, stdout("x")), Effect.sleep("30 seconds")), 0)
}

/** A byte, and a failure when it is told to. */
const makeFeed = Effect.map(Deferred.make<void>(), (late) => ({
  fail: Deferred.succeed(late, undefined),
  input: Stream.concat(
    Stream.make(new Uint8Array(1)),
    Stream.fromEffectDrain(Effect.andThen(Deferred.await(late), Effect.fail("broken" as const)))
  )
}))

const run = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E, KubeClient>) {
  const server = yield* Server.make({ script: Programs.serve(programs) })
  const running = yield* Effect.forkChild(Effect.provideService(effect, KubeClient, server.client))
  const result = yield* Server.joined(running, "100 millis")
  yield* Server.timePasses
  return result
})

/** What each question to a handle comes to. */
const answers = (handle: ExecHandle<"broken">) => {
  const answer = <A>(effect: Effect.Effect<A, "broken" | { readonly reason: { readonly _tag: string } }>) =>
    Effect.match(effect, {
      onSuccess: () => "success",
      onFailure: (error) => typeof error === "string" ? error : error.reason._tag
    })
  return Effect.all({
    exitCode: answer(handle.exitCode),
    verified: answer(handle.verified),
    status: answer(handle.status),
    stdout: answer(Stream.runDrain(handle.stdout)),
    stderr: answer(Stream.runDrain(handle.stderr)),
    all: answer(Stream.runDrain(handle.all))
  })
}

const failed = {
  exitCode: "broken",
  verified: "InputFailed",
  status: "InputFailed",
  stdout: "InputFailed",
  stderr: "InputFailed",
  all: "InputFailed"
}

describe("a feed that fails after the command has ended", () => {
  it.effect("takes nothing from a reader who is still behind", () =>
    Effect.gen(function*() {
      const feed = yield* makeFeed
      let bytes = 0
      yield* run(Stream.runForEach(Exec.stream(Exec.feed(on`answer ${size}`, feed.input)), (chunk) =>
        Effect.gen(function*() {
          const isFirst = bytes === 0
          bytes += chunk.length
          if (!isFirst) return
          yield* Effect.sleep("5 seconds")
          yield* feed.fail
          yield* Effect.sleep("5 seconds")
        })))
      assert.strictEqual(bytes, size)
    }))

  it.effect("changes none of its answers", () =>
    Effect.gen(function*() {
      const feed = yield* makeFeed
      const asked = yield* run(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Exec.feed(on`linger`, feed.input)
        yield* handle.exitCode
        yield* feed.fail
        yield* Effect.sleep("1 second")
        return yield* answers(handle)
      })))
      assert.deepStrictEqual([...new Set(Object.values(asked))], ["success"])
    }))
})

describe("a feed that fails while the command runs", () => {
  it.effect("is its failure whenever it is asked: then, and when the command has ended", () =>
    Effect.gen(function*() {
      const feed = yield* makeFeed
      const asked = yield* run(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Exec.feed(on`linger`, feed.input)
        yield* feed.fail
        yield* Effect.sleep("5 seconds")
        assert.isTrue(yield* handle.isRunning)
        const early = yield* answers(handle)
        yield* Effect.sleep("60 seconds")
        assert.isFalse(yield* handle.isRunning)
        return { early, late: yield* answers(handle) }
      })))
      assert.deepStrictEqual(asked, { early: failed, late: failed })
    }))

  it.effect("is the failure of a reader who is so far behind that the command has ended meanwhile", () =>
    Effect.gen(function*() {
      const feed = yield* makeFeed
      const error = yield* Effect.flip(
        run(Stream.runForEach(Exec.stream(Exec.feed(on`linger`, feed.input)), () =>
          Effect.gen(function*() {
            yield* Effect.sleep("5 seconds")
            yield* feed.fail
            yield* Effect.sleep("60 seconds")
          })))
      )
      assert.strictEqual(error, "broken")
    }))
})
