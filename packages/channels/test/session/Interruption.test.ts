import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** Interrupts it, lets goodbyes pass, and looks whether anything is left. */
const interrupted = Effect.fnUntraced(function*(
  server: Server.ExecServer,
  fiber: Fiber.Fiber<unknown, unknown>,
  reads = true
) {
  const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
  yield* Server.joined(interrupting)
  assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
  yield* Server.settle
  if (reads) return assert.strictEqual(server.open(), 0)
  // A server that reads nothing sees that the client has left when it looks.
  for (const { connection } of server.sessions) {
    while ((yield* Pull.catchDone(connection.pull, () => Effect.undefined)) !== undefined);
  }
})

describe("a command that is interrupted leaves no connection", () => {
  it.effect("while its pod is read", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ refuse: () => ({ never: true }) })
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Effect.scoped(Exec.on(Target.pod("p"))(["a"])), KubeClient, {
          ...server.client,
          json: () => Effect.never
        })
      )
      yield* Server.settle
      yield* interrupted(server, fiber)
      assert.strictEqual(server.asked.length, 0)
    }))

  it.effect("while the handshake is not answered", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ refuse: () => ({ never: true }) })
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Effect.scoped(Exec.on(target)(["a"])), KubeClient, server.client)
      )
      while (server.asked.length === 0) yield* Server.settle
      yield* interrupted(server, fiber)
    }))

  it.effect("while the supervisor has not said a word", () =>
    Effect.gen(function*() {
      const server = yield* Server.make()
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Effect.scoped(Exec.on(target)(["a"])), KubeClient, server.client)
      )
      yield* server.accepted
      yield* Server.settle
      yield* interrupted(server, fiber)
    }))

  it.effect("while the secret variables are on their way", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ reads: false })
      const env = { TOKEN: Redacted.make("x".repeat(1_000_000)) }
      const fiber = yield* Effect.forkChild(
        Effect.provideService(Effect.scoped(Exec.on(target, { env })(["a"])), KubeClient, server.client)
      )
      const session = yield* server.accepted
      yield* session.stdout(`${Programs.parseSupervised(session.asked.command)?.record}@1\n`)
      yield* Server.settle
      yield* interrupted(server, fiber, false)
    }))

  const waits: ReadonlyArray<
    readonly [string, ExecOptions, Server.Settings, (handle: ExecHandle) => Effect.Effect<unknown, unknown>]
  > = [
    ["while its output is read", {}, {}, (handle) => Stream.runDrain(handle.stdout)],
    ["while both outputs are read", {}, {}, (handle) => Stream.runDrain(handle.all)],
    ["while its exit code is awaited", {}, {}, (handle) => handle.exitCode],
    ["while its Status is awaited", {}, {}, (handle) => handle.status],
    ["while it is killed", {}, {}, (handle) => handle.kill()],
    [
      "while stdin is blocked",
      { stdin: "pipe" },
      { reads: false },
      (handle) => Stream.run(Stream.make(new Uint8Array(4_000_000)), handle.stdin)
    ],
    [
      "while stdin waits for its source",
      { stdin: "pipe" },
      {},
      (handle) => Stream.run(Stream.never, handle.stdin)
    ],
    [
      "while its output is full",
      { bufferBytes: 1000 },
      { script: Programs.serve(Programs.basic) },
      (handle) => Stream.runForEach(handle.stdout, () => Effect.never)
    ]
  ]
  for (const [what, options, settings, wait] of waits) {
    for (const supervise of ["required", "never"] as const) {
      it.effect(`${what} (${supervise})`, () =>
        Effect.gen(function*() {
          const server = yield* Server.make(settings)
          let reached = false
          const fiber = yield* Effect.forkChild(
            Effect.scoped(Effect.gen(function*() {
              const handle = yield* Exec.on(target, { supervise, ...options })(["yes"])
              reached = true
              yield* Effect.ignore(wait(handle))
              return yield* Effect.never
            })).pipe(Effect.provideService(KubeClient, server.client))
          )
          const session = yield* server.accepted
          const record = Programs.parseSupervised(session.asked.command)?.record
          if (record !== undefined && settings.script === undefined) yield* session.stdout(`${record}@1\n`)
          yield* Server.settle
          assert.isTrue(reached)
          yield* interrupted(server, fiber, settings.reads)
        }))
    }
  }

  for (const supervise of ["required", "never"] as const) {
    it.effect(`at whatever moment (${supervise})`, () =>
      Effect.gen(function*() {
        let ended = 0
        for (let steps = 0; steps < 2_000; steps++) {
          const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
          const fiber = yield* Effect.forkChild(
            Effect.scoped(Effect.gen(function*() {
              const handle = yield* Exec.on(target, { supervise })(["echo", "hello"])
              yield* Stream.runDrain(handle.stdout)
              return yield* handle.exitCode
            })).pipe(
              Effect.provideService(KubeClient, server.client),
              // It takes turns after a few operations, so that there are many moments.
              Effect.provideService(MaxOpsBeforeYield, 3)
            )
          )
          for (let i = 0; i < steps; i++) {
            yield* Server.step(i % 3 === 0 ? Effect.promise(() => Promise.resolve()) : Effect.yieldNow)
            if (fiber.pollUnsafe() !== undefined) break
          }
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
          yield* Server.settle
          yield* TestClock.adjust("6 seconds")
          yield* Fiber.join(interrupting)
          // The server's fibers take turns too: it hears of the end some turns later.
          for (let i = 0; i < 20 && server.open() > 0; i++) yield* Server.settle
          assert.strictEqual(server.open(), 0, `after ${steps} steps`)
          assert.isAtMost(server.asked.length, 1)
          if (Exit.isSuccess(yield* Fiber.await(fiber)) && ++ended > 3) return
        }
        assert.fail("the command never came to its end")
      }))
  }
})

describe("a reader that stops", () => {
  it.effect("ends the command that it reads", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
      const reading = yield* Effect.forkChild(
        Effect.provideService(
          Stream.runCollect(Stream.take(Exec.stream(Exec.on(target)(["yes"])), 3)),
          KubeClient,
          server.client
        )
      )
      yield* server.accepted
      yield* Server.settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(reading)).length, 3)
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
    }))
})
