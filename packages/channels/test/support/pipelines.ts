/**
 * A place to run pipelines in memory: a cluster and this machine, with the same programs.
 */
import type { Command } from "@effect-k8s/channels/Command"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExitedNonZero } from "@effect-k8s/channels/ExitedNonZero"
import type { Pipeline, Through } from "@effect-k8s/channels/pipeline/Pipeline"
import type { StageResult } from "@effect-k8s/channels/pipeline/StageResult"
import { StageFailed } from "@effect-k8s/channels/pipeline/StageResult"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as ChildProcess from "effect/process/ChildProcess"
import { type ChildProcessHandle, ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "./execServer.ts"
import * as LocalProcesses from "./localProcesses.ts"
import * as Programs from "./programs.ts"

/** A container of the cluster. */
export const target = Target.pod("p", { namespace: "ns", container: "c" })

/** Commands in it. */
export const on = Exec.on(target)

/** What needs nothing but a cluster and this machine, and fails with nothing of its own. */
export type Stage =
  | Command<KubeClient, ExitedNonZero>
  | ChildProcess.Command
  | Through
  | Pipeline<never, KubeClient | ChildProcessSpawner>

/** A cluster, and this machine. */
export interface Place {
  readonly server: Server.ExecServer
  readonly local: LocalProcesses.Processes
  readonly provide: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<Exclude<R, KubeClient>, ChildProcessSpawner>>
}

/** A place with these programs beside the basic ones. Time passes at its end, so that a test which fails says why. */
export const make = Effect.fnUntraced(function*(
  programs: Programs.Programs = {},
  settings: Server.Settings = {},
  processes: LocalProcesses.Settings = {}
): Effect.fn.Return<Place, never, Scope.Scope> {
  const all = { ...Programs.basic, ...programs }
  const server = yield* Server.make({ script: Programs.serve(all), ...settings })
  const local = LocalProcesses.make(all, processes)
  yield* Server.timePasses
  return {
    server,
    local,
    provide: (effect) =>
      effect.pipe(
        Effect.provideService(KubeClient, server.client),
        Effect.provideService(ChildProcessSpawner, local.spawner)
      )
  }
})

/** A place whose processes of this machine have other handles. */
export const mapHandles = (place: Place, change: (handle: ChildProcessHandle) => ChildProcessHandle): Place => ({
  ...place,
  provide: (effect) =>
    place.provide(
      Effect.updateService(effect, ChildProcessSpawner, (spawner) =>
        ChildProcessSpawner.of({
          ...spawner,
          spawn: (command) => Effect.map(spawner.spawn(command), change)
        }))
    )
})

/** Nothing runs any more: no session and no local process. */
export const nothingLeft = Effect.fnUntraced(function*(place: Place, message = "") {
  yield* Server.settle
  assert.deepStrictEqual([place.server.open(), place.local.running()], [0, 0], `sessions and processes left ${message}`)
})

/** Waits until so many sessions have been opened, and everything waits. No time passes. */
export const opened = Effect.fnUntraced(function*({ server }: Pick<Place, "server">, sessions: number) {
  for (let i = 0; server.sessions.length < sessions; i++) {
    if (i === 20_000) assert.fail(`${server.sessions.length} of ${sessions} sessions were opened`)
    yield* Server.settle
  }
  yield* Server.settle
})

/** Lets time pass until an effect has ended; fails when it seems never to end. */
export const inTime = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  for (let i = 0; i < 300; i++) {
    yield* Server.settle
    if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
    yield* TestClock.adjust("250 millis")
  }
  return assert.fail("it did not end within 75 seconds")
})

/** Interrupts a fiber, and lets goodbyes pass. */
export const interrupt = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>) {
  yield* inTime(Fiber.interrupt(fiber))
  assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)), "it was not interrupted")
})

/** How a pipeline failed. */
export const failure = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<StageFailed, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert(error instanceof StageFailed, `not a StageFailed: ${String(error)}`)
    return error
  })

/** The tag of the innermost reason of a failure. */
export const reasonOf = ({ reason }: StageFailed): string =>
  reason._tag === "ExitedNonZero" ? reason._tag : reason.reason._tag

/** How the stages ended. */
export const ends = (results: ReadonlyArray<StageResult>): ReadonlyArray<StageResult["end"]> =>
  results.map(({ end }) => end)

/** Bytes that went into each stage and came out of it. */
export const flow = (results: ReadonlyArray<StageResult>): ReadonlyArray<readonly [number, number]> =>
  results.map(({ bytesIn, bytesOut }) => [bytesIn, bytesOut])
