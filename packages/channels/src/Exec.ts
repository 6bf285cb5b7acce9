/**
 * Commands in pods as values that pipe into each other, into local processes and into Stream stages.
 *
 * The shape is that of Effect's `ChildProcess`. Every command without a terminal is supervised by default, so that its
 * outcome can be trusted (see `ExecOptions.supervise`), and no outcome is lost: a missing status is never success, a lost
 * connection never a clean end.
 *
 * ```ts
 * const backup = Exec.on(db)`pg_dump shop`.pipe(
 *   Exec.pipeTo(ChildProcess.make`zstd -T2`),
 *   Exec.pipeTo(Exec.on(store)(["sh", "-c", "cat > /backup/shop.zst"]))
 * )
 * const results = yield* Exec.run(backup)
 * ```
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import { ExitCode } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChannelError } from "./ChannelError.ts"
import * as Command from "./Command.ts"
import type { ExecHandle } from "./ExecHandle.ts"
import * as Pipeline from "./pipeline/Pipeline.ts"
import * as runPipeline from "./pipeline/runPipeline.ts"
import type { StageFailed, StageResult } from "./pipeline/StageResult.ts"
import * as Tail from "./pipeline/Tail.ts"
import { exitedNonZero } from "./session/startCommand.ts"

/** A command or a pipeline. */
export type Runnable = Command.Command<unknown, unknown, unknown> | Pipeline.Pipeline<unknown, unknown>

/** What running it to its end can fail with. */
export type Failure<A> = A extends Command.Command<infer _R, infer E, infer S> ? KubeError | ChannelError | E | S
  : A extends Pipeline.Pipeline<infer E, infer _R> ? StageFailed | E
  : never

/** What running it needs. */
export type Services<A> = A extends Command.Command<infer R, infer _E, infer _S> ? R
  : A extends Pipeline.Pipeline<infer _E, infer R> ? R
  : never

// ---------------------------------------------------------------------------------------------------------------------
// Making
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * The command, failing with `ExitedNonZero` when its exit code is not 0: in its handle's `exitCode`, and in the helpers
   * of this module, where the error has the end of stderr. A pipeline needs no check.
   */
  check,
  /** Commands in a container: called with an argument list, or as a template. */
  on
} from "./Command.ts"
export {
  /**
   * Runs a command for each target and gives the outcomes as they come, failures as data. `concurrency` is 16 unless told.
   */
  fanOut,
  /** Counts the outcomes of a `fanOut`, and keeps its failures. */
  summary
} from "./FanOut.ts"
export {
  /**
   * A stage that is a function of streams: gzip, a parser, a counter. Its input does not fail: when an earlier stage
   * does, the input stays open until the pipeline has been ended, so that nothing mistakes it for the end. Its own error
   * passes through `run` unwrapped, unless a command before it ended with a failure: then that is told, because what it
   * wrote was cut short.
   */
  through
} from "./pipeline/Pipeline.ts"

/**
 * The output of the first goes into the second: commands in pods of any clusters, local `ChildProcess` commands (a piped
 * one counts as its stages), and `through` stages.
 *
 * @example
 * ```ts
 * import * as Exec from "@effect-k8s/channels/Exec"
 * import * as Target from "@effect-k8s/channels/Target"
 * import * as ChildProcess from "effect/process/ChildProcess"
 *
 * const copy = Exec.on(Target.pod("a"))`cat /data`.pipe(
 *   Exec.pipeTo(ChildProcess.make`gzip -c`),
 *   Exec.pipeTo(Exec.on(Target.pod("b"))(["sh", "-c", "cat > /data.gz"]))
 * )
 * copy.stages.length // => 3
 * ```
 */
export const pipeTo: {
  <B extends Pipeline.Stageable>(
    that: B
  ): <A extends Pipeline.Stageable>(
    self: A
  ) => Pipeline.Pipeline<
    Pipeline.ErrorOf<A> | Pipeline.ErrorOf<B>,
    Pipeline.ServicesOf<A> | Pipeline.ServicesOf<B>
  >
  <A extends Pipeline.Stageable, B extends Pipeline.Stageable>(
    self: A,
    that: B
  ): Pipeline.Pipeline<
    Pipeline.ErrorOf<A> | Pipeline.ErrorOf<B>,
    Pipeline.ServicesOf<A> | Pipeline.ServicesOf<B>
  >
} = dual(2, Pipeline.join)

/**
 * Binds a command to a cluster, so that one pipeline can span several. A layer is built in the scope of the run, once for
 * all commands that are bound to the same one.
 */
export const provide: {
  <I>(context: Context.Context<I>): <R, E, S>(self: Command.Command<R, E, S>) => Command.Command<Exclude<R, I>, E, S>
  <I, E2, R2>(
    layer: Layer.Layer<I, E2, R2>
  ): <R, E, S>(self: Command.Command<R, E, S>) => Command.Command<Exclude<R, I> | R2, E, S | E2>
  <R, E, S, I>(
    self: Command.Command<R, E, S>,
    context: Context.Context<I>
  ): Command.Command<Exclude<R, I>, E, S>
  <R, E, S, I, E2, R2>(
    self: Command.Command<R, E, S>,
    layer: Layer.Layer<I, E2, R2>
  ): Command.Command<Exclude<R, I> | R2, E, S | E2>
} = dual(2, Command.bind)

/**
 * Gives a command its stdin. When the stream fails while the command runs, so does the command, with the stream's error;
 * once the command has ended, it changes nothing. A later feed takes the place of an earlier one. In a pipeline only the
 * first stage can be fed: others get the output of the one before.
 */
export const feed: {
  <E2, R2>(
    input: Stream.Stream<Uint8Array, E2, R2>
  ): <R, E, S>(self: Command.Command<R, E, S>) => Command.Command<R | R2, E | E2, S>
  <R, E, S, E2, R2>(
    self: Command.Command<R, E, S>,
    input: Stream.Stream<Uint8Array, E2, R2>
  ): Command.Command<R | R2, E | E2, S>
} = dual(2, Command.withInput)

// ---------------------------------------------------------------------------------------------------------------------
// Running
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Runs a pipeline, or a single stage, to its end, and gives what became of each stage.
 *
 * Fails like pipefail: with `StageFailed` for the first stage that failed in time, after the others have ended; a
 * failure other than an exit code ends them at once. What the last stage writes is read and dropped.
 */
export const run = <A extends Pipeline.Stageable>(
  self: A
): Effect.Effect<ReadonlyArray<StageResult>, StageFailed | Pipeline.ErrorOf<A>, Pipeline.ServicesOf<A>> =>
  runPipeline.run(Pipeline.make(Pipeline.stagesOf(self)))

/** A command that runs, with its stderr being kept for messages. */
const started = <R, E, S>(
  command: Command.Command<R, E, S>
): Effect.Effect<
  { readonly handle: ExecHandle<E>; readonly exitCode: Effect.Effect<ExitCode, ChannelError | E> },
  KubeError | S,
  R | Scope.Scope
> =>
  Effect.gen(function*() {
    const handle = yield* Command.unchecked(command)
    const stderrTail = yield* Tail.collect(handle.stderr)
    const exitCode = command.checked
      ? Effect.filterOrElse(
        handle.exitCode,
        (code) => code === 0,
        // Sound: a checked command has ExitedNonZero in `E`.
        (code) => Effect.flatMap(stderrTail, (tail) => Effect.fail(exitedNonZero(command, code, tail) as E))
      )
      : handle.exitCode
    return { handle, exitCode }
  })

/**
 * The output of a command, or of the last stage of a pipeline, as bytes. Other outputs are read and dropped. It fails
 * after the output when the outcome is a failure, so an end without a failure is one that can be trusted.
 */
export const stream = <A extends Runnable>(self: A): Stream.Stream<Uint8Array, Failure<A>, Services<A>> => {
  const bytes: Stream.Stream<Uint8Array, unknown, unknown> = Pipeline.isPipeline(self)
    ? runPipeline.stream(self)
    : Stream.unwrap(
      Effect.map(
        started(self),
        ({ exitCode, handle }) =>
          Stream.concat(
            // The exit code fails with the feed's own error.
            Stream.catchReason(handle.stdout, "ChannelError", "InputFailed", () => Stream.empty),
            Stream.fromEffectDrain(exitCode)
          )
      )
    )
  // Sound: `Failure` and `Services` say for each kind of runnable what the branch for it has.
  return bytes as Stream.Stream<Uint8Array, Failure<A>, Services<A>>
}

/** As `stream`, decoded as UTF-8. */
export const streamString = <A extends Runnable>(self: A): Stream.Stream<string, Failure<A>, Services<A>> =>
  Stream.decodeText(stream(self))

/** As `streamString`, in lines without their ends. */
export const streamLines = <A extends Runnable>(self: A): Stream.Stream<string, Failure<A>, Services<A>> =>
  Stream.splitLines(streamString(self))

/** The whole output as text. An exit code other than 0 is a failure only of a pipeline, and of a checked command. */
export const string = <A extends Runnable>(self: A): Effect.Effect<string, Failure<A>, Services<A>> =>
  Stream.mkString(streamString(self))

/** The whole output as lines. */
export const lines = <A extends Runnable>(self: A): Effect.Effect<Array<string>, Failure<A>, Services<A>> =>
  Stream.runCollect(streamLines(self))

/** The exit code of a command, or of the last process of a pipeline (which fails when any other process did). */
export const exitCode = <A extends Runnable>(self: A): Effect.Effect<ExitCode, Failure<A>, Services<A>> => {
  const code: Effect.Effect<ExitCode, unknown, unknown> = Pipeline.isPipeline(self)
    ? Effect.map(run(self), lastExitCode)
    : Effect.scoped(
      Effect.flatMap(
        started(self),
        ({ exitCode, handle }) => Effect.andThen(Effect.forkScoped(Stream.runDrain(handle.stdout)), exitCode)
      )
    )
  // Sound: as for `stream`.
  return code as Effect.Effect<ExitCode, Failure<A>, Services<A>>
}

// A pipeline that did not fail has no other exit code than 0.
const lastExitCode = (results: ReadonlyArray<StageResult>): ExitCode =>
  ExitCode(results.findLast((result) => result._tag !== "Through")?.exitCode ?? 0)
