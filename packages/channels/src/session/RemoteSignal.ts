/**
 * Signals for the processes of a supervised command, by a second exec in its container: the server has no other way to
 * reach a process.
 */
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Signal } from "effect/process/ChildProcess"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ChannelError, ChannelInfo } from "../ChannelError.ts"
import { connect } from "../connection/connect.ts"
import type { ExecOptions } from "../ExecOptions.ts"
import * as KillScript from "../protocol/KillScript.ts"
import type { Resolved } from "../Target.ts"
import * as Concealment from "./Concealment.ts"
import * as ExecPlan from "./ExecPlan.ts"
import * as Liveness from "./Liveness.ts"
import * as Session from "./Session.ts"

/** Where the command runs. */
export interface Options {
  readonly client: KubeClient["Service"]
  readonly target: Resolved
  /** The command's own channel, for errors. */
  readonly info: ChannelInfo
  readonly nonce: string
}

/** What became of a signal. */
export type Told =
  | "Sent"
  /** The command has ended: nothing was sent. */
  | "Gone"
  /** The container's shell does not know the signal, or may not send it. */
  | "Refused"
  /** The container has no `/proc`. */
  | "NoProc"

/** Reaches the processes of one command. */
export interface RemoteSignal {
  /** Sends a signal to the command and its children; the supervisor lives on, to tell how they ended. */
  readonly send: (processGroup: number, signal: Signal) => Effect.Effect<Told, KubeError | ChannelError>
  /**
   * Ends the command and its supervisor, by SIGTERM and after two seconds by SIGKILL; waits until SIGTERM was sent. What
   * follows no longer needs the client.
   */
  readonly terminate: (processGroup: number) => Effect.Effect<void, KubeError | ChannelError>
}

const execOptions: ExecOptions = { stderr: "ignore", supervise: "never" }

const told = (code: number): Told | undefined => {
  switch (code) {
    case KillScript.Code.Sent:
      return "Sent"
    case KillScript.Code.Gone:
      return "Gone"
    case KillScript.Code.NoProc:
      return "NoProc"
    case KillScript.Code.Refused:
      return "Refused"
  }
}

/** Signals for the command of a session with this nonce. */
export const make = ({ client, info, nonce, target }: Options): RemoteSignal => {
  const run = Effect.fnUntraced(function*(
    argv: ReadonlyArray<string>
  ): Effect.fn.Return<Session.Session, KubeError, Scope.Scope> {
    const plan = ExecPlan.bare(argv, execOptions)
    const { attempts, connection } = yield* connect(
      client,
      ExecPlan.toRequest(target, plan, execOptions),
      { halfClose: false, tty: false, bulk: false, supervised: false },
      { ...plan.streams, tty: false },
      {
        policy: { transport: "auto", protocols: undefined },
        handshakeTimeout: Duration.seconds(30),
        conceal: (body) => body
      }
    )
    return yield* Session.make({
      connection,
      info: {
        ...info,
        command: `kill (${info.command})`,
        protocol: `${connection.transport} ${connection.protocol}`,
        attempts
      },
      program: "sh",
      cwd: undefined,
      variables: [],
      nonce: undefined,
      tty: false,
      bufferBytes: 1024,
      unreadGrace: Duration.seconds(10),
      liveness: Liveness.defaults,
      concealment: Concealment.make([])
    })
  })

  return {
    send: (processGroup, signal) =>
      run(KillScript.signal({ processGroup, nonce }, signal)).pipe(
        Effect.flatMap(({ exited }) => exited),
        Effect.map(({ code }) => told(code) ?? "Refused"),
        Effect.scoped,
        Effect.withSpan("Exec.kill", { attributes: { "process.group": processGroup, "process.signal": signal } })
      ),
    terminate: (processGroup) =>
      run(KillScript.terminate({ processGroup, nonce })).pipe(
        Effect.flatMap(({ stdout }) => Stream.runHead(stdout)),
        Effect.asVoid,
        Effect.scoped
      )
  }
}
