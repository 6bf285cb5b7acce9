/**
 * A forwarded connection as a `Socket` of Effect.
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { ChannelError } from "../ChannelError.ts"
import type { Owned } from "./ForwardConnection.ts"

const encoder = new TextEncoder()

const opening = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause }) })

const writing = (cause: unknown): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause }) })

const closing = (code: number): Socket.SocketError =>
  new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) })

/** That the pod takes no connections, servers tell after the connection seems to be there. */
const fromRead = (error: ChannelError): Socket.SocketError =>
  error.reason._tag === "PortRefused" || error.reason._tag === "PodGone"
    ? opening(error)
    : new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: error }) })

const bytesOf = (chunk: Uint8Array | string): Uint8Array => typeof chunk === "string" ? encoder.encode(chunk) : chunk

/**
 * A socket that dials whenever its reader is acquired. The end of the pod is `SocketCloseError` 1000; a refusal is
 * `SocketOpenError`, from the reader or, where the server tells it later, from the first pull.
 */
export const toSocket = (
  connect: Effect.Effect<Owned, KubeError | ChannelError, Scope.Scope>
): Socket.Socket => {
  let current: Owned | undefined
  const isOpen = Latch.makeUnsafe(false)

  const reader: Socket.Socket["reader"] = Effect.gen(function*() {
    const connection = yield* Effect.mapError(connect, opening)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        current = connection
        isOpen.openUnsafe()
      }),
      () =>
        Effect.sync(() => {
          current = undefined
          isOpen.closeUnsafe()
        })
    )
    const pull = yield* Stream.toPull(connection.read)
    return {
      pull: pull.pipe(
        Pull.catchDone(() => Effect.fail(closing(1000))),
        Effect.mapError((error) => Socket.isSocketError(error) ? error : fromRead(error))
      ),
      upgrade: Socket.SocketUpgradeError.unsupported
    }
  })

  const writeAll = (chunks: NonEmptyReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      if (current === undefined) return isOpen.whenOpen(writeAll(chunks))
      const [first, ...rest] = chunks
      return current.send([bytesOf(first), ...rest.map(bytesOf)]).pipe(
        Effect.mapError(writing),
        Effect.flatMap((taken) => taken ? Effect.void : Effect.fail(writing(new Error("nothing is taken any more"))))
      )
    })

  const end = Effect.suspend(() => current?.endSending ?? Effect.void)
  return Socket.make({
    reader,
    writer: Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) => Socket.isCloseEvent(chunk) ? end : writeAll([chunk]),
        writeAll
      }),
      () => end
    )
  })
}
