import * as Exec from "@effect-k8s/channels/Exec"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import {
  failure,
  inTime,
  make,
  mapHandles,
  nothingLeft,
  on,
  opened,
  type Place,
  reasonOf
} from "../support/pipelines.ts"
import { parseSupervised, type Program } from "../support/programs.ts"

class Spoiled extends Data.TaggedError("Spoiled")<{}> {}

describe("a stream function", () => {
  const spoil = <E>(cause: Stream.Stream<Uint8Array, E>) =>
    Exec.through((input) => Stream.concat(Stream.take(input, 1), cause), { name: "spoil" })

  for (const at of ["first", "middle", "last"]) {
    it.effect(`passes its own error unwrapped, and ends the others (${at})`, () =>
      Effect.gen(function*() {
        const place = yield* make()
        const spoiler = spoil(Stream.fail(new Spoiled()))
        const pipeline = at === "first"
          ? spoiler.pipe(Exec.pipeTo(on`cat`), Exec.pipeTo(ChildProcess.make`cat`))
          : at === "middle"
          ? on`yes`.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(spoiler), Exec.pipeTo(on`cat`))
          : on`yes`.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(spoiler))
        const error = yield* Effect.flip(inTime(place.provide(Exec.run(pipeline))))
        assert.instanceOf(error, Spoiled)
        yield* nothingLeft(place)
        const streamed = yield* Effect.flip(inTime(place.provide(Exec.string(pipeline))))
        assert.instanceOf(streamed, Spoiled)
        yield* nothingLeft(place)
      }))
  }

  const defects: ReadonlyArray<readonly [string, ReturnType<typeof spoil>]> = [
    ["dies", spoil(Stream.die("bug"))],
    [
      "throws",
      Exec.through((): Stream.Stream<Uint8Array> => {
        throw "bug"
      })
    ],
    [
      "throws while it runs",
      Exec.through(Stream.map((): Uint8Array => {
        throw "bug"
      }))
    ]
  ]
  for (const [what, stage] of defects) {
    it.effect(`that ${what} ends the pipeline with its defect`, () =>
      Effect.gen(function*() {
        const place = yield* make()
        const pipeline = on`yes`.pipe(Exec.pipeTo(stage), Exec.pipeTo(ChildProcess.make`cat`))
        const exit = yield* inTime(Effect.exit(place.provide(Exec.run(pipeline))))
        assert(Exit.isFailure(exit))
        assert.strictEqual(Cause.squash(exit.cause), "bug")
        assert.isTrue(Cause.hasDies(exit.cause))
        yield* nothingLeft(place)
      }))
  }

  it.effect("that fails gives no end to the stage behind it", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const watchful: Program = ({ argv, read }) =>
        Effect.gen(function*() {
          while ((yield* read) !== undefined);
          ended.push(argv[0]!)
          return 0
        })
      const place = yield* make({ watchful })
      const watched = Exec.through((input) => Stream.onEnd(input, Effect.sync(() => ended.push("through"))))
      for (const next of [watched, ChildProcess.make`watchful`]) {
        const pipeline = on`yes`.pipe(Exec.pipeTo(spoil(Stream.fail(new Spoiled()))), Exec.pipeTo(next))
        assert.instanceOf(yield* Effect.flip(inTime(place.provide(Exec.run(pipeline)))), Spoiled)
        yield* nothingLeft(place)
      }
      assert.deepStrictEqual(ended, [])
    }))

  it.effect("sees no end of its input when a later stage takes no more", () =>
    Effect.gen(function*() {
      const place = yield* make()
      let ended = false
      const watched = Exec.through((input) =>
        Stream.onEnd(
          input,
          Effect.sync(() => {
            ended = true
          })
        )
      )
      for (const last of [on`echo done`, ChildProcess.make`echo done`, Exec.through(Stream.take(1))]) {
        const pipeline = ChildProcess.make`yes`.pipe(Exec.pipeTo(watched), Exec.pipeTo(on`cat`), Exec.pipeTo(last))
        yield* inTime(place.provide(Exec.run(pipeline)))
        yield* nothingLeft(place)
      }
      assert.isFalse(ended)
    }))

  it.effect("may begin to read long after what it reads is written", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const late = Exec.through((input) => Stream.concat(Stream.fromEffectDrain(Effect.sleep("1 minute")), input))
      const pipeline = on`produce 5000000`.pipe(Exec.pipeTo(late), Exec.pipeTo(on`count`))
      assert.strictEqual(yield* inTime(place.provide(Exec.string(pipeline))), "5000000")
      yield* nothingLeft(place)
    }))
})

describe("the error of a stream function", () => {
  // Its input ends, and then it fails while the command before it goes on.
  const spoiled = Exec.through((input) => Stream.concat(input, Stream.fail(new Spoiled())), { name: "spoiled" })
  const closing = (place: Place): Place =>
    mapHandles(place, (handle) => ({ ...handle, stdout: Stream.make(new Uint8Array(9)) }))

  it.effect("is not held back by a command before it that goes on", () =>
    Effect.gen(function*() {
      const place = closing(yield* make())
      const pipeline = ChildProcess.make`hang`.pipe(Exec.pipeTo(spoiled))
      assert.instanceOf(yield* Effect.flip(inTime(place.provide(Exec.run(pipeline)))), Spoiled)
      yield* nothingLeft(place)
    }))

  it.effect("is not lost when a later stage takes no more meanwhile", () =>
    Effect.gen(function*() {
      const place = closing(
        yield* make({
          // It ends while the exit code is waited for that would explain the error, but is not told.
          soon: ({ read }) => Effect.as(Effect.andThen(read, Effect.sleep("700 millis")), 0)
        })
      )
      const pipeline = ChildProcess.make`hang`.pipe(Exec.pipeTo(spoiled), Exec.pipeTo(on`soon`))
      const running = yield* Effect.forkChild(Effect.flip(place.provide(Exec.run(pipeline))))
      yield* opened(place, 1)
      for (const millis of [500, 200, 50]) {
        yield* TestClock.adjust(millis)
        yield* Server.settle
      }
      assert.instanceOf(yield* inTime(Fiber.join(running)), Spoiled)
      yield* nothingLeft(place)
    }))
})

describe("what feeds a command", () => {
  it.effect("fails with its own error, whatever that is", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const fed = Exec.feed(on`count`, Stream.fail(new Spoiled()))
      assert.instanceOf(yield* Effect.flip(inTime(place.provide(Exec.run(fed)))), Spoiled)
      const other = Exec.feed(on`count`, Exec.stream(Exec.check(on`fail 3`)))
      // A pipeline's type has no ExitedNonZero of its own.
      const error = yield* failure(inTime(place.provide(Exec.run(other))))
      assert.deepStrictEqual([error.stage, error.command, reasonOf(error)], [0, "feed", "ExitedNonZero"])
      yield* nothingLeft(place)
    }))
})

describe("a failure that gave the pipeline up", () => {
  it.effect("is told to a reader who is so far behind that all processes have ended meanwhile", () =>
    Effect.gen(function*() {
      const place = yield* make({}, {
        script: (session) =>
          Effect.gen(function*() {
            const record = parseSupervised(session.asked.command)?.record
            yield* session.stdout(`${record}@1\nx${record}:0\n`)
            yield* Effect.sleep("5 seconds")
            yield* session.stderr(`${record}:0\n`)
            yield* session.left
          })
      })
      const fails = Exec.through(() => Stream.fromEffectDrain(Effect.andThen(Effect.sleep("2 seconds"), new Spoiled())))
      const pipeline = Exec.stream(Exec.pipeTo(fails, on`x`))
      const reading = Stream.runForEach(pipeline, () => Effect.sleep("10 seconds"))
      assert.instanceOf(yield* Effect.flip(inTime(place.provide(reading))), Spoiled)
      yield* nothingLeft(place)
    }))
})

describe("a layer that dies when it is released", () => {
  it.effect("ends the pipeline with its defect", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const layer = Layer.effect(
        KubeClient,
        Effect.acquireRelease(Effect.succeed(place.server.client), () => Effect.die("bug"))
      )
      const pipeline = Exec.pipeTo(Exec.provide(on`yes`, layer), on`head 10`)
      const exit = yield* inTime(Effect.exit(place.provide(Exec.run(pipeline))))
      assert(Exit.isFailure(exit))
      assert.strictEqual(Cause.squash(exit.cause), "bug")
      yield* nothingLeft(place)
    }))
})
