/**
 * Starts a command value: provides what it is bound to, starts it, writes its input.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CommandLine from "effect/process/CommandLine"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ChannelError, InputFailed } from "../ChannelError.ts"
import type { Command } from "../Command.ts"
import * as ExecHandle from "../ExecHandle.ts"
import { ExitedNonZero } from "../ExitedNonZero.ts"
import * as Target from "../Target.ts"
import { startExec } from "./startExec.ts"

/** What `check` makes of an exit code. */
export const exitedNonZero = (
  command: Command<unknown, unknown, unknown>,
  exitCode: number,
  stderrTail: string
): ExitedNonZero =>
  new ExitedNonZero({
    exitCode,
    command: CommandLine.display(command.argv),
    target: Target.format(command.target),
    stderrTail
  })

/** The layers that are built already, so that commands bound to the same layer share it; their own if there are none. */
export const currentMemoMap: Effect.Effect<Layer.MemoMap> = Effect.map(
  Effect.context(),
  (context) => Context.getOrUndefined(context, Layer.CurrentMemoMap) ?? Layer.makeMemoMapUnsafe()
)

/** Starts a command in the current scope, where its layers are built too. */
export const startCommand = Effect.fnUntraced(function*<R, E, S>(
  command: Command<R, E, S>
): Effect.fn.Return<ExecHandle.ExecHandle<E>, Effect.Error<Command<R, E, S>>, R | Scope.Scope> {
  // Sound: a command's type says that its bindings and `R` together are what it needs, and how they fail.
  type Sound<A> = Effect.Effect<A, Effect.Error<Command<R, E, S>>, R | Scope.Scope>
  const scope = yield* Effect.scope
  const memoMap = yield* currentMemoMap
  let context = Context.empty()
  // The outermost binding provides for the ones inside it.
  for (const binding of command.bindings.toReversed()) {
    const provided = Context.isContext(binding)
      ? binding
      : yield* Effect.provideContext(Layer.buildWithMemoMap(binding, memoMap, scope), context) as Sound<
        Context.Context<never>
      >
    context = Context.merge(context, provided)
  }

  const { argv, input, options, target } = command
  const handle = yield* Effect.provideContext(
    startExec(target, argv, options).pipe(
      Effect.withSpan("Exec.start", {
        kind: "client",
        attributes: { "k8s.pod": target.pod, "k8s.namespace": target.namespace, "k8s.container": target.container }
      })
    ),
    context as Context.Context<KubeClient>
  ) as Sound<ExecHandle.ExecHandle>

  // Sound: what a command is fed with fails as its type says.
  const fed = input === undefined
    ? handle
    : yield* Effect.provideContext(feed(handle, input as Stream.Stream<Uint8Array, E, R>), context)
  return ExecHandle.change<E>(fed, {
    exitCode: command.checked
      ? Effect.filterOrFail(
        fed.exitCode,
        (code) => code === 0,
        // Sound: a checked command has ExitedNonZero in `E`.
        (code) => exitedNonZero(command, code, "") as E
      )
      : fed.exitCode
  })
})

/**
 * Writes a stream to the command's stdin, in the current scope. When it fails while the command runs, the command's stdin
 * was cut short: that comes before its outcome, whenever it is asked for, and ends its outputs, because the command may
 * wait for more for ever. A failure after the command has ended changes nothing: it wanted no more.
 */
const feed = Effect.fnUntraced(function*<E, R>(
  handle: ExecHandle.ExecHandle,
  input: Stream.Stream<Uint8Array, E, R>
): Effect.fn.Return<ExecHandle.ExecHandle<E>, never, R | Scope.Scope> {
  const failed = Deferred.makeUnsafe<never, E>()
  // In one step, so that the command does not end between the question and what is made of the answer.
  const onFailure = (cause: Cause.Cause<E>): Effect.Effect<void> =>
    Effect.map(handle.isRunning, (isRunning) => {
      if (isRunning) Deferred.doneUnsafe(failed, Effect.failCause(cause))
    })
  const write = Stream.run(Stream.tapCause(input, onFailure), handle.stdin)
  yield* Effect.forkScoped(Effect.ignoreCause(write))
  const cut = Effect.catchCause(
    Deferred.await(failed),
    (cause) =>
      Effect.fail(
        new ChannelError({ reason: new InputFailed({ cause: Cause.squash(cause) }), channel: handle.info })
      )
  )
  const unlessCut = (output: Stream.Stream<Uint8Array, ChannelError>): Stream.Stream<Uint8Array, ChannelError> =>
    Stream.suspend(() =>
      Deferred.isDoneUnsafe(failed) ? Stream.fromEffectDrain(cut) : Stream.interruptWhen(output, cut)
    )
  // Of two that are done, a race is won by the first.
  return ExecHandle.change<E>(handle, {
    stdout: unlessCut(handle.stdout),
    stderr: unlessCut(handle.stderr),
    all: unlessCut(handle.all),
    exitCode: Effect.raceFirst(Deferred.await(failed), handle.exitCode),
    verified: Effect.raceFirst(cut, handle.verified),
    status: Effect.raceFirst(cut, handle.status)
  })
})
