/**
 * Upgrading to SPDY, and opening a remote command over it: one request through the client's transport, by POST.
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
import { type Opened, shakeHands, type Shaken } from "./shakeHands.ts"
import * as SpdyConnection from "./SpdyConnection.ts"

/** Upgrades, or returns the server's refusal. Fails as `shakeHands` does. */
export const handshake = (
  client: KubeClient["Service"],
  request: KubeRequest,
  protocols: readonly [string, ...ReadonlyArray<string>],
  deadline: Duration.Duration
): Effect.Effect<Shaken | Refused, KubeError.KubeError, Scope.Scope> =>
  shakeHands(client, {
    request: {
      ...request,
      method: "POST",
      headers: { ...request.headers, ...Handshake.requestHeaders(protocols) }
    },
    offer: `spdy ${protocols.join(", ")}`,
    check: (headers) => Handshake.checkResponse(headers, protocols)
  }, deadline)

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
  const answer = yield* handshake(client, request, offer.protocols, deadline)
  if (answer._tag === "Refused") return answer
  const connection = yield* Effect.mapError(
    SpdyConnection.make(answer.duplex, answer.subprotocol, streams),
    (error) =>
      new KubeError.KubeError({
        reason: new KubeError.Transport({ error }),
        request: { ...request.info, server: client.cluster.server }
      })
  )
  return { _tag: "Opened", connection }
})
