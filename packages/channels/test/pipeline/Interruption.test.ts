import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { ends, interrupt, inTime, make, nothingLeft, on, opened, type Place } from "../support/pipelines.ts"
import { parseSupervised } from "../support/programs.ts"

/** One turn of the event loop: less than that and nothing happens in real time. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const pass = Exec.through((input) => input, { name: "pass" })

describe("a pipeline that is interrupted leaves nothing", () => {
  const endless = on`yes`.pipe(
    Exec.pipeTo(ChildProcess.make`cat`),
    Exec.pipeTo(pass),
    Exec.pipeTo(on`cat`)
  )
  const ready = (place: Place) => opened(place, 2)

  const moments: ReadonlyArray<
    readonly [
      string,
      (place: Place) => Effect.Effect<unknown, unknown>,
      Server.Settings?,
      ((place: Place) => Effect.Effect<unknown>)?
    ]
  > = [
    [
      "while its commands start",
      ({ provide }) => provide(Exec.run(endless)),
      { refuse: () => ({ never: true }) },
      () => Server.settle
    ],
    ["while the supervisors have not said a word", ({ provide }) => provide(Exec.run(endless)), {
      script: () => Effect.never
    }],
    ["while it runs", ({ provide }) => provide(Exec.run(endless))],
    ["while its output is read", ({ provide }) => provide(Stream.runDrain(Exec.stream(endless)))],
    [
      "while its reader is stalled",
      ({ provide }) => provide(Stream.runForEach(Exec.stream(endless), () => Effect.never))
    ],
    [
      "while a stream function waits",
      ({ provide }) => provide(Exec.run(endless.pipe(Exec.pipeTo(Exec.through(Stream.tap(() => Effect.never))))))
    ],
    ["while its last process hangs", ({ provide }) => provide(Exec.run(Exec.pipeTo(endless, ChildProcess.make`hang`)))],
    ["while its first process hangs", ({ provide }) => provide(Exec.run(Exec.pipeTo(on`hang`, on`cat`)))],
    [
      "while its feed waits",
      ({ provide }) => provide(Exec.run(Exec.pipeTo(Exec.feed(on`cat`, Stream.never), on`cat`)))
    ],
    ["while its exit code is awaited", ({ provide }) => provide(Exec.exitCode(endless))]
  ]
  for (const [what, run, settings, until] of moments) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const place = yield* make({}, settings)
        const fiber = yield* Effect.forkChild(run(place))
        yield* (until ?? ready)(place)
        assert.isUndefined(fiber.pollUnsafe(), "it had ended before")
        yield* interrupt(fiber)
        yield* nothingLeft(place)
      }))
  }

  const whole: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown, KubeClient | ChildProcessSpawner>]> = [
    [
      "that completes",
      Exec.run(on`produce 100000`.pipe(
        Exec.pipeTo(ChildProcess.make`cat`),
        Exec.pipeTo(pass),
        Exec.pipeTo(on`count`)
      ))
    ],
    [
      "that ends early",
      Exec.run(on`yes`.pipe(
        Exec.pipeTo(ChildProcess.make`cat`),
        Exec.pipeTo(pass),
        Exec.pipeTo(on`head 100000`),
        Exec.pipeTo(Exec.through(Stream.take(2)))
      ))
    ],
    ["that fails", Exec.run(on`yes`.pipe(Exec.pipeTo(on`cat`), Exec.pipeTo(ChildProcess.make`fail 3`)))]
  ]
  for (const [what, run] of whole) {
    it.effect(`at whatever moment (one ${what})`, () =>
      Effect.gen(function*() {
        let ended = 0
        let interrupted = 0
        for (let steps = 0; steps < 5_000 && ended < 4; steps += 1 + Math.floor(steps / 40)) {
          const place = yield* make()
          // Fibers take turns after a few steps, so that there are many moments.
          const fiber = yield* Effect.forkChild(Effect.provideService(place.provide(run), MaxOpsBeforeYield, 3))
          for (let i = 0; i < steps && fiber.pollUnsafe() === undefined; i++) {
            yield* Server.step(i % 20 === 19 ? turn : Effect.yieldNow)
          }
          yield* inTime(Fiber.interrupt(fiber))
          yield* nothingLeft(place, `after ${steps} steps`)
          if (Exit.hasInterrupts(yield* Fiber.await(fiber))) interrupted++
          else ended++
        }
        assert.isAbove(ended, 0, "it never came to its end")
        assert.isAbove(interrupted, 20)
      }), 180_000)
  }
})

describe("a last stage that is stalled", () => {
  const buffer = 100_000
  // A pipe of the transport in memory, and what the queues between its fibers hold.
  const pipe = 256 * 1024
  const queue = 4 * 32_768

  /** A program that counts what it has written. */
  const counting = () => {
    const written = { bytes: 0 }
    const chunk = new Uint8Array(32_768)
    return {
      written,
      program: ({ stdout }: { readonly stdout: (data: Uint8Array) => Effect.Effect<void> }) =>
        Effect.forever(Effect.andThen(
          stdout(chunk),
          Effect.sync(() => {
            written.bytes += chunk.length
          })
        ))
    }
  }

  it.effect("bounds what the first has written: its buffers, and those between", () =>
    Effect.gen(function*() {
      const { program, written } = counting()
      const place = yield* make({ endless: program })
      const cat = ChildProcess.make`cat`
      const first = Exec.on(Target.pod("p", { namespace: "ns", container: "c" }), { bufferBytes: buffer })`endless`
      const pipeline = first.pipe(
        Exec.pipeTo(cat),
        Exec.pipeTo(pass),
        Exec.pipeTo(cat),
        Exec.pipeTo(cat),
        Exec.pipeTo(pass)
      )
      const stalled = yield* Effect.forkChild(
        place.provide(Stream.runForEach(Exec.stream(pipeline), () => Effect.never))
      )
      yield* opened(place, 1)
      for (let i = 0; i < 100; i++) yield* Server.settle
      const held = written.bytes
      yield* TestClock.adjust("1 hour")
      for (let i = 0; i < 100; i++) yield* Server.settle
      assert.strictEqual(written.bytes, held, "it wrote on")
      assert.isAbove(held, 0)
      assert.isUndefined(stalled.pollUnsafe())
      // A local process has a queue on either side.
      assert.isAtMost(held, buffer + 2 * pipe + 3 * 2 * queue)
      yield* interrupt(stalled)
      yield* nothingLeft(place)
    }))

  it.effect("bounds it also when it is a command in a pod that reads nothing", () =>
    Effect.gen(function*() {
      const { program, written } = counting()
      const place = yield* make({ endless: program })
      const deaf = yield* Server.make({
        reads: false,
        script: (session) =>
          Effect.andThen(session.stdout(`${parseSupervised(session.asked.command)?.record}@1\n`), Effect.never)
      })
      const last = Exec.provide(on`cat`, Context.make(KubeClient, deaf.client))
      const first = Exec.on(Target.pod("p", { namespace: "ns", container: "c" }), { bufferBytes: buffer })`endless`
      const pipeline = first.pipe(Exec.pipeTo(pass), Exec.pipeTo(last))
      const stalled = yield* Effect.forkChild(place.provide(Exec.run(pipeline)))
      yield* opened(place, 1)
      yield* opened({ server: deaf }, 1)
      for (let i = 0; i < 100; i++) yield* Server.settle
      const held = written.bytes
      yield* TestClock.adjust("1 hour")
      for (let i = 0; i < 100; i++) yield* Server.settle
      assert.strictEqual(written.bytes, held, "it wrote on")
      assert.isAbove(held, 0)
      assert.isUndefined(stalled.pollUnsafe())
      assert.isAtMost(held, buffer + 3 * pipe)
      yield* interrupt(stalled)
      yield* nothingLeft(place)
    }))
})

describe("layers that commands are bound to", () => {
  const layerOf = (client: KubeClient["Service"]) => {
    const counts = { built: 0, released: 0 }
    return {
      counts,
      layer: Layer.effect(
        KubeClient,
        Effect.acquireRelease(
          Effect.sync(() => {
            counts.built++
            return client
          }),
          () =>
            Effect.sync(() => {
              counts.released++
            })
        )
      )
    }
  }

  it.effect("are built once a run, and released at its end", () =>
    Effect.gen(function*() {
      const here = yield* make()
      const there = yield* Server.make({ script: () => Effect.never })
      const one = layerOf(here.server.client)
      const two = layerOf(there.client)
      const pipeline = Exec.provide(on`echo x`, one.layer).pipe(
        Exec.pipeTo(Exec.provide(on`cat`, one.layer)),
        Exec.pipeTo(Exec.provide(on`count`, one.layer))
      )
      for (const times of [1, 2]) {
        // The test has layers of its own; a program need not have any.
        yield* Effect.updateContext(
          here.provide(Exec.run(pipeline)),
          (context: Context.Context<never>) => Context.omit(Layer.CurrentMemoMap)(context)
        )
        assert.deepStrictEqual(one.counts, { built: times, released: times })
      }
      const running = yield* Effect.forkChild(
        here.provide(Exec.run(Exec.pipeTo(pipeline, Exec.provide(on`cat`, two.layer))))
      )
      while (there.sessions.length === 0) yield* Server.settle
      assert.deepStrictEqual([one.counts.built, two.counts], [3, { built: 1, released: 0 }])
      yield* interrupt(running)
      assert.deepStrictEqual([one.counts, two.counts], [{ built: 3, released: 3 }, { built: 1, released: 1 }])
    }))

  it.effect("live on when a command that shares them is ended early", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const { counts, layer } = layerOf(place.server.client)
      const going = yield* Deferred.make<void>()
      const pipeline = Exec.provide(on`yes`, layer).pipe(
        Exec.pipeTo(Exec.provide(on`head 10`, layer)),
        Exec.pipeTo(Exec.through((input) => Stream.concat(input, Stream.fromEffectDrain(Deferred.await(going)))))
      )
      const running = yield* Effect.forkChild(place.provide(Exec.run(pipeline)))
      yield* opened(place, 2)
      yield* TestClock.adjust("1 second")
      yield* Server.settle
      assert.strictEqual(place.server.open(), 0)
      assert.deepStrictEqual(counts, { built: 1, released: 0 })
      yield* Deferred.succeed(going, undefined)
      assert.deepStrictEqual(ends(yield* inTime(Fiber.join(running))), ["EndedEarly", "Completed", "Completed"])
      assert.deepStrictEqual(counts, { built: 1, released: 1 })
    }))

  it.effect("are those of the caller when he has built them already", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const { counts, layer } = layerOf(place.server.client)
      const twice = Effect.all([Exec.run(Exec.provide(on`echo x`, layer)), Exec.run(Exec.provide(on`echo y`, layer))])
      yield* Effect.provide(twice, layer)
      assert.strictEqual(counts.released, counts.built)
      yield* nothingLeft(place)
    }))
})
