/**
 * Opening a remote command over WebSocket: one handshake through the client's transport.
 */
import type { KubeClient, KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused } from "@effect-k8s/core/Transport"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as Scope from "effect/Scope"
import * as Handshake from "../protocol/WebSocketHandshake.ts"
import type { Offer } from "./Negotiation.ts"
import * as Negotiation from "./Negotiation.ts"
import { type Opened, upgradeWithin } from "./upgradeWithin.ts"
import * as WebSocketConnection from "./WebSocketConnection.ts"

const acceptValue = (key: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-1", new TextEncoder().encode(Handshake.acceptInput(key)))),
    (digest) => Base64.encode(new Uint8Array(digest))
  )

/**
 * Opens a connection, or returns the refusal: nothing was started then, unless it is a 502 to 504.
 *
 * Fails with `Transport` when there was no answer within the deadline or the connection broke (the command may have
 * started then), and with `UpgradeRefused` when the answer is none to this handshake.
 */
export const open = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  request: KubeRequest,
  offer: Offer,
  deadline: Duration.Duration
): Effect.fn.Return<Opened | Refused, KubeError.KubeError, Scope.Scope> {
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...request.info, server: client.cluster.server } })
  const key = Base64.encode(crypto.getRandomValues(new Uint8Array(16)))
  const accept = yield* acceptValue(key)

  const answer = yield* upgradeWithin(client, {
    ...request,
    headers: { ...request.headers, ...Handshake.requestHeaders(key, offer.protocols) }
  }, deadline)
  if (answer._tag === "Refused") return answer

  const checked = Handshake.checkResponse({ status: 101, headers: answer.headers }, {
    accept,
    subprotocols: offer.protocols
  })
  if (checked._tag === "Rejected") {
    return yield* fail(
      new KubeError.UpgradeRefused({
        attempts: [{ protocol: Negotiation.describe(offer), code: 101, body: checked.error.message }]
      })
    )
  }
  return {
    _tag: "Opened",
    connection: yield* WebSocketConnection.make(answer.connection, checked.subprotocol ?? offer.protocols[0])
  }
})
