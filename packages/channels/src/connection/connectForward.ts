/**
 * Opening what carries forwarded connections: offers protocols in the order that `ForwardNegotiation` says, and turns
 * refusals into the error they stand for.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused } from "@effect-k8s/core/Transport"
import * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as ForwardChannels from "../protocol/ForwardChannels.ts"
import * as ForwardPairs from "../protocol/ForwardPairs.ts"
import type { ForwardProtocol } from "../protocol/ForwardProtocol.ts"
import * as ForwardTunnel from "../protocol/ForwardTunnel.ts"
import * as Negotiation from "./ForwardNegotiation.ts"
import { isGatewayFailure } from "./Negotiation.ts"
import * as Refusals from "./refusals.ts"
import * as rememberTransports from "./rememberTransports.ts"
import * as SpdyUpgrade from "./SpdyUpgrade.ts"
import * as TransportMemory from "./TransportMemory.ts"
import { makeMasks } from "./WebSocketConnection.ts"
import * as WebSocketUpgrade from "./WebSocketUpgrade.ts"

/** Where to. */
export interface Where {
  readonly namespace: string
  readonly pod: string
  /** The port of the connection, for the protocol that has but one; not asked for by that one without. */
  readonly port: number | undefined
}

/** An open connection that carries others, and the refusals before it. */
export interface Carrier {
  readonly _tag: "Carrier"
  readonly transport: Negotiation.ForwardTransport
  readonly duplex: ByteDuplex
  readonly protocol: ForwardProtocol
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
}

/** Only WebSocket alone is left, which has a connection of its own for each port: there is nothing to open without one. */
export interface PerConnection {
  readonly _tag: "PerConnection"
  readonly transport: "websocket"
  readonly attempts: ReadonlyArray<KubeError.UpgradeAttempt>
}

const hint = (code: number | undefined): string => {
  switch (code) {
    case 403:
      return "the server knows none of the protocols offered, or a proxy forbids the upgrade"
    case 400:
    case 405:
    case 426:
    case 501:
      return "a proxy on the way may have removed the Upgrade header; let it pass WebSocket traffic"
    case 502:
    case 503:
    case 504:
      return "the API server or a proxy before it could not be reached"
    default:
      return "check that every proxy on the way passes upgrades"
  }
}

/** What came of one offer. */
type Tried =
  | { readonly _tag: "Opened"; readonly carrier: Carrier }
  | {
    readonly _tag: "Failed"
    readonly reason: KubeError.KubeErrorReason
    readonly isFinal: boolean
    /** What is left to try. */
    readonly rest: ReadonlyArray<Negotiation.ForwardTransport>
  }

const request = ({ namespace, pod, port }: Where, transport: Negotiation.ForwardTransport): KubeClient.KubeRequest => ({
  method: Negotiation.methods[transport],
  path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward`,
  query: transport === "websocket" && port !== undefined ? [["ports", String(port)]] : [],
  accept: "*/*",
  info: { verb: "port-forward", resource: "pods/portforward", namespace, name: pod }
})

/** How it is asked for. */
export interface Settings {
  readonly policy: Negotiation.Policy
  /** What is offered before all else that the policy has: what has worked. */
  readonly first?: Negotiation.ForwardTransport | undefined
  readonly handshakeTimeout: Duration.Duration
}

/**
 * Opens a connection in the current scope. Every refusal is a `KubeError`: by the Status where there is one, else
 * `UpgradeRefused` with all that was tried; `Transport` where there was no connection or no answer in time.
 */
export const connectForward = Effect.fnUntraced(function*(
  client: KubeClient.KubeClient["Service"],
  where: Where,
  settings: Settings
): Effect.fn.Return<Carrier | PerConnection, KubeError.KubeError, Scope.Scope> {
  const scope = yield* Effect.scope
  const attempts: Array<KubeError.UpgradeAttempt> = []
  const refusals: Array<TransportMemory.ForwardRefusal> = []
  const { namespace } = where
  const remember = (event: TransportMemory.Event<Negotiation.ForwardTransport, TransportMemory.ForwardRefusal>) =>
    rememberTransports.remember(client, (state, now) => TransportMemory.forwards.step(state, now, event))
  const hasFailed = (transport: Negotiation.ForwardTransport) =>
    remember({ _tag: "Failed", transport: Negotiation.upgradeOf(transport) })
  const asked = { ...request(where, "tunnel").info, server: client.cluster.server }
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: asked, attempts: attempts.length > 1 ? attempts : undefined })

  const upgrade = (transport: Negotiation.ForwardTransport) =>
    transport === "spdy"
      ? SpdyUpgrade.handshake(
        client,
        request(where, transport),
        [Negotiation.protocols.spdy],
        settings.handshakeTimeout
      )
      : WebSocketUpgrade.handshake(
        client,
        request(where, transport),
        [Negotiation.protocols[transport]],
        settings.handshakeTimeout
      )

  const protocolOf = (transport: Negotiation.ForwardTransport): ForwardProtocol => {
    switch (transport) {
      case "tunnel":
        return ForwardTunnel.make(makeMasks())
      case "spdy":
        return ForwardPairs.makeProtocol()
      case "websocket":
        return ForwardChannels.make(where.port ?? 0, makeMasks())
    }
  }

  const refused = Effect.fnUntraced(function*(
    transport: Negotiation.ForwardTransport,
    rest: ReadonlyArray<Negotiation.ForwardTransport>,
    answer: Refused
  ): Effect.fn.Return<Tried> {
    const { excerpt, reason, refusal } = yield* Refusals.read(answer)
    attempts.push({ protocol: Negotiation.describe(transport), code: answer.status, body: excerpt })
    // What a gateway says of the moment says nothing of the next minutes.
    if (isGatewayFailure(refusal)) yield* hasFailed(transport)
    else refusals.push({ ...refusal, offer: transport })
    return {
      _tag: "Failed",
      reason,
      isFinal: !Negotiation.isWorthAnother(refusal),
      rest: Negotiation.remaining(rest, transport, refusal)
    }
  })

  const attempt = Effect.fnUntraced(function*(
    transport: Negotiation.ForwardTransport,
    rest: ReadonlyArray<Negotiation.ForwardTransport>
  ): Effect.fn.Return<Tried, never, Scope.Scope> {
    const result = yield* Effect.result(upgrade(transport))
    if (Result.isFailure(result)) {
      const error = result.failure
      attempts.push(...Refusals.toAttempts(error, Negotiation.describe(transport)))
      const isBroken = Refusals.isBroken(error)
      if (isBroken) yield* hasFailed(transport)
      return { _tag: "Failed", reason: error.reason, isFinal: !isBroken, rest }
    }
    const answer = result.success
    if (answer._tag === "Refused") return yield* refused(transport, rest, answer)
    yield* remember({ _tag: "Opened", offer: transport, refusals, namespace })
    const { duplex } = answer
    const protocol = protocolOf(transport)
    return { _tag: "Opened", carrier: { _tag: "Carrier", transport, duplex, protocol, attempts: [...attempts] } }
  })

  let reasons: ReadonlyArray<KubeError.KubeErrorReason> = []
  let rest = yield* rememberTransports.recall(client, (state, now): ReadonlyArray<Negotiation.ForwardTransport> => {
    const offers = Negotiation.offers(settings.policy)
    const [last, others] = [offers.slice(-1), offers.slice(0, -1)]
    // The last one takes a connection for each: it is not preferred to any that may be taken.
    const order = [...TransportMemory.forwards.order(state, now, others, namespace), ...last]
    const first = order.filter((offer) => offer === settings.first)
    return [...first, ...order.filter((offer) => offer !== settings.first)]
  })
  for (let transport = rest[0]; transport !== undefined; transport = rest[0]) {
    if (transport === "websocket" && where.port === undefined) return { _tag: "PerConnection", transport, attempts }
    const inner = yield* Scope.fork(scope)
    const tried = yield* Effect.onExit(
      Scope.provide(attempt(transport, rest.slice(1)), inner),
      (exit) => Exit.isSuccess(exit) && exit.value._tag === "Opened" ? Effect.void : Scope.close(inner, exit)
    )
    if (tried._tag === "Opened") return tried.carrier
    reasons = [...reasons, tried.reason]
    if (tried.isFinal) return yield* fail(tried.reason)
    rest = tried.rest
  }
  return yield* fail(summary(reasons, attempts))
})

/** The error that all refusals together stand for. */
const summary = (
  reasons: ReadonlyArray<KubeError.KubeErrorReason>,
  attempts: ReadonlyArray<KubeError.UpgradeAttempt>
): KubeError.KubeErrorReason => {
  const forbidden = reasons.filter((reason) => reason._tag === "Forbidden")
  if (Arr.isArrayNonEmpty(forbidden)) return Refusals.forbidden(forbidden)
  const byStatus = reasons.findLast((reason) => "status" in reason && reason.status !== undefined)
  if (byStatus !== undefined) return byStatus
  const last = reasons.at(-1)
  return last !== undefined && reasons.every(({ _tag }) => _tag === "Transport")
    ? last
    : new KubeError.UpgradeRefused({ attempts, hint: hint(attempts.at(-1)?.code) })
}
