/**
 * How a command is ended: when it is asked for, and at the end of its scope.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { KillOptions, Signal } from "effect/process/ChildProcess"
import type * as Scope from "effect/Scope"
import * as ChannelError from "../ChannelError.ts"
import type { ExecOptions } from "../ExecOptions.ts"
import { graceSeconds } from "../protocol/SupervisorScript.ts"
import type { RemoteSignal } from "./RemoteSignal.ts"
import type { Session } from "./Session.ts"

/** A command that was started. */
export interface Killable {
  readonly session: Session
  readonly info: ChannelError.ChannelInfo
  readonly processGroup: number | undefined
  /** None for a bare command, whose processes nobody knows. */
  readonly signals: RemoteSignal | undefined
  /** Whether the end of its stdin can be said without giving up its outcome. */
  readonly halfClose: boolean
}

// One that is just starting another program may have been missed.
const killAgainAfter = Duration.seconds(2)
const killAttempts = 3

/**
 * Signals a command and waits for its end. Nothing if it has ended. When the session was lost before the outcome was
 * known, the signal is sent all the same, and its effect is not waited for, because nobody tells it.
 */
export const kill = Effect.fnUntraced(function*(
  killable: Killable,
  options: ExecOptions,
  { forceKillAfter, killSignal = "SIGTERM" }: KillOptions = {}
): Effect.fn.Return<void, ChannelError.ChannelError> {
  const { info, processGroup, session, signals } = killable
  const fail = (reason: ChannelError.ChannelErrorReason) => new ChannelError.ChannelError({ reason, channel: info })
  if (signals === undefined || processGroup === undefined) {
    return yield* fail(
      new ChannelError.KillUnsupported({
        description: "only a supervised command can be killed: a server ends no process when its client leaves"
      })
    )
  }
  const isRunning = yield* session.isRunning
  if (!isRunning && Exit.isSuccess(yield* Effect.exit(session.exited))) return
  const ended = Effect.asVoid(session.exited)

  const isWatched = options.stdin !== "pipe" && options.onClose !== "leave" && killSignal === "SIGTERM" &&
    forceKillAfter === undefined
  // Its watcher does it, without another exec. Where the end of stdin cannot be said, it is done in the same way.
  if (isRunning && isWatched && killable.halfClose) return yield* Effect.andThen(session.hangUp, ended)
  const killAfter = isWatched ? Duration.seconds(graceSeconds) : forceKillAfter

  const send = Effect.fnUntraced(function*(signal: Signal): Effect.fn.Return<void, ChannelError.ChannelError> {
    const told = yield* Effect.mapError(
      signals.send(processGroup, signal),
      (cause) => fail(new ChannelError.KillFailed({ signal, description: cause.message, cause }))
    )
    if (told === "Refused") {
      const description = `the container's sh does not know ${signal}, or may not send it to the command`
      return yield* fail(new ChannelError.KillUnsupported({ description }))
    }
    if (told === "NoProc") {
      const description = "the container has no /proc, so the command's processes cannot be told from others"
      return yield* fail(new ChannelError.KillUnsupported({ description }))
    }
  })
  const forced = Effect.gen(function*() {
    for (let attempt = 1; attempt < killAttempts; attempt++) {
      yield* send("SIGKILL")
      if (Option.isSome(yield* Effect.timeoutOption(ended, killAgainAfter))) return
    }
    yield* send("SIGKILL")
    yield* ended
  })

  if (!isRunning) return yield* send(killSignal)
  if (killSignal === "SIGKILL") return yield* forced
  yield* send(killSignal)
  if (killAfter === undefined) return yield* ended
  if (Option.isNone(yield* Effect.timeoutOption(ended, killAfter))) yield* forced
})

/**
 * How long the end of a scope waits for the word that a command with stdin was told to end. A server that keeps the session
 * alive is there, and slow at most when it is late; behind a session that was lost there may be none.
 */
export const endWithin = { alive: Duration.seconds(10), lost: Duration.seconds(2) }

/** Whether the session has ended with the command: then nothing of it is left to end. */
const isOver = (exit: Exit.Exit<unknown, ChannelError.ChannelError>): boolean => {
  if (Exit.isSuccess(exit)) return true
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  switch (error?.reason._tag) {
    case "CommandNotFound":
    case "CommandNotExecutable":
    case "NoWorkingDirectory":
    case "VariableKept":
    case "RemoteFailure":
      return true
    case "OutcomeUnknown":
      return error.reason.reportedExitCode !== undefined
    default:
      return false
  }
}

/**
 * Ends a supervised command with stdin when the scope closes before it is known to have ended: the end of its stdin means
 * nothing to a command that does not read it, and to one that does it would look like the end of good input. It is told
 * to end before its connection is closed, within `endWithin`. A server that has not answered by then is a warning in the
 * log, because a process may be left; a failure is logged at the level of debugging, as of a pod that is gone.
 */
export const endWithScope = (session: Session, signals: RemoteSignal): Effect.Effect<void, never, Scope.Scope> => {
  const end = Effect.gen(function*() {
    if (!(yield* session.isRunning) && isOver(yield* Effect.exit(session.exited))) return
    const start = yield* session.start
    if (start._tag === "Started" && start.processGroup !== undefined) yield* signals.terminate(start.processGroup)
  })
  return Effect.addFinalizer(() =>
    Effect.flatMap(session.isRunning, (isAlive) =>
      Effect.interruptible(end).pipe(
        Effect.timeoutOrElse({
          duration: isAlive ? endWithin.alive : endWithin.lost,
          orElse: () => Effect.logWarning("A command with stdin was not told to end in time; its process may be left")
        }),
        Effect.catchCause((cause) =>
          Effect.logDebug("A command with stdin could not be told to end; its process may be left", cause)
        )
      ))
  )
}
