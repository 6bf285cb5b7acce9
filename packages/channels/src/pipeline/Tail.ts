/**
 * The end of a stream of bytes, for messages.
 */
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Bytes kept. */
export const limit = 8 * 1024

/** Keeps the last bytes of what it is given. */
export interface Tail {
  readonly push: (chunk: Uint8Array) => void
  /** As text; what was cut at its beginning shows as a replacement character. */
  readonly text: () => string
}

/** An empty tail. */
export const make = (): Tail => {
  let chunks: Array<Uint8Array> = []
  let size = 0
  return {
    push: (chunk) => {
      // A copy, because a view would keep the whole read buffer.
      chunks.push(chunk.slice(-limit))
      size += Math.min(chunk.length, limit)
      while (size - chunks[0]!.length >= limit) size -= chunks.shift()!.length
    },
    text: () => new TextDecoder().decode(Bytes.concat(chunks).subarray(-limit))
  }
}

/** Reads a stream to its end and keeps its tail. A failure of the stream ends it. */
export const drain = <E, R>(tail: Tail, stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<void, never, R> =>
  Effect.ignore(
    Stream.runForEachArray(stream, (chunks) => Effect.sync(() => chunks.forEach(tail.push)))
  )
