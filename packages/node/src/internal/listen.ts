/**
 * Listening on local addresses of Node. Loaded when a program first listens.
 */
import { type Listener, type ListenError, listenError } from "@effect-k8s/channels/Listeners"
import type { Address } from "@effect-k8s/core/Endpoint"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node-shared/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { buffering } from "./tcp.ts"

/** Listens on an address; the scope stops it, and its connections end with their handlers. */
export const listen = Effect.fnUntraced(function*(
  address: Address
): Effect.fn.Return<Listener, ListenError, Scope.Scope> {
  const failed = (cause: unknown): ListenError => listenError(address, cause)
  const server = yield* Effect.mapError(
    NodeSocketServer.make({ ...address, allowHalfOpen: true, noDelay: true, ipv6Only: true, ...buffering }),
    (error) => failed(error.reason.cause)
  )
  const bound = "port" in server.address ? { host: address.host, port: server.address.port } : address
  return {
    address: bound,
    run: (handler) =>
      server.run((socket) =>
        Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (raw) =>
          handler({
            socket,
            reset: Effect.sync(() => {
              if (Option.isNone(raw)) return
              // Behind an end libuv refuses to reset, and what Node then leaves open keeps the process busy for ever.
              if (raw.value.writableEnded) raw.value.destroy()
              else raw.value.resetAndDestroy()
            })
          }))
      ).pipe(Effect.mapError((error) => failed(error.reason.cause)))
  }
})
