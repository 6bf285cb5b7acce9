/**
 * A forwarded connection as a `Socket` of Effect.
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import type { ChannelError } from "../ChannelError.ts"
import * as ReopenedSocket from "../connection/reopenedSocket.ts"
import type { Owned } from "./ForwardConnection.ts"

const encoder = new TextEncoder()

/** That the pod takes no connections, servers tell after the connection seems to be there. */
const fromRead = (error: ChannelError): Socket.SocketError =>
  error.reason._tag === "PortRefused" || error.reason._tag === "PodGone"
    ? ReopenedSocket.opening(error)
    : ReopenedSocket.reading(error)

const bytesOf = (chunk: Uint8Array | string): Uint8Array => typeof chunk === "string" ? encoder.encode(chunk) : chunk

/**
 * A socket that dials whenever its reader is acquired. The end of the pod is `SocketCloseError` 1000; a refusal is
 * `SocketOpenError`, from the reader or, where the server tells it later, from the first pull.
 */
export const toSocket = (
  connect: Effect.Effect<Owned, KubeError | ChannelError, Scope.Scope>
): Socket.Socket =>
  ReopenedSocket.make(Effect.gen(function*() {
    const { endSending, read, send } = yield* Effect.mapError(connect, ReopenedSocket.opening)
    const pull = yield* Stream.toPull(read)
    return {
      pull: pull.pipe(
        Pull.catchDone(() => Effect.fail(ReopenedSocket.closing(1000))),
        Effect.mapError((error) => Socket.isSocketError(error) ? error : fromRead(error))
      ),
      writeAll: (chunks) =>
        send(Arr.map(chunks, bytesOf)).pipe(
          Effect.mapError(ReopenedSocket.writing),
          Effect.flatMap((taken) =>
            taken ? Effect.void : Effect.fail(ReopenedSocket.writing(new Error("nothing is taken any more")))
          )
        ),
      end: () => endSending
    }
  }))
