import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { interrupt, inTime, make, nothingLeft, opened, reasonOf } from "../support/pipelines.ts"
import type { Programs } from "../support/programs.ts"

class Spoiled extends Data.TaggedError("Spoiled")<{ readonly pod: string }> {}

const targets = (count: number) =>
  Array.from({ length: count }, (_, i) => Target.pod(`p${i}`, { namespace: "ns", container: "c" }))
const indexOf = ({ pod }: Target.Target): number => Number(pod.slice(1))
const pods = (outcomes: ReadonlyArray<{ readonly target: Target.Target }>) => outcomes.map(({ target }) => target.pod)

/** Sleeps, counts how many of it run at a time, says so, and ends with the code. */
const counting = () => {
  const seen = { running: 0, most: 0 }
  const programs: Programs = {
    sleep: ({ argv, stdout }) =>
      Effect.gen(function*() {
        seen.most = Math.max(seen.most, ++seen.running)
        yield* Effect.sleep(Number(argv[1]))
        seen.running--
        yield* stdout(`slept ${argv[1]}\n`)
        return Number(argv[2] ?? 0)
      })
  }
  return { seen, programs }
}

describe("fanOut", () => {
  it.effect("gives an outcome for each target, with what it wrote", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const outcomes = yield* inTime(place.provide(
        Stream.runCollect(Exec.fanOut(targets(5), (target) => Exec.on(target)`echo ${target.pod} ü`))
      ))
      const sorted = outcomes.toSorted((a, b) => indexOf(a.target) - indexOf(b.target))
      assert.deepStrictEqual(pods(sorted), ["p0", "p1", "p2", "p3", "p4"])
      for (const { result, stdout, target, truncated } of sorted) {
        assert.deepStrictEqual([stdout, truncated], [`${target.pod} ü\n`, false])
        assert(Result.isSuccess(result))
        assert.deepStrictEqual(result.success.map(({ bytesOut, end }) => [bytesOut, end]), [[6, "Completed"]])
      }
      assert.deepStrictEqual(place.server.sessions.map(({ asked }) => asked.pod).toSorted(), [
        "p0",
        "p1",
        "p2",
        "p3",
        "p4"
      ])
      yield* nothingLeft(place)
    }))

  for (const [what, options, most] of [["unless told", {}, 16], ["when told", { concurrency: 3 }, 3]] as const) {
    it.effect(`runs ${most} at a time ${what}`, () =>
      Effect.gen(function*() {
        const { programs, seen } = counting()
        const place = yield* make(programs)
        const running = yield* Effect.forkChild(place.provide(Stream.runCollect(
          Exec.fanOut(targets(40), (target) => Exec.on(target)`sleep 1000`, options)
        )))
        yield* opened(place, most)
        const outcomes = yield* inTime(Fiber.join(running))
        assert.strictEqual(outcomes.length, 40)
        assert.strictEqual(seen.most, most)
        yield* nothingLeft(place)
      }))
  }

  it.effect("gives the outcomes as they come", () =>
    Effect.gen(function*() {
      const { programs } = counting()
      const place = yield* make(programs)
      const seen: Array<string> = []
      const running = yield* Effect.forkChild(place.provide(Stream.runForEach(
        Exec.fanOut(targets(3), (target) => Exec.on(target)`sleep ${String(3000 - 1000 * indexOf(target))}`),
        ({ target }) => Effect.sync(() => seen.push(target.pod))
      )))
      yield* opened(place, 3)
      yield* TestClock.adjust("1 second")
      yield* Server.settle
      assert.deepStrictEqual(seen, ["p2"])
      yield* inTime(Fiber.join(running))
      assert.deepStrictEqual(seen, ["p2", "p1", "p0"])
    }))

  it.effect("gives failures as data, and goes on", () =>
    Effect.gen(function*() {
      const place = yield* make({}, {
        refuse: ({ pod }) =>
          pod === "p4"
            ? { status: 404, body: { kind: "Status", status: "Failure", reason: "NotFound", message: "no", code: 404 } }
            : undefined
      })
      const work = (target: Target.Target) =>
        Exec.on(target)(indexOf(target) % 2 === 0 ? ["echo", "x"] : ["fail", "3", "why\n"]).pipe(
          Exec.pipeTo(Exec.through((input) =>
            target.pod === "p2" ? Stream.concat(input, Stream.fail(new Spoiled({ pod: "p2" }))) : input
          ))
        )
      const outcomes = yield* inTime(place.provide(Stream.runCollect(Exec.fanOut(targets(6), work))))
      const errors = outcomes.toSorted((a, b) =>
        indexOf(a.target) - indexOf(b.target)
      ).map(({ result }) =>
        Result.isSuccess(result)
          ? "ok"
          : result.failure._tag === "Spoiled"
          ? result.failure.pod
          : `${reasonOf(result.failure)} ${result.failure.target} ${result.failure.stderrTail}`
      )
      assert.deepStrictEqual(errors, [
        "ok",
        "ExitedNonZero ns/p1/c why\n",
        "p2",
        "ExitedNonZero ns/p3/c why\n",
        "NotFound ns/p4/c ",
        "ExitedNonZero ns/p5/c why\n"
      ])
      assert.strictEqual(outcomes.find(({ target }) => target.pod === "p2")?.stdout, "x\n")
      yield* nothingLeft(place)
    }))

  it.effect("keeps the beginning of what was written, and reads the rest", () =>
    Effect.gen(function*() {
      const place = yield* make({
        text: ({ stdout }) => Effect.as(Effect.andThen(stdout("12345"), stdout("67ü9")), 0)
      })
      const keep = (outputLimit: number | undefined) =>
        Effect.map(
          inTime(place.provide(Stream.runCollect(
            Exec.fanOut(targets(1), (target) => Exec.on(target)`text`, { outputLimit })
          ))),
          ([outcome]) => [outcome?.stdout, outcome?.truncated] as const
        )
      assert.deepStrictEqual(yield* keep(0), ["", true])
      assert.deepStrictEqual(yield* keep(5), ["12345", true])
      assert.deepStrictEqual(yield* keep(6), ["123456", true])
      assert.deepStrictEqual(yield* keep(9), ["1234567ü", true])
      assert.deepStrictEqual(yield* keep(10), ["1234567ü9", false])
      assert.deepStrictEqual(yield* keep(undefined), ["1234567ü9", false])
      // A character that was cut is not kept in part.
      assert.deepStrictEqual(yield* keep(8), ["1234567", true])
      const [outcome] = yield* inTime(place.provide(Stream.runCollect(
        Exec.fanOut(targets(1), (target) => Exec.on(target)`produce 300000`)
      )))
      assert.isTrue(outcome?.truncated)
      assert(outcome !== undefined && Result.isSuccess(outcome.result))
      assert.strictEqual(outcome.result.success[0]?.bytesOut, 300_000)
      yield* nothingLeft(place)
    }))

  it.effect("runs local processes and pipelines, too", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const outcomes = yield* inTime(place.provide(Stream.runCollect(Exec.fanOut(
        targets(2),
        (target) => Exec.on(target)`echo ${target.pod}`.pipe(Exec.pipeTo(ChildProcess.make`cat`))
      ))))
      assert.deepStrictEqual(outcomes.map(({ stdout }) => stdout).toSorted(), ["p0\n", "p1\n"])
      assert.strictEqual(place.local.spawned.length, 2)
      yield* nothingLeft(place)
    }))

  it.effect("leaves nothing when it is interrupted, or nobody reads on", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const all = Exec.fanOut(targets(10), (target) =>
        Exec.on(target)(target.pod === "p0" ? ["echo", "x"] : ["yes"]).pipe(
          Exec.pipeTo(ChildProcess.make`cat`)
        ), { concurrency: 4 })
      const running = yield* Effect.forkChild(place.provide(Stream.runDrain(all)))
      yield* opened(place, 4)
      yield* interrupt(running)
      yield* nothingLeft(place)
      const [first] = yield* inTime(place.provide(Stream.runCollect(Stream.take(all, 1))))
      assert.strictEqual(first?.target.pod, "p0")
      yield* nothingLeft(place)
    }))

  it.effect("ends with a defect of the work, which leaves nothing", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const all = Exec.fanOut(targets(3), (target) => {
        if (target.pod === "p2") throw "bug"
        return Exec.on(target)`yes`
      })
      const exit = yield* inTime(Effect.exit(place.provide(Stream.runDrain(all))))
      assert(Exit.isFailure(exit))
      assert.strictEqual(Cause.squash(exit.cause), "bug")
      yield* nothingLeft(place)
    }))

  it.effect("is empty for no targets", () =>
    Effect.gen(function*() {
      const place = yield* make()
      assert.deepStrictEqual(
        yield* place.provide(Stream.runCollect(Exec.fanOut([], (target) => Exec.on(target)`x`))),
        []
      )
    }))
})

describe("summary", () => {
  it.effect("counts the outcomes, and keeps the failures in the order in which they came", () =>
    Effect.gen(function*() {
      const { programs } = counting()
      const place = yield* make(programs)
      const work = (target: Target.Target) =>
        Exec.on(target)(["sleep", String(1000 - 100 * indexOf(target)), String(indexOf(target) % 3)])
      const running = yield* Effect.forkChild(
        place.provide(Stream.run(Exec.fanOut(targets(6), work), Exec.summary()))
      )
      yield* opened(place, 6)
      const summary = yield* inTime(Fiber.join(running))
      assert.deepStrictEqual([summary.succeeded, summary.failed], [2, 4])
      assert.deepStrictEqual(pods(summary.failures), ["p5", "p4", "p2", "p1"])
      assert.deepStrictEqual(
        summary.failures.map(({ error }) => error.reason._tag === "ExitedNonZero" && error.reason.exitCode),
        [2, 1, 2, 1]
      )
    }))

  it.effect("of nothing is nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Stream.run(Stream.empty, Exec.summary()), {
        succeeded: 0,
        failed: 0,
        failures: []
      })
    }))
})
