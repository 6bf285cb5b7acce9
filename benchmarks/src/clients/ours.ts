/**
 * effect-k8s, as a program would use it.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Pattern from "../shared/Pattern.ts"
import * as Words from "../shared/Words.ts"
import type { Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"
import { laps } from "./effectLaps.ts"
import type { Forward } from "./Forwarded.ts"
import * as OurKube from "./ourKube.ts"

const pieceBytes = 64 * 1024

/** One chunk a pull, as a file is read. */
const fromIterable = (chunks: Iterable<Uint8Array>): Stream.Stream<Uint8Array> =>
  Stream.suspend(() =>
    Stream.unfold(chunks[Symbol.iterator](), (pieces) =>
      Effect.sync(() => {
        const { done, value } = pieces.next()
        return done === true ? undefined : [value, pieces] as const
      }))
  )

const pattern = (bytes: number): Stream.Stream<Uint8Array> => fromIterable(Pattern.pieces(bytes, pieceBytes))

const optionsOf = ({ variant }: Work): ExecOptions => {
  switch (variant) {
    case "bare":
      return { supervise: "never" }
    case "bulk":
      return { bulk: true }
    case "websocket":
      return { transport: "websocket" }
    default:
      return {}
  }
}

await Client.main(async (work) => {
  const runtime = ManagedRuntime.make(OurKube.layer(work))
  const target = Target.pod(work.pod.name, { namespace: work.pod.namespace, container: work.pod.container })
  const options = optionsOf(work)
  const on = Exec.on(target, options)

  /** Opens a session that lives as long as the program. */
  const forward = async (): Promise<Forward> => {
    const scope = Scope.makeUnsafe()
    const session = await runtime.runPromise(Scope.provide(PortForward.open(target), scope))
    return {
      exchange: (port, chunks, take) =>
        runtime.runPromise(
          Effect.scoped(Effect.gen(function*() {
            const connection = yield* session.connect(port)
            const sending = yield* Effect.forkChild(Stream.run(fromIterable(chunks), connection.write))
            yield* Stream.runForEachArray(connection.read, (chunks) => Effect.sync(() => chunks.forEach(take)))
            yield* Fiber.join(sending)
          }))
        ),
      connect: async (port) => {
        const scope = Scope.makeUnsafe()
        await runtime.runPromise(
          Effect.gen(function*() {
            const connection = yield* session.connect(port)
            yield* Stream.run(Stream.succeed(Uint8Array.of(7)), connection.write)
            yield* Stream.runDrain(Stream.take(connection.read, 1))
          }).pipe(Scope.provide(scope))
        )
        return () => runtime.runPromise(Scope.close(scope, Exit.void))
      },
      stall: (port, chunk) =>
        runtime.runPromise(
          Effect.gen(function*() {
            const connection = yield* session.connect(port)
            yield* Stream.run(Stream.succeed(chunk), connection.write)
          }).pipe(Scope.provide(scope))
        ),
      close: () => runtime.runPromise(Scope.close(scope, Exit.void))
    }
  }

  return {
    stdout: (work, take) =>
      runtime.runPromise(
        Stream.runForEachArray(
          Exec.stream(on(Words.out(work))),
          (chunks) => Effect.sync(() => chunks.forEach(take))
        )
      ),
    stdin: (work) => runtime.runPromise(Exec.string(Exec.feed(on(Words.into(work)), pattern(work.bytes)))),
    duplex: (work, take) =>
      runtime.runPromise(
        Stream.runForEachArray(
          Exec.stream(Exec.feed(on(Words.echo(work)), pattern(work.bytes))),
          (chunks) => Effect.sync(() => chunks.forEach(take))
        )
      ),
    stalled: (work) =>
      runtime.runPromise(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* on(Words.out(work))
          let stalled = false
          yield* Stream.runForEachArray(handle.stdout, () => {
            if (stalled) return Effect.void
            stalled = true
            return Effect.sleep(work.stallMillis)
          }).pipe(Effect.timeoutOption(work.stallMillis))
        }))
      ),
    roundTrips: (work) =>
      runtime.runPromise(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Exec.on(target, { ...options, stdin: "pipe" })(Words.echo(work))
          const keys = yield* Queue.unbounded<Uint8Array>()
          yield* Effect.forkScoped(Stream.run(Stream.fromQueue(keys), handle.stdin))
          const times: Array<number> = []
          let begun = performance.now()
          yield* Queue.offer(keys, Uint8Array.of(7))
          yield* handle.stdout.pipe(
            Stream.tap(() => {
              const now = performance.now()
              times.push(now - begun)
              begun = now
              return Queue.offer(keys, Uint8Array.of(7))
            }),
            Stream.take(work.count),
            Stream.runDrain
          )
          return times
        }))
      ),
    noops: ({ count }) => runtime.runPromise(laps(count, Exec.exitCode(Exec.check(on(Words.noop))))),
    lists: ({ count, namespace }) =>
      runtime.runPromise(Effect.gen(function*() {
        const pods = Api.make(Pod, { namespace })
        let items = 0
        const times = yield* laps(
          count,
          Effect.map(pods.list(), (list) => {
            items = list.items.length
          })
        )
        return { laps: times, items }
      })),
    forward
  }
})
