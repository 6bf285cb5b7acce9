/**
 * Pipelines: over pods, local processes and stream stages.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { StageFailed } from "@effect-k8s/channels/pipeline/StageResult"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"
import { settled } from "../../contract/Row.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, type Row, row, same } from "../Row.ts"
import * as Used from "../Used.ts"

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

// What lies between a command and a reader here: the server's buffers, those of the sockets, ours, and the pipes of a
// local process; in MiB. Measured: 10 to 20 of a test cluster, up to 40 of a real one.
const mostAhead = 96

const passOn = Exec.through((input) => input, { name: "pass on" })

/** A shell that goes on with what it has when its input ends. */
const goingOn = (file: string) => ChildProcess.make("sh", ["-c", `tee ${file}.part; mv ${file}.part ${file}`])

const shell = (script: string) => Exec.string(Exec.pipeTo(ChildProcess.make("sh", ["-c", script]), passOn))

const notThere = (file: string, what: string) =>
  Effect.gen(function*() {
    // Whoever was not ended would be done by then.
    yield* Effect.sleep("20 millis")
    const there = yield* shell(`ls ${file} 2>/dev/null; rm -f ${file} ${file}.part`)
    yield* same(there, "", `what has become of the input ${what}`)
  })

export const rows: ReadonlyArray<Row> = [
  row(
    "X1",
    "a later stage that ends early ends the stages before it, in pods and here, and nothing is left",
    function*() {
      const { target } = yield* Lab
      const marker = Remote.makeMarker()
      const endless = Exec.on(target())(["sh", "-c", "yes; :", marker])
      const pod = yield* Exec.run(
        endless.pipe(Exec.pipeTo(Exec.on(target())`cat`), Exec.pipeTo(Exec.on(target())`head -1`))
      )
      yield* Used.stages(pod)
      yield* same(pod.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"], "ends in pods")
      const local = yield* Exec.run(
        endless.pipe(Exec.pipeTo(ChildProcess.make`cat`), Exec.pipeTo(ChildProcess.make`head -1`))
      )
      yield* Used.stages(local)
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
      yield* Used.stages(error.results)
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
    const endless = Exec.on(target())(["sh", "-c", "yes; :", marker])
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
    const pipeline = Exec.on(target())(["sh", "-c", "yes; :", marker]).pipe(
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
  }, { only: { path: "tunnel", why: "the tunnel is what ends the connection" } }),
  row("X2", "no process here goes on with what it has when the stage before it is lost", function*() {
    const { target, tunnel } = yield* Lab
    const file = `/tmp/${Remote.makeFile()}`
    const endless = Exec.on(target())(["sh", "-c", "echo begun; sleep 1000"])
    const loses = Exec.through(Stream.tap<Uint8Array, void, never, never>(() => tunnel.drop("fin")))
    for (let i = 0; i < 5; i++) {
      const pipeline = endless.pipe(Exec.pipeTo(loses), Exec.pipeTo(goingOn(file)))
      const error = yield* Effect.flip(Exec.run(pipeline))
      yield* same([error.stage, summary(error).reason], [0, "ConnectionLost"], "failure")
      yield* notThere(file, "of one that was lost")
    }
  }, { only: { path: "tunnel", why: "the tunnel is what ends the connection" } }),
  row("X2", "no process here goes on with what it has when it is ended early, or interrupted", function*() {
    const { target } = yield* Lab
    const file = `/tmp/${Remote.makeFile()}`
    const endless = Exec.on(target())`yes`
    const pipeline = endless.pipe(Exec.pipeTo(goingOn(file)))
    for (let i = 0; i < 5; i++) {
      const results = yield* Exec.run(Exec.pipeTo(pipeline, ChildProcess.make`head -1`))
      yield* same(results.map(({ end }) => end), ["EndedEarly", "EndedEarly", "Completed"], "ends")
      yield* notThere(file, "when nobody needs it any more")
      yield* Effect.timeoutOption(Exec.run(pipeline), 20 + 20 * i)
      yield* notThere(file, "of one that was interrupted")
    }
  }),
  row("X3", "a pipeline that is interrupted at any moment leaves nothing", function*() {
    const { target } = yield* Lab
    const marker = Remote.makeMarker()
    const pipeline = Exec.on(target())(["sh", "-c", "yes; :", marker]).pipe(
      Exec.pipeTo(ChildProcess.make("sh", ["-c", "cat; :", marker])),
      Exec.pipeTo(passOn),
      Exec.pipeTo(Exec.on(target())(["sh", "-c", "cat >/dev/null; :", marker]))
    )
    const interrupted = Effect.fnUntraced(function*(millis: number) {
      const fiber = yield* Effect.forkChild(Exec.run(pipeline))
      yield* Effect.sleep(millis)
      yield* Fiber.interrupt(fiber)
    })
    // Each takes its two seconds to end what does not end by itself.
    yield* Effect.forEach([0, 1, 3, 10, 30, 60, 100, 200, 400], interrupted, { concurrency: 3, discard: true })
    yield* Remote.gone(target(), marker)
  }),
  row("X4", "a last stage that reads nothing holds the first one back, whatever has been read before", function*() {
    const { target } = yield* Lab
    const file = Remote.makeFile()
    const marker = Remote.makeMarker()
    // The command tells how many MiB it has got rid of.
    const script = `i=0; while head -c ${MiB} /dev/zero; do i=$((i + 1)); echo $i >${file}; done`
    let read = 0
    const ahead = Exec.string(Exec.on(target())(["sh", "-c", `cat ${file} 2>/dev/null || echo 0`])).pipe(
      Effect.map((text) => Number(text) - read / MiB),
      Effect.tap((ahead) => check(ahead < mostAhead, `the first stage is ${ahead} MiB ahead of ${read / MiB} MiB read`))
    )
    const pipeline = Exec.on(target())(["sh", "-c", script, marker]).pipe(
      Exec.pipeTo(ChildProcess.make`cat`),
      Exec.pipeTo(passOn)
    )
    const checkpoints = [MiB, 32 * MiB, 64 * MiB]
    const reading = Stream.runForEachWhile(Exec.stream(pipeline), (chunk) =>
      Effect.gen(function*() {
        read += chunk.length
        const [checkpoint] = checkpoints
        if (checkpoint === undefined) return false
        if (read < checkpoint) return true
        yield* settled(ahead)
        checkpoints.shift()
        return checkpoints.length > 0
      }))
    yield* reading
    yield* same(checkpoints, [], "checkpoints that were not reached")
    yield* Remote.remove(target(), file)
    yield* Remote.gone(target(), marker)
  }),
  row("X5", "200 targets in several pods and containers, 16 at a time, each with its own outcome", function*() {
    const { target } = yield* Lab
    const containers = [target(), target("three", "main"), target("three", "side"), target("three", "tty")]
    // A target is known by being this one: there are 50 of each container.
    const targets = Array.from({ length: 200 }, (_, i) => ({ ...containers[i % containers.length]! }))
    const full = yield* Latch.make()
    let running = 0
    let most = 0
    let begun = 0
    const begin = Effect.suspend(() => {
      most = Math.max(most, ++running)
      // The first ones wait for each other, and then a moment for one too many.
      return ++begun === 16
        ? Effect.andThen(Effect.sleep("100 millis"), full.open)
        : Effect.andThen(Effect.timeoutOption(full.await, "10 seconds"), full.open)
    })
    const end = Effect.sync(() => {
      running--
    })
    const outcomes = yield* Stream.runCollect(Exec.fanOut(
      targets,
      (one) => {
        const number = targets.indexOf(one)
        return Exec.through(() => Stream.fromEffectDrain(begin), { name: "begin" }).pipe(
          Exec.pipeTo(Exec.on(one)(["sh", "-c", `cat; echo "$WHERE ${number}"; exit $((${number} % 2))`])),
          Exec.pipeTo(Exec.through((input) => Stream.ensuring(input, end), { name: "end" }))
        )
      },
      { concurrency: 16 }
    ))
    yield* same(most, 16, "targets at a time, at most")
    const summary = yield* Stream.run(Stream.fromIterable(outcomes), Exec.summary())
    yield* same([summary.succeeded, summary.failed], [100, 100], "outcomes")
    const seen = new Set(outcomes.map(({ target }) => targets.indexOf(target)))
    yield* same(seen.size, 200, "targets with an outcome")
    for (const { stdout, target } of outcomes) {
      yield* same(stdout, `${target.pod}/${target.container} ${targets.indexOf(target)}\n`, "output of a target")
    }
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
