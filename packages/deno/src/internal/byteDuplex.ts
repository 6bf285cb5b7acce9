/**
 * A `RawStream` as a `ByteDuplex`.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { RawStream } from "./rawStream.ts"

/** Resolves when the event loop has polled what is pending. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

type End = Effect.Effect<never, TransportError | Cause.Done>

/** Takes over a stream, which the caller destroys. `lost` says what a failure of the stream means. */
export const make = (stream: RawStream, lost: (cause: unknown) => TransportError): ByteDuplex => {
  let reading: Promise<Uint8Array | null> | undefined
  let end: End | undefined
  let writing: Promise<void> = Promise.resolve()

  // One at a time, also when the fiber that began one has been interrupted.
  const inTurn = (operation: () => Promise<void>): Effect.Effect<void, TransportError> =>
    Effect.callback((resume) => {
      const done = writing.then(operation)
      writing = done
      done.then(() => resume(Effect.void), (cause) => resume(Effect.fail(lost(cause))))
    })

  return {
    // An interrupted pull leaves its read to the next one.
    pull: Effect.callback<NonEmptyReadonlyArray<Uint8Array>, TransportError | Cause.Done>((resume) => {
      if (end !== undefined) return resume(end)
      let waits = true
      const settle = (result: () => Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, TransportError | Cause.Done>) => {
        if (!waits) return
        waits = false
        reading = undefined
        resume(result())
      }
      reading ??= stream.read()
      reading.then(
        (bytes) => settle(() => bytes === null ? (end = Cause.done()) : Effect.succeed([bytes])),
        (cause) => settle(() => end = Effect.fail(lost(cause)))
      )
      return Effect.sync(() => {
        waits = false
      })
    }),
    // While the kernel takes all at once, Deno's writes resolve without a turn of the event loop, and nothing would be
    // read until they are over: not even that the peer wants no more, or has said its last word and hung up.
    write: (chunks) =>
      inTurn(async () => {
        await turn()
        for (const chunk of chunks) await stream.write(chunk)
      }),
    end: inTurn(() => stream.closeWrite())
  }
}
