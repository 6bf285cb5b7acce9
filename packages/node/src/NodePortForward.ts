/**
 * Forwarded connections as streams of Node, for clients that were written for `node:net`.
 */
import * as ChannelError from "@effect-k8s/channels/ChannelError"
import type { Session } from "@effect-k8s/channels/PortForward"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Duplex } from "node:stream"

/**
 * A connected stream, with the methods of `net.Socket` that clients call on theirs: `setTimeout` does what it says, those
 * about TCP do nothing, and `connect` tells that it is connected.
 */
export interface ForwardedDuplex extends Duplex {
  readonly connecting: false
  connect(...args: ReadonlyArray<unknown>): this
  setTimeout(millis: number, listener?: () => void): this
  setKeepAlive(enable?: boolean, initialDelay?: number): this
  setNoDelay(noDelay?: boolean): this
  ref(): this
  unref(): this
}

/**
 * Connects to a port of the session's pod. The scope destroys the stream, and the connection with it; destroying it earlier
 * does no harm.
 *
 * It reads nothing ahead of its reader but a buffer, and `write` gives `false` while the pod takes no more. It is half
 * open: `end()` ends what is sent, and reading goes on. Servers are told of that end only when the pod has ended its way,
 * unless the session was opened with `tellEnd`, because they cut the connection a second after they are told; a program
 * that answers the end of its input needs that option.
 *
 * Fails with `KubeError` and `ChannelError` as `connect` of the session does. What breaks later destroys the stream with a
 * `ChannelError`; a process is not ended by it when nobody listens.
 *
 * @example
 * ```ts
 * import * as PortForward from "@effect-k8s/channels/PortForward"
 * import * as Target from "@effect-k8s/channels/Target"
 * import * as NodePortForward from "@effect-k8s/node/NodePortForward"
 * import * as Effect from "effect/Effect"
 *
 * const ask = Effect.gen(function*() {
 *   const forward = yield* PortForward.open(Target.pod("db-0"))
 *   const stream = yield* NodePortForward.duplex(forward, 5432)
 *   // new pg.Client({ stream })
 *   return stream.writable
 * })
 * Effect.isEffect(ask) // => true
 * ```
 */
export const duplex = (
  session: Session,
  port: number | string
): Effect.Effect<ForwardedDuplex, KubeError.KubeError | ChannelError.ChannelError, Scope.Scope> =>
  Effect.flatMap(Effect.promise(() => import("./internal/forwardedDuplex.ts")), (internal) => {
    let stream: ForwardedDuplex | undefined
    const dial = Effect.flatMap(
      Effect.promise(() => import("./internal/socketStream.ts")),
      ({ openAs }) => openAs(session.socket(port), (parts) => (stream = new internal.ForwardedDuplex(parts)))
    ).pipe(Effect.catch((error) => {
      const cause = internal.causeOf(error)
      return KubeError.isKubeError(cause) || ChannelError.isChannelError(cause)
        ? Effect.fail(cause)
        : Effect.die(cause)
    }))
    // Dialling may take long, and ends when nobody waits for it. A stream that has been made by then is destroyed: until
    // the scope has it, nobody else would.
    return Effect.uninterruptibleMask((restore) =>
      Effect.onError(restore(dial), () => stream === undefined ? Effect.void : destroyed(stream)).pipe(
        Effect.tap((stream) => Effect.addFinalizer(() => destroyed(stream)))
      )
    )
  })

const destroyed = (stream: Duplex): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (stream.closed) return resume(Effect.void)
    stream.once("close", () => resume(Effect.void))
    stream.destroy()
  })
