/**
 * Bytes that look random, can be made again on any runtime, and are compared by hash.
 */
import * as Effect from "effect/Effect"

/** Bytes that passed: how many, and the FNV-1a hash of them in order. */
export interface Digest {
  readonly bytes: number
  readonly hash: number
}

/** Takes bytes in order, whatever the chunks. */
export interface Digester {
  readonly add: (chunk: Uint8Array) => void
  readonly digest: () => Digest
}

const offsetBasis = 0x811c9dc5
const prime = 0x01000193

/** A digester of nothing yet. */
export const digester = (): Digester => {
  let hash = offsetBasis
  let bytes = 0
  return {
    add: (chunk) => {
      let state = hash
      for (let i = 0; i < chunk.length; i++) state = Math.imul(state ^ chunk[i]!, prime)
      hash = state
      bytes += chunk.length
    },
    digest: () => ({ bytes, hash: hash >>> 0 })
  }
}

const seed = 0x2545f491

/**
 * The pattern in chunks of fresh memory, which the caller may overwrite. `chunkBytes` is a multiple of 4; the bytes do
 * not depend on it.
 */
export const chunks = function*(bytes: number, chunkBytes = 64 * 1024): Generator<Uint8Array<ArrayBuffer>, void> {
  let state = seed
  for (let left = bytes; left > 0; left -= chunkBytes) {
    const words = new Uint32Array(chunkBytes / 4)
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      words[i] = state
    }
    yield new Uint8Array(words.buffer, 0, Math.min(left, chunkBytes))
  }
}

/** The digest of that many bytes of the pattern. */
export const digestOf = (bytes: number): Effect.Effect<Digest> =>
  Effect.sync(() => {
    const all = digester()
    for (const chunk of chunks(bytes)) all.add(chunk)
    return all.digest()
  })
