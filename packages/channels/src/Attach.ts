/**
 * Attaching to what a container runs: its output from now on, and its stdin.
 *
 * Nothing is started and nothing ends with it: whoever leaves can attach again. There is no supervisor, so nothing is
 * verified, and the output is what servers make of it.
 *
 * ```ts
 * const console = yield* Attach.attach(Target.pod("game-0"), { stdin: "pipe" })
 * yield* Stream.run(Stream.encodeText(Stream.make("save-all\n")), console.stdin)
 * ```
 */
import * as Api from "@effect-k8s/core/Api"
import * as Pods from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { KillOptions } from "effect/process/ChildProcess"
import { ExitCode } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import * as ChannelError from "./ChannelError.ts"
import { connect } from "./connection/connect.ts"
import type { ExecHandle } from "./ExecHandle.ts"
import type { ExecOptions } from "./ExecOptions.ts"
import * as AttachPlan from "./session/AttachPlan.ts"
import * as Concealment from "./session/Concealment.ts"
import * as ContainerEnd from "./session/ContainerEnd.ts"
import * as Liveness from "./session/Liveness.ts"
import * as Session from "./session/Session.ts"
import { toHandle, toSink } from "./session/toHandle.ts"
import * as Target from "./Target.ts"

/** Options of `attach`; those that `ExecOptions` has too mean the same. */
export interface AttachOptions extends
  Pick<
    ExecOptions,
    | "stdout"
    | "stderr"
    | "size"
    | "bufferBytes"
    | "unreadGrace"
    | "handshakeTimeout"
    | "heartbeat"
    | "protocols"
    | "transport"
  >
{
  /**
   * Whether to write to the container's stdin, which it must have: `stdin: true` in its specification. `"ignore"` unless
   * told. With `stdinOnce: true` the container's stdin ends with yours, and for good.
   */
  readonly stdin?: "pipe" | "ignore" | undefined
  /** Insists on a terminal. A container with one is always attached to as one, and everything comes on `stdout`. */
  readonly tty?: boolean | undefined
  /** How long `exitCode` waits for the pod's status to tell the end of the container; 10 seconds unless told. */
  readonly exitTimeout?: Duration.Input | undefined
}

/** What an exec has, without a process of its own. */
export interface AttachHandle extends ExecHandle {
  readonly supervised: false
  readonly processGroup: undefined
  /** The run of the container that it is attached to; another one after a restart. */
  readonly containerId: string
  /** Whether it is attached to a terminal. */
  readonly tty: boolean
  /**
   * The container's stdin. Its end ends the container's stdin only with `stdinOnce: true`; otherwise that stays open, for
   * the next stream and for others that attach. On a terminal the end sends ^D.
   */
  readonly stdin: ExecHandle["stdin"]
  /** Output from now on. Nobody can tell whether it is complete. */
  readonly stdout: ExecHandle["stdout"]
  /**
   * The exit code of the container, from its pod's status, when the stream has ended. Fails with `StillRunning` when the
   * stream has ended and the container has not, and with `OutcomeUnknown` when nobody can tell any more.
   */
  readonly exitCode: ExecHandle["exitCode"]
  /** Fails with `KillUnsupported`: the process is the container's own. Delete the pod to end it. */
  readonly kill: (options?: KillOptions) => Effect.Effect<never, ChannelError.ChannelError>
}

const defaultBufferBytes = 1024 * 1024

// The kubelet's words, in its answer or on the connection, for a container that has ended in between.
const notFoundByKubelet = /container \S+ not found in pod/

const isRefused = ({ reason }: KubeError.KubeError): boolean =>
  reason._tag === "UpgradeRefused" && reason.attempts.some(({ body }) => notFoundByKubelet.test(body))

/** Whether the stream may have ended with the container, without a word on how. */
const mayHaveEnded = ({ reason }: ChannelError.ChannelError): boolean =>
  reason._tag === "OutcomeUnknown" || reason._tag === "RemoteFailure" && notFoundByKubelet.test(reason.description)

/**
 * Attaches to a container of any kind: a main, init or ephemeral one, by its name.
 *
 * Servers answer before they show anything: what is written in the first moments after can be missed.
 *
 * Its scope owns the connection; closing it leaves, and ends nothing (but, with `stdinOnce`, the container's stdin).
 *
 * Fails before anything is opened: with `NotFound`, `ContainerNotFound`, `ContainerNotRunning` (with its state),
 * `NoSuchStream` for a container without the stdin or the terminal that is asked for (servers would accept, and nothing
 * would ever arrive), and as a refused upgrade does.
 */
export const attach = (
  target: Target.Target,
  options: AttachOptions = {}
): Effect.Effect<AttachHandle, KubeError.KubeError, KubeClient | Scope.Scope> =>
  start(target, options).pipe(
    Effect.withSpan("Attach.attach", {
      kind: "client",
      attributes: { "k8s.pod": target.pod, "k8s.namespace": target.namespace, "k8s.container": target.container }
    })
  )

const start = Effect.fnUntraced(function*(
  reference: Target.Target,
  options: AttachOptions
): Effect.fn.Return<AttachHandle, KubeError.KubeError, KubeClient | Scope.Scope> {
  const client = yield* KubeClient
  const begun = yield* Clock.currentTimeMillis
  // The container is chosen below, from the pod that has to be read anyway.
  const { namespace, pod } = yield* Target.resolve({ ...reference, container: reference.container ?? "" })
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({
      reason,
      request: { verb: "attach", resource: "pods/attach", namespace, name: pod, server: client.cluster.server }
    })
  const wanted = {
    stdin: options.stdin === "pipe",
    stdout: options.stdout !== "ignore",
    stderr: options.stderr !== "ignore",
    tty: options.tty === true
  }

  const pods = Api.make(Pods.Pod, { namespace })
  const found = yield* pods.get(pod)
  const { container } = Target.fromPod(found, { container: reference.container })
  if (container === undefined) return yield* fail(new KubeError.ContainerNotFound({ pod, containers: [] }))
  const plan = yield* Effect.mapError(Effect.fromResult(AttachPlan.make(found, container, wanted)), fail)
  const { streams, tty } = plan
  if (!streams.stdin && !streams.stdout && !streams.stderr) {
    return yield* fail(
      new KubeError.Encode({
        description: `servers attach nobody without any of stdin, stdout and stderr${
          tty ? " (a terminal has no stderr)" : ""
        }; pipe one of them`
      })
    )
  }

  const { attempts, connection } = yield* connect(
    client,
    AttachPlan.toRequest({ namespace, pod, container }, plan),
    // Where nothing is to be said of the end of stdin, the protocol that loses least of the output will do.
    { halfClose: plan.leavesStdin || plan.endsStdin && !tty, tty, bulk: false, supervised: false },
    { ...streams, tty },
    {
      policy: { transport: options.transport ?? "auto", protocols: options.protocols },
      // Who attaches twice has started nothing.
      fallback: "always",
      handshakeTimeout: Duration.fromInputUnsafe(options.handshakeTimeout ?? "30 seconds"),
      conceal: (body) => body
    }
  ).pipe(
    Effect.catchIf(
      isRefused,
      () => Effect.flatMap(pods.get(pod), (now) => Effect.fail(fail(AttachPlan.notRunning(now, container))))
    )
  )
  const info: ChannelError.ChannelInfo = {
    namespace,
    pod,
    container,
    command: "attach",
    server: client.cluster.server,
    get protocol() {
      return `${connection.transport} ${connection.protocol}`
    },
    attempts
  }
  yield* Effect.annotateCurrentSpan({
    "k8s.container": container,
    "k8s.transport": connection.transport,
    "k8s.protocol": info.protocol,
    "k8s.refused": attempts.map(KubeError.describeAttempt)
  })
  const session = yield* Session.make({
    connection,
    info,
    program: "attach",
    cwd: undefined,
    variables: [],
    nonce: undefined,
    tty,
    bufferBytes: options.bufferBytes ?? defaultBufferBytes,
    unreadGrace: Duration.fromInputUnsafe(options.unreadGrace ?? "10 seconds"),
    liveness: Liveness.settings(options.heartbeat),
    concealment: Concealment.make([])
  })
  if (options.size !== undefined && tty) {
    // What is on the screen is drawn again only when its size changes.
    yield* session.resize({ width: options.size.width + 1, height: options.size.height + 1 })
    yield* session.resize(options.size)
  }

  const run: ContainerEnd.Run = { namespace, pod, uid: plan.uid, container, containerId: plan.containerId }
  const exitTimeout = options.exitTimeout ?? "10 seconds"
  const channelError = (reason: ChannelError.ChannelErrorReason) =>
    new ChannelError.ChannelError({ reason, channel: info })
  const outcomeUnknown = (description: string) => {
    const { stderr, stdout } = session.counts()
    return channelError(new ChannelError.OutcomeUnknown({ bytesReceived: stdout + stderr, description }))
  }
  const fromStatus = ContainerEnd.wait(run, exitTimeout).pipe(
    Effect.provideService(KubeClient, client),
    Effect.mapError((error) => outcomeUnknown(`the end of the container could not be read: ${error.message}`)),
    Effect.flatMap((end) => {
      switch (end._tag) {
        case "Exited":
          return Effect.succeed(end.code)
        case "Running":
          return Effect.fail(channelError(new ChannelError.StillRunning({ containerId: plan.containerId })))
        case "Forgotten":
          return Effect.fail(outcomeUnknown("the container has been started again since, so its exit code is lost"))
        case "Gone":
          return Effect.fail(outcomeUnknown("the pod is gone, and with it the exit code of its container"))
      }
    })
  )
  let known: number | undefined
  const exitCode = Effect.gen(function*() {
    if (known !== undefined) return ExitCode(known)
    const exit = yield* Effect.exit(session.exited)
    if (Exit.isSuccess(exit)) {
      // Success says that the streams have ended, and nothing of the process.
      known = exit.value.code === 0 ? yield* fromStatus : exit.value.code
    } else {
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      if (error === undefined || !mayHaveEnded(error)) return yield* Effect.failCause(exit.cause)
      known = yield* Effect.mapError(fromStatus, () => error)
    }
    return ExitCode(known)
  })

  const handle = toHandle(
    {
      _tag: "Running",
      session,
      connection,
      attempts,
      info,
      supervised: false,
      processGroup: undefined,
      signals: undefined
    },
    { ...options, tty },
    begun
  )
  return Object.assign(
    handle,
    {
      supervised: false,
      processGroup: undefined,
      containerId: plan.containerId,
      tty,
      stdin: wanted.stdin && !plan.endsStdin ? toSink(session, Effect.void) : handle.stdin,
      exitCode,
      kill: () =>
        Effect.fail(channelError(
          new ChannelError.KillUnsupported({
            description:
              "the process is the container's own and is not killed by those who attach; delete the pod to end it"
          })
        ))
    } as const
  )
})
