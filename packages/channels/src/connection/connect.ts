/**
 * Opens a connection for a command: offers protocols in the order that `Negotiation` says, and turns a refusal into the
 * error it stands for.
 */
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Connection.ts"
import * as Negotiation from "./Negotiation.ts"
import * as WebSocketUpgrade from "./WebSocketUpgrade.ts"

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
      return "a proxy on the way has removed the Upgrade header; let it pass WebSocket traffic"
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

/**
 * Opens a connection. Every refusal is a `KubeError`: by the Status where there is one, else `UpgradeRefused` or
 * `HalfCloseUnsupported`. No command is asked for again after an answer that may have started it.
 */
export const connect = Effect.fnUntraced(function*(
  client: KubeClient.KubeClient["Service"],
  request: KubeClient.KubeRequest,
  intent: Negotiation.Intent,
  settings: {
    readonly protocols: Negotiation.Offer | undefined
    readonly handshakeTimeout: Duration.Duration
    /** Takes secrets out of the body of a refusal. */
    readonly conceal: (body: string) => string
  }
): Effect.fn.Return<Connection, KubeError.KubeError, Scope.Scope> {
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...request.info, server: client.cluster.server } })
  const attempts: Array<KubeError.UpgradeAttempt> = []
  let offer = settings.protocols ?? Negotiation.first(intent)
  while (true) {
    const answer = yield* WebSocketUpgrade.open(client, request, offer, settings.handshakeTimeout)
    if (answer._tag === "Opened") return answer.connection
    const body = settings.conceal(decoder.decode(answer.body))
    const retryAfterMillis = yield* KubeClient.retryAfterMillis(answer.headers)
    const reason = KubeError.reasonFromAnswer({ code: answer.status, body, retryAfterMillis })
    attempts.push({ protocol: `websocket ${offer.join(", ")}`, code: answer.status, body: excerpt(body) })
    const step = Negotiation.next(intent, { offer, code: answer.status, emptyBody: answer.body.length === 0 })
    switch (step._tag) {
      case "Offer":
        offer = step.offer
        continue
      case "HalfCloseUnsupported":
        return yield* fail(new KubeError.HalfCloseUnsupported({ attempts }))
      case "Refused":
        return yield* fail(
          reason._tag === "UnexpectedStatus"
            ? new KubeError.UpgradeRefused({ attempts, hint: hint(answer.status) })
            : reason._tag === "BadRequest"
            ? containerRefused(reason, request.info.name ?? "") ?? reason
            : reason
        )
    }
  }
})
