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
import type * as Net from "node:net"
import { buffering } from "./tcp.ts"

/**
 * When the listener ends: how long what was written before may take to go out. The server waits for its last connection,
 * so a peer that reads nothing would hold it up for ever. A time of the wall: a test's clock may stand still.
 */
const lingerMillis = 2000

// Behind an end that is under way libuv refuses to reset, and what Node then leaves open keeps the process busy for ever.
// While bytes wait there is none yet, and an end in order would have the peer take what came before them for all.
const breakOff = (connection: Net.Socket): void => {
  if (connection.writableEnded && connection.writableLength === 0) connection.destroy()
  else connection.resetAndDestroy()
}

/**
 * Listens on an address; the scope stops it, and its connections end with their handlers. Those that have not sent
 * everything a while after the scope's end are reset.
 */
export const listen = Effect.fnUntraced(function*(
  address: Address
): Effect.fn.Return<Listener, ListenError, Scope.Scope> {
  const failed = (cause: unknown): ListenError => listenError(address, cause)
  const open = new Set<Net.Socket>()
  let linger: ReturnType<typeof setTimeout> | undefined
  yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(linger)))
  const server = yield* Effect.mapError(
    NodeSocketServer.make({ ...address, allowHalfOpen: true, noDelay: true, ipv6Only: true, ...buffering }),
    (error) => failed(error.reason.cause)
  )
  // Before the server's own, which waits for the connections.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      linger = setTimeout(() => open.forEach(breakOff), lingerMillis)
    })
  )
  const bound = "port" in server.address ? { host: address.host, port: server.address.port } : address
  return {
    address: bound,
    run: (handler) =>
      server.run((socket) =>
        Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (raw) => {
          const connection = Option.getOrUndefined(raw)
          if (connection?.closed === false) {
            open.add(connection)
            connection.once("close", () => open.delete(connection))
          }
          return handler({
            socket,
            reset: Effect.sync(() => {
              if (connection !== undefined) breakOff(connection)
            })
          })
        })
      ).pipe(Effect.mapError((error) => failed(error.reason.cause)))
  }
})
