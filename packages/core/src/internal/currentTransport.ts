/**
 * The transport that new connections use: that of the newest TLS identity of the credentials.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as RcRef from "effect/RcRef"
import * as Scope from "effect/Scope"
import type { Credentials, CredentialsError, Identity } from "../Credentials.ts"
import type { Endpoint } from "../Endpoint.ts"
import * as Transport from "../Transport.ts"
import type { TransportError } from "../TransportError.ts"

/** The transports of an endpoint, of which one is current. */
export interface CurrentTransport {
  /** Gives the current transport to a scope, which keeps it as it is when another takes its place. */
  readonly get: Effect.Effect<Transport.Transport["Service"], CredentialsError | TransportError, Scope.Scope>
}

/** The current transport of an endpoint: made when it is first asked for, ended with the scope. */
export const make = Effect.fnUntraced(function*(
  endpoint: Endpoint,
  credentials: Credentials["Service"]
): Effect.fn.Return<CurrentTransport, never, Transport.Platform | Scope.Scope> {
  const platform = yield* Transport.Platform
  let newest = yield* Effect.orElseSucceed(credentials.identity, (): Identity => ({ generation: -Infinity }))
  // The generation of the transport that was made last.
  let made = -Infinity
  const transports = yield* RcRef.make({
    acquire: Effect.suspend(() => {
      const { clientCertificate, generation } = newest
      return Effect.map(
        platform.transport(
          clientCertificate === undefined ? endpoint : { ...endpoint, tls: { ...endpoint.tls, clientCertificate } }
        ),
        (transport) => {
          made = generation
          return { generation, transport }
        }
      )
    }),
    idleTimeToLive: Duration.infinity
  })

  const get = Effect.gen(function*() {
    const identity = yield* credentials.identity
    // One that was asked for earlier may come later.
    if (identity.generation > newest.generation) newest = identity
    const scope = yield* Effect.scope
    while (true) {
      // One that is being made cannot be invalidated: it is looked at when it is there.
      if (made < newest.generation) yield* RcRef.invalidate(transports)
      const attempt = yield* Scope.fork(scope)
      const { generation, transport } = yield* Scope.provide(RcRef.get(transports), attempt)
      if (generation >= newest.generation) return transport
      yield* Scope.close(attempt, Exit.void)
    }
  })
  return { get }
})
