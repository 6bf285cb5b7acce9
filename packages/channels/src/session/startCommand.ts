/**
 * Starts a command value: provides what it is bound to, starts it, writes its input.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CommandLine from "effect/process/CommandLine"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
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

  const inputFailed = Deferred.makeUnsafe<never, E>()
  if (input !== undefined) {
    const write = Stream.run(
      Stream.tapCause(input as Stream.Stream<Uint8Array, E, R>, (cause) => Deferred.failCause(inputFailed, cause)),
      handle.stdin
    )
    yield* Effect.forkScoped(Effect.provideContext(Effect.ignoreCause(write), context))
  }

  // An input that failed has cut the command's stdin short: that comes before its exit code.
  const exitCode = input === undefined
    ? handle.exitCode
    : Effect.raceFirst(handle.exitCode, Deferred.await(inputFailed))
  return ExecHandle.make<E>({
    ...handle,
    exitCode: command.checked
      ? Effect.filterOrFail(
        exitCode,
        (code) => code === 0,
        // Sound: a checked command has ExitedNonZero in `E`.
        (code) => exitedNonZero(command, code, "") as E
      )
      : exitCode
  })
})
