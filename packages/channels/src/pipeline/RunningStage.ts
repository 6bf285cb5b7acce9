/**
 * A stage that is a process, started: in a pod or on this machine, behind one face.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import { isKubeError } from "@effect-k8s/core/KubeError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import { ChannelError, isChannelError, StdinUnconsumed } from "../ChannelError.ts"
import * as Command from "../Command.ts"
import type { Verified } from "../ExecHandle.ts"
import type * as Pipeline from "./Pipeline.ts"
import type { StageFailureReason } from "./StageResult.ts"
import * as Tail from "./Tail.ts"

/** A process that runs. */
export interface RunningStage {
  readonly output: Stream.Stream<Uint8Array, StageFailureReason>
  readonly input: Sink.Sink<void, Uint8Array, never, StageFailureReason>
  readonly exit: Effect.Effect<{ readonly code: number; readonly verified: Verified }, StageFailureReason>
  /** What it means that it ended before its input did: nothing, or that how much of it was read is not known. */
  readonly endedBeforeInput: (bytesSent: number) => StageFailureReason | undefined
  /** Where it runs, with what was filled in: `namespace/pod/container`, or `local`. */
  readonly whereabouts: string
  readonly protocol: string | undefined
  readonly transport: string | undefined
  /** The end of its stderr; waits for it for a moment. */
  readonly stderrTail: Effect.Effect<string>
}

/** A stage that is a process. */
export type Process = Exclude<Pipeline.Stage, { readonly _tag: "Through" }>

/** Whether an error is one that a process can fail with; any other comes from a user's layer. */
export const isStageFailureReason = (error: unknown): error is StageFailureReason =>
  isKubeError(error) || isChannelError(error) || error instanceof PlatformError.PlatformError

const startPod = Effect.fnUntraced(function*(
  command: Command.Command<unknown, unknown, unknown>,
  piped: boolean
): Effect.fn.Return<RunningStage, unknown, KubeClient | Scope.Scope> {
  // Sound: what the command needs beyond a client, the pipeline's type asks for and `launch` provides.
  const handle = yield* Command.withOptions(Command.plain(command) as Command.Command<KubeClient, never, unknown>, {
    stdin: piped ? "pipe" : "ignore",
    stdout: "pipe",
    supervise: command.options.supervise === "never" ? "never" : "required",
    bulk: true,
    // Every output has its reader here, however late a stage begins to read: being held up is no failure.
    unreadGrace: command.options.unreadGrace ?? Duration.infinity
  })
  return {
    output: handle.stdout,
    input: handle.stdin,
    exit: Effect.all({ code: handle.exitCode, verified: handle.verified }),
    endedBeforeInput: (bytesSent) =>
      handle.supervised
        ? undefined
        : new ChannelError({ reason: new StdinUnconsumed({ bytesSent }), channel: handle.info }),
    whereabouts: [handle.info.namespace, handle.info.pod, handle.info.container].join("/"),
    protocol: handle.protocol,
    transport: handle.transport,
    stderrTail: yield* Tail.collect(handle.stderr)
  }
})

/** Why a stage cannot be run as it is, known before anything runs. `piped`: it gets the output of the stage before. */
export const refusal = (stage: Pipeline.Stage, piped: boolean): StageFailureReason | undefined => {
  if (stage._tag === "Through" && stage.feeds && piped) {
    return PlatformError.badArgument({
      module: "Exec",
      method: "pipeTo",
      description:
        "a command that is fed takes no output of a stage before it; feed the first stage, or pipe into this one"
    })
  }
  if (stage._tag !== "Local") return undefined
  const { from = "stdout", to = "stdin" } = stage.pipe
  return from === "stdout" && to === "stdin" ? undefined : PlatformError.badArgument({
    module: "Exec",
    method: "pipeTo",
    description: `a pipeline joins stdout to stdin only, not ${from} to ${to}`
  })
}

const unverified: Verified = { stdout: false, stderr: false }

const startLocal = Effect.fnUntraced(function*(
  { command }: Process & { readonly _tag: "Local" },
  piped: boolean
): Effect.fn.Return<RunningStage, PlatformError.PlatformError, ChildProcessSpawner | Scope.Scope> {
  const { options } = command
  const spawner = yield* ChildProcessSpawner
  const handle = yield* spawner.spawn(ChildProcess.make(command.command, command.args, {
    ...options,
    stdin: piped ? "pipe" : options.stdin ?? "ignore",
    stdout: "pipe",
    // A stage that ignores SIGTERM must not hold up the end of the pipeline for ever.
    forceKillAfter: options.forceKillAfter ?? "2 seconds"
  }))
  const collects = options.stderr === undefined || options.stderr === "pipe"
  return {
    output: handle.stdout,
    input: handle.stdin,
    exit: Effect.map(handle.exitCode, (code) => ({ code, verified: unverified })),
    endedBeforeInput: () => undefined,
    whereabouts: "local",
    protocol: undefined,
    transport: undefined,
    stderrTail: collects ? yield* Tail.collect(handle.stderr) : Effect.succeed("")
  }
})

/** Starts a process in the current scope. `piped`: it gets the output of the stage before. */
export const start = (
  stage: Process,
  piped: boolean
): Effect.Effect<RunningStage, unknown, KubeClient | ChildProcessSpawner | Scope.Scope> =>
  stage._tag === "Pod" ? startPod(stage.command, piped) : startLocal(stage, piped)
