/**
 * Bytes between a local connection and a forwarded one, until both have ended.
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { ChannelError } from "../ChannelError.ts"
import * as ReopenedSocket from "../connection/reopenedSocket.ts"
import type { Accepted } from "../Listeners.ts"
import type { Owned } from "./ForwardConnection.ts"

/** Why a local connection was broken off. */
export type RelayError = KubeError | ChannelError | Socket.SocketError

/** What `relay` takes. */
export interface Options {
  readonly connect: Effect.Effect<Owned, KubeError | ChannelError, Scope.Scope>
  /**
   * How long the pod may be silent after the local peer has ended its way, before the connection is given up: a peer that
   * has only closed its writing side looks like one that is gone. While the peer takes its time with what the pod has
   * sent, the pod is not silent.
   */
  readonly linger: Duration.Duration
}

const isEnd = (error: Socket.SocketError): boolean =>
  error.reason._tag === "SocketCloseError" && error.reason.code === 1000

// As it is told of sockets that were not ended in order.
const abnormal = 1006

/** What the local peer sends, to its end. */
const upward = Effect.fnUntraced(function*(
  pull: Effect.Effect<readonly [Uint8Array, ...Array<Uint8Array>] | ReadonlyArray<Uint8Array>, Socket.SocketError>,
  connection: Owned
): Effect.fn.Return<void, RelayError> {
  while (true) {
    const chunks = yield* Effect.catchIf(pull, isEnd, () => Effect.undefined)
    const [first, ...rest] = chunks ?? []
    if (first === undefined) return yield* connection.endSending
    if (!(yield* connection.send([first, ...rest]))) return
  }
})

/**
 * Relays one connection. Whatever ends it but an end in order breaks the local connection off: what was given up in the
 * middle of an answer must not pass for the whole of it, as it does with kubectl, which ends all of them in order.
 */
export const relay = Effect.fnUntraced(function*(
  { reset, socket }: Accepted,
  { connect, linger }: Options
): Effect.fn.Return<void, RelayError> {
  yield* Effect.scoped(
    Effect.gen(function*() {
      const pull = yield* Socket.readerBytes(socket)
      const connection = yield* connect
      const writing = yield* Scope.make()
      const writer = yield* Scope.provide(socket.writer, writing)
      const clock = yield* Effect.clockWith(Effect.succeed)
      const now = (): number => clock.currentTimeMillisUnsafe()
      let heardAt = 0
      // Closed while the local peer has not taken what the pod has sent.
      const taken = Latch.makeUnsafe(true)

      const up = yield* Effect.forkChild(upward(pull, connection))
      const down = yield* Effect.forkChild(
        Stream.runForEachArray(connection.read, (chunks) =>
          Effect.suspend(() => {
            taken.closeUnsafe()
            return Effect.map(writer.writeAll(chunks), () => {
              heardAt = now()
              taken.openUnsafe()
            })
          }))
      )
      const waitForPod = Effect.gen(function*() {
        heardAt = now()
        const millis = Duration.toMillis(linger)
        while (true) {
          yield* taken.await
          const left = heardAt + millis - now()
          if (left <= 0) {
            const description = `the local peer has ended its way, and the pod was silent for ${millis} ms after it`
            return yield* ReopenedSocket.closing(abnormal, description)
          }
          yield* Effect.sleep(left)
        }
      })
      yield* Effect.raceFirst(Fiber.join(down), Effect.andThen(Fiber.join(up), waitForPod))
      // What the pod has sent goes out before the local end.
      yield* Scope.close(writing, Exit.void)
      // Inside the scope: its end would end the local connection in order before.
    }).pipe(Effect.onError(() => reset))
  )
})
