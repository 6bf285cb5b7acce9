/**
 * Many forwarded connections in sequence, or many commands at once, while the server changes the token that it accepts,
 * and what the process holds before, in the middle and after. It is run with `--expose-gc`, so that the heap is counted
 * without what nobody holds any more.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { readdirSync, readlinkSync } from "node:fs"
import * as OurKube from "../clients/ourKube.ts"
import type { Counts, LoadReport } from "../shared/Load.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"

const work = JSON.parse(process.argv[2] ?? "{}") as Work
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
  // What is collected here is given back beside the program, so that it is still counted for a moment: by megabytes.
  for (let i = 0; i < 2; i++) {
    yield* Effect.sleep(settleMillis / 2)
    yield* Effect.sync(() => globalThis.gc?.())
  }
  return yield* Effect.sync((): Counts => {
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

// So many connections are one after the other before something meets the token of the moment.
const roundConnections = 100

const connections = Effect.scoped(Effect.gen(function*() {
  // Outlives all tokens: what was opened with one goes on when it is refused.
  const session = yield* PortForward.open(target)
  // Asks for an upgrade for each connection.
  const separate = yield* PortForward.open(target, { transport: "websocket" })
  let sessions = 2
  const another = Effect.scoped(Effect.gen(function*() {
    const another = yield* PortForward.open(target)
    sessions++
    yield* connection(another)
  }))

  // A session that is opened reads the pod first, so it alone would have no upgrade that is refused.
  let rounds = 0
  const round = Effect.fnUntraced(function*(count: number) {
    yield* rounds++ % 2 === 0 ? another : connection(separate)
    if (count > 1) yield* Effect.repeat(connection(session), { times: count - 2 })
  })
  const many = Effect.fnUntraced(function*(count: number) {
    for (let left = count; left > 0; left -= roundConnections) yield* round(Math.min(left, roundConnections))
  })

  yield* many(Math.ceil(work.count * warmUpPart))
  const before = yield* counts
  const half = Math.max(1, Math.floor(work.count / 2))
  yield* many(half)
  const middle = yield* counts
  yield* many(half)
  return { before, middle, after: yield* counts, sessions }
}))

// All of them shake hands at once, and again when they are refused: what a busy machine takes for that is not what is asked.
const handshakeTimeout = "5 minutes"
// The benchmark server passes over a number behind the words; it tells commands apart for who counts them.
let commandNumber = 0

/** Begins a command, waits until all have begun, then sends a byte, gets it back, ends stdin, and sees success. */
const command = (begun: Effect.Effect<void>, all: Effect.Effect<void>) =>
  Effect.scoped(Effect.gen(function*() {
    const options = { stdin: "pipe", handshakeTimeout, startTimeout: handshakeTimeout } as const
    const handle = yield* Exec.on(target, options)([...Words.echo(work), String(++commandNumber)])
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
  // The most that is held at once is what memory grows to, so once is all of them; how they lie in it, twice.
  yield* atOnce(work.count)
  yield* atOnce(work.count)
  const before = yield* counts
  const middle = yield* atOnce(work.count)
  return { before, middle, after: yield* counts, commands: commandNumber }
})

const begun = performance.now()
const load: Effect.Effect<
  Omit<LoadReport, "millis">,
  Effect.Error<typeof connections | typeof commands>,
  KubeClient
> = work.kind === "forwardConnects" ? connections : commands
const result = await Effect.runPromise(
  load.pipe(
    Effect.provide(OurKube.layerOfContext(work)),
    Effect.provideService(Metric.FiberRuntimeMetrics, counter)
  )
)
const report: LoadReport = { ...result, millis: performance.now() - begun }
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
