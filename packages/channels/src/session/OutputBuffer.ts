/**
 * What has arrived of one output and was not read yet, bounded in bytes.
 *
 * One fiber fills it, its reader takes everything there is at once, or a piece of it. The filler looks at `isFull` after
 * each batch and waits for room; so a buffer holds at most its limit and one batch.
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
  /** How often something was taken: a reader that is slow takes, one that has stopped does not. */
  readonly taken: () => number
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

/**
 * A buffer that is full at `limit` bytes. A reader takes no more than `pieceBytes` at a time, or one chunk, so that a slow
 * one takes often.
 */
export const make = (limit: number, pieceBytes = Number.POSITIVE_INFINITY): OutputBuffer => {
  let chunks: Array<Uint8Array> = []
  let size = 0
  let weight = 0
  let readers = 0
  let taken = 0
  let ended: Effect.Effect<never, ChannelError | Cause.Done> | undefined
  const waiting = new Set<(taken: Taken) => void>()
  const hasRoom = Latch.makeUnsafe(true)

  const takeAll = (): Array<Uint8Array> => {
    const all = chunks
    chunks = []
    size = 0
    weight = 0
    return all
  }

  const take = (): Array<Uint8Array> => {
    if (chunks.length > 0) taken++
    if (size <= pieceBytes) return takeAll()
    let bytes = 0
    let end = 0
    do bytes += chunks[end++]!.length
    while (end < chunks.length && bytes + chunks[end]!.length <= pieceBytes)
    size -= bytes
    weight -= bytes + end * chunkOverhead
    return chunks.splice(0, end)
  }

  // Whoever is resumed may go on at once, and come back here: so nothing is left to do when it is.
  const deliver = (): void => {
    for (const resume of waiting) {
      if (chunks.length === 0 && ended === undefined) return
      const batch = take()
      waiting.delete(resume)
      if (Arr.isArrayNonEmpty(batch)) resume(Effect.succeed(batch))
      else if (ended !== undefined) resume(ended)
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
    taken: () => taken,
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
      takeAll()
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
