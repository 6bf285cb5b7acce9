/**
 * A Node socket as the server's end of an upgraded connection.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Socket } from "node:net"
import type { ServerConnection } from "./Exchange.ts"

// Chunks handed on in one pull; bounds what one pull can bring when Node refills its buffer meanwhile.
const pullChunks = 64

const readAvailable = (socket: Socket): NonEmptyReadonlyArray<Uint8Array> | undefined => {
  // Without an encoding, `read` gives buffers.
  const read = (): Uint8Array | null => socket.read() as Uint8Array | null
  const first = read()
  if (first === null) return undefined
  const chunks: [Uint8Array, ...Array<Uint8Array>] = [first]
  for (let next: Uint8Array | null; chunks.length < pullChunks && (next = read()) !== null;) chunks.push(next)
  return chunks
}

/**
 * Takes over a socket that is not flowing. `head` are the bytes that came with the request, which a pull gives first;
 * `reset` ends the connection below TLS. The scope destroys the socket.
 */
export const make = Effect.fnUntraced(function*(
  socket: Socket,
  head: Uint8Array,
  reset: () => void
): Effect.fn.Return<ServerConnection, never, Scope.Scope> {
  const address: Address = { host: socket.remoteAddress ?? "unknown", port: socket.remotePort ?? 0 }
  const lost = (cause: unknown) => new TransportError({ reason: new ConnectionLost({ address, cause }) })

  type End = Effect.Effect<never, TransportError | Cause.Done>
  let end: End | undefined
  let wake: (() => void) | undefined
  const signal = (): void => {
    const resume = wake
    wake = undefined
    resume?.()
  }
  const finish = (reason: End): void => {
    end ??= reason
    signal()
  }

  yield* Effect.acquireRelease(
    Effect.sync(() => {
      socket.setNoDelay(true)
      if (head.length > 0) socket.unshift(head)
      socket.on("readable", signal)
      socket.on("end", () => finish(Cause.done()))
      socket.on("error", (cause) => finish(Effect.fail(lost(cause))))
      socket.on("close", () => finish(Effect.fail(lost(new Error("the connection is closed")))))
    }),
    () => Effect.sync(() => socket.destroy())
  )

  const readable = Effect.callback<void>((resume) => {
    wake = () => resume(Effect.void)
    return Effect.sync(() => {
      wake = undefined
    })
  })
  // A pull waits first and reads then, in one step with its success, so that an interruption finds nothing in between.
  const pull: ServerConnection["pull"] = Effect.suspend(() => {
    const chunks = socket.destroyed ? undefined : readAvailable(socket)
    if (chunks !== undefined) return Effect.succeed(chunks)
    return end ?? Effect.andThen(readable, pull)
  })

  const whenTaken = (
    register: (done: (cause?: Error | null) => void) => void
  ): Effect.Effect<void, TransportError> =>
    Effect.callback((resume) => {
      // Deno forgets the callback of a write that a close cuts short.
      const onClose = (): void => resume(Effect.fail(lost(new Error("the connection is closed"))))
      if (socket.destroyed) return onClose()
      socket.once("close", onClose)
      register((cause) => {
        socket.off("close", onClose)
        resume(cause === null || cause === undefined ? Effect.void : Effect.fail(lost(cause)))
      })
      return Effect.sync(() => socket.off("close", onClose))
    })

  return {
    pull,
    // The callback of the last write comes when the kernel has taken all of them.
    write: (chunks) =>
      whenTaken((done) => {
        socket.cork()
        chunks.forEach((chunk, i) => socket.write(chunk, i === chunks.length - 1 ? done : undefined))
        socket.uncork()
      }),
    end: whenTaken((done) => socket.end(done)),
    reset: Effect.sync(reset)
  }
})
