/**
 * Runs a pipeline: starts its processes, joins their streams, and knows what became of each stage.
 *
 * - Back-pressure runs through all of it: a link holds one batch.
 * - When a process ends before its input does, what stands before it is ended too: `EndedEarly`, which is no failure.
 * - A non-zero exit lets the rest finish, as pipefail does in a shell: the next stage has had all there was. Any other
 *   failure ends everything at once, and no stage behind it sees an end of input that looks complete.
 *
 * For that, processes are ended before what goes between them: to interrupt what writes to a local process closes its
 * stdin, and to interrupt what reads it is a broken pipe, and `sh -c 'cat > f; mv f g'` would go on after either.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { ExitedNonZero } from "../ExitedNonZero.ts"
import { currentMemoMap } from "../session/startCommand.ts"
import * as Pipeline from "./Pipeline.ts"
import { releasedAfter } from "./releasedAfter.ts"
import * as RunningStage from "./RunningStage.ts"
import { StageFailed, type StageFailureReason, type StageResult } from "./StageResult.ts"
import * as StageState from "./StageState.ts"

/** A pipeline that runs. */
export interface Launched<out E> {
  /** The output of the last stage. When the pipeline fails it neither ends nor fails: `failure` does. */
  readonly output: Stream.Stream<Uint8Array>
  /** Fails when the pipeline must be given up, and does not return otherwise. */
  readonly failure: Effect.Effect<never, StageFailed | E>
  /** Waits until every process has ended; fails when one of them did. */
  readonly results: Effect.Effect<ReadonlyArray<StageResult>, StageFailed | E>
}

interface Failure {
  readonly state: StageState.StageState
  /** Why, told what it had written to stderr. */
  readonly reason: (stderrTail: string) => StageFailureReason
}

// How long an exit code is waited for that would explain another failure, or the end of an output.
const exitPatience = "500 millis"
// How long is read what an ended process has left. A child that it has left behind may go on writing.
const restPatience = "500 millis"

/** Counts the bytes that pass. */
const counted = (stream: Stream.Stream<Uint8Array>, count: (bytes: number) => void): Stream.Stream<Uint8Array> =>
  Stream.mapArray(stream, (chunks) => {
    for (const chunk of chunks) count(chunk.length)
    return chunks
  })

/** Starts a pipeline; everything of it ends with the current scope. */
export const launch = Effect.fnUntraced(function*<E, R>(
  pipeline: Pipeline.Pipeline<E, R>
): Effect.fn.Return<Launched<E>, never, R | Scope.Scope> {
  const parent = yield* Effect.scope
  const memoMap = yield* currentMemoMap
  const context = Context.add(yield* Effect.context<R>(), Layer.CurrentMemoMap, memoMap)
  const clock = yield* Effect.clockWith(Effect.succeed)
  const now = (): number => clock.currentTimeMillisUnsafe()
  // Closed after the stages' scopes, because it was made before them.
  const links = yield* Scope.fork(parent)
  const states = pipeline.stages.map((stage, index) => StageState.make(stage, index, parent, now()))

  const fatal = Deferred.makeUnsafe<never, StageFailed | E>()
  const settled = Deferred.makeUnsafe<void>()
  let first: Failure | undefined
  let processes = states.filter(({ stage }) => stage._tag !== "Through").length
  if (processes === 0) Deferred.doneUnsafe(settled, Effect.void)

  const results = (): ReadonlyArray<StageResult> => states.map((state) => StageState.toResult(state, now()))
  const stageFailed = ({ reason, state }: Failure): Effect.Effect<StageFailed> =>
    Effect.map(state.running?.stderrTail ?? Effect.succeed(""), (stderrTail) =>
      new StageFailed({
        stage: state.index,
        target: StageState.whereabouts(state),
        command: Pipeline.describe(state.stage),
        reason: reason(stderrTail),
        stderrTail,
        results: results()
      }))

  /** The stage has ended like this, if it had not ended before. */
  const end = (state: StageState.StageState, how: NonNullable<StageState.StageState["end"]>): boolean => {
    if (state.end !== undefined) return false
    state.end = how
    state.endedAt = now()
    return true
  }

  /** Nothing of the stage is left to wait for. */
  const settle = (state: StageState.StageState): void => {
    if (state.stage._tag !== "Through" && --processes === 0) Deferred.doneUnsafe(settled, Effect.void)
  }

  /** Was ended by the pipeline, and not by itself. */
  const wasEnded = ({ end }: StageState.StageState): boolean => end === "EndedEarly" || end === "Interrupted"

  /**
   * What stands before the stage is no longer needed. `link`, which is still to be interrupted, goes between the two, if
   * it is not what calls this.
   */
  const endBefore = (index: number, link?: Fiber.Fiber<void>): Effect.Effect<void> =>
    Effect.uninterruptible(Effect.suspend(() => {
      const ended = states.slice(0, index).filter((state) => end(state, "EndedEarly"))
      return Effect.andThen(
        Effect.forEach(
          ended,
          (state) => Effect.andThen(Scope.close(state.scope, Exit.void), Effect.sync(() => settle(state))),
          { concurrency: "unbounded", discard: true }
        ),
        Fiber.interruptAll([...(link === undefined ? [] : [link]), ...ended.flatMap((state) => state.link ?? [])])
      )
    }))

  /** Nothing is needed any more. */
  const interruptStages = Effect.sync(() => {
    for (const state of states) end(state, "Interrupted")
  })
  // First of all when the scope closes, or the end of one stage would be taken for its own by others.
  yield* Effect.addFinalizer(() => interruptStages)

  /** Gives the pipeline up for the first failure. */
  const failWith = (failure: Failure): Effect.Effect<void> =>
    Effect.flatMap(stageFailed(failure), (error) => Effect.asVoid(Deferred.fail(fatal, error)))

  /** Gives the pipeline up for an error that is the user's own: it passes as it is. */
  const giveUp = (state: StageState.StageState, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.sync(() => {
      // Sound: only a `Through` stage or a layer fails with what is no failure of a process, and `E` is what they do.
      Deferred.doneUnsafe(fatal, Effect.failCause(cause as Cause.Cause<E>))
      if (end(state, "Failed")) settle(state)
    })

  /** Gives the pipeline up for the failure of a process, or of its output, which can come after its exit code. */
  const abort = (state: StageState.StageState, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.gen(function*() {
      if (wasEnded(state)) return
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (!RunningStage.isStageFailureReason(error)) return yield* giveUp(state, cause)
      // Before anything else can be the first, and before the end of the last process can pass for success.
      first ??= { state, reason: () => error }
      if (end(state, "Failed")) settle(state)
      state.end = "Failed"
      yield* failWith(first)
    })

  /**
   * Gives the pipeline up for the failure of a stream function. What it makes of an input that a failed command has cut
   * short is not the cause: such a command ends its output first, and tells its exit code a moment later. In that moment
   * the end of a later stage must not interrupt this, or the failure would be lost.
   */
  const spoil = (state: StageState.StageState, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
    Effect.uninterruptible(Effect.gen(function*() {
      if (!end(state, "Failed")) return
      if (state.inputEnded && !Cause.hasDies(cause)) {
        const before = states.slice(0, state.index).flatMap(({ watching }) => watching ?? [])
        yield* Effect.timeoutOption(Fiber.awaitAll(before), exitPatience)
        if (first !== undefined && first.state.index < state.index) return yield* failWith(first)
      }
      const error = Option.getOrUndefined(Cause.findErrorOption(cause))
      if (state.stage._tag === "Through" && state.stage.feeds && error instanceof ExitedNonZero) {
        // A pipeline's type has no checks, because it needs none: so one in a feed is told as its own are.
        first ??= { state, reason: () => error }
        return yield* failWith(first)
      }
      yield* giveUp(state, cause)
    }))

  /** Runs what nobody waits for. A defect of it, as in the release of a layer, gives the pipeline up. */
  const inBackground = (
    state: StageState.StageState,
    effect: Effect.Effect<void, unknown>
  ): Effect.Effect<Fiber.Fiber<void>> =>
    Effect.forkIn(
      Effect.catchCause(effect, (cause) => Cause.hasDies(cause) ? giveUp(state, cause) : Effect.void),
      links
    )

  const start = (state: StageState.StageState, stage: RunningStage.Process): Effect.Effect<void> =>
    RunningStage.start(stage, state.index > 0).pipe(
      Effect.provideService(Scope.Scope, state.scope),
      Effect.matchCauseEffect({
        onFailure: (cause) => abort(state, cause),
        onSuccess: (running) => {
          state.running = running
          // What ends in order is looked at when all have started, but a failure is one at once.
          const failing = Effect.catchCause(running.exit, (cause) => abort(state, cause))
          return inBackground(state, Effect.asVoid(failing))
        }
      }),
      (effect) =>
        // Sound: the pipeline's type says what its stages need.
        Effect.provideContext(effect, context) as Effect.Effect<
          void,
          never,
          Exclude<R, KubeClient | ChildProcessSpawner>
        >
    ) as Effect.Effect<void>

  /** Reads what an ended process has left in its pipe: Node keeps a pipe that was not read to its end. */
  const finish = (state: StageState.StageState) => (rest: Pull.Pull<unknown, unknown>): Effect.Effect<void> =>
    state.end === undefined
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Effect.ignoreCause(Effect.forever(rest)), restPatience))

  /**
   * The output of a process has ended. That of a local one ends in the same way when a signal has killed it, which its exit
   * tells a moment later. One that goes on without its output is not waited for.
   */
  const ended = Effect.fnUntraced(function*(state: StageState.StageState, { exit }: RunningStage.RunningStage) {
    if (state.stage._tag === "Local" && !wasEnded(state)) {
      const exited = yield* Effect.timeoutOption(Effect.exit(exit), exitPatience)
      if (Option.isSome(exited) && Exit.isFailure(exited.value)) {
        return yield* Effect.andThen(abort(state, exited.value.cause), Effect.never)
      }
    }
    if (wasEnded(state)) return yield* Effect.never
  })

  /** The process's own output. Left open when it fails, which gives the pipeline up, and when the process was ended. */
  const outputOf = (state: StageState.StageState, running: RunningStage.RunningStage): Stream.Stream<Uint8Array> =>
    counted(
      releasedAfter(running.output, finish(state)).pipe(
        Stream.catchCause((cause) => Stream.fromEffect(Effect.andThen(abort(state, cause), Effect.never))),
        Stream.onEnd(ended(state, running))
      ),
      (bytes) => {
        state.bytesOut += bytes
      }
    )

  /** What comes into the stage from `before`. */
  const inputOf = (state: StageState.StageState, before: Stream.Stream<Uint8Array>): Stream.Stream<Uint8Array> =>
    Stream.onEnd(
      counted(before, (bytes) => {
        state.bytesIn += bytes
      }),
      Effect.sync(() => {
        state.inputEnded = true
      })
    )

  const transformed = (
    state: StageState.StageState,
    { transform }: Pipeline.Through<unknown, unknown>,
    before: Stream.Stream<Uint8Array>
  ): Stream.Stream<Uint8Array> => {
    const completed = Effect.suspend(() => {
      end(state, "Completed")
      return state.inputEnded ? Effect.void : endBefore(state.index)
    })
    return counted(
      // Sound: as above, `R` is what the transform needs.
      Stream.suspend(() => transform(inputOf(state, before)) as Stream.Stream<Uint8Array, unknown, R>).pipe(
        Stream.provideContext(context),
        // While what is before it still has its reader. A defect is none of the transform's.
        Stream.onEnd(Effect.catchCause(completed, (cause) => Effect.andThen(giveUp(state, cause), Effect.never))),
        Stream.catchCause((cause) => Stream.fromEffect(Effect.andThen(spoil(state, cause), Effect.never)))
      ),
      (bytes) => {
        state.bytesOut += bytes
      }
    )
  }

  /** Waits for the end of a process. */
  const watch = Effect.fnUntraced(function*(state: StageState.StageState, running: RunningStage.RunningStage) {
    const exit = yield* Effect.exit(running.exit)
    if (state.end !== undefined) return
    if (Exit.isFailure(exit)) return yield* abort(state, exit.cause)
    const { code, verified } = exit.value
    state.exitCode = code
    state.verified = verified
    const { link } = state
    const early = link !== undefined && !state.inputEnded
    const unaccounted = early && code === 0 ? running.endedBeforeInput(state.bytesIn) : undefined
    if (unaccounted !== undefined) return yield* abort(state, Cause.fail(unaccounted))
    if (code !== 0) {
      const command = Pipeline.describe(state.stage)
      const target = StageState.whereabouts(state)
      first ??= { state, reason: (stderrTail) => new ExitedNonZero({ exitCode: code, command, target, stderrTail }) }
    }
    end(state, code === 0 ? "Completed" : "Failed")
    if (early) yield* endBefore(state.index, link)
    settle(state)
  })

  /**
   * Writes the input of a process. A local one that closes its stdin and goes on takes no more: what is before it may go.
   * When it has ended, or was, whoever knows why ends what is before it, and then this; so does `watch` for a command in a
   * pod, which takes all until it ends.
   */
  const fill = (
    state: StageState.StageState,
    { input }: RunningStage.RunningStage,
    before: Stream.Stream<Uint8Array>
  ): Effect.Effect<void> => {
    const stopped = Effect.suspend(() => {
      if (state.inputEnded) return Effect.void
      return state.stage._tag === "Pod" || state.end !== undefined ? Effect.never : endBefore(state.index)
    })
    // Within the sink, because what is before it loses its reader behind it.
    const sink = Sink.fromTransform((upstream: Parameters<typeof input.transform>[0], scope) =>
      Effect.ignore(input.transform(upstream, scope)).pipe(Effect.andThen(stopped), Effect.as([undefined] as const))
    )
    return Stream.run(before, sink)
  }

  const endAll = Effect.andThen(
    interruptStages,
    Effect.forEach(states.toReversed(), ({ scope }) => Scope.close(scope, Exit.void), { discard: true })
  )

  for (const state of states) {
    const reason = RunningStage.refusal(state.stage, state.index > 0)
    if (reason !== undefined) yield* abort(state, Cause.fail(reason))
  }
  yield* Effect.raceFirst(
    Effect.asVoid(Effect.exit(Deferred.await(fatal))),
    Effect.forEach(
      states,
      (state) => state.stage._tag === "Through" ? Effect.void : start(state, state.stage),
      { concurrency: "unbounded", discard: true }
    )
  )

  let output: Stream.Stream<Uint8Array> = Stream.empty
  for (const state of states) {
    if (state.stage._tag === "Through") {
      output = transformed(state, state.stage.through, output)
      continue
    }
    const { running } = state
    // It was not started: the pipeline is given up.
    if (running === undefined) break
    if (state.index > 0) {
      state.link = yield* inBackground(state, fill(state, running, inputOf(state, output)))
    }
    state.watching = yield* inBackground(state, watch(state, running))
    output = outputOf(state, running)
  }

  return {
    output: Deferred.isDoneUnsafe(fatal) ? Stream.never : releasedAfter(output, () => endAll),
    failure: Deferred.await(fatal),
    // Of two that are done, a race is won by the first.
    results: Effect.raceFirst(Deferred.await(fatal), Deferred.await(settled)).pipe(
      Effect.andThen(
        Effect.suspend(() =>
          first === undefined ? Effect.succeed(results()) : Effect.flatMap(stageFailed(first), Effect.fail)
        )
      )
    )
  }
})
