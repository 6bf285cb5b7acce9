/**
 * Opening a WebSocket, and a remote command over it: one handshake through the client's transport.
 */
import type { KubeClient, KubeRequest } from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused } from "@effect-k8s/core/Transport"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as Scope from "effect/Scope"
import * as Handshake from "../protocol/WebSocketHandshake.ts"
import type { Offer } from "./Negotiation.ts"
import { type Opened, shakeHands, type Shaken } from "./shakeHands.ts"
import * as WebSocketConnection from "./WebSocketConnection.ts"

const acceptValue = (key: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-1", new TextEncoder().encode(Handshake.acceptInput(key)))),
    (digest) => Base64.encode(new Uint8Array(digest))
  )

/** Shakes hands, or returns the server's refusal. Fails as `shakeHands` does. */
export const handshake = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  request: KubeRequest,
  subprotocols: ReadonlyArray<string>,
  deadline: Duration.Duration
): Effect.fn.Return<Shaken | Refused, KubeError.KubeError, Scope.Scope> {
  const key = Base64.encode(crypto.getRandomValues(new Uint8Array(16)))
  const accept = yield* acceptValue(key)
  return yield* shakeHands(client, {
    request: { ...request, headers: { ...request.headers, ...Handshake.requestHeaders(key, subprotocols) } },
    offer: subprotocols.length === 0 ? "websocket" : `websocket ${subprotocols.join(", ")}`,
    check: (headers) => Handshake.checkResponse({ status: 101, headers }, { accept, subprotocols })
  }, deadline)
})

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
  const answer = yield* handshake(client, request, offer.protocols, deadline)
  if (answer._tag === "Refused") return answer
  return { _tag: "Opened", connection: yield* WebSocketConnection.make(answer.duplex, answer.subprotocol) }
})
