/**
 * An Effect `Socket`, which a custom dialler opens, as a `RawStream`.
 */
import * as Bytes from "effect/Bytes"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type { RawStream } from "./rawStream.ts"

/** Opens the socket. A failure or an interruption releases it; a stream that was made is the caller's to destroy. */
export const open = (socket: Socket.Socket): Effect.Effect<RawStream, Socket.SocketError> =>
  Effect.suspend(() => {
    const reading = Scope.makeUnsafe()
    const writing = Scope.makeUnsafe()
    return Effect.gen(function*() {
      const fork = Effect.runForkWith(yield* Effect.context())
      const pull = yield* Scope.provide(Socket.readerBytes(socket), reading)
      const writer = yield* Scope.provide(socket.writer, writing)

      const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
      let destroyed = false
      const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> =>
        new Promise((resolve, reject) => {
          if (destroyed) return reject(new Error("the connection is closed"))
          const fiber = fork(effect)
          fibers.add(fiber)
          fiber.addObserver((exit) => {
            fibers.delete(fiber)
            if (Exit.isSuccess(exit)) resolve(exit.value)
            else reject(Cause.squash(exit.cause))
          })
        })
      const read = pull.pipe(
        Effect.map((chunks): Uint8Array | null => chunks.length === 1 ? chunks[0] : Bytes.concat(chunks)),
        Effect.catchIf(isCleanEnd, () => Effect.succeed(null))
      )
      return {
        read: async () => {
          let bytes: Uint8Array | null
          do bytes = await run(read)
          while (bytes?.length === 0)
          return bytes
        },
        // A socket may hold on to what it is given. (To slice a `Buffer` copies nothing.)
        write: (bytes) => run(writer.write(new Uint8Array(bytes))),
        closeWrite: () => run(Scope.close(writing, Exit.void)),
        // A write to a socket that is gone waits for the next connection, which never comes: what runs is interrupted.
        destroy: () => {
          if (destroyed) return
          destroyed = true
          fork(
            Fiber.interruptAll([...fibers]).pipe(
              Effect.andThen(Scope.close(reading, Exit.void)),
              Effect.andThen(Scope.close(writing, Exit.void))
            )
          )
        }
      } satisfies RawStream
    }).pipe(
      Effect.onError((cause) =>
        Effect.andThen(Scope.close(reading, Exit.failCause(cause)), Scope.close(writing, Exit.failCause(cause)))
      )
    )
  })

const isCleanEnd = ({ reason }: Socket.SocketError): boolean =>
  reason._tag === "SocketCloseError" && reason.code === 1000
