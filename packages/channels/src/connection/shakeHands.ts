/**
 * An upgrade with a deadline.
 */
import type { KubeClient, KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import type { Refused, Upgraded } from "@effect-k8s/core/Transport"
import { NoAnswer, TransportError } from "@effect-k8s/core/TransportError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Connection } from "./Connection.ts"

/** The server upgraded, and the connection speaks the protocol. */
export interface Opened {
  readonly _tag: "Opened"
  readonly connection: Connection
}

/** Sends the request. Without an answer in time it fails with `NoAnswer`: what was asked may have been done. */
export const upgradeWithin = (
  client: KubeClient["Service"],
  request: KubeRequest,
  deadline: Duration.Duration
): Effect.Effect<Upgraded | Refused, KubeError.KubeError, Scope.Scope> =>
  Effect.timeoutOrElse(client.upgrade(request), {
    duration: deadline,
    orElse: () => {
      const reason = new NoAnswer({ address: client.cluster.address, timeoutMillis: Duration.toMillis(deadline) })
      return Effect.fail(
        new KubeError.KubeError({
          reason: new KubeError.Transport({ error: new TransportError({ reason }) }),
          request: { ...request.info, server: client.cluster.server }
        })
      )
    }
  })
