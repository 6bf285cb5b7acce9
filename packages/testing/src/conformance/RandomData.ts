/**
 * Bytes that look random and can be made again: what goes through a channel is compared by hash.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"

/** Bytes, known by their hash. */
export interface RandomData {
  readonly size: number
  /** SHA-256 in hexadecimal digits. */
  readonly hash: string
  /** The bytes, in chunks of 64 KiB unless told. */
  readonly stream: Stream.Stream<Uint8Array>
}

/** xorshift32 over words: fast, and the same for a seed on every machine. */
const fill = (chunk: Uint8Array, seed: number): number => {
  const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length >> 2)
  let state = seed | 0
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return state
}

const chunks = function*(seed: number, size: number, chunkSize: number): Generator<Uint8Array> {
  let state = seed === 0 ? 1 : seed
  for (let left = size; left > 0; left -= chunkSize) {
    const chunk = new Uint8Array(chunkSize)
    state = fill(chunk, state)
    yield chunk.subarray(0, Math.min(left, chunkSize))
  }
}

/** `size` bytes from a seed. `chunkSize` is a multiple of 4. */
export const make = (seed: number, size: number, chunkSize = 64 * 1024): RandomData => {
  const hash = createHash("sha256")
  for (const chunk of chunks(seed, size, chunkSize)) hash.update(chunk)
  return {
    size,
    hash: hash.digest("hex"),
    stream: Stream.suspend(() => Stream.fromIterable(chunks(seed, size, chunkSize), { chunkSize: 1 }))
  }
}

/** `size` bytes from a seed, at once. */
export const bytes = (seed: number, size: number): Uint8Array => {
  const [chunk = new Uint8Array(0)] = chunks(seed, size, Math.ceil(size / 4) * 4)
  return chunk
}

/** Reads a stream to its end; SHA-256 in hexadecimal digits. */
export const hash = <E, R>(stream: Stream.Stream<Uint8Array, E, R>): Effect.Effect<string, E, R> =>
  Effect.suspend(() => {
    const hash = createHash("sha256")
    return Effect.map(
      Stream.runForEachArray(stream, (batch) => Effect.sync(() => batch.forEach((chunk) => hash.update(chunk)))),
      () => hash.digest("hex")
    )
  })
