/**
 * A raw, full-duplex byte connection: what an upgrade hands over and what every channel protocol runs on.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type { TransportError } from "./TransportError.ts"

/**
 * Bytes in, bytes out. The scope that acquired the connection owns it: closing that scope destroys the connection at
 * once, whatever is still unwritten.
 *
 * - `pull` gives the next bytes in order of arrival and reads nothing ahead of demand beyond one runtime buffer, so an
 *   unread connection pushes back on its peer. The peer's FIN is `Cause.Done`; whether that is a clean end only the
 *   protocol above can tell. Interrupting a pull loses no bytes.
 * - `write` writes in order and succeeds when the runtime has taken the bytes: the caller may then reuse their memory.
 *   Until then it suspends, which is the back-pressure. A write that was interrupted may have been written in part.
 * - `end` half-closes: no more will be written, reading goes on.
 */
export interface ByteDuplex {
  readonly pull: Pull.Pull<NonEmptyReadonlyArray<Uint8Array>, TransportError>
  readonly write: (chunks: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<void, TransportError>
  readonly end: Effect.Effect<void, TransportError>
}
