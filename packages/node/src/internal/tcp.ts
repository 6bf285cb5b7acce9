/**
 * TCP connections, and waiting for what becomes of a socket.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import type { Duplex } from "node:stream"

/**
 * For a socket of any kind. The default for TLS is one record, which costs a pause and a resume for each 16 KiB of a fast
 * stream.
 */
export const buffering = { highWaterMark: 256 * 1024 }

/** How long client-go waits for a connection; the kernel would take minutes. */
export const connectSeconds = 30
// What undici and client-go do about peers that are gone without a word.
const keepAliveMillis = 60_000

/**
 * Waits for an event of a socket that was just made. Fails with the error, or with the close, that comes before it;
 * interruption destroys the socket.
 *
 * From then on an error destroys the socket: TLS reports an alert of the peer without doing so, and then its end, which
 * would be taken for the reason.
 */
export const until = <S extends Duplex, E>(
  socket: S,
  event: string,
  failed: (cause: unknown) => E
): Effect.Effect<S, E> =>
  Effect.callback<S, E>((resume) => {
    const settle = (effect: Effect.Effect<S, E>): void => {
      socket.off(event, onEvent).off("error", onError).off("close", onClose)
      resume(effect)
    }
    const onEvent = (): void => settle(Effect.succeed(socket))
    const onError = (cause: Error): void => settle(Effect.fail(failed(cause)))
    const onClose = (): void => settle(Effect.fail(failed(new Error("the connection was closed"))))
    socket.on("error", (cause) => void socket.destroy(cause))
    socket.once(event, onEvent).once("error", onError).once("close", onClose)
    return Effect.sync(() => void socket.destroy())
  })

/** Fails unless the effect ends within so many seconds. */
export const within = <A, E>(
  effect: Effect.Effect<A, E>,
  seconds: number,
  failed: (cause: unknown) => E
): Effect.Effect<A, E> =>
  Effect.timeoutOrElse(effect, {
    duration: seconds * 1000,
    orElse: () => Effect.fail(failed(new Error(`it took more than ${seconds} s`)))
  })

/** Connects; small writes are not held back. The socket is given to `opened` before anything can happen to it. */
export const connect = <E>(
  address: Address,
  opened: (socket: Net.Socket) => Net.Socket,
  failed: (cause: unknown) => E
): Effect.Effect<Net.Socket, E> =>
  within(
    Effect.suspend(() => {
      const options = { noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMillis, ...buffering }
      return until(opened(Net.connect({ ...address, ...options })), "connect", failed)
    }),
    connectSeconds,
    failed
  )
