/**
 * Opens a connection for a command: offers protocols in the order that `Negotiation` says, and turns refusals into the
 * error they stand for.
 */
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Status from "@effect-k8s/core/Status"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Connection, Streams } from "./Connection.ts"
import * as Negotiation from "./Negotiation.ts"
import * as SpdyUpgrade from "./SpdyUpgrade.ts"
import * as TransportMemory from "./TransportMemory.ts"
import * as WebSocketUpgrade from "./WebSocketUpgrade.ts"

/** An open connection, and the refusals before it. */
export interface Connected {
  readonly connection: Connection
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
}

const decoder = new TextDecoder()

const excerpt = (body: string): string => {
  const text = body.trim()
  return text.length > 200 ? `${text.slice(0, 200)}...` : text
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
  readonly attempt: KubeError.UpgradeAttempt
  readonly reason: KubeError.KubeErrorReason
}

const hasStatus = ({ refusal }: Refused): boolean => refusal.body === "status"

/** The last Status of a refusal says most; where several roles are missing, each is told. */
const fromStatuses = (refused: ReadonlyArray<Refused>, pod: string): KubeError.KubeErrorReason | undefined => {
  const reasons = refused.filter(hasStatus).map(({ reason }) => reason)
  const last = reasons.at(-1)
  if (last?._tag === "BadRequest") return containerRefused(last, pod) ?? last
  if (last?._tag !== "Forbidden") return last
  const messages = reasons.flatMap((reason) => reason._tag === "Forbidden" ? [reason.status.message ?? ""] : [])
  const { code, status: { details, reason } } = last
  const message = Array.from(new Set(messages)).join("; ")
  return new KubeError.Forbidden({ code, status: { status: "Failure", code, reason, details, message } })
}

/** The error that all refusals together stand for. */
const toReason = (
  intent: Negotiation.Intent,
  refused: ReadonlyArray<Refused>,
  pod: string
): KubeError.KubeErrorReason => {
  const attempts = refused.map(({ attempt }) => attempt)
  if (Negotiation.isHalfCloseUnsupported(intent, refused.map(({ refusal }) => refusal))) {
    return new KubeError.HalfCloseUnsupported({ attempts })
  }
  const last = refused.at(-1)
  if (last !== undefined && !hasStatus(last) && last.reason._tag !== "UnexpectedStatus") return last.reason
  const reason = fromStatuses(refused, pod)
  return reason === undefined || reason._tag === "UnexpectedStatus"
    ? new KubeError.UpgradeRefused({ attempts, hint: hint(last?.refusal.code ?? 0) })
    : reason
}

const remember = (client: KubeClient.KubeClient["Service"], event: TransportMemory.Event): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Ref.update(client.memory, (memory) =>
      Context.add(
        memory,
        TransportMemory.Known,
        TransportMemory.step(Context.get(memory, TransportMemory.Known), now, event)
      )))

/** Whether the upgrade broke on its way, rather than the way to the server. */
const isBroken = ({ reason }: KubeError.KubeError): boolean =>
  reason._tag === "UpgradeRefused" ||
  reason._tag === "Transport" && ["ConnectionLost", "NotHttp", "NoAnswer"].includes(reason.error.reason._tag)

/**
 * Opens a connection. Every refusal is a `KubeError`: by the Status where there is one, else `UpgradeRefused` or
 * `HalfCloseUnsupported`. No command is asked for again after an answer that may have started it.
 */
export const connect = Effect.fnUntraced(function*(
  client: KubeClient.KubeClient["Service"],
  request: KubeClient.KubeRequest,
  intent: Negotiation.Intent,
  streams: Streams,
  settings: {
    readonly policy: Negotiation.Policy
    readonly handshakeTimeout: Duration.Duration
    /** Takes secrets out of the body of a refusal. */
    readonly conceal: (body: string) => string
  }
): Effect.fn.Return<Connected, KubeError.KubeError, Scope.Scope> {
  const refused: Array<Refused> = []
  const namespace = request.info.namespace ?? ""
  const now = yield* Clock.currentTimeMillis
  const memory = Context.get(yield* Ref.get(client.memory), TransportMemory.Known)
  let rest: ReadonlyArray<Negotiation.Offer> = TransportMemory.order(
    memory,
    now,
    Negotiation.offers(intent, settings.policy),
    namespace
  )
  for (let offer = rest[0]; offer !== undefined; offer = rest[0]) {
    const { transport } = offer
    const opening = transport === "spdy"
      ? SpdyUpgrade.open(client, request, offer, streams, settings.handshakeTimeout)
      : WebSocketUpgrade.open(client, request, offer, settings.handshakeTimeout)
    const answer = yield* Effect.tapError(
      opening,
      (error) => isBroken(error) ? remember(client, { _tag: "Failed", transport }) : Effect.void
    )
    if (answer._tag === "Opened") {
      const refusals = refused.map(({ refusal }) => refusal)
      yield* remember(client, { _tag: "Opened", offer, refusals, namespace })
      return { connection: answer.connection, attempts: refused.map(({ attempt }) => attempt) }
    }
    const body = settings.conceal(decoder.decode(answer.body))
    const retryAfterMillis = yield* KubeClient.retryAfterMillis(answer.headers)
    const reason = KubeError.reasonFromAnswer({ code: answer.status, body, retryAfterMillis })
    const status = Option.getOrUndefined(Status.fromText(body))
    const refusal: Negotiation.Refusal = {
      offer,
      code: answer.status,
      body: answer.body.length === 0 ? "empty" : status === undefined ? "text" : "status",
      message: status?.message
    }
    const attempt = { protocol: Negotiation.describe(offer), code: answer.status, body: excerpt(body) }
    refused.push({ refusal, attempt, reason })
    if (Negotiation.isGatewayFailure(refusal)) yield* remember(client, { _tag: "Failed", transport })
    rest = Negotiation.remaining(rest.slice(1), refusal)
  }
  return yield* new KubeError.KubeError({
    reason: toReason(intent, refused, request.info.name ?? ""),
    request: { ...request.info, server: client.cluster.server }
  })
})
