import * as Exec from "@effect-k8s/channels/Exec"
import type { StageFailed } from "@effect-k8s/channels/pipeline/StageResult"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import {
  ends,
  failure,
  flow,
  inTime,
  make,
  mapHandles,
  nothingLeft,
  on,
  opened,
  type Place,
  reasonOf,
  type Stage,
  target
} from "../support/pipelines.ts"
import { type Io, parseSupervised, type Programs } from "../support/programs.ts"

class Spoiled extends Data.TaggedError("Spoiled")<{}> {}

const bare = Exec.on(target, { supervise: "never" })
const pass = Exec.through((input) => input, { name: "pass" })

/** Reads all of stdin, waits, and ends. */
const readAll = ({ read }: Io): Effect.Effect<void> =>
  Effect.gen(function*() {
    while ((yield* read) !== undefined);
  })

const programs: Programs = {
  /** Writes a part, and fails. */
  half: ({ stderr, stdout }) => Effect.as(Effect.andThen(stdout("half"), stderr("no such table\n")), 1),
  /** Reads all of stdin, and fails after so many milliseconds with the code. */
  later: (io) => Effect.as(Effect.andThen(readAll(io), Effect.sleep(Number(io.argv[1]))), Number(io.argv[2]))
}

/** A place whose processes of this machine leave a child behind that holds their stderr open. */
const holdingStderr = (place: Place): Place =>
  mapHandles(place, (handle) => ({ ...handle, stderr: Stream.concat(handle.stderr, Stream.never) }))

describe("an exit code other than 0", () => {
  const stages = [on`tee 3`, ChildProcess.make`tee 3`]
  for (const failing of stages) {
    const where = failing._tag === "Command" ? "ns/p/c" : "local"
    for (const at of [1, 2, 3]) {
      it.effect(`of stage ${at} (${where}) is the failure, and the others end as they would in a shell`, () =>
        Effect.gen(function*() {
          const place = yield* make()
          const cat = on`cat`
          const pipeline = on`produce 100000`.pipe(
            Exec.pipeTo(at === 1 ? failing : cat),
            Exec.pipeTo(at === 2 ? failing : cat),
            Exec.pipeTo(at === 3 ? failing : cat)
          )
          const error = yield* failure(place.provide(Exec.run(pipeline)))
          assert.deepStrictEqual([error.stage, error.target, error.command], [at, where, "tee 3"])
          assert(error.reason._tag === "ExitedNonZero")
          assert.deepStrictEqual([error.reason.exitCode, error.reason.target], [3, where])
          assert.deepStrictEqual([error.stderrTail, error.reason.stderrTail], ["tee failed\n", "tee failed\n"])
          assert.deepStrictEqual(ends(error.results), [0, 1, 2, 3].map((i) => i === at ? "Failed" : "Completed"))
          assert.deepStrictEqual(flow(error.results).map(([, out]) => out), [100_000, 100_000, 100_000, 100_000])
          assert.deepStrictEqual(
            error.results.map((result) => result._tag === "Through" ? undefined : result.exitCode),
            [0, 1, 2, 3].map((i) => i === at ? 3 : 0)
          )
          assert.strictEqual(
            error.message,
            `stage ${at + 1} of 4 failed: tee 3 (${where}) ended with exit code 3: tee failed`
          )
          yield* nothingLeft(place)
        }))
    }
  }

  it.effect("needs no check, and a check changes nothing", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const error = yield* failure(place.provide(Exec.run(Exec.pipeTo(Exec.check(on`fail 3`), on`cat`))))
      assert.strictEqual(reasonOf(error), "ExitedNonZero")
      assert.strictEqual(reasonOf(yield* failure(place.provide(Exec.run(Exec.check(on`fail 3`))))), "ExitedNonZero")
      assert.strictEqual(reasonOf(yield* failure(place.provide(Exec.run(on`fail 3`)))), "ExitedNonZero")
    }))

  it.effect("is the first in time, not in place, and the others keep theirs", () =>
    Effect.gen(function*() {
      const place = yield* make(programs)
      const first = yield* failure(
        inTime(place.provide(Exec.run(on`later 1000 3`.pipe(Exec.pipeTo(on`later 2000 4`), Exec.pipeTo(on`cat`)))))
      )
      assert.strictEqual(first.stage, 0)
      const codes = first.results.map((result) => result._tag === "Through" ? undefined : result.exitCode)
      assert.deepStrictEqual(codes, [3, 4, 0])
      const after = yield* failure(inTime(place.provide(Exec.run(Exec.pipeTo(on`later 1000 0`, on`later 2000 4`)))))
      assert.strictEqual(after.stage, 1)
    }))

  it.effect("is the first in time also when the end of its stderr is late", () =>
    Effect.gen(function*() {
      const place = holdingStderr(yield* make(programs))
      const pipeline = ChildProcess.make`tee 3`.pipe(Exec.pipeTo(on`tee 4`))
      const error = yield* failure(inTime(place.provide(Exec.run(pipeline))))
      assert.strictEqual(error.stage, 0)
      assert.strictEqual(error.stderrTail, "tee failed\n")
      yield* nothingLeft(place)
    }))

  it.effect("does not wait for a stderr that somebody else holds open", () =>
    Effect.gen(function*() {
      const place = holdingStderr(yield* make())
      const error = yield* failure(inTime(place.provide(Exec.run(ChildProcess.make`fail 3`))))
      assert.strictEqual(error.stderrTail, "failed\n")
      assert.deepStrictEqual(
        (yield* inTime(place.provide(Exec.run(ChildProcess.make`echo x`)))).map(({ end }) => end),
        [
          "Completed"
        ]
      )
      yield* nothingLeft(place)
    }))

  it.effect("comes with no more than the end of stderr", () =>
    Effect.gen(function*() {
      const place = yield* make()
      for (const make of [on, (argv: ReadonlyArray<string>) => ChildProcess.make(argv[0]!, argv.slice(1))]) {
        const error = yield* failure(
          place.provide(Exec.run(make(["fail", "1", `${"x".repeat(100_000)}the end`])))
        )
        assert.strictEqual(error.stderrTail.length, 8192)
        assert.isTrue(error.stderrTail.endsWith("the end"))
      }
    }))

  it.effect("of a stage that ended before its input did is a failure, too", () =>
    Effect.gen(function*() {
      const place = yield* make()
      for (const failing of [on`fail 3`, bare`fail 3`, ChildProcess.make`fail 3`]) {
        const error = yield* failure(inTime(place.provide(Exec.run(Exec.pipeTo(on`yes`, failing)))))
        assert.deepStrictEqual([error.stage, reasonOf(error)], [1, "ExitedNonZero"])
        assert.deepStrictEqual(ends(error.results), ["EndedEarly", "Failed"])
        yield* nothingLeft(place)
      }
    }))

  it.effect("is told, not what a later stage makes of the part that it got", () =>
    Effect.gen(function*() {
      const place = yield* make(programs)
      const parse = Exec.through(
        (input) => Stream.concat(Stream.filter(input, () => false), Stream.fail(new Spoiled())),
        { name: "parse" }
      )
      for (const half of [on`half`, ChildProcess.make`half`]) {
        const error = yield* failure(inTime(place.provide(Exec.run(Exec.pipeTo(half, parse)))))
        assert.deepStrictEqual([error.stage, reasonOf(error), error.stderrTail], [
          0,
          "ExitedNonZero",
          "no such table\n"
        ])
        assert.deepStrictEqual(ends(error.results), ["Failed", "Failed"])
      }
      const complete = yield* Effect.flip(inTime(place.provide(Exec.run(Exec.pipeTo(on`echo x`, parse)))))
      assert.strictEqual(complete._tag, "Spoiled")
      yield* nothingLeft(place)
    }))
})

describe("a later stage that takes no more", () => {
  const endless = on`yes`
  const short: ReadonlyArray<readonly [string, Stage]> = [
    ["a command in a pod", on`head 10`],
    ["a local process", ChildProcess.make`head 10`],
    ["a stream function", Exec.through(Stream.take(1))],
    ["a command that reads nothing", on`echo done`],
    ["a local process that reads nothing", ChildProcess.make`echo done`],
    ["a stream function that reads nothing", Exec.through(() => Stream.make(new Uint8Array(3)))]
  ]
  for (const [what, last] of short) {
    it.effect(`ends those before it, which is no failure: ${what}`, () =>
      Effect.gen(function*() {
        const place = yield* make()
        const pipeline = endless.pipe(
          Exec.pipeTo(ChildProcess.make`cat`),
          Exec.pipeTo(pass),
          Exec.pipeTo(on`cat`),
          Exec.pipeTo(last)
        )
        const results = yield* inTime(place.provide(Exec.run(pipeline)))
        assert.deepStrictEqual(ends(results), ["EndedEarly", "EndedEarly", "EndedEarly", "EndedEarly", "Completed"])
        assert.deepStrictEqual(
          results.map((result) => result._tag === "Through" ? undefined : result.exitCode).slice(0, 4),
          [undefined, undefined, undefined, undefined]
        )
        yield* nothingLeft(place)
      }))
  }

  it.effect("does not wait for what it writes to be read", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const pipeline = endless.pipe(Exec.pipeTo(on`head 1000000`), Exec.pipeTo(ChildProcess.make`cat`))
      const results = yield* inTime(place.provide(Exec.run(pipeline)))
      assert.deepStrictEqual(ends(results), ["EndedEarly", "Completed", "Completed"])
      assert.deepStrictEqual(flow(results)[2], [1_000_000, 1_000_000])
    }))

  it.effect("ends those before it at once when it has closed its stdin and goes on", () =>
    Effect.gen(function*() {
      const place = yield* make({ slow: () => Effect.as(Effect.sleep("1 minute"), 0) })
      const closed = PlatformError.systemError({ _tag: "WriteZero", module: "ChildProcess", method: "stdin" })
      const closing = mapHandles(place, (handle) => ({ ...handle, stdin: Sink.fail(closed) }))
      const running = yield* Effect.forkChild(closing.provide(Exec.run(Exec.pipeTo(endless, ChildProcess.make`slow`))))
      yield* opened(place, 1)
      yield* TestClock.adjust("1 second")
      yield* Server.settle
      assert.deepStrictEqual([place.server.open(), place.local.running()], [0, 1])
      const results = yield* inTime(Fiber.join(running))
      assert.deepStrictEqual(ends(results), ["EndedEarly", "Completed"])
      assert.strictEqual(results[1]?.durationMillis, 60_000)
      yield* nothingLeft(place)
    }))

  it.effect("leaves alone what has completed by itself", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const pipeline = on`echo x`.pipe(
        Exec.pipeTo(Exec.through((input) => Stream.concat(input, Stream.never))),
        Exec.pipeTo(on`head 2`)
      )
      assert.deepStrictEqual(ends(yield* inTime(place.provide(Exec.run(pipeline)))), [
        "Completed",
        "EndedEarly",
        "Completed"
      ])
      yield* nothingLeft(place)
    }))

  it.effect("keeps the failure of one before it that came first", () =>
    Effect.gen(function*() {
      const place = yield* make(programs)
      const pipeline = on`half`.pipe(
        Exec.pipeTo(Exec.through((input) => Stream.concat(input, Stream.never))),
        Exec.pipeTo(on`head 4`)
      )
      const error = yield* failure(inTime(place.provide(Exec.run(pipeline))))
      assert.deepStrictEqual([error.stage, error.stderrTail], [0, "no such table\n"])
      assert.deepStrictEqual(ends(error.results), ["Failed", "EndedEarly", "Completed"])
    }))

  it.effect("is a failure of a command without the supervisor: what it read is not known", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const error = yield* failure(inTime(place.provide(Exec.run(Exec.pipeTo(endless, bare`head 10`)))))
      assert.deepStrictEqual([error.stage, reasonOf(error)], [1, "StdinUnconsumed"])
      assert.deepStrictEqual(ends(error.results), ["Interrupted", "Failed"])
      yield* nothingLeft(place)
      const results = yield* inTime(place.provide(Exec.run(Exec.pipeTo(on`produce 1000`, bare`count`))))
      assert.deepStrictEqual(ends(results), ["Completed", "Completed"])
      yield* nothingLeft(place)
    }))
})

describe("a stage that cannot be started", () => {
  const failing: ReadonlyArray<readonly [string, string, Stage, Server.Settings?]> = [
    ["a program that is not in the container", "CommandNotFound", on`no-such-program`],
    ["a program that is not on this machine", "NotFound", ChildProcess.make`no-such-program`],
    ["an empty command", "Encode", on([])],
    ["a pod that is not there", "NotFound", on`cat`, {
      refuse: (asked) =>
        asked.command.includes("cat")
          ? { status: 404, body: { kind: "Status", status: "Failure", reason: "NotFound", message: "no", code: 404 } }
          : undefined
    }],
    ["a container without a shell", "SupervisorUnavailable", on`cat`, {
      script: (session) =>
        Effect.andThen(
          session.status(Server.internalError("exec: \"sh\": executable file not found in $PATH")),
          session.goodbye()
        )
    }]
  ]
  for (const [what, reason, stage, settings] of failing) {
    it.effect(`ends the others: ${what}`, () =>
      Effect.gen(function*() {
        const place = yield* make({}, settings)
        const pipeline = ChildProcess.make`yes`.pipe(Exec.pipeTo(stage), Exec.pipeTo(ChildProcess.make`cat`))
        const error = yield* failure(inTime(place.provide(Exec.run(pipeline))))
        assert.deepStrictEqual([error.stage, reasonOf(error)], [1, reason])
        assert.deepStrictEqual(ends(error.results), ["Interrupted", "Failed", "Interrupted"])
        yield* nothingLeft(place)
      }))
  }

  it.effect("is not waited for when another one has failed", () =>
    Effect.gen(function*() {
      const place = yield* make({}, {
        refuse: ({ command }) => command.includes("cat") ? { never: true } : undefined
      })
      const pipeline = Exec.pipeTo(on`no-such-program`, on`cat`)
      const running = yield* Effect.forkChild(failure(place.provide(Exec.run(pipeline))))
      yield* opened(place, 1)
      yield* TestClock.adjust("1 second")
      yield* Server.settle
      assert.isDefined(running.pollUnsafe(), "it waits for the other to start")
      const error = yield* Fiber.join(running)
      assert.deepStrictEqual([error.stage, reasonOf(error)], [0, "CommandNotFound"])
      yield* nothingLeft(place)
    }))

  it.effect("ends the others while they start", () =>
    Effect.gen(function*() {
      const place = yield* make({}, { refuse: () => ({ never: true }) })
      const error = yield* failure(
        inTime(place.provide(Exec.run(Exec.pipeTo(on`yes`, ChildProcess.make`no-such-program`))))
      )
      assert.deepStrictEqual([error.stage, reasonOf(error)], [1, "NotFound"])
      yield* nothingLeft(place)
    }))
})

describe("a process here that a signal ends", () => {
  const signalled = PlatformError.systemError({ _tag: "Unknown", module: "ChildProcess", method: "exitCode" })

  it.effect("is a failure, and the stage behind it sees no end of its input, although its output has ended before", () =>
    Effect.gen(function*() {
      const place = mapHandles(yield* make(), (handle) => ({
        ...handle,
        exitCode: Effect.andThen(handle.exitCode, Effect.andThen(Effect.sleep("100 millis"), signalled))
      }))
      const pipeline = Exec.pipeTo(ChildProcess.make`echo part`, on`cat`)
      const error = yield* failure(inTime(place.provide(Exec.run(pipeline))))
      assert.deepStrictEqual([error.stage, error.reason._tag], [0, "PlatformError"])
      assert.isFalse(place.server.sessions[0]?.seen.some(({ _tag }) => _tag === "StdinEnded"))
      yield* nothingLeft(place)
    }))

  it.effect("is not waited for when it has closed its output and goes on", () =>
    Effect.gen(function*() {
      const place = mapHandles(yield* make(), (handle) => ({
        ...handle,
        exitCode: Effect.tap(handle.exitCode, () => Effect.sleep("1 hour"))
      }))
      const pipeline = Exec.pipeTo(ChildProcess.make`echo part`, Exec.through((input) => input))
      const reading = yield* Effect.forkChild(
        place.provide(Stream.runForEach(Exec.stream(Exec.pipeTo(pipeline, on`cat`)), () => Effect.void))
      )
      yield* opened(place, 1)
      yield* TestClock.adjust("1 second")
      yield* Server.settle
      assert.isTrue(place.server.sessions[0]?.seen.some(({ _tag }) => _tag === "StdinEnded"))
      yield* TestClock.adjust("1 hour")
      yield* inTime(Fiber.join(reading))
    }))
})

describe("an output that cannot be read to its end", () => {
  const broken = PlatformError.systemError({ _tag: "Unknown", module: "Stream", method: "read" })
  for (const code of [0, 3]) {
    for (const behind of ["the last", "followed by another"]) {
      it.effect(`is a failure, although its process has ended with ${code} before (${behind})`, () =>
        Effect.gen(function*() {
          const place = mapHandles(yield* make(), (handle) => ({
            ...handle,
            stdout: Stream.concat(
              handle.stdout,
              Stream.fromEffectDrain(Effect.andThen(Effect.sleep("1 second"), broken))
            )
          }))
          const first = Exec.pipeTo(on`echo x`, ChildProcess.make`tee ${code}`)
          const error = yield* failure(
            inTime(place.provide(Exec.run(behind === "the last" ? first : Exec.pipeTo(first, on`cat`))))
          )
          assert.deepStrictEqual([error.stage, error.reason._tag], [1, code === 0 ? "PlatformError" : "ExitedNonZero"])
          assert.strictEqual(error.results[1]?.end, "Failed")
          const last = place.server.sessions.find(({ asked }) => asked.command.includes("cat"))
          const hasEnd = last?.seen.some(({ _tag }) => _tag === "StdinEnded")
          assert.strictEqual(hasEnd, behind === "the last" ? undefined : false)
          yield* nothingLeft(place)
        }))
    }
  }
})

describe("a stage that is lost", () => {
  const lost = (ended: Array<string>): Programs => ({
    /** Writes a line and is cut off. */
    begun: ({ stdout }) => Effect.andThen(stdout("begun\n"), Effect.never),
    /** Tells that it saw the end of stdin. */
    watchful: (io) => Effect.as(Effect.andThen(readAll(io), Effect.sync(() => ended.push(io.argv[0]!))), 0)
  })

  it.effect("ends the others, and none of them sees an end of its input", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const place = yield* make(lost(ended))
      const watched = Exec.through((input) => Stream.onEnd(input, Effect.sync(() => ended.push("through"))))
      const pipeline = on`begun`.pipe(
        Exec.pipeTo(watched),
        Exec.pipeTo(ChildProcess.make`watchful`),
        Exec.pipeTo(watched),
        Exec.pipeTo(on`cat`)
      )
      const running = yield* Effect.forkChild(failure(place.provide(Exec.run(pipeline))))
      yield* opened(place, 2)
      const session = place.server.sessions.find(({ asked }) => asked.command.includes("begun"))
      assert(session !== undefined)
      yield* session.connection.reset
      const error = yield* inTime(Fiber.join(running))
      assert.deepStrictEqual([error.stage, reasonOf(error)], [0, "ConnectionLost"])
      assert.deepStrictEqual(ends(error.results), [
        "Failed",
        "Interrupted",
        "Interrupted",
        "Interrupted",
        "Interrupted"
      ])
      assert.deepStrictEqual(flow(error.results)[0], [0, 6])
      yield* nothingLeft(place)
      assert.deepStrictEqual(ended, [])
      const last = place.server.sessions.find(({ asked }) => asked.command.includes("cat"))
      assert.isFalse(last?.seen.some(({ _tag }) => _tag === "StdinEnded"))
    }))

  it.effect("is a failure also when its stdout had ended before", () =>
    Effect.gen(function*() {
      const halfEnded: Server.Script = (session) =>
        Effect.gen(function*() {
          const record = parseSupervised(session.asked.command)?.record
          yield* session.stdout(`${record}@1\nall${record}:0\n`)
          yield* Server.settle
          yield* session.connection.reset
        })
      const place = yield* make({}, { script: halfEnded })
      const piped = Exec.pipeTo(on`a`, pass)
      const runs: ReadonlyArray<Effect.Effect<unknown, StageFailed, KubeClient>> = [
        Exec.run(on`a`),
        Exec.run(piped),
        Exec.string(piped)
      ]
      for (const run of runs) {
        assert.strictEqual(reasonOf(yield* failure(inTime(place.provide(run)))), "ConnectionLost")
      }
      yield* nothingLeft(place)
    }))

  it.effect("is told with how long the others have run", () =>
    Effect.gen(function*() {
      const place = yield* make(lost([]))
      const running = yield* Effect.forkChild(failure(place.provide(Exec.run(Exec.pipeTo(on`begun`, on`cat`)))))
      yield* opened(place, 2)
      yield* TestClock.adjust("3 seconds")
      yield* place.server.sessions.find(({ asked }) => asked.command.includes("begun"))?.connection.reset ?? Effect.void
      const error = yield* Fiber.join(running)
      assert.deepStrictEqual(error.results.map(({ durationMillis }) => durationMillis), [3000, 3000])
    }))
})
