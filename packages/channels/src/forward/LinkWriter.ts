/**
 * The writing side of a link: whole frames, one turn each, so that connections that send at the same time share it.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as FrameWriter from "../connection/FrameWriter.ts"
import type { ForwardProtocol } from "../protocol/ForwardProtocol.ts"
import { maxChunkBytes } from "../protocol/RemoteCommand.ts"
import type { LinkEntry } from "./LinkEntry.ts"

// Payloads of one write: as much as keeps the socket busy while the next one is made.
const payloadsPerWrite = 8

/** Writes for a link. */
export interface LinkWriter {
  /** Sends what is made when it is its turn; nothing when that is nothing. */
  readonly send: (make: () => Uint8Array | undefined) => Effect.Effect<void, TransportError>
  /** Sends in its turn, and is not waited for. */
  readonly sendLater: (make: () => Uint8Array | undefined) => Effect.Effect<void>
  /**
   * Sends the bytes of a connection, up to its end; suspends while the server takes none. `onSent` is called after each
   * turn. Only one of them at a time for a connection.
   */
  readonly write: (
    entry: LinkEntry,
    chunks: NonEmptyReadonlyArray<Uint8Array>,
    onSent: () => void
  ) => Effect.Effect<void, TransportError>
  /** The last word, unless a write was cut short. */
  readonly lastly: (make: () => Uint8Array) => Effect.Effect<void>
  /** For how many milliseconds the write that is under way has waited for the server; 0 when none is. */
  readonly writesFor: () => number
}

/** A writer whose writes end with the current scope. */
export const make = Effect.fnUntraced(function*(
  duplex: ByteDuplex,
  protocol: ForwardProtocol,
  now: () => number
): Effect.fn.Return<LinkWriter, never, Scope.Scope> {
  const { exclusively, lastly, later } = yield* FrameWriter.make
  let writingSince: number | undefined
  let scratch: Uint8Array | undefined
  const scratchBytes = payloadsPerWrite * (maxChunkBytes + protocol.overhead)

  const timed = (write: Effect.Effect<void, TransportError>): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      writingSince = now()
      return Effect.ensuring(
        write,
        Effect.sync(() => {
          writingSince = undefined
        })
      )
    })

  const writeMade = (make: () => Uint8Array | undefined): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      const bytes = make()
      return bytes === undefined || bytes.length === 0 ? Effect.void : timed(duplex.write([bytes]))
    })

  return {
    send: (make) => exclusively(writeMade(make)),
    sendLater: (make) => later(writeMade(make)),
    write: (entry, chunks, onSent) => {
      const payloads = FrameWriter.toPayloads(chunks)
      let next = 0
      // Where a window has cut a payload.
      let offset = 0
      const hasMore = (): boolean => next < payloads.length && !entry.isOver
      const some = Effect.suspend((): Effect.Effect<void, TransportError> => {
        const target = scratch ??= new Uint8Array(scratchBytes)
        let end = 0
        for (let n = 0; n < payloadsPerWrite && hasMore(); n++) {
          const sendable = protocol.sendable(entry.pair)
          if (sendable <= 0) break
          const payload = payloads[next]!.subarray(offset, offset + sendable)
          end = protocol.encodeInto(target, end, entry.pair, payload)
          offset += payload.length
          if (offset < payloads[next]!.length) continue
          next++
          offset = 0
        }
        return end === 0 ? Effect.void : timed(duplex.write([target.subarray(0, end)]))
      })
      return Effect.whileLoop({
        while: hasMore,
        body: () =>
          Effect.suspend(() => {
            if (protocol.sendable(entry.pair) > 0) return exclusively(some)
            entry.window.closeUnsafe()
            return entry.window.await
          }),
        step: onSent
      })
    },
    lastly: (make) => lastly(Effect.suspend(() => duplex.write([make()]))),
    writesFor: () => writingSince === undefined ? 0 : now() - writingSince
  }
})
