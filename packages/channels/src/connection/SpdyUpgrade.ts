/**
 * Opening a remote command over SPDY: one upgrade through the client's transport, by POST.
 */
import type { KubeClient, KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused } from "@effect-k8s/core/Transport"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Handshake from "../protocol/SpdyHandshake.ts"
import type { Streams } from "./Connection.ts"
import type { Offer } from "./Negotiation.ts"
import * as Negotiation from "./Negotiation.ts"
import * as SpdyConnection from "./SpdyConnection.ts"
import { type Opened, upgradeWithin } from "./upgradeWithin.ts"

/**
 * Opens a connection, or returns the server's refusal: nothing was started then.
 *
 * Fails with `Transport` when there was no answer within the deadline or the connection broke (the command may have
 * started then), and with `UpgradeRefused` when the answer is none to this upgrade.
 */
export const open = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  request: KubeRequest,
  offer: Offer,
  streams: Streams,
  deadline: Duration.Duration
): Effect.fn.Return<Opened | Refused, KubeError.KubeError, Scope.Scope> {
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...request.info, server: client.cluster.server } })

  const answer = yield* upgradeWithin(client, {
    ...request,
    method: "POST",
    headers: { ...request.headers, ...Handshake.requestHeaders(offer.protocols) }
  }, deadline)
  if (answer._tag === "Refused") return answer

  const checked = Handshake.checkResponse(answer.headers, offer.protocols)
  if (checked._tag === "Rejected") {
    return yield* fail(
      new KubeError.UpgradeRefused({
        attempts: [{ protocol: Negotiation.describe(offer), code: 101, body: checked.error.message }]
      })
    )
  }
  const connection = yield* Effect.mapError(
    SpdyConnection.make(answer.connection, checked.protocol, streams),
    (error) => fail(new KubeError.Transport({ error }))
  )
  return { _tag: "Opened", connection }
})
