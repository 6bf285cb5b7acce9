/**
 * Bytes for protocol tests: written in hex, drawn from a seed, cut into chunks.
 */

/** Bytes written in hex; blanks do not count. */
export const hex = (text: string): Uint8Array => {
  const digits = text.replaceAll(/\s/g, "")
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

/** The hex of some bytes: strings compare faster than arrays. */
export const toHex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")

/** The UTF-8 of a text. */
export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The text of some UTF-8. */
export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

/** One array of many. */
export const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Numbers drawn from a seed: the same seed, the same numbers. */
export interface Random {
  /** An integer from 0 to `bound - 1`. */
  readonly below: (bound: number) => number
  readonly uint32: () => number
  readonly bytes: (length: number) => Uint8Array
}

/** The numbers of a seed (xorshift32). */
export const random = (seed: number): Random => {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x85ebca6b) >>> 0 || 1
  const uint32 = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
  const below = (bound: number): number => uint32() % bound
  const bytes = (length: number): Uint8Array => {
    const drawn = new Uint8Array(length)
    for (let i = 0; i < length; i++) drawn[i] = uint32() >>> 11
    return drawn
  }
  return { below, uint32, bytes }
}

/** A copy at an odd place of a bigger buffer, so that no test profits from alignment. */
export const placed = (bytes: Uint8Array, offset: number): Uint8Array => {
  const copy = new Uint8Array(new ArrayBuffer(bytes.length + offset + 5), offset, bytes.length)
  copy.set(bytes)
  return copy
}

/** Chunks of these sizes, over and over, as copies at changing alignments. */
export const cut = (bytes: Uint8Array, sizes: () => number): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const size = Math.max(1, sizes())
    chunks.push(placed(bytes.subarray(at, at + size), chunks.length & 7))
    at += size
  }
  return chunks
}

/** The ways to cut that each property tries: whole, bytewise, small pieces, big pieces. */
export const cuts = (bytes: Uint8Array, seed: number): ReadonlyArray<ReadonlyArray<Uint8Array>> => {
  const draw = random(seed)
  return [
    cut(bytes, () => bytes.length),
    cut(bytes, () => 1),
    cut(bytes, () => 1 + draw.below(17)),
    cut(bytes, () => 1 + draw.below(40_000))
  ]
}
