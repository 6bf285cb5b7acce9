/**
 * The public handle of a running session.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { ExitCode } from "effect/process/ChildProcessSpawner"
import * as Pull from "effect/Pull"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as ChannelError from "../ChannelError.ts"
import * as ExecHandle from "../ExecHandle.ts"
import type { ExecOptions } from "../ExecOptions.ts"
import { kill } from "./kill.ts"
import type { Session } from "./Session.ts"
import type { Running } from "./startExec.ts"

/** Writes to a session's stdin; `end` is what the end of the stream does. */
export const toSink = (
  session: Session,
  end: Effect.Effect<void, ChannelError.ChannelError>
): ExecHandle.ExecHandle["stdin"] =>
  Sink.fromTransform((upstream) =>
    Effect.gen(function*() {
      while (true) {
        const chunks = yield* Pull.catchDone(upstream, () => Effect.undefined)
        if (chunks === undefined) return yield* end
        if (!(yield* session.write(chunks))) return
      }
    }).pipe(Effect.as([undefined] as const))
  )

/** Makes the handle of a command that was asked for at `begun`. */
export const toHandle = (running: Running, options: ExecOptions, begun: number): ExecHandle.ExecHandle => {
  const { connection, info, session, supervised } = running
  const fail = (reason: ChannelError.ChannelErrorReason) => new ChannelError.ChannelError({ reason, channel: info })

  const stdin: ExecHandle.ExecHandle["stdin"] = options.stdin === "pipe"
    ? toSink(session, session.endStdin)
    : Sink.fromTransform(() => Effect.fail(fail(new ChannelError.StdinNotPiped())))
  const stdout = options.stdout === "ignore" ? Stream.empty : session.stdout
  const stderr = options.stderr === "ignore" ? Stream.empty : session.stderr
  return ExecHandle.make<never>({
    info,
    get protocol() {
      return connection.protocol
    },
    get transport() {
      return connection.transport
    },
    attempts: running.attempts,
    supervised,
    processGroup: running.processGroup,
    stdin,
    stdout,
    stderr,
    all: Stream.merge(stdout, stderr),
    exitCode: Effect.map(session.exited, ({ code }) => ExitCode(code)),
    verified: Effect.map(session.exited, ({ verified }) => verified),
    isRunning: session.isRunning,
    kill: (killOptions) => kill({ ...running, halfClose: connection.halfClose }, options, killOptions),
    resize: (size) => options.tty === true ? session.resize(size) : Effect.void,
    status: Effect.flatMap(session.status, (outcome) => {
      if (outcome._tag === "Exited" || outcome._tag === "Failed") return Effect.succeed(outcome.status)
      const unknown = fail(
        new ChannelError.OutcomeUnknown({
          bytesReceived: session.counts().stdout + session.counts().stderr,
          description: outcome._tag === "Missing"
            ? "the server sent no status"
            : `the server's status ${outcome.why}`
        })
      )
      // Why there is none, a session that was lost knows better.
      return outcome._tag === "Missing" ? Effect.andThen(session.exited, Effect.fail(unknown)) : Effect.fail(unknown)
    }),
    stats: Effect.map(Clock.currentTimeMillis, (now) => {
      const counts = session.counts()
      return {
        stdinBytes: counts.stdin,
        stdoutBytes: counts.stdout,
        stderrBytes: counts.stderr,
        durationMillis: now - begun
      }
    })
  })
}
