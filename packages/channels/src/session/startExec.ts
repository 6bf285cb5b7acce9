/**
 * Starts a command in a container, supervised or bare, and gives its handle.
 */
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Status from "@effect-k8s/core/Status"
import { NoAnswer, TransportError } from "@effect-k8s/core/TransportError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as CommandLine from "effect/process/CommandLine"
import * as Scope from "effect/Scope"
import type { ChannelInfo } from "../ChannelError.ts"
import { connect } from "../connection/connect.ts"
import type { Connection } from "../connection/Connection.ts"
import { type ExecHandle, isExecHandle } from "../ExecHandle.ts"
import type { ExecOptions } from "../ExecOptions.ts"
import * as ExitStatus from "../protocol/ExitStatus.ts"
import * as Target from "../Target.ts"
import * as Concealment from "./Concealment.ts"
import * as ExecPlan from "./ExecPlan.ts"
import { endWithScope } from "./kill.ts"
import * as Liveness from "./Liveness.ts"
import * as RemoteSignal from "./RemoteSignal.ts"
import * as Session from "./Session.ts"
import * as ShellLess from "./ShellLess.ts"
import { toHandle } from "./toHandle.ts"

/** A command that runs, before it has a handle. */
export interface Running {
  readonly _tag: "Running"
  readonly session: Session.Session
  readonly connection: Connection
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
  readonly info: ChannelInfo
  readonly supervised: boolean
  readonly processGroup: number | undefined
  /** How its processes are reached; none for a bare command. */
  readonly signals: RemoteSignal.RemoteSignal | undefined
}

type NotStarted = Session.Start & { readonly _tag: "NotStarted" }

const defaultBufferBytes = 1024 * 1024

/**
 * Whether it is the shell that the runtime could not start; its words are all there is to tell by. One that it has found
 * but the kernel will not run it names by its path.
 */
const isShellMissing = ({ status, stderr }: NotStarted): boolean => {
  const failure = ExitStatus.classify(status._tag === "Failed" ? status.message : stderr)
  return (failure._tag === "NotFound" || failure._tag === "NotExecutable") &&
    (failure.program === undefined || /(?:^|\/)sh$/.test(failure.program))
}

/**
 * Starts a command. Its connection and its fibers end with the current scope.
 *
 * A supervised command is there when the supervisor has said so, a bare one when the server has upgraded. Fails with
 * `KubeError`: nothing was started then, unless the connection broke during the handshake, a proxy answered with 502 to
 * 504, or something answered another handshake.
 */
export const startExec = Effect.fnUntraced(function*(
  reference: Target.Target,
  argv: ReadonlyArray<CommandLine.Word>,
  options: ExecOptions
): Effect.fn.Return<ExecHandle, KubeError.KubeError, KubeClient | Scope.Scope> {
  const client = yield* KubeClient
  const scope = yield* Effect.scope
  const begun = yield* Clock.currentTimeMillis
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({
      reason,
      request: {
        verb: "exec",
        resource: "pods/exec",
        namespace: reference.namespace ?? client.namespace,
        name: reference.pod,
        server: client.cluster.server
      }
    })

  const problem = ExecPlan.problem(argv, options)
  if (problem !== undefined) return yield* fail(new KubeError.Encode({ description: problem }))
  const target = yield* Target.resolve(reference)
  const concealment = Concealment.make(ExecPlan.secrets(argv, options))

  const attempt = Effect.fnUntraced(function*(
    plan: ExecPlan.Plan
  ): Effect.fn.Return<Running | NotStarted, KubeError.KubeError, Scope.Scope> {
    const request = ExecPlan.toRequest(target, plan, options)
    const supervised = plan.nonce !== undefined
    const tty = options.tty === true
    // The end of a terminal's stdin is a key.
    const halfClose = options.stdin === "pipe" && !tty
    const intent = { halfClose, tty, bulk: options.bulk === true, supervised }
    const { attempts, connection } = yield* connect(client, request, intent, { ...plan.streams, tty }, {
      policy: { transport: options.transport ?? "auto", protocols: options.protocols },
      fallback: options.fallback,
      handshakeTimeout: Duration.fromInputUnsafe(options.handshakeTimeout ?? "30 seconds"),
      conceal: concealment.body
    })
    const info: ChannelInfo = {
      namespace: target.namespace,
      pod: target.pod,
      container: target.container,
      command: CommandLine.display(argv),
      server: client.cluster.server,
      get protocol() {
        return `${connection.transport} ${connection.protocol}`
      },
      attempts
    }
    const describe = Effect.suspend(() =>
      Effect.annotateCurrentSpan({
        "k8s.transport": connection.transport,
        "k8s.protocol": info.protocol,
        "k8s.refused": attempts.map(KubeError.describeAttempt),
        "k8s.supervised": supervised
      })
    )
    yield* describe
    const session = yield* Session.make({
      connection,
      info,
      program: CommandLine.display(argv.slice(0, 1)),
      cwd: options.cwd,
      variables: Object.keys(options.env ?? {}),
      nonce: plan.nonce,
      tty,
      bufferBytes: options.bufferBytes ?? defaultBufferBytes,
      unreadGrace: Duration.fromInputUnsafe(options.unreadGrace ?? "10 seconds"),
      liveness: Liveness.settings(options.heartbeat),
      concealment
    })
    const signals = plan.nonce === undefined
      ? undefined
      : RemoteSignal.make({ client, target, info, nonce: plan.nonce })
    if (signals !== undefined && options.stdin === "pipe" && options.onClose !== "leave") {
      yield* endWithScope(session, signals)
    }
    const deadline = Duration.fromInputUnsafe(options.startTimeout ?? "1 minute")
    const start = yield* Effect.timeoutOrElse(session.start, {
      duration: deadline,
      orElse: () => {
        const timeoutMillis = Duration.toMillis(deadline)
        const reason = new NoAnswer({ address: client.cluster.address, timeoutMillis })
        return Effect.fail(fail(new KubeError.Transport({ error: new TransportError({ reason }) })))
      }
    })
    // The connection may have been exchanged since.
    yield* describe
    if (start._tag === "NotStarted") return start
    // What fails from here on is the session's to tell.
    if (plan.preamble !== undefined) yield* Effect.ignore(session.write([plan.preamble], { counted: false }))
    if (options.size !== undefined && tty) yield* session.resize(options.size)
    return {
      _tag: "Running",
      session,
      connection,
      attempts,
      info,
      supervised,
      processGroup: start.processGroup,
      signals
    }
  })

  /** An attempt whose connection is closed at once when the command did not start. */
  const tried = Effect.fnUntraced(function*(plan: ExecPlan.Plan) {
    const inner = yield* Scope.fork(scope)
    return yield* Effect.onExit(
      Scope.provide(attempt(plan), inner),
      (exit) => exit._tag === "Success" && exit.value._tag === "Running" ? Effect.void : Scope.close(inner, exit)
    )
  })

  const notStarted = ({ status }: NotStarted): KubeError.KubeError =>
    fail(
      status._tag === "Failed"
        ? Option.match(Status.fromUnknown(status.status), {
          onNone: () => new KubeError.Decode({ description: `the server could not start it: ${status.message}` }),
          onSome: KubeError.reasonFromStatus
        })
        : new KubeError.SupervisorUnavailable({ description: `sh ended with exit code ${status.code}` })
    )

  const begin = (plan: ExecPlan.Plan): Effect.Effect<ExecHandle | NotStarted, KubeError.KubeError> =>
    Effect.map(tried(plan), (result) => result._tag === "Running" ? toHandle(result, options, begun) : result)
  const bare = Effect.gen(function*() {
    const plan = ExecPlan.bare(argv, options)
    if (!plan.streams.stdin && !plan.streams.stdout && !plan.streams.stderr) {
      const description = "servers run no command without any of stdin, stdout and stderr; pipe one of them"
      return yield* fail(new KubeError.Encode({ description }))
    }
    const result = yield* begin(plan)
    // A bare command has nobody to report that it did not start; only the type does not know.
    return isExecHandle(result) ? result : yield* notStarted(result)
  })

  const supervise = options.tty === true ? "never" : options.supervise ?? "preferred"
  if (supervise === "never") return yield* bare
  const mayBeBare = supervise === "preferred" && needsNoSupervisor(options)
  if (mayBeBare && (yield* ShellLess.isKnown(client, target))) return yield* bare
  const result = yield* begin(ExecPlan.supervised(argv, options))
  if (isExecHandle(result)) return result
  if (!isShellMissing(result)) return yield* notStarted(result)
  yield* ShellLess.remember(client, target)
  if (mayBeBare) return yield* bare
  const description = result.status._tag === "Failed"
    ? ExitStatus.stripPrefixes(result.status.message)
    : result.stderr.trim()
  return yield* fail(new KubeError.SupervisorUnavailable({ description }))
})

/** Directory and variables are set by the supervisor: with them there is no running without it. */
const needsNoSupervisor = (options: ExecOptions): boolean => options.cwd === undefined && options.env === undefined
