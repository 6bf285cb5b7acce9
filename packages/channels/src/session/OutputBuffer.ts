/**
 * What has arrived of one output and was not read yet, bounded in bytes.
 *
 * One fiber fills it, its reader takes everything there is at once. The filler looks at `isFull` after each batch and
 * waits for room; so a buffer holds at most its limit and one batch.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import type { ChannelError } from "../ChannelError.ts"

type Taken = Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, ChannelError | Cause.Done>

// What a chunk costs beyond its bytes, so that many tiny ones fill the buffer too.
const chunkOverhead = 128

/** A bounded buffer. */
export interface OutputBuffer {
  /** Bytes waiting. */
  readonly size: () => number
  readonly isFull: () => boolean
  /** Somebody has begun to read, and has not left. */
  readonly hasReader: () => boolean
  /** A reader waits for bytes. */
  readonly isAwaited: () => boolean
  readonly offer: (chunk: Uint8Array) => void
  /** Ends the output; what is waiting is still read first. The first end counts. */
  readonly end: (exit: Effect.Effect<never, ChannelError | Cause.Done>) => void
  /** Drops what is waiting. The end is `exit`, unless the output has ended and nothing was left to drop. */
  readonly abandon: (exit: Effect.Effect<never, ChannelError>) => void
  /** Waits until there is room. */
  readonly room: Effect.Effect<void>
  /** Reads to the end. Of several readers, each byte goes to one. */
  readonly stream: Stream.Stream<Uint8Array, ChannelError>
}

/** A buffer that is full at `limit` bytes. */
export const make = (limit: number): OutputBuffer => {
  let chunks: Array<Uint8Array> = []
  let size = 0
  let weight = 0
  let readers = 0
  let ended: Effect.Effect<never, ChannelError | Cause.Done> | undefined
  const waiting = new Set<(taken: Taken) => void>()
  const hasRoom = Latch.makeUnsafe(true)

  // Whoever is resumed may go on at once, and come back here: so nothing is left to do when it is.
  const deliver = (): void => {
    for (const resume of waiting) {
      const batch = chunks
      const taken = Arr.isArrayNonEmpty(batch) ? Effect.succeed(batch) : ended
      if (taken === undefined) return
      waiting.delete(resume)
      if (batch.length > 0) {
        chunks = []
        size = 0
        weight = 0
      }
      resume(taken)
      if (weight < limit) hasRoom.openUnsafe()
    }
  }

  const pull: Taken = Effect.callback((resume) => {
    waiting.add(resume)
    deliver()
    return Effect.sync(() => {
      waiting.delete(resume)
    })
  })

  return {
    size: () => size,
    isFull: () => weight >= limit,
    hasReader: () => readers > 0,
    isAwaited: () => waiting.size > 0,
    offer: (chunk) => {
      if (ended !== undefined || chunk.length === 0) return
      chunks.push(chunk)
      size += chunk.length
      weight += chunk.length + chunkOverhead
      if (weight >= limit) hasRoom.closeUnsafe()
      deliver()
    },
    end: (exit) => {
      ended ??= exit
      deliver()
    },
    abandon: (exit) => {
      if (ended === undefined || size > 0) ended = exit
      chunks = []
      size = 0
      weight = 0
      hasRoom.openUnsafe()
      deliver()
    },
    room: hasRoom.await,
    stream: Stream.unwrap(
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => {
            readers++
          }),
          () =>
            Effect.sync(() => {
              readers--
            })
        ),
        () => Stream.fromPull(Effect.succeed(pull))
      )
    )
  }
}
