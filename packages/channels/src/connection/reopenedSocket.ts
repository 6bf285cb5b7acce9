/**
 * A `Socket` of Effect that opens a connection whenever its reader is acquired.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"

/** An open connection, in terms of sockets. */
export interface Opened {
  readonly pull: Socket.Reader["pull"]
  readonly writeAll: (chunks: Arr.NonEmptyReadonlyArray<Uint8Array | string>) => Effect.Effect<void, Socket.SocketError>
  /** The last that is sent, with the code and the reason of a WebSocket. */
  readonly end: (code: number, reason: string) => Effect.Effect<void>
}

/** That there was no connection. */
export const opening = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })

/** That a connection broke for who reads it. */
export const reading = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })

/** That nothing can be written any more. */
export const writing = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })

/** That the peer has ended the connection. */
export const closing = (code: number, closeReason?: string): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code, closeReason }) })

/** The socket. What is written waits for a connection; releasing the writer ends that which there is. */
export const make = (open: Effect.Effect<Opened, Socket.SocketError, Scope.Scope>): Socket.Socket => {
  let current: Opened | undefined
  const isOpen = Latch.makeUnsafe(false)

  const reader: Socket.Socket["reader"] = Effect.gen(function*() {
    const opened = yield* open
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        current = opened
        isOpen.openUnsafe()
      }),
      () =>
        Effect.sync(() => {
          // Another has been opened since.
          if (current !== opened) return
          current = undefined
          isOpen.closeUnsafe()
        })
    )
    return { pull: opened.pull, upgrade: Socket.SocketUpgradeError.unsupported }
  })

  const whenOpen = <A, E>(use: (opened: Opened) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => current === undefined ? isOpen.whenOpen(whenOpen(use)) : use(current))

  return Socket.make({
    reader,
    writer: Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) =>
          whenOpen(({ end, writeAll }) =>
            Socket.isCloseEvent(chunk) ? end(chunk.code, chunk.reason ?? "") : writeAll(Arr.of(chunk))
          ),
        writeAll: (chunks: Arr.NonEmptyReadonlyArray<Uint8Array | string>) =>
          whenOpen(({ writeAll }) => writeAll(chunks))
      }),
      () => Effect.suspend(() => current?.end(1000, "") ?? Effect.void)
    )
  })
}
