/**
 * The bytes that every benchmark moves: the same pseudo-random MiB over and over, so that both ends can check them.
 *
 * Random bytes neither compress nor repeat, and hold one marker byte of the supervisor in 256.
 */
import { createHash } from "node:crypto"

/** Length of the block that repeats. */
export const blockBytes = 1024 * 1024

/** The block. */
export const block: Uint8Array = (() => {
  const words = new Uint32Array(blockBytes / 4)
  let state = 0x9e3779b9
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer)
})()

/** SHA-256, in hexadecimal, of the first `bytes` of the pattern. */
export const sha256 = (bytes: number): string => {
  const hash = createHash("sha256")
  for (let at = 0; at < bytes; at += blockBytes) hash.update(block.subarray(0, Math.min(blockBytes, bytes - at)))
  return hash.digest("hex")
}

/** The pattern in pieces of `pieceBytes`, which divides the block: views of one memory, so that making them costs nothing. */
export function* pieces(bytes: number, pieceBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes; at += pieceBytes) {
    const from = at % blockBytes
    yield block.subarray(from, from + Math.min(pieceBytes, bytes - at))
  }
}
