/**
 * The contract of an adapter's `Listeners` as a table of rows.
 *
 * ```ts
 * import * as Listening from "@effect-k8s/testing/contract/Listening"
 *
 * layer(MyListeners.layer, { excludeTestServices: true })("MyListeners", (it) => {
 *   for (const row of Listening.rows) it.effect(row.name, () => row.run)
 * })
 * ```
 */
import { type Accepted, type ListenError, Listeners } from "@effect-k8s/channels/Listeners"
import type { Address } from "@effect-k8s/core/Endpoint"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Net from "node:net"
import { check, same, type Unmet } from "./Row.ts"

/** A row. */
export interface ListeningRow {
  /** The requirement. */
  readonly name: string
  readonly run: Effect.Effect<void, Unmet | ListenError | Socket.SocketError, Listeners>
}

const pieceBytes = 16 * 1024
const stalled = "500 millis"
const patience = "30 seconds"

/** What a peer got, and how it has ended. */
interface Received {
  readonly bytes: number
  readonly end: string
}

interface Peer {
  /** Reads all that there is. */
  readonly read: Effect.Effect<Received>
}

/** Connects, and reads nothing yet. */
const connect = (address: Address): Effect.Effect<Peer, never, Scope.Scope> =>
  Effect.gen(function*() {
    const ended = yield* Deferred.make<Received>()
    let bytes = 0
    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => Net.connect(address)),
      (socket) => Effect.sync(() => socket.destroy())
    )
    const end = (how: string): void => void Deferred.doneUnsafe(ended, Effect.sync(() => ({ bytes, end: how })))
    socket.pause()
    socket.on("error", ({ message }) => end(/ECONNRESET/.test(message) ? "reset" : message)).on("end", () => end("end"))
    return {
      read: Effect.andThen(
        Effect.sync(() =>
          socket.on("data", (chunk: Uint8Array) => {
            bytes += chunk.length
          }).resume()
        ),
        Deferred.await(ended)
      )
    }
  })

/** Writes until the peer takes no more, ends the connection in order, and tells how much was written. */
const fill = ({ socket }: Accepted): Effect.Effect<number, Socket.SocketError> =>
  Effect.scoped(Effect.gen(function*() {
    yield* Effect.asVoid(Socket.readerBytes(socket))
    const writing = yield* Scope.make()
    const writer = yield* Scope.provide(socket.writer, writing)
    let bytes = 0
    let taken: Option.Option<void> = Option.some(undefined)
    while (Option.isSome(taken)) {
      bytes += pieceBytes
      taken = yield* Effect.timeoutOption(writer.write(new Uint8Array(pieceBytes)), stalled)
    }
    yield* Scope.close(writing, Exit.void)
    return bytes
  }))

/** A listener whose handler has filled up a connection and ended, its peer, and what ends the listener. */
const filled = Effect.gen(function*() {
  const { listen } = yield* Listeners
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
  const written = yield* Deferred.make<number, Socket.SocketError>()
  const listener = yield* Scope.provide(listen({ host: "127.0.0.1", port: 0 }), scope)
  yield* Effect.forkIn(listener.run((accepted) => Effect.asVoid(Deferred.complete(written, fill(accepted)))), scope)
  const peer = yield* connect(listener.address)
  return { bytes: yield* Deferred.await(written), peer, end: Scope.close(scope, Exit.void) }
})

/** The rows. */
export const rows: ReadonlyArray<ListeningRow> = [
  {
    name: "ends although a peer reads nothing of what was written, and breaks its connection off",
    run: Effect.scoped(Effect.gen(function*() {
      const { bytes, end, peer } = yield* filled
      const ending = yield* Effect.forkDetach(end)
      const ended = yield* Effect.timeoutOption(Fiber.await(ending), patience)
      yield* check(Option.isSome(ended), `the listener has not ended within ${patience}`)
      const received = yield* peer.read
      yield* same(received.end, "reset", `the end after ${received.bytes} of ${bytes} bytes`)
    }))
  },
  {
    name: "sends what was written before its end to a peer that reads",
    run: Effect.scoped(Effect.gen(function*() {
      const { bytes, end, peer } = yield* filled
      const ending = yield* Effect.forkDetach(end)
      yield* same(yield* peer.read, { bytes, end: "end" }, "what the peer got")
      yield* Fiber.join(ending)
    }))
  }
]
