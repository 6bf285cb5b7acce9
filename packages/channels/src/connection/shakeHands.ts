/**
 * The handshake of an upgrade, with a deadline: what WebSocket and SPDY have in common.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { KubeClient, KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused } from "@effect-k8s/core/Transport"
import { NoAnswer, TransportError } from "@effect-k8s/core/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import type * as Scope from "effect/Scope"
import type { ProtocolError } from "../protocol/ProtocolError.ts"
import type { Connection } from "./Connection.ts"

/** The server upgraded, and the connection speaks the protocol. */
export interface Opened {
  readonly _tag: "Opened"
  readonly connection: Connection
}

/** An answer to the handshake: the connection is ours. */
export interface Shaken {
  readonly _tag: "Shaken"
  readonly duplex: ByteDuplex
  readonly subprotocol: string
}

/** What is asked, and what an answer must be. */
export interface Handshake {
  /** With the headers of the upgrade. */
  readonly request: KubeRequest
  /** What is offered, in words. */
  readonly offer: string
  /** Whether a 101 answers this handshake. */
  readonly check: (
    headers: Headers.Headers
  ) => { readonly _tag: "Accepted"; readonly subprotocol: string | undefined } | {
    readonly _tag: "Rejected"
    readonly error: ProtocolError
  }
}

/**
 * Shakes hands, or returns the server's refusal. Fails with `Transport` when the connection broke or there was no answer
 * within the deadline (`NoAnswer`: what was asked may have been done), and with `UpgradeRefused` when the answer is none
 * to this handshake.
 */
export const shakeHands = Effect.fnUntraced(function*(
  client: KubeClient["Service"],
  { check, offer, request }: Handshake,
  deadline: Duration.Duration
): Effect.fn.Return<Shaken | Refused, KubeError.KubeError, Scope.Scope> {
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...request.info, server: client.cluster.server } })
  const answer = yield* Effect.timeoutOrElse(client.upgrade(request), {
    duration: deadline,
    orElse: () => {
      const reason = new NoAnswer({ address: client.cluster.address, timeoutMillis: Duration.toMillis(deadline) })
      return Effect.fail(fail(new KubeError.Transport({ error: new TransportError({ reason }) })))
    }
  })
  if (answer._tag === "Refused") return answer
  const checked = check(answer.headers)
  if (checked._tag === "Accepted") {
    return { _tag: "Shaken", duplex: answer.connection, subprotocol: checked.subprotocol ?? "" }
  }
  const attempts = [{ protocol: offer, code: 101, body: checked.error.message }]
  return yield* fail(new KubeError.UpgradeRefused({ attempts }))
})
