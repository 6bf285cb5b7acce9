import * as Exec from "@effect-k8s/channels/Exec"
import * as Pipeline from "@effect-k8s/channels/pipeline/Pipeline"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import * as Server from "../support/execServer.ts"
import { ends, failure, flow, inTime, make, nothingLeft, on, opened, reasonOf } from "../support/pipelines.ts"

const pass = Exec.through((input) => input, { name: "pass" })
const tags = ({ stages }: Pipeline.Pipeline<unknown, unknown>) => stages.map(({ _tag }) => _tag)
const commands = ({ stages }: Pipeline.Pipeline<unknown, unknown>) => stages.map(Pipeline.describe)

describe("a pipeline", () => {
  it("has its stages in order: pods, local processes and stream functions", () => {
    const pipeline = on`echo a`.pipe(
      Exec.pipeTo(ChildProcess.make`sort -u`),
      Exec.pipeTo(pass),
      Exec.pipeTo(on`cat`)
    )
    assert.isTrue(Pipeline.isPipeline(pipeline))
    assert.isFalse(Pipeline.isPipeline(on`cat`))
    assert.deepStrictEqual(tags(pipeline), ["Pod", "Local", "Through", "Pod"])
    assert.deepStrictEqual(commands(pipeline), ["echo a", "sort -u", "pass", "cat"])
  })

  it("takes a piped local command as its stages, however it is nested", () => {
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => ChildProcess.make(name, [])) as [
      ChildProcess.StandardCommand,
      ChildProcess.StandardCommand,
      ChildProcess.StandardCommand,
      ChildProcess.StandardCommand
    ]
    const piped = [
      ChildProcess.pipeTo(ChildProcess.pipeTo(ChildProcess.pipeTo(a, b), c), d),
      ChildProcess.pipeTo(ChildProcess.pipeTo(a, b), ChildProcess.pipeTo(c, d)),
      ChildProcess.pipeTo(a, ChildProcess.pipeTo(b, ChildProcess.pipeTo(c, d)))
    ]
    for (const command of piped) {
      const pipeline = Exec.pipeTo(command, on`cat`)
      assert.deepStrictEqual(commands(pipeline), ["a", "b", "c", "d", "cat"])
      assert.deepStrictEqual(tags(pipeline), ["Local", "Local", "Local", "Local", "Pod"])
    }
  })

  it("takes a pipeline as its stages, on either side", () => {
    const one = Exec.pipeTo(on`a`, on`b`)
    const two = Exec.pipeTo(pass, on`c`)
    assert.deepStrictEqual(commands(Exec.pipeTo(one, two)), ["a", "b", "pass", "c"])
    assert.deepStrictEqual(commands(Exec.pipeTo(on`x`, one)), ["x", "a", "b"])
    assert.deepStrictEqual(commands(one.pipe(Exec.pipeTo(one))), ["a", "b", "a", "b"])
    assert.strictEqual(one.stages.length, 2)
  })

  it("has what feeds a command as a stage of its own", () => {
    const fed = Exec.feed(on`cat`, Stream.empty)
    assert.deepStrictEqual(commands(Exec.pipeTo(fed, on`count`)), ["feed", "cat", "count"])
    assert.deepStrictEqual(tags(Exec.pipeTo(fed, on`count`)), ["Through", "Pod", "Pod"])
  })

  it("prints its stages, and where each runs", () => {
    const named = Exec.through(function upper(input) {
      return input
    })
    const pipeline = on`psql -c ${"select 1"}`.pipe(
      Exec.pipeTo(ChildProcess.make`zstd -T2`),
      Exec.pipeTo(named),
      Exec.pipeTo(Exec.through((input) => input)),
      Exec.pipeTo(Exec.on(Target.pod("store-0"))`cat`)
    )
    const text = "Pipeline(psql -c 'select 1' @ ns/p/c | zstd -T2 @ local | upper @ in this process" +
      " | through @ in this process | cat @ store-0)"
    assert.strictEqual(String(pipeline), text)
    assert.strictEqual(inspect(pipeline), text)
    assert.deepStrictEqual(JSON.parse(JSON.stringify(pipeline)), {
      _id: "Pipeline",
      stages: [
        { _tag: "Pod", command: "psql -c 'select 1'", target: "ns/p/c" },
        { _tag: "Local", command: "zstd -T2", target: "local" },
        { _tag: "Through", command: "upper", target: "in this process" },
        { _tag: "Through", command: "through", target: "in this process" },
        { _tag: "Pod", command: "cat", target: "store-0" }
      ]
    })
  })

  it.effect("does nothing until it is run, and runs each time that it is", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const pipeline = on`echo x`.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(on`cat`))
      yield* Server.settle
      assert.deepStrictEqual([place.server.sessions.length, place.local.spawned.length], [0, 0])
      yield* place.provide(Effect.all([Exec.string(pipeline), Exec.run(pipeline)]))
      assert.deepStrictEqual([place.server.sessions.length, place.local.spawned.length], [4, 2])
      yield* nothingLeft(place)
    }))

  it.effect("gives the same however it was put together", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const one = Exec.pipeTo(Exec.pipeTo(Exec.pipeTo(on`produce 100000`, ChildProcess.make`cat`), pass), on`count`)
      const two = Exec.pipeTo(on`produce 100000`, Exec.pipeTo(ChildProcess.make`cat`, Exec.pipeTo(pass, on`count`)))
      assert.strictEqual(yield* place.provide(Exec.string(one)), "100000")
      assert.strictEqual(yield* place.provide(Exec.string(two)), "100000")
      yield* nothingLeft(place)
    }))

  it.effect("passes bytes unchanged through stages of every kind", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const size = 3_000_001
      const pipeline = on(["produce", String(size)]).pipe(
        Exec.pipeTo(on`cat`),
        Exec.pipeTo(ChildProcess.make`cat`),
        Exec.pipeTo(pass),
        Exec.pipeTo(ChildProcess.pipeTo(ChildProcess.make`cat`, ChildProcess.make`cat`)),
        Exec.pipeTo(on`cat`)
      )
      let at = 0
      yield* place.provide(Stream.runForEach(Exec.stream(pipeline), (bytes) =>
        Effect.sync(() => {
          for (const byte of bytes) if (byte !== at++ % 251) assert.fail(`byte ${at - 1}`)
        })))
      assert.strictEqual(at, size)
      yield* nothingLeft(place)
    }))
})

describe("a local pipe of anything but stdout to stdin", () => {
  const cat = ChildProcess.make`cat`
  const pipes: ReadonlyArray<readonly [string, ChildProcess.PipeOptions]> = [
    ["stderr to stdin", { from: "stderr" }],
    ["all to stdin", { from: "all" }],
    ["fd3 to stdin", { from: "fd3" }],
    ["stdout to fd4", { to: "fd4" }]
  ]
  for (const [what, options] of pipes) {
    it.effect(`is refused before anything runs: ${what}`, () =>
      Effect.gen(function*() {
        const place = yield* make()
        const local = ChildProcess.pipeTo(cat, ChildProcess.pipeTo(cat, cat, options))
        const error = yield* failure(place.provide(Exec.run(on`yes`.pipe(Exec.pipeTo(local), Exec.pipeTo(on`cat`)))))
        assert.strictEqual(reasonOf(error), "BadArgument")
        assert.strictEqual(error.stage, 2)
        assert.include(error.message, `not ${what}`)
        assert.deepStrictEqual([place.server.asked.length, place.local.spawned.length], [0, 0])
        assert.deepStrictEqual(ends(error.results), [
          "Interrupted",
          "Interrupted",
          "Failed",
          "Interrupted",
          "Interrupted"
        ])
      }))
  }

  it.effect("is refused before anything runs: an output into a command that is fed", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const fed = Exec.feed(on`cat`, Stream.empty)
      const error = yield* failure(place.provide(Exec.run(Exec.pipeTo(on`yes`, fed))))
      assert.strictEqual(reasonOf(error), "BadArgument")
      assert.include(error.message, "takes no output of a stage before it")
      assert.deepStrictEqual([place.server.asked.length, place.local.spawned.length], [0, 0])
    }))

  it.effect("is not what says so in other words", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const local = ChildProcess.pipeTo(cat, cat, { from: "stdout", to: "stdin" })
      assert.strictEqual(yield* place.provide(Exec.string(Exec.pipeTo(on`echo x`, local))), "x\n")
    }))
})

describe("the results of a pipeline", () => {
  it.effect("say of each stage what it was and what became of it", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const pipeline = on`echo four`.pipe(
        Exec.pipeTo(ChildProcess.make`cat`),
        Exec.pipeTo(
          Exec.through(Stream.flatMap(() => Stream.make(new Uint8Array(3), new Uint8Array(4))), { name: "7" })
        ),
        Exec.pipeTo(on`count`)
      )
      assert.deepStrictEqual(yield* place.provide(Exec.run(pipeline)), [
        {
          _tag: "Pod",
          index: 0,
          command: "echo four",
          target: "ns/p/c",
          end: "Completed",
          exitCode: 0,
          verified: { stdout: true, stderr: true },
          protocol: v5,
          transport: "websocket",
          bytesIn: 0,
          bytesOut: 5,
          durationMillis: 0
        },
        {
          _tag: "Local",
          index: 1,
          command: "cat",
          end: "Completed",
          exitCode: 0,
          bytesIn: 5,
          bytesOut: 5,
          durationMillis: 0
        },
        { _tag: "Through", index: 2, command: "7", end: "Completed", bytesIn: 5, bytesOut: 7, durationMillis: 0 },
        {
          _tag: "Pod",
          index: 3,
          command: "count",
          target: "ns/p/c",
          end: "Completed",
          exitCode: 0,
          verified: { stdout: true, stderr: true },
          protocol: v5,
          transport: "websocket",
          bytesIn: 7,
          bytesOut: 1,
          durationMillis: 0
        }
      ])
      yield* nothingLeft(place)
    }))

  it.effect("say how long each took, from the start of the pipeline", () =>
    Effect.gen(function*() {
      const after = (millis: number): Effect.Effect<number> => Effect.as(Effect.sleep(millis), 0)
      const place = yield* make({
        slow: ({ argv }) => after(Number(argv[1])),
        slowCat: ({ argv, read }) =>
          Effect.gen(function*() {
            while ((yield* read) !== undefined);
            return yield* after(Number(argv[1]))
          })
      })
      const pipeline = on`slow 1000`.pipe(
        Exec.pipeTo(ChildProcess.make`slowCat 2000`),
        Exec.pipeTo(Exec.through((input) => Stream.concat(input, Stream.fromEffectDrain(Effect.sleep("5 seconds"))))),
        Exec.pipeTo(on`slowCat 500`)
      )
      const running = yield* Effect.forkChild(place.provide(Exec.run(pipeline)))
      yield* opened(place, 2)
      const results = yield* inTime(Fiber.join(running))
      assert.deepStrictEqual(results.map(({ durationMillis }) => durationMillis), [1000, 3000, 8000, 8500])
    }))

  it.effect("do not count the end of the stages before a stage that ended early", () =>
    Effect.gen(function*() {
      const place = yield* make({
        // Heeds the end only after a while, as a process that ignores SIGTERM does. The test's clock has no sleep for a
        // fiber that is being interrupted.
        stubborn: ({ stdout }) =>
          Effect.onInterrupt(
            Effect.forever(stdout(new Uint8Array(1000))),
            () => Effect.flatMap(Effect.forkDetach(Effect.sleep("2 seconds")), Fiber.join)
          )
      })
      const pipeline = ChildProcess.make`stubborn`.pipe(Exec.pipeTo(ChildProcess.make`head 10`))
      const results = yield* inTime(place.provide(Exec.run(pipeline)))
      assert.deepStrictEqual(ends(results), ["EndedEarly", "Completed"])
      assert.deepStrictEqual(results.map(({ durationMillis }) => durationMillis), [0, 0])
    }))

  it.effect("say what was negotiated, and whether the outputs were verified", () =>
    Effect.gen(function*() {
      const place = yield* make({}, { protocols: [v4] })
      const [first] = yield* inTime(place.provide(Exec.run(on`echo x`)))
      assert(first?._tag === "Pod")
      assert.strictEqual(first.protocol, v4)
      assert.deepStrictEqual(first.verified, { stdout: true, stderr: true })
      const bare = Exec.on(Target.pod("p", { namespace: "ns", container: "c" }), { supervise: "never" })`echo x`
      const [unverified] = yield* inTime(place.provide(Exec.run(bare)))
      assert(unverified?._tag === "Pod")
      assert.deepStrictEqual(unverified.verified, { stdout: false, stderr: false })
      yield* nothingLeft(place)
    }))

  it.effect("say where a command ran, filled in", () =>
    Effect.gen(function*() {
      const pod = (name: string) =>
        Response.json({
          apiVersion: "v1",
          kind: "Pod",
          metadata: { name, namespace: "ns" },
          spec: { containers: [{ name: "main" }] }
        })
      const place = yield* make({}, { pod })
      const pipeline = Exec.pipeTo(Exec.on(Target.pod("a"))`echo x`, Exec.on(Target.pod("b"))`fail 3`)
      const error = yield* failure(place.provide(Exec.run(pipeline)))
      assert.strictEqual(error.target, "ns/b/main")
      assert.strictEqual(error.reason._tag === "ExitedNonZero" && error.reason.target, "ns/b/main")
      assert.deepStrictEqual(error.results.map((result) => result._tag === "Pod" && result.target), [
        "ns/a/main",
        "ns/b/main"
      ])
    }))

  it.effect("are there for a single stage of each kind", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const all = yield* place.provide(Effect.all([
        Exec.run(on`produce 100000`),
        Exec.run(ChildProcess.make`produce 70000`),
        Exec.run(Exec.through(() => Stream.make(new Uint8Array(7)))),
        Exec.run(Exec.feed(on`count`, Stream.make(new Uint8Array(12))))
      ]))
      assert.deepStrictEqual(all.map(flow), [[[0, 100_000]], [[0, 70_000]], [[0, 7]], [[0, 12], [12, 2]]])
      for (const results of all) assert.isTrue(results.every(({ end }) => end === "Completed"))
      yield* nothingLeft(place)
    }))

  it.effect("are there when all stages are stream functions", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const source = Exec.through(() => Stream.make(new Uint8Array(5), new Uint8Array(6)), { name: "source" })
      const results = yield* place.provide(Exec.run(source.pipe(Exec.pipeTo(pass), Exec.pipeTo(pass))))
      assert.deepStrictEqual(flow(results), [[0, 11], [11, 11], [11, 11]])
      assert.deepStrictEqual(ends(results), ["Completed", "Completed", "Completed"])
    }))
})

describe("a pipeline's output", () => {
  const pipeline = on(["echo", "one\r\ntwo"]).pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(on`cat`))

  it.effect("is there as text, lines and bytes", () =>
    Effect.gen(function*() {
      const place = yield* make()
      assert.strictEqual(yield* place.provide(Exec.string(pipeline)), "one\r\ntwo\n")
      assert.deepStrictEqual(yield* place.provide(Exec.lines(pipeline)), ["one", "two"])
      assert.deepStrictEqual(yield* place.provide(Stream.runCollect(Exec.streamLines(pipeline))), ["one", "two"])
      assert.strictEqual(yield* place.provide(Stream.mkString(Exec.streamString(pipeline))), "one\r\ntwo\n")
      const bytes = yield* place.provide(Stream.runCollect(Exec.stream(pipeline)))
      assert.strictEqual(Buffer.concat(bytes).toString(), "one\r\ntwo\n")
      yield* nothingLeft(place)
    }))

  it.effect("may be dropped for the exit code of the last process", () =>
    Effect.gen(function*() {
      const place = yield* make()
      assert.strictEqual(yield* place.provide(Exec.exitCode(pipeline)), 0)
      assert.strictEqual(yield* place.provide(Exec.exitCode(Exec.pipeTo(pipeline, pass))), 0)
      const failing = yield* failure(place.provide(Exec.exitCode(Exec.pipeTo(pipeline, on`tee 4`))))
      assert.strictEqual(failing.reason._tag === "ExitedNonZero" && failing.reason.exitCode, 4)
      yield* nothingLeft(place)
    }))

  it.effect("comes before the failure", () =>
    Effect.gen(function*() {
      const place = yield* make()
      let size = 0
      const failing = on`produce 500000`.pipe(Exec.pipeTo(on`tee 3`), Exec.pipeTo(ChildProcess.make`cat`))
      const reading = Stream.runForEach(Exec.stream(failing), (bytes) => Effect.sync(() => size += bytes.length))
      const error = yield* failure(place.provide(reading))
      assert.strictEqual(error.stage, 1)
      assert.strictEqual(size, 500_000)
      yield* nothingLeft(place)
    }))

  it.effect("ends the pipeline when its reader stops", () =>
    Effect.gen(function*() {
      const place = yield* make()
      const endless = on`yes`.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(pass), Exec.pipeTo(on`cat`))
      const some = yield* inTime(place.provide(Stream.runCollect(Stream.take(Exec.stream(endless), 3))))
      assert.strictEqual(some.length, 3)
      yield* nothingLeft(place)
    }))
})
