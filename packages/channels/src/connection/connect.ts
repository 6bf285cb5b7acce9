/**
 * Opens a connection for a command: offers protocols in the order that `Negotiation` says, and turns refusals into the
 * error they stand for.
 */
import type * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused as Refusing } from "@effect-k8s/core/Transport"
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as RemoteCommand from "../protocol/RemoteCommand.ts"
import type { Connection, Streams } from "./Connection.ts"
import * as Negotiation from "./Negotiation.ts"
import * as Refusals from "./refusals.ts"
import * as rememberTransports from "./rememberTransports.ts"
import { reopening } from "./reopening.ts"
import type { Opened } from "./shakeHands.ts"
import * as SpdyUpgrade from "./SpdyUpgrade.ts"
import * as TransportMemory from "./TransportMemory.ts"
import * as WebSocketUpgrade from "./WebSocketUpgrade.ts"

/** An open connection, and the refusals before it. */
export interface Connected {
  readonly connection: Connection
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
}

// The API server knows no default container and no names of others: its 400 says so in words.
const containerRefused = ({ status }: KubeError.BadRequest, pod: string): KubeError.ContainerNotFound | undefined => {
  const message = status.message ?? ""
  const unknown = /^container (\S+) is not valid for pod /.exec(message)
  if (unknown === null && !message.startsWith("a container name must be specified for pod ")) return undefined
  // Init containers come in brackets of their own.
  const containers = Array.from(message.matchAll(/: \[([^\]]*)\]/g)).flatMap((list) => (list[1] ?? "").split(" "))
  return new KubeError.ContainerNotFound({ pod, container: unknown?.[1], containers, status })
}

const hint = (code: number): string | undefined => {
  switch (code) {
    case 403:
      return "the server knows none of the protocols offered, or a proxy forbids the upgrade"
    case 400:
    case 426:
      return "a proxy on the way has removed the Upgrade header; let it pass WebSocket or SPDY traffic"
    case 414:
    case 431:
      return "the command line is too long for the server, because it travels in the URL; send long data on stdin"
    case 502:
    case 503:
    case 504:
      return "the API server or a proxy before it could not be reached; the command may have been started"
    default:
      return undefined
  }
}

/** What a refusal says, in the terms of errors. */
interface Refused {
  readonly refusal: Negotiation.Refusal
  readonly reason: KubeError.KubeErrorReason
}

const hasStatus = ({ refusal }: Refused): boolean => refusal.body === "status"

/** The last Status of a refusal says most; where several roles are missing, each is told. */
const fromStatuses = (refused: ReadonlyArray<Refused>, pod: string): KubeError.KubeErrorReason | undefined => {
  const reasons = refused.filter(hasStatus).map(({ reason }) => reason)
  const last = reasons.at(-1)
  if (last?._tag === "BadRequest") return containerRefused(last, pod) ?? last
  const forbidden = reasons.filter((reason) => reason._tag === "Forbidden")
  return last?._tag === "Forbidden" && Arr.isArrayNonEmpty(forbidden) ? Refusals.forbidden(forbidden) : last
}

/** The error that all refusals together stand for. */
const toReason = (
  intent: Negotiation.Intent,
  refused: ReadonlyArray<Refused>,
  attempts: ReadonlyArray<KubeError.UpgradeAttempt>,
  pod: string
): KubeError.KubeErrorReason => {
  const last = refused.at(-1)
  // A handshake that broke says nothing of what the server speaks.
  if (attempts.length === refused.length) {
    if (Negotiation.isHalfCloseUnsupported(intent, refused.map(({ refusal }) => refusal))) {
      return new KubeError.HalfCloseUnsupported({ attempts })
    }
    if (last !== undefined && !hasStatus(last) && last.reason._tag !== "UnexpectedStatus") return last.reason
  }
  const reason = fromStatuses(refused, pod)
  return reason === undefined || reason._tag === "UnexpectedStatus"
    ? new KubeError.UpgradeRefused({ attempts, hint: hint(last?.refusal.code ?? 0) })
    : reason
}

const remember = (
  client: KubeClient.KubeClient["Service"],
  event: TransportMemory.Event<Negotiation.Offer, Negotiation.Refusal>
): Effect.Effect<void> =>
  rememberTransports.remember(client, (state, now) => TransportMemory.commands.step(state, now, event))

/** What is asked for, and how. */
export interface Settings {
  readonly policy: Negotiation.Policy
  /** See `Negotiation.Fallback`; `"safe"` unless told. */
  readonly fallback?: Negotiation.Fallback | undefined
  readonly handshakeTimeout: Duration.Duration
  /** Takes secrets out of the body of a refusal. */
  readonly conceal: (body: string) => string
}

/**
 * Opens a connection. Every refusal is a `KubeError`: by the Status where there is one, else `UpgradeRefused` or
 * `HalfCloseUnsupported`. No command is asked for again after an answer that may have started it, unless the settings
 * allow that.
 */
export const connect = Effect.fnUntraced(function*(
  client: KubeClient.KubeClient["Service"],
  request: KubeClient.KubeRequest,
  intent: Negotiation.Intent,
  streams: Streams,
  settings: Settings
): Effect.fn.Return<Connected, KubeError.KubeError, Scope.Scope> {
  const scope = yield* Effect.scope
  const refused: Array<Refused> = []
  const attempts: Array<KubeError.UpgradeAttempt> = []
  const namespace = request.info.namespace ?? ""
  const fail = (reason: KubeError.KubeErrorReason): KubeError.KubeError =>
    new KubeError.KubeError({
      reason,
      request: { ...request.info, server: client.cluster.server },
      attempts: attempts.length > 1 ? attempts : undefined
    })

  const problem = Negotiation.problem(intent, settings.policy)
  if (problem !== undefined) return yield* fail(new KubeError.Encode({ description: problem }))

  /** In a scope of its own, which ends unless it was opened. */
  const open = (
    offer: Negotiation.Offer
  ): Effect.Effect<{ readonly answer: Opened | Refusing; readonly inner: Scope.Closeable }, KubeError.KubeError> =>
    Scope.fork(scope).pipe(Effect.flatMap((inner) => {
      const opening = offer.transport === "spdy"
        ? SpdyUpgrade.open(client, request, offer, streams, settings.handshakeTimeout)
        : WebSocketUpgrade.open(client, request, offer, settings.handshakeTimeout)
      return Scope.provide(opening, inner).pipe(
        Effect.onExit((exit) =>
          Exit.isSuccess(exit) && exit.value._tag === "Opened" ? Effect.void : Scope.close(inner, exit)
        ),
        Effect.map((answer) => ({ answer, inner }))
      )
    }))

  /** Keeps what was refused, and gives what the refusal is in the terms of the negotiation. */
  const note = Effect.fnUntraced(function*(
    offer: Negotiation.Offer,
    answer: Refusing
  ): Effect.fn.Return<Negotiation.Refusal> {
    const { excerpt, reason, refusal: told } = yield* Refusals.read(answer, settings.conceal)
    const refusal: Negotiation.Refusal = { offer, ...told }
    attempts.push({ protocol: Negotiation.describe(offer), code: answer.status, body: excerpt })
    refused.push({ refusal, reason })
    return refusal
  })

  let rest = yield* rememberTransports.recall(
    client,
    (state, now) => TransportMemory.commands.order(state, now, Negotiation.offers(intent, settings.policy), namespace)
  )
  let broken: KubeError.KubeError | undefined
  for (let offer = rest[0]; offer !== undefined; offer = rest[0]) {
    const { transport } = offer
    rest = rest.slice(1)
    const result = yield* Effect.result(open(offer))
    if (Result.isFailure(result)) {
      broken = result.failure
      attempts.push(...Refusals.toAttempts(broken, Negotiation.describe(offer)))
      if (!Refusals.isBroken(broken)) break
      yield* remember(client, { _tag: "Failed", transport })
      rest = Negotiation.remainingAfterBreak(rest, offer, settings.fallback ?? "safe")
      continue
    }
    const { answer, inner } = result.success
    if (answer._tag === "Opened") {
      // What a gateway says of the moment says nothing of the next minutes.
      const refusals = refused.map(({ refusal }) => refusal).filter((refusal) => !Negotiation.isGatewayFailure(refusal))
      yield* remember(client, { _tag: "Opened", offer, refusals, namespace })
      const { connection } = answer
      const other = Negotiation.offers(intent, settings.policy).find(({ transport }) => transport === "spdy")
      const isRefused = refusals.some(({ offer }) => offer === other)
      if (connection.protocol !== RemoteCommand.v5 || transport === "spdy" || other === undefined || isRefused) {
        return { connection, attempts }
      }
      const reopen = (status: string): Effect.Effect<Connection | undefined> =>
        Effect.gen(function*() {
          const body = KubeError.bodyExcerpt(settings.conceal(status))
          attempts.push({ protocol: `websocket ${connection.protocol}`, code: 101, body })
          const { answer } = yield* open(other)
          if (answer._tag === "Opened") {
            yield* Scope.close(inner, Exit.void)
            return answer.connection
          }
          yield* note(other, answer)
          return undefined
        }).pipe(Effect.orElseSucceed(() => undefined))
      return { connection: reopening(connection, reopen), attempts }
    }
    broken = undefined
    const refusal = yield* note(offer, answer)
    if (Negotiation.isGatewayFailure(refusal)) yield* remember(client, { _tag: "Failed", transport })
    rest = Negotiation.remaining(rest, refusal, settings.fallback)
  }
  // What came last says most, and that something may have been started.
  return yield* fail(broken?.reason ?? toReason(intent, refused, attempts, request.info.name ?? ""))
})
