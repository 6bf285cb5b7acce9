/**
 * The two ways to run a pipeline: for its results, or for its output.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { launch } from "./launch.ts"
import type { Pipeline } from "./Pipeline.ts"
import { describe } from "./Pipeline.ts"
import type { StageFailed, StageResult } from "./StageResult.ts"

const attributes = ({ stages }: Pipeline<unknown, unknown>) => ({ "k8s.pipeline": stages.map(describe).join(" | ") })

/** Runs it, drops what the last stage writes, and gives the results. */
export const run = <E, R>(pipeline: Pipeline<E, R>): Effect.Effect<ReadonlyArray<StageResult>, StageFailed | E, R> =>
  Effect.gen(function*() {
    const { failure, output, results } = yield* launch(pipeline)
    yield* Effect.raceFirst(Stream.runDrain(output), failure)
    return yield* results
  }).pipe(
    Effect.scoped,
    Effect.withSpan("Exec.run", { attributes: attributes(pipeline) })
  )

/** Runs it for the output of the last stage; fails when the pipeline does. Whoever stops reading ends it. */
export const stream = <E, R>(pipeline: Pipeline<E, R>): Stream.Stream<Uint8Array, StageFailed | E, R> =>
  Stream.unwrap(Effect.map(
    launch(pipeline),
    ({ failure, output, results }) =>
      Stream.concat(Stream.interruptWhen(output, failure), Stream.fromEffectDrain(results))
  )).pipe(Stream.withSpan("Exec.stream", { attributes: attributes(pipeline) }))
