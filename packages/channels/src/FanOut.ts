/**
 * The same work in many containers.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { launch } from "./pipeline/launch.ts"
import * as Pipeline from "./pipeline/Pipeline.ts"
import type { StageFailed, StageResult } from "./pipeline/StageResult.ts"
import type { Target } from "./Target.ts"

/** What became of the work in one container. */
export interface Outcome<out E = never> {
  readonly target: Target
  readonly result: Result.Result<ReadonlyArray<StageResult>, StageFailed | E>
  /** The beginning of what it wrote, as UTF-8; at most `outputLimit` bytes. */
  readonly stdout: string
  /** It wrote more than that. */
  readonly truncated: boolean
}

/** How to fan out. */
export interface Options {
  /** How many at a time; 16 unless told. */
  readonly concurrency?: number | undefined
  /** Bytes of output that are kept of each; 64 KiB unless told. */
  readonly outputLimit?: number | undefined
}

/**
 * Runs a command for each target and gives the outcomes as they come, failures as data.
 *
 * @example
 * ```ts
 * import * as Exec from "@effect-k8s/channels/Exec"
 * import * as Target from "@effect-k8s/channels/Target"
 * import * as Stream from "effect/Stream"
 *
 * const targets = ["web-0", "web-1", "web-2"].map((name) => Target.pod(name))
 * const summary = Exec.fanOut(targets, (target) => Exec.on(target)`nginx -s reload`).pipe(Stream.run(Exec.summary()))
 * ```
 */
export const fanOut = <A extends Pipeline.Stageable>(
  targets: Iterable<Target>,
  work: (target: Target) => A,
  options: Options = {}
): Stream.Stream<Outcome<Pipeline.ErrorOf<A>>, never, Pipeline.ServicesOf<A>> =>
  Stream.mapEffect(
    Stream.fromIterable(targets),
    (target) => runOne(target, work(target), options.outputLimit ?? 64 * 1024),
    { concurrency: options.concurrency ?? 16, unordered: true }
  )

const runOne = <A extends Pipeline.Stageable>(
  target: Target,
  work: A,
  limit: number
): Effect.Effect<Outcome<Pipeline.ErrorOf<A>>, never, Pipeline.ServicesOf<A>> =>
  Effect.gen(function*() {
    const decoder = new TextDecoder()
    let stdout = ""
    let kept = 0
    let truncated = false
    const keep = (chunk: Uint8Array): void => {
      const part = chunk.subarray(0, limit - kept)
      stdout += decoder.decode(part, { stream: true })
      kept += part.length
      truncated ||= part.length < chunk.length
    }
    const pipeline = Pipeline.make<Pipeline.ErrorOf<A>, Pipeline.ServicesOf<A>>(Pipeline.stagesOf(work))
    const result = yield* Effect.gen(function*() {
      const { failure, output, results } = yield* launch(pipeline)
      yield* Effect.raceFirst(
        Stream.runForEachArray(output, (chunks) => Effect.sync(() => chunks.forEach(keep))),
        failure
      )
      return yield* results
    }).pipe(Effect.scoped, Effect.result)
    // A character that was cut in two is left out.
    return { target, result, stdout: truncated ? stdout : stdout + decoder.decode(), truncated }
  })

/** What a `fanOut` came to. */
export interface Summary<out E = never> {
  readonly succeeded: number
  readonly failed: number
  readonly failures: ReadonlyArray<{ readonly target: Target; readonly error: StageFailed | E }>
}

/** Counts outcomes, and keeps the failures in the order in which they came. */
export const summary = <E = never>(): Sink.Sink<Summary<E>, Outcome<E>, Outcome<E>> =>
  Sink.fold(
    (): Summary<E> => ({ succeeded: 0, failed: 0, failures: [] }),
    () => true,
    (summary, { result, target }) =>
      Effect.succeed(
        Result.isSuccess(result)
          ? { ...summary, succeeded: summary.succeeded + 1 }
          : {
            ...summary,
            failed: summary.failed + 1,
            failures: [...summary.failures, { target, error: result.failure }]
          }
      )
  )
