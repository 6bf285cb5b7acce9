/**
 * A process whose input was cut never goes on as if it had read all of it. It would when its stdin is closed or its output
 * loses its reader while it is there (`sh -c 'cat > f; mv f g'`), so it must have gone before.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { Pipeline, Through } from "@effect-k8s/channels/pipeline/Pipeline"
import * as Target from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { ends, interrupt, inTime, make, nothingLeft, on, opened, type Stage } from "../support/pipelines.ts"
import { basic, type Io, serve } from "../support/programs.ts"

class Spoiled extends Data.TaggedError("Spoiled")<{}> {}

/** A place whose processes here live on for a second when they are told to end, and which of them have gone on. */
const makePlace = Effect.gen(function*() {
  const wentOn: Array<string> = []
  const thenGoOn = (work: (io: Io) => Effect.Effect<unknown>) => (io: Io) =>
    Effect.as(Effect.andThen(work(io), Effect.sync(() => wentOn.push(io.argv.join(" ")))), 0)
  const programs = {
    ...basic,
    /** `cat > f; mv f g` */
    store: thenGoOn(({ read }) =>
      Effect.gen(function*() {
        while ((yield* read) !== undefined);
      })
    ),
    /** `tee f; mv f g`: a broken pipe ends `tee` alone, and what ends it all comes before the next step. */
    tee: thenGoOn((io) => Effect.andThen(Effect.exit(basic["cat"]!(io)), Effect.sleep("1 millis"))),
    /** Writes for ever, a little at a time. */
    drip: ({ stdout }: Io) => Effect.forever(Effect.andThen(stdout("y"), Effect.sleep("100 millis")))
  }
  const place = yield* make(programs, {
    script: (session) =>
      session.asked.pod === "lost"
        ? Effect.andThen(Effect.timeoutOption(serve(programs)(session), "5 seconds"), session.connection.reset)
        : serve(programs)(session)
  }, { lingers: "1 second" })
  return { place, wentOn }
})

type First = Stage | Through<Spoiled>

const pass = Exec.through((input) => input, { name: "pass" })

/** What is behind a first stage, at least one process of which would go on. */
const behind: ReadonlyArray<readonly [string, ReadonlyArray<Stage>]> = [
  ["a process that stores it", [ChildProcess.make`store`]],
  ["one that stores what others pass on", [ChildProcess.make`cat`, pass, ChildProcess.make`store`]],
  ["one that stores and passes it on", [ChildProcess.make`tee`, ChildProcess.make`cat`]],
  ["one that stores and passes it on to a pod", [ChildProcess.make`tee`, on`cat`]],
  ["one that stores it and is the last", [ChildProcess.make`tee`]]
]

const join = (first: First, rest: ReadonlyArray<Stage>): Pipeline<Spoiled, KubeClient | ChildProcessSpawner> =>
  rest.reduce<Pipeline<Spoiled, KubeClient | ChildProcessSpawner>>(
    (before, stage) => Exec.pipeTo(before, stage),
    Exec.pipeTo(first, pass)
  )

describe("does not go on", () => {
  const lost = Exec.on(Target.pod("lost", { namespace: "ns", container: "c" }))`drip`
  const spoiled = Exec.through(() =>
    Stream.concat(
      Stream.make(new Uint8Array(1)),
      Stream.fromEffect(Effect.andThen(Effect.sleep("5 seconds"), new Spoiled()))
    )
  )
  for (const [what, stages] of behind) {
    for (const [name, first] of [["whose connection is lost", lost], ["that fails", spoiled]] as const) {
      it.effect(`${what}, behind a stage ${name}`, () =>
        Effect.gen(function*() {
          const { place, wentOn } = yield* makePlace
          yield* inTime(Effect.flip(place.provide(Exec.run(join(first, stages)))))
          yield* inTime(Effect.flip(place.provide(Stream.runDrain(Exec.stream(join(first, stages))))))
          yield* nothingLeft(place)
          assert.deepStrictEqual(wentOn, [])
        }))
    }

    it.effect(`${what}, when the pipeline is interrupted`, () =>
      Effect.gen(function*() {
        const { place, wentOn } = yield* makePlace
        const runs = [
          Exec.run(join(on`drip`, stages)),
          Stream.runDrain(Exec.stream(join(on`drip`, stages))),
          Stream.runForEach(Exec.stream(join(on`drip`, stages)), () => Effect.never)
        ]
        for (const run of runs) {
          const before = place.server.sessions.length
          const running = yield* Effect.forkChild(place.provide(run))
          yield* opened(place, before + 1)
          yield* TestClock.adjust("2 seconds")
          yield* Server.settle
          yield* interrupt(running)
        }
        yield* nothingLeft(place)
        assert.deepStrictEqual(wentOn, [])
      }))
  }

  it.effect("one that stores and passes it on, when what is behind it takes no more", () =>
    Effect.gen(function*() {
      const { place, wentOn } = yield* makePlace
      const takers: ReadonlyArray<Stage> = [ChildProcess.make`head 3`, on`head 3`, Exec.through(Stream.take(3))]
      for (const taker of takers) {
        for (
          const between of [[], [ChildProcess.make`cat`], [pass], [on`cat`]] satisfies ReadonlyArray<
            ReadonlyArray<Stage>
          >
        ) {
          const stages = [ChildProcess.make`tee`, ...between, taker]
          const results = yield* inTime(place.provide(Exec.run(join(on`drip`, stages))))
          assert.deepStrictEqual(ends(results), [...results.slice(1).map(() => "EndedEarly" as const), "Completed"])
        }
      }
      yield* nothingLeft(place)
      assert.deepStrictEqual(wentOn, [])
    }))
})

it.effect("goes on when all of its input has been read", () =>
  Effect.gen(function*() {
    const { place, wentOn } = yield* makePlace
    yield* inTime(place.provide(Exec.run(join(on`produce 100000`, [ChildProcess.make`tee`, ChildProcess.make`store`]))))
    assert.deepStrictEqual(wentOn.toSorted(), ["store", "tee"])
  }))
