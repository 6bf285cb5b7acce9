/**
 * Sessions in which nothing happens for longer than servers allow, while the credentials of their client change.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Credentials from "@effect-k8s/core/Credentials"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it, type TestContext } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { text, utf8 } from "../protocol/bytes.ts"
import * as Server from "../support/execServer.ts"
import * as Fibers from "../support/fibers.ts"
import * as ForwardServer from "../support/forwardServer.ts"
import { collected } from "../support/memory.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** Servers end what is idle for this long. */
const hours = 4
const stepMinutes = 10
const steps = hours * 60 / stepMinutes

/** A token and a TLS identity, and their successors. */
const rotating = () => {
  let generation = 0
  return {
    credentials: Credentials.Credentials.of({
      authorize: (request) => Effect.sync(() => HttpClientRequest.bearerToken(request, `token-${generation}`)),
      invalidate: Effect.succeed(false),
      identity: Effect.sync(() => ({ generation }))
    }),
    rotate: Effect.sync(() => {
      generation++
    })
  }
}

/** What is held at the end of an hour. */
interface Held {
  readonly sockets: number
  /** The most of that hour, at its steps. */
  readonly fibers: number
  readonly heapBytes: number
}

// In the second half: 40 to 130 KiB are the compiler's, and what the test's server notes of pings. If each of 700 pings left
// 400 bytes behind, as much as a suspension, it would be more than this.
const heapGrowthBytes = 256 * 1024

/**
 * Lets the hours pass, with other credentials after each step. `each` is told how much time has passed. Sockets and
 * fibers are in each hour what they were in the first, and the heap grows no more in the second half; all are reported.
 */
const idle = Effect.fnUntraced(function*<E, R>(
  { annotate }: Pick<TestContext, "annotate">,
  fibers: ReturnType<typeof Fibers.count>,
  { open }: { readonly open: () => number },
  rotate: Effect.Effect<void>,
  each: (minutes: number) => Effect.Effect<void, E, R>
): Effect.fn.Return<void, E, R> {
  const held: Array<Held> = []
  let most = 0
  for (let step = 1; step <= steps; step++) {
    yield* TestClock.adjust(`${stepMinutes} minutes`)
    yield* Server.settle
    yield* each(step * stepMinutes)
    yield* rotate
    most = Math.max(most, fibers.alive())
    if (step * stepMinutes % 60 !== 0) continue
    const { heapUsed } = yield* Effect.promise(collected)
    held.push({ sockets: open(), fibers: most, heapBytes: heapUsed })
    most = 0
  }
  const report = held.map(({ fibers, heapBytes, sockets }, i) =>
    `after ${i + 1} h: ${sockets} sockets, ${fibers} fibers, ${(heapBytes / 1024 / 1024).toFixed(2)} MiB of heap`
  ).join("\n")
  yield* Effect.promise(() => annotate(report))
  assert.lengthOf(held, hours)
  for (const count of ["sockets", "fibers"] as const) {
    assert.lengthOf(new Set(held.map((hour) => hour[count])), 1, `${count}\n${report}`)
  }
  const [half, end] = [held[hours / 2 - 1], held[hours - 1]]
  assert.isBelow((end?.heapBytes ?? 0) - (half?.heapBytes ?? 0), heapGrowthBytes, report)
})

/** Runs a test whose fibers are counted; none is left in the end, and none has died. */
const counting = <A, E, R>(
  body: (fibers: ReturnType<typeof Fibers.count>) => Effect.Effect<A, E, R>
): Effect.Effect<void, E, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const fibers = Fibers.count()
    yield* Effect.provideService(Effect.scoped(body(fibers)), Metric.FiberRuntimeMetrics, fibers.service)
    for (let i = 0; i < 20 && fibers.alive() > 0; i++) {
      yield* Server.settle
      yield* TestClock.adjust("1 second")
    }
    assert.deepStrictEqual(fibers.defects, [], "fibers that have died")
    assert.strictEqual(fibers.alive(), 0, "fibers that are left")
  })

/**
 * Pings after 10 s of silence each; half as many would do. What resets the server's idle limit each hour is one more,
 * where the protocol has no empty message.
 */
const isPingedInSilence = (pings: number, minutes: number): void => {
  assert.isAtLeast(pings, minutes * 60 / 20)
  assert.isAtMost(pings, minutes * 60 / 10 + Math.floor(minutes / 60))
}

const counted = (session: Server.ServerSession, tag: Server.Sent["_tag"]): number =>
  session.seen.filter(({ _tag }) => _tag === tag).length

const kinds: ReadonlyArray<readonly [name: string, options: ExecOptions]> = [
  ["a supervised command over WebSocket", { supervise: "required" }],
  ["a bare command over WebSocket", { supervise: "never" }],
  ["a supervised command over SPDY", { supervise: "required", transport: "spdy" }]
]

describe("a session that is idle for 4 hours while credentials are renewed", () => {
  for (const [name, options] of kinds) {
    it.effect(
      `of ${name} lives on one connection, and tells its exit code`,
      (test) =>
        counting(Effect.fnUntraced(function*(fibers) {
          const { credentials, rotate } = rotating()
          const server = yield* Server.make({ spdy: true, credentials })
          const on = (command: string) =>
            Effect.provideService(Exec.on(target, options)([command]), KubeClient, server.client)
          const begin = Effect.fnUntraced(function*(command: string) {
            const starting = yield* Effect.forkScoped(on(command))
            const session = yield* server.accepted
            const record = Programs.parseSupervised(session.asked.command)?.record
            if (record !== undefined) yield* session.stdout(`${record}@1\n`)
            const handle = yield* Server.joined(starting)
            const end = (code: number) =>
              record === undefined
                ? Effect.andThen(session.status(Server.exitStatus(code)), session.goodbye())
                : Effect.andThen(session.stdout(`${record}:${code}\n`), session.stderr(`${record}:${code}\n`))
            return { session, handle, end }
          })

          const { end, handle, session } = yield* begin("tail")
          yield* idle(test, fibers, server, rotate, (minutes) =>
            Effect.gen(function*() {
              assert.isTrue(yield* handle.isRunning)
              assert.strictEqual(server.open(), 1)
              isPingedInSilence(counted(session, "Ping"), minutes)
            }))
          assert.strictEqual(server.asked.length, 1)
          assert.strictEqual(session.asked.headers["authorization"], "Bearer token-0")
          assert.strictEqual(counted(session, "Stdin") + counted(session, "Violation"), 0)

          const pings = counted(session, "Ping")
          const reading = yield* Effect.forkChild(
            Stream.runFold(handle.stdout, () => 0, (sum, { length }) => sum + length)
          )
          for (let i = 0; i < 20; i++) {
            yield* TestClock.adjust("9 seconds")
            yield* session.stdout("line\n")
            yield* Server.settle
          }
          assert.strictEqual(counted(session, "Ping"), pings)

          const later = yield* begin("date")
          assert.strictEqual(later.session.asked.headers["authorization"], `Bearer token-${steps}`)
          assert.strictEqual(server.open(), 2)
          yield* later.end(0)
          assert.strictEqual(yield* Server.joined(yield* Effect.forkChild(later.handle.exitCode)), 0)

          yield* end(7)
          assert.strictEqual(yield* Server.joined(yield* Effect.forkChild(handle.exitCode)), 7)
          assert.strictEqual(yield* Fiber.join(reading), 20 * "line\n".length)
          yield* Server.timePasses
        })),
      180_000
    )
  }

  for (const transport of ["tunnel", "spdy"] as const) {
    it.effect(
      `of a forwarded connection over ${
        transport === "tunnel" ? "the tunnel, as unless told" : "SPDY"
      } lives on one connection, and carries bytes both ways`,
      (test) =>
        counting(Effect.fnUntraced(function*(fibers) {
          const { credentials, rotate } = rotating()
          const server = yield* ForwardServer.make({ credentials, speaks: [transport] })
          const options = transport === "tunnel" ? {} : { transport }
          const forward = yield* Effect.provideService(
            PortForward.open(Target.pod("p"), options),
            KubeClient,
            server.client
          )
          assert.strictEqual(forward.transport, transport)
          const connection = yield* forward.connect(80)
          const [pair] = server.pairs
          assert.isDefined(pair)
          const got: Array<string> = []
          const reading = yield* Effect.forkChild(
            Stream.runForEach(connection.read, (bytes) => Effect.sync(() => got.push(text(bytes))))
          )
          const say = (words: string) =>
            Stream.run(Stream.concat(Stream.succeed(utf8(words)), Stream.never), connection.write)

          yield* idle(test, fibers, server, rotate, (minutes) =>
            Effect.sync(() => {
              assert.strictEqual(server.open(), 1)
              isPingedInSilence(server.pings.length, minutes)
            }))
          assert.strictEqual(server.sockets(), 1)
          assert.deepStrictEqual(server.authorizations, ["Bearer token-0"])
          assert.deepStrictEqual(pair.got(), { bytes: 0, ended: false, reset: false })

          const pings = server.pings.length
          for (let i = 0; i < 20; i++) {
            yield* TestClock.adjust("9 seconds")
            yield* pair.send(utf8("."))
            yield* Server.settle
          }
          assert.strictEqual(server.pings.length, pings)

          // What is opened from now on is authorised anew, and the old one goes on beside it.
          yield* forward.connect(80)
          yield* forward.connect(80)
          assert.isAbove(server.open(), 1)
          assert.strictEqual(server.authorizations.at(-1), `Bearer token-${steps}`)

          yield* Effect.forkScoped(say("still there"))
          yield* Server.settle
          assert.strictEqual(pair.got().bytes, "still there".length)
          yield* pair.send(utf8("yes"))
          yield* pair.end("error")
          yield* pair.end("data")
          yield* Server.joined(reading)
          assert.strictEqual(got.join(""), `${".".repeat(20)}yes`)
          yield* Server.timePasses
        })),
      180_000
    )
  }
})
