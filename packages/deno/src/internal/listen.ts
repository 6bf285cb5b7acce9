/**
 * Listening on local addresses of Deno, by its `node:net`: a connection of `Deno.listen` cannot be reset, and would end in
 * order when the forwarded one has failed. Effect's own server of sockets would also load `ws`, which reads the environment.
 * Loaded when a program first listens.
 */
import { type Accepted, type Listener, ListenError, listenError } from "@effect-k8s/channels/Listeners"
import type { Address } from "@effect-k8s/core/Endpoint"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { deno } from "./deno.ts"
import { flagOf } from "./permission.ts"

// Where a permission is missing, node:net throws what nobody can catch, and ends the process.
const permitted = (address: Address): Effect.Effect<void, ListenError> =>
  Effect.try({
    try: () => deno.listen({ hostname: address.host, port: address.port }).close(),
    catch: (cause) => {
      const flag = flagOf(cause)
      return flag === undefined
        ? listenError(address, cause)
        : new ListenError({ address, why: "not-permitted", flag, cause })
    }
  })

/**
 * When the listener ends: how long what was written before may take to go out. The server waits for its last connection,
 * so a peer that reads nothing would hold it up for ever. A time of the wall: a test's clock may stand still.
 */
const lingerMillis = 2000

// As on Node, where a reset behind an end that is under way leaves the connection open. While bytes wait there is none yet,
// and an end in order would have the peer take what came before them for all.
const breakOff = (connection: Net.Socket): void => {
  if (connection.writableEnded && connection.writableLength === 0) connection.destroy()
  else connection.resetAndDestroy()
}

// What was written goes out before the end.
const close = (connection: Net.Socket): Effect.Effect<void> =>
  Effect.sync(() => {
    if (!connection.closed) connection.destroySoon()
  })

const gone = Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006 }) }))

const acceptedOf = (connection: Net.Socket): Effect.Effect<Accepted> =>
  Effect.map(
    NodeSocket.fromDuplex(
      Effect.acquireRelease(
        Effect.suspend(() => connection.destroyed ? gone : Effect.succeed(connection)),
        close
      )
    ),
    (socket) => ({
      socket,
      reset: Effect.sync(() => breakOff(connection))
    })
  )

/**
 * Listens on an address; the scope stops it, and its connections end with their handlers. Those that have not sent
 * everything a while after the scope's end are reset.
 */
export const listen = Effect.fnUntraced(function*(
  address: Address
): Effect.fn.Return<Listener, ListenError, Scope.Scope> {
  yield* permitted(address)
  const open = new Set<Net.Socket>()
  const waiting = yield* Queue.unbounded<Net.Socket>()
  const broken = yield* Deferred.make<never, ListenError>()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Net.createServer({ allowHalfOpen: true, noDelay: true })),
    (server) =>
      Effect.andThen(
        Effect.flatMap(Queue.clear(waiting), Effect.forEach((connection) => Effect.sync(() => connection.destroy()))),
        Effect.callback<void>((resume) => {
          const linger = setTimeout(() => open.forEach(breakOff), lingerMillis)
          server.close(() => {
            clearTimeout(linger)
            resume(Effect.void)
          })
        })
      )
  )
  server.on("connection", (connection) => {
    open.add(connection)
    // Its reader is told of an error too, if it has one by then.
    connection.on("error", () => {}).once("close", () => open.delete(connection))
    Queue.offerUnsafe(waiting, connection)
  })
  server.on("error", (cause) => Deferred.doneUnsafe(broken, Effect.fail(listenError(address, cause))))
  yield* Effect.raceFirst(
    Effect.callback<void>((resume) => {
      server.listen({ ...address, ipv6Only: true }, () => resume(Effect.void))
    }),
    Deferred.await(broken)
  )
  const bound = server.address()
  return {
    address: bound !== null && typeof bound === "object" ? { host: address.host, port: bound.port } : address,
    run: (handler) =>
      Effect.scoped(Effect.gen(function*() {
        const handlers = yield* FiberSet.make<void>()
        const serve = Effect.gen(function*() {
          const connection = yield* Queue.take(waiting)
          const handled = Effect.flatMap(acceptedOf(connection), handler)
          yield* FiberSet.run(handlers, Effect.ensuring(handled, close(connection)))
        })
        return yield* Effect.raceFirst(Effect.forever(serve), Deferred.await(broken))
      }))
  }
})
