/**
 * Pipelines: over pods, local processes and stream stages.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { StageFailed } from "@effect-k8s/channels/pipeline/StageResult"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, type Row, row, same } from "../Row.ts"

const MiB = 1024 * 1024

class Spoiled extends Data.TaggedError("Spoiled")<{}> {}

/** What is left of a failure for a comparison. */
const summary = (error: StageFailed) => ({
  stage: error.stage,
  reason: error.reason._tag === "KubeError" || error.reason._tag === "ChannelError" ||
      error.reason._tag === "PlatformError"
    ? error.reason.reason._tag
    : error.reason._tag,
  ends: error.results.map(({ end }) => end)
})

const passOn = Exec.through((input) => input, { name: "pass on" })

export const rows: ReadonlyArray<Row> = [
  row(
    "X1",
    "a later stage that ends early ends the stages before it, in pods and here, and nothing is left",
    function*() {
      const { target } = yield* Lab
      const marker = Remote.makeMarker()
      const endless = Exec.on(target())(["sh", "-c", "yes", marker])
      const pod = yield* Exec.run(
        endless.pipe(Exec.pipeTo(Exec.on(target())`cat`), Exec.pipeTo(Exec.on(target())`head -1`))
      )
      yield* same(pod.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"], "ends in pods")
      const local = yield* Exec.run(
        endless.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(ChildProcess.make`head -1`))
      )
      yield* same(local.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"], "ends of local processes")
      const lines = yield* Exec.lines(Exec.pipeTo(endless, Exec.through(Stream.take(1))))
      yield* check(lines.length > 0, "a through stage that takes one chunk gives none")
      yield* Remote.gone(target(), marker)
    }
  ),
  row("X2", "the failure of each stage names it, and the others end as they would in a shell", function*() {
    const { target } = yield* Lab
    const ok = Exec.on(target())`cat`
    const fails = Exec.on(target())(["sh", "-c", "cat; echo why >&2; exit 3"])
    const input = RandomData.make(2, MiB)
    const feed = <A extends Parameters<typeof Exec.run>[0]>(pipeline: A) =>
      Exec.run(Exec.pipeTo(Exec.through(() => input.stream, { name: "input" }), pipeline))
    for (
      const [stage, pipeline] of [
        [1, fails.pipe(Exec.pipeTo(ok), Exec.pipeTo(ok))],
        [2, ok.pipe(Exec.pipeTo(fails), Exec.pipeTo(ok))],
        [3, ok.pipe(Exec.pipeTo(ok), Exec.pipeTo(fails))]
      ] as const
    ) {
      const error = yield* Effect.flip(feed(pipeline))
      yield* same(summary(error), {
        stage,
        reason: "ExitedNonZero",
        ends: ["Completed", ...[1, 2, 3].map((i) => i === stage ? "Failed" : "Completed")]
      }, `failure of stage ${stage}`)
      yield* same(error.stderrTail, "why\n", "the end of its stderr")
      yield* same(error.results.map(({ bytesOut }) => bytesOut), [MiB, MiB, MiB, MiB], "bytes out")
    }
  }),
  row("X2", "a stage that cannot be started ends the others", function*() {
    const { namespace, target } = yield* Lab
    const marker = Remote.makeMarker()
    const endless = Exec.on(target())(["sh", "-c", "yes", marker])
    const missing = Exec.on({ ...target(), pod: "no-such-pod", namespace })`cat`
    const pod = yield* Effect.flip(Exec.run(Exec.pipeTo(endless, missing)))
    yield* same([pod.stage, summary(pod).reason], [1, "NotFound"], "a pod that is not there")
    const program = yield* Effect.flip(Exec.run(Exec.pipeTo(endless, Exec.on(target())`no-such-program`)))
    yield* same([program.stage, summary(program).reason], [1, "CommandNotFound"], "a program that is not there")
    const local = yield* Effect.flip(Exec.run(Exec.pipeTo(endless, ChildProcess.make`no-such-program`)))
    yield* same([local.stage, summary(local).reason], [1, "NotFound"], "a local program that is not there")
    yield* Remote.gone(target(), marker)
  }),
  row("X2", "the typed error of a through stage passes unwrapped, and ends the others", function*() {
    const { target } = yield* Lab
    const marker = Remote.makeMarker()
    const pipeline = Exec.on(target())(["sh", "-c", "yes", marker]).pipe(
      Exec.pipeTo(Exec.through((input) => Stream.concat(Stream.take(input, 3), Stream.fail(new Spoiled())))),
      Exec.pipeTo(Exec.on(target())`cat`)
    )
    const error = yield* Effect.flip(Exec.run(pipeline))
    yield* same(error._tag, "Spoiled", "error")
    yield* Remote.gone(target(), marker)
  }),
  row("X2", "no stage takes the loss of one before it for the end of its input", function*() {
    const { target, tunnel } = yield* Lab
    let ended = false
    const pipeline = Exec.on(target())(["sh", "-c", "echo begun; sleep 1000"]).pipe(
      Exec.pipeTo(Exec.through((input) =>
        input.pipe(
          Stream.tap(() => tunnel.drop("fin")),
          Stream.onEnd(Effect.sync(() => {
            ended = true
          }))
        )
      ))
    )
    const error = yield* Effect.flip(Exec.run(pipeline))
    yield* same(summary(error), { stage: 0, reason: "ConnectionLost", ends: ["Failed", "Interrupted"] }, "failure")
    yield* check(!ended, "the through stage saw an end of its input")
  }, { paths: ["tunnel"] }),
  row("X3", "a pipeline that is interrupted at any moment leaves nothing", function*() {
    const { target } = yield* Lab
    const marker = Remote.makeMarker()
    const pipeline = Exec.on(target())(["sh", "-c", "yes", marker]).pipe(
      Exec.pipeTo(ChildProcess.make("sh", ["-c", "cat", marker])),
      Exec.pipeTo(passOn),
      Exec.pipeTo(Exec.on(target())(["sh", "-c", "cat >/dev/null", marker]))
    )
    for (const millis of [0, 1, 3, 10, 30, 60, 100, 200, 400]) {
      const fiber = yield* Effect.forkChild(Exec.run(pipeline))
      yield* Effect.sleep(millis)
      yield* Fiber.interrupt(fiber)
    }
    yield* Remote.gone(target(), marker)
  }),
  row("X4", "a slow last stage holds the first one back, with flat memory", function*() {
    const { target } = yield* Lab
    const pipeline = Exec.on(target())`head -c 268435456 /dev/zero`.pipe(
      Exec.pipeTo(ChildProcess.make`cat`),
      Exec.pipeTo(Exec.through(Remote.throttle(8 * MiB), { name: "slow" }))
    )
    const before = process.memoryUsage().rss
    let peak = before
    const read = yield* Exec.stream(pipeline).pipe(
      Stream.tap(() =>
        Effect.sync(() => {
          peak = Math.max(peak, process.memoryUsage().rss)
        })
      ),
      Remote.countBytes,
      Effect.timeoutOption("4 seconds")
    )
    yield* check(read._tag === "None", "256 MiB passed a stage of 8 MiB/s in 4 seconds")
    yield* check(peak - before < 64 * MiB, `memory grew by ${Math.round((peak - before) / MiB)} MiB`)
  }, { paths: ["direct"] }),
  row("X5", "200 targets, 16 at a time, each with its outcome", function*() {
    const { target } = yield* Lab
    let running = 0
    let most = 0
    const count = (by: number) =>
      Effect.sync(() => {
        running += by
        most = Math.max(most, running)
      })
    const targets = Array.from({ length: 200 }, (_, i) => ({ ...target(), image: String(i) }))
    const outcomes = yield* Stream.runCollect(Exec.fanOut(
      targets,
      ({ image }) =>
        Exec.through(() => Stream.fromEffectDrain(count(1)), { name: "begin" }).pipe(
          Exec.pipeTo(Exec.on(target())(["sh", "-c", `cat; echo ${image}; exit $((${image} % 2))`])),
          Exec.pipeTo(Exec.through((input) => Stream.ensuring(input, count(-1)), { name: "end" }))
        ),
      { concurrency: 16 }
    ))
    yield* check(most <= 16, `${most} ran at a time`)
    const summary = yield* Stream.run(Stream.fromIterable(outcomes), Exec.summary())
    yield* same([summary.succeeded, summary.failed], [100, 100], "outcomes")
    yield* check(
      outcomes.every(({ stdout, target }) => stdout === `${target.image}\n`),
      "an outcome has the output of another target"
    )
  }),
  row("X6", "64 MiB of random bytes pass pods and local processes unchanged", function*() {
    const { target } = yield* Lab
    const data = RandomData.make(6, 64 * MiB)
    const pipeline = Exec.feed(Exec.on(target())`cat`, data.stream).pipe(
      Exec.pipeTo(ChildProcess.make`gzip -1 -c`),
      Exec.pipeTo(passOn),
      Exec.pipeTo(Exec.on(target())`gunzip -c`)
    )
    yield* same(yield* RandomData.hash(Exec.stream(pipeline)), data.hash, "hash")
  }),
  row("X7", "mixed local and remote stages give the result of the same pipeline in a shell", function*() {
    const { target } = yield* Lab
    const words = "pear apple pear fig apple pear"
    const lines = yield* Exec.lines(
      Exec.on(target())(["sh", "-c", `for w in ${words}; do echo $w; done`]).pipe(
        Exec.pipeTo(ChildProcess.make`sort`),
        Exec.pipeTo(Exec.on(target())`uniq -c`),
        Exec.pipeTo(ChildProcess.make`sort -rn`)
      )
    )
    yield* same(lines.map((line) => line.trim().replaceAll(/\s+/g, " ")), ["3 pear", "2 apple", "1 fig"], "lines")
  })
]
