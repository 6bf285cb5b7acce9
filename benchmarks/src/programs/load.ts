/**
 * Many forwarded connections in sequence, or many commands at once, and what the process holds before, in the middle and
 * after. It is run with `--expose-gc`, so that the heap is counted without what nobody holds any more.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { readdirSync, readlinkSync } from "node:fs"
import * as OurKube from "../clients/ourKube.ts"
import type { Counts, LoadReport, LoadWork } from "../shared/Load.ts"
import * as Words from "../shared/Words.ts"

const work = JSON.parse(process.argv[2] ?? "{}") as LoadWork
const target = Target.pod(work.pod.name, { namespace: work.pod.namespace, container: work.pod.container })
// What was ended takes its moment until it is gone: forwarded connections a second.
const settleMillis = 2_000
// So much is done before that memory has found its size: of a leak as much would be left behind by what follows.
const warmUpPart = 0.25

let fibers = 0
const counter = {
  recordFiberStart: () => {
    fibers++
  },
  recordFiberEnd: () => {
    fibers--
  }
}

const isSocket = (descriptor: string): boolean => {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:")
  } catch {
    // The descriptor that the folder itself was read by.
    return false
  }
}

const counts: Effect.Effect<Counts> = Effect.gen(function*() {
  yield* Effect.sleep(settleMillis)
  return yield* Effect.sync((): Counts => {
    globalThis.gc?.()
    const { heapUsed, rss } = process.memoryUsage()
    return {
      sockets: readdirSync("/proc/self/fd").filter(isSocket).length,
      fibers,
      rssBytes: rss,
      heapBytes: heapUsed
    }
  })
})

const failed = (what: string) => Effect.die(new Error(what))

/** Connects, sends a byte, gets it back, and leaves: servers tell a second later that a connection has ended well. */
const connection = (session: PortForward.Session) =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* session.connect(work.ports.ping)
    yield* Stream.run(Stream.succeed(Uint8Array.of(7)), connection.write)
    const bytes = yield* Stream.runFold(Stream.take(connection.read, 1), () => 0, (sum, { length }) => sum + length)
    if (bytes !== 1) return yield* failed(`a connection gave back ${bytes} bytes`)
  }))

const connections = Effect.scoped(Effect.gen(function*() {
  const session = yield* PortForward.open(target)
  const many = (count: number) => Effect.repeat(connection(session), { times: count - 1 })
  yield* many(Math.ceil(work.count * warmUpPart))
  const before = yield* counts
  const half = Math.max(1, Math.floor(work.count / 2))
  yield* many(half)
  const middle = yield* counts
  yield* many(half)
  return { before, middle, after: yield* counts }
}))

/** Begins a command, waits until all have begun, then sends a byte, gets it back, ends stdin, and sees success. */
const command = (begun: Effect.Effect<void>, all: Effect.Effect<void>) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* Exec.on(target, { stdin: "pipe" })(Words.echo(work))
    yield* begun
    yield* all
    const reading = yield* Effect.forkChild(
      Stream.runFold(handle.stdout, () => 0, (sum, { length }) => sum + length)
    )
    yield* Stream.run(Stream.succeed(Uint8Array.of(7)), handle.stdin)
    const bytes = yield* Fiber.join(reading)
    const code = yield* handle.exitCode
    if (bytes !== 1 || code !== 0) return yield* failed(`a command gave back ${bytes} bytes and ended with ${code}`)
  }))

const atOnce = Effect.fnUntraced(function*(count: number) {
  const all = yield* Deferred.make<void>()
  const allBegun = yield* Deferred.make<void>()
  let left = count
  const begun = Effect.suspend(() => --left === 0 ? Effect.asVoid(Deferred.succeed(allBegun, undefined)) : Effect.void)
  const commands = yield* Effect.forkChild(
    Effect.forEach(Array.from({ length: count }), () => command(begun, Deferred.await(all)), {
      concurrency: "unbounded",
      discard: true
    })
  )
  // A command that fails ends the waiting too.
  yield* Effect.raceFirst(Deferred.await(allBegun), Fiber.join(commands))
  const middle = yield* counts
  yield* Deferred.succeed(all, undefined)
  yield* Fiber.join(commands)
  return middle
})

const commands = Effect.gen(function*() {
  // The most that is held at once is what memory grows to, so once is all of them.
  yield* atOnce(work.count)
  const before = yield* counts
  const middle = yield* atOnce(work.count)
  return { before, middle, after: yield* counts }
})

const begun = performance.now()
const result = await Effect.runPromise(
  (work.what === "connections" ? connections : commands).pipe(
    Effect.provide(OurKube.layer(work)),
    Effect.provideService(Metric.FiberRuntimeMetrics, counter)
  )
)
const report: LoadReport = { ...result, millis: performance.now() - begun }
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
