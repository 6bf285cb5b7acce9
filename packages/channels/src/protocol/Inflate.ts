/**
 * Decompression of zlib streams (RFC 1950, RFC 1951), a piece at a time and synchronously: every step can wait for its
 * next bit. It is made for SPDY's header blocks, which are short; it is no fast inflate for bulk data.
 */
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"

/** A preset dictionary, and the Adler-32 by which a stream asks for it. */
export interface Dictionary {
  readonly id: number
  readonly bytes: Uint8Array
}

/** The state of one stream. */
export interface Inflater {
  /**
   * What the next bytes of the stream decompress to, as far as can be told already; a copy. Never throws: damage, and
   * more than `limit` bytes, is a `Violation` (close code 1002 or 1009), and then nothing follows ever.
   */
  readonly push: (bytes: Uint8Array, limit: number) => Uint8Array | Violation
  /** Whether the stream said that it has ended. What follows is ignored. */
  readonly ended: () => boolean
}

const windowBytes = 32_768
const maxBits = 15

const codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
const endOfBlock = 256

// Lengths come in fours of the same number of extra bits, but for the first eight and the last (RFC 1951 3.2.5).
const lengthExtra = (symbol: number): number => (symbol < 8 || symbol === 28 ? 0 : (symbol >> 2) - 1)
const lengthBase = (symbol: number): number =>
  symbol === 28 ? 258 : symbol < 8 ? symbol + 3 : ((4 + (symbol & 3)) << lengthExtra(symbol)) + 3

// Distances come in pairs.
const distanceExtra = (symbol: number): number => (symbol < 2 ? 0 : (symbol >> 1) - 1)
const distanceBase = (symbol: number): number =>
  symbol < 2 ? symbol + 1 : ((2 + (symbol & 1)) << distanceExtra(symbol)) + 1

/** A canonical Huffman code: how many symbols have each length, and the symbols in the order of their codes. */
interface Code {
  readonly counts: Uint16Array
  readonly symbols: Uint16Array
}

/**
 * The code of these lengths. `undefined` if they are no code: too many of a length, or too few, unless a single code of
 * one bit or none at all (which is no damage until it is used).
 */
const makeCode = (lengths: Uint8Array, isLenient: boolean): Code | undefined => {
  const counts = new Uint16Array(maxBits + 1)
  for (const length of lengths) counts[length]!++
  let left = 1
  for (let bits = 1; bits <= maxBits; bits++) {
    left = left * 2 - counts[bits]!
    if (left < 0) return undefined
  }
  const used = lengths.length - counts[0]!
  if (left > 0 && !(isLenient && (used === 0 || (used === 1 && counts[1] === 1)))) return undefined
  counts[0] = 0
  const next = new Uint16Array(maxBits + 1)
  for (let bits = 1; bits < maxBits; bits++) next[bits + 1] = next[bits]! + counts[bits]!
  const symbols = new Uint16Array(used)
  lengths.forEach((length, symbol) => {
    if (length > 0) symbols[next[length]!++] = symbol
  })
  return { counts, symbols }
}

let fixed: { readonly literals: Code; readonly distances: Code } | undefined

const fixedCodes = (): NonNullable<typeof fixed> => {
  if (fixed !== undefined) return fixed
  const lengths = new Uint8Array(288).fill(8, 0, 144).fill(9, 144, 256).fill(7, 256, 280).fill(8, 280)
  // Complete codes, always; two of each are never used.
  fixed = { literals: makeCode(lengths, false)!, distances: makeCode(new Uint8Array(32).fill(5), false)! }
  return fixed
}

type Step =
  | "Header"
  | "DictionaryId"
  | "Block"
  | "StoredLength"
  | "StoredCheck"
  | "Stored"
  | "CodeSizes"
  | "CodeLengthLengths"
  | "CodeLengths"
  | "Repeat"
  | "Symbol"
  | "LengthExtra"
  | "Distance"
  | "DistanceExtra"
  | "Trailer"
  | "Ended"
  | "Broken"

const nothing = new Uint8Array(0)

// What a step gives back when bits are missing.
const more = -1
// And when no code fits the bits.
const noCode = -2

/** An inflater at the start of a stream. Without a dictionary, a stream that asks for one is damaged. */
export const make = (dictionary?: Dictionary): Inflater => {
  let step: Step = "Header"

  // What was decompressed: at most the window and one push.
  let history = new Uint8Array(2_048)
  let size = 0
  // Where this push began, and how much it may add.
  let start = 0
  let limit = 0

  let input: Uint8Array = nothing
  let at = 0
  let hold = 0
  let held = 0

  let isLast = false
  let dictionaryBytes = 0
  let dictionaryId = 0
  let sumLow = 1
  let sumHigh = 0
  let summed = 0
  let claimed = 0
  let claimedBytes = 0
  let literals = fixedCodes().literals
  let distances = fixedCodes().distances
  let codeLengths = literals
  let literalCount = 0
  let distanceCount = 0
  let lengthCount = 0
  const lengths = new Uint8Array(320)
  let lengthsHas = 0
  let stored = 0
  let length = 0
  let symbol = 0

  /** Takes so many bits, 16 at most, or `more`. */
  const bits = (count: number): number => {
    while (held < count) {
      if (at === input.length) return more
      hold |= input[at++]! << held
      held += 8
    }
    const value = hold & ((1 << count) - 1)
    hold >>>= count
    held -= count
    return value
  }

  /** Takes the next symbol of a code. */
  const decode = ({ counts, symbols }: Code): number => {
    let code = 0
    let first = 0
    let index = 0
    for (let count = 1; count <= maxBits; count++) {
      if (held < count) {
        if (at === input.length) return more
        hold |= input[at++]! << held
        held += 8
      }
      code |= (hold >>> (count - 1)) & 1
      const some = counts[count]!
      if (code - some < first) {
        hold >>>= count
        held -= count
        return symbols[index + (code - first)]!
      }
      index += some
      first = (first + some) << 1
      code <<= 1
    }
    return noCode
  }

  const reserve = (extra: number): void => {
    if (size + extra <= history.length) return
    const bigger = new Uint8Array(Math.max(size + extra, history.length * 2))
    bigger.set(history.subarray(0, size))
    history = bigger
  }

  /** Forgets what no distance reaches. */
  const slide = (): void => {
    if (size <= windowBytes) return
    history.copyWithin(0, size - windowBytes, size)
    size = windowBytes
    summed = windowBytes
  }

  /** The Adler-32 of all that was decompressed (RFC 1950 8.2). */
  const checksum = (): number => {
    for (; summed < size; summed++) {
      sumLow = (sumLow + history[summed]!) % 65_521
      sumHigh = (sumHigh + sumLow) % 65_521
    }
    return sumHigh * 65_536 + sumLow
  }

  const damaged = (what: string): Violation => {
    step = "Broken"
    return violation(1002, `The compressed headers are damaged: ${what}`)
  }

  const tooLong = (): Violation => {
    step = "Broken"
    return violation(1009, `The compressed headers are longer than ${limit} bytes, the limit set here`)
  }

  /** The code lengths of a block are complete. */
  const useCodes = (): Violation | undefined => {
    if (lengths[endOfBlock] === 0) return damaged("a block without an end (RFC 1951 3.2.7)")
    const literal = makeCode(lengths.subarray(0, literalCount), true)
    const distance = makeCode(lengths.subarray(literalCount, literalCount + distanceCount), true)
    if (literal === undefined || distance === undefined) return damaged("lengths that are no code (RFC 1951 3.2.7)")
    literals = literal
    distances = distance
    step = "Symbol"
    return undefined
  }

  const endBlock = (): void => {
    step = isLast ? "Trailer" : "Block"
    // The checksum stands behind whole bytes.
    if (isLast) bits(held & 7)
  }

  /** One step. `false` when it waits for bits. */
  const run = (): boolean | Violation => {
    switch (step) {
      case "Header": {
        const value = bits(16)
        if (value === more) return false
        const [method, flags] = [value & 0xff, value >>> 8]
        if ((method & 0x0f) !== 8 || method >>> 4 > 7 || (method * 256 + flags) % 31 !== 0) {
          return damaged("they do not begin as zlib streams do (RFC 1950 2.2)")
        }
        step = (flags & 0x20) === 0 ? "Block" : "DictionaryId"
        return true
      }
      case "DictionaryId": {
        const value = bits(8)
        if (value === more) return false
        dictionaryId = dictionaryId * 256 + value
        if (++dictionaryBytes < 4) return true
        if (dictionaryId !== dictionary?.id) return damaged("they need a dictionary that is not SPDY's")
        reserve(dictionary.bytes.length)
        history.set(dictionary.bytes, size)
        size += dictionary.bytes.length
        start = size
        summed = size
        step = "Block"
        return true
      }
      case "Block": {
        const value = bits(3)
        if (value === more) return false
        isLast = (value & 1) === 1
        switch (value >>> 1) {
          case 0:
            bits(held & 7)
            step = "StoredLength"
            return true
          case 1:
            ;({ distances, literals } = fixedCodes())
            step = "Symbol"
            return true
          case 2:
            step = "CodeSizes"
            return true
          default:
            return damaged("a block of no known kind (RFC 1951 3.2.3)")
        }
      }
      case "StoredLength": {
        stored = bits(16)
        if (stored === more) return false
        step = "StoredCheck"
        return true
      }
      case "StoredCheck": {
        const check = bits(16)
        if (check === more) return false
        if ((check ^ 0xffff) !== stored) return damaged("a stored block whose lengths disagree (RFC 1951 3.2.4)")
        step = "Stored"
        return true
      }
      case "Stored": {
        // The lengths end at a whole byte, so no bits are held here.
        const some = Math.min(stored, input.length - at)
        if (size - start + some > limit) return tooLong()
        reserve(some)
        history.set(input.subarray(at, at + some), size)
        size += some
        at += some
        stored -= some
        if (stored > 0) return false
        endBlock()
        return true
      }
      case "CodeSizes": {
        const value = bits(14)
        if (value === more) return false
        literalCount = (value & 31) + 257
        distanceCount = ((value >>> 5) & 31) + 1
        lengthCount = (value >>> 10) + 4
        if (literalCount > 286 || distanceCount > 30) return damaged("a block of too many codes (RFC 1951 3.2.7)")
        lengths.fill(0)
        lengthsHas = 0
        step = "CodeLengthLengths"
        return true
      }
      case "CodeLengthLengths": {
        const value = bits(3)
        if (value === more) return false
        lengths[codeLengthOrder[lengthsHas++]!] = value
        if (lengthsHas < lengthCount) return true
        const code = makeCode(lengths.subarray(0, 19), false)
        if (code === undefined) return damaged("lengths of lengths that are no code (RFC 1951 3.2.7)")
        codeLengths = code
        lengths.fill(0)
        lengthsHas = 0
        step = "CodeLengths"
        return true
      }
      case "CodeLengths": {
        symbol = decode(codeLengths)
        if (symbol === more) return false
        if (symbol === noCode) return damaged("bits that are no code")
        if (symbol > 15) {
          step = "Repeat"
          return true
        }
        lengths[lengthsHas++] = symbol
        return lengthsHas < literalCount + distanceCount || (useCodes() ?? true)
      }
      case "Repeat": {
        const extra = bits(symbol === 16 ? 2 : symbol === 17 ? 3 : 7)
        if (extra === more) return false
        const count = extra + (symbol === 18 ? 11 : 3)
        if (symbol === 16 && lengthsHas === 0) return damaged("a repeated length without one before it")
        if (lengthsHas + count > literalCount + distanceCount) return damaged("more lengths than codes")
        lengths.fill(symbol === 16 ? lengths[lengthsHas - 1]! : 0, lengthsHas, lengthsHas + count)
        lengthsHas += count
        step = "CodeLengths"
        return lengthsHas < literalCount + distanceCount || (useCodes() ?? true)
      }
      case "Symbol": {
        symbol = decode(literals)
        if (symbol === more) return false
        if (symbol === noCode || symbol > 285) return damaged("bits that are no code")
        if (symbol < endOfBlock) {
          reserve(1)
          history[size++] = symbol
        } else if (symbol === endOfBlock) endBlock()
        else step = "LengthExtra"
        return true
      }
      case "LengthExtra": {
        const extra = bits(lengthExtra(symbol - 257))
        if (extra === more) return false
        length = lengthBase(symbol - 257) + extra
        step = "Distance"
        return true
      }
      case "Distance": {
        symbol = decode(distances)
        if (symbol === more) return false
        if (symbol === noCode || symbol > 29) return damaged("bits that are no code")
        step = "DistanceExtra"
        return true
      }
      case "DistanceExtra": {
        const extra = bits(distanceExtra(symbol))
        if (extra === more) return false
        const distance = distanceBase(symbol) + extra
        if (distance > size) return damaged("a distance to before the start (RFC 1951 3.2.3)")
        reserve(length)
        // One by one: source and target may overlap, and then repeat.
        for (let i = 0; i < length; i++) history[size] = history[size++ - distance]!
        step = "Symbol"
        return true
      }
      case "Trailer": {
        const value = bits(8)
        if (value === more) return false
        claimed = claimed * 256 + value
        if (++claimedBytes < 4) return true
        if (claimed !== checksum()) return damaged("their checksum is wrong (RFC 1950 2.2)")
        step = "Ended"
        return false
      }
      case "Ended":
      case "Broken":
        return false
    }
  }

  return {
    push: (bytes, most) => {
      if (step === "Broken") return damaged("there was damage before")
      slide()
      start = size
      limit = most
      input = bytes
      at = 0
      while (true) {
        const result = run()
        if (result === false) break
        if (result !== true) return result
        if (size - start > limit) return tooLong()
      }
      input = nothing
      checksum()
      return history.slice(start, size)
    },
    ended: () => step === "Ended"
  }
}
