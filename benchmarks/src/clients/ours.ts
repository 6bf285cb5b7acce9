/**
 * effect-k8s, as a program would use it.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Pattern from "../shared/Pattern.ts"
import { Command, type Work } from "../shared/Work.ts"
import * as Client from "./Client.ts"

const pieceBytes = 64 * 1024
const target = Target.pod("pod-0", { namespace: "few", container: "main" })

/** One piece a pull, as a file is read. */
const pattern = (bytes: number): Stream.Stream<Uint8Array> =>
  Stream.unfold(Pattern.pieces(bytes, pieceBytes), (pieces) =>
    Effect.sync(() => {
      const { done, value } = pieces.next()
      return done === true ? undefined : [value, pieces] as const
    }))

await Client.main(async (work) => {
  const runtime = ManagedRuntime.make(NodeKube.layerEndpoint({
    url: new URL(work.url),
    ...(work.ca === undefined ? {} : { tls: { ca: work.ca } })
  }))
  const options: ExecOptions = work.variant === "bare" ? { supervise: "never" } : {}
  const on = Exec.on(target, options)
  const out = ({ bytes, messageBytes }: Work) => on([Command.Out, String(bytes), String(messageBytes)])

  /** Runs `once` again and again, and times each. */
  const laps = <E, R>(count: number, once: Effect.Effect<unknown, E, R>) =>
    Effect.gen(function*() {
      const times: Array<number> = []
      for (let i = 0; i < count; i++) {
        const begun = performance.now()
        yield* once
        times.push(performance.now() - begun)
      }
      return times
    })

  return {
    stdout: (work, take) =>
      runtime.runPromise(
        Stream.runForEachArray(Exec.stream(out(work)), (chunks) => Effect.sync(() => chunks.forEach(take)))
      ),
    stdin: async ({ bytes, check, rate }) =>
      Number(
        await runtime.runPromise(
          Exec.string(
            Exec.feed(on([Command.In, String(rate), check ? "hash" : ""]), pattern(bytes))
          )
        )
      ),
    stalled: (work) =>
      runtime.runPromise(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* out(work)
          let stalled = false
          yield* Stream.runForEachArray(handle.stdout, () => {
            if (stalled) return Effect.void
            stalled = true
            return Effect.sleep(work.stallMillis)
          }).pipe(Effect.timeoutOption(work.stallMillis))
        }))
      ),
    roundTrips: ({ count }) =>
      runtime.runPromise(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Exec.on(target, { ...options, stdin: "pipe" })([Command.Echo])
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
            Stream.take(count),
            Stream.runDrain
          )
          return times
        }))
      ),
    noops: ({ count }) => runtime.runPromise(laps(count, Exec.exitCode(Exec.check(on([Command.Noop]))))),
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
      }))
  }
})
