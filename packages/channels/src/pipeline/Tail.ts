/**
 * The end of a stream of bytes, for messages.
 */
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
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

// A process can leave a child behind that holds its stderr open: the tail is not worth waiting for it.
const patience = "500 millis"

/**
 * Reads a stream to its end, in the current scope. Gives its tail, for which it waits for a moment: the exit code can be
 * here before the last of stderr has been read. A failure of the stream ends it.
 */
export const collect = <E, R>(
  stream: Stream.Stream<Uint8Array, E, R>
): Effect.Effect<Effect.Effect<string>, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    const tail = make()
    const drain = Stream.runForEachArray(stream, (chunks) => Effect.sync(() => chunks.forEach(tail.push)))
    return Effect.map(
      Effect.forkScoped(Effect.ignore(drain)),
      (draining) => Effect.map(Effect.timeoutOption(Fiber.await(draining), patience), () => tail.text())
    )
  })
