/**
 * The header blocks of SPDY/3 (SPDY/3 draft 2.6.10, protocol reference 3.6): one zlib stream for all blocks of a
 * direction, with a dictionary of the protocol's own.
 *
 * Blocks are written stored, so there is no compressor: every reader of zlib takes them. A block is read as it arrives,
 * within limits.
 */
import * as Inflate from "./Inflate.ts"
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"
import * as SpdyDictionary from "./SpdyDictionary.ts"

/** Headers in their order. Names are in lower case; several values of a name are joined by NUL. */
export type Headers = ReadonlyArray<readonly [name: string, value: string]>

/** The most headers in a block that is read; Kubernetes sends three. */
export const maxHeaders = 32
/** The longest name that is read, in bytes. */
export const maxNameBytes = 256
/** The longest value that is read, in bytes. */
export const maxValueBytes = 4_096
/** The most bytes that a block decompresses to. */
export const maxBlockBytes = 16_384

const encoder = new TextEncoder()
const decoder = new TextDecoder()

// Deflate, a window of 32 KiB, a dictionary follows; the check bits make it a multiple of 31.
const zlibHeader = [0x78, 0x20, 0xe3, 0xc6, 0xa7, 0xc2]
const maxStoredBytes = 0xffff
const storedOverhead = 5

const putUint32 = (target: Uint8Array, at: number, value: number): number => {
  target[at] = value >>> 24
  target[at + 1] = (value >>> 16) & 0xff
  target[at + 2] = (value >>> 8) & 0xff
  target[at + 3] = value & 0xff
  return at + 4
}

/** Writes a text behind its length. `target` has room for three bytes a character. */
const putText = (target: Uint8Array, at: number, text: string): number => {
  const start = at + 4
  let end = start
  // Texts are short and nearly always ASCII, for which a call into the runtime costs more than a loop.
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) {
      end = start + encoder.encodeInto(text, target.subarray(start)).written
      break
    }
    target[end++] = code
  }
  putUint32(target, at, end - start)
  return end
}

/** A block before compression. */
const encodePlain = (headers: Headers): Uint8Array => {
  let most = 4
  for (const [name, value] of headers) most += 8 + 3 * (name.length + value.length)
  const plain = new Uint8Array(most)
  let at = putUint32(plain, 0, headers.length)
  for (const [name, value] of headers) at = putText(plain, putText(plain, at, name.toLowerCase()), value)
  return plain.subarray(0, at)
}

const putStored = (target: Uint8Array, at: number, bytes: Uint8Array): number => {
  target[at] = 0
  target[at + 1] = bytes.length & 0xff
  target[at + 2] = bytes.length >>> 8
  target[at + 3] = ~bytes.length & 0xff
  target[at + 4] = (~bytes.length >>> 8) & 0xff
  target.set(bytes, at + storedOverhead)
  return at + storedOverhead + bytes.length
}

/** Writes the blocks of one direction of one connection, in order. */
export type Writer = (headers: Headers) => Uint8Array

/**
 * A writer at the start of a connection.
 *
 * @example
 * ```ts
 * import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
 *
 * const write = SpdyHeaders.makeWriter()
 * write([["streamtype", "error"]]).length // => 43
 * write([["streamtype", "stdin"]]).length // => 37
 * ```
 */
export const makeWriter = (): Writer => {
  let isFirst = true
  return (headers) => {
    const plain = encodePlain(headers)
    const pieces = Math.ceil(plain.length / maxStoredBytes)
    const start = isFirst ? zlibHeader : []
    isFirst = false
    const block = new Uint8Array(start.length + plain.length + (pieces + 1) * storedOverhead)
    block.set(start)
    let at = start.length
    for (let i = 0; i < pieces; i++) {
      at = putStored(block, at, plain.subarray(i * maxStoredBytes, (i + 1) * maxStoredBytes))
    }
    // An empty block at the end, as after a sync flush: Go's reader otherwise waits for it, and fails on later ones.
    putStored(block, at, new Uint8Array(0))
    return block
  }
}

/** Reads the blocks of one direction of one connection. */
export interface Reader {
  /** Takes the next bytes of a block. */
  readonly push: (bytes: Uint8Array) => Violation | undefined
  /** The headers of the block, all of whose bytes were pushed; the next push begins another. */
  readonly end: () => Headers | Violation
}

/** A reader at the start of a connection. Names are as they came, in lower case; a name that comes twice is refused. */
export const makeReader = (): Reader => {
  const inflater = Inflate.make({ id: SpdyDictionary.dictionaryId, bytes: SpdyDictionary.dictionary() })
  let plain: Array<Uint8Array> = []
  let size = 0
  return {
    push: (bytes) => {
      const inflated = inflater.push(bytes, maxBlockBytes - size)
      if (!(inflated instanceof Uint8Array)) return inflated
      if (inflated.length === 0) return undefined
      plain.push(inflated)
      size += inflated.length
      return undefined
    },
    end: () => {
      const bytes = join(plain, size)
      plain = []
      size = 0
      return parse(bytes)
    }
  }
}

const join = (parts: ReadonlyArray<Uint8Array>, size: number): Uint8Array => {
  if (parts.length === 1) return parts[0]!
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const bad = (what: string): Violation => violation(1002, `A header block ${what}`)

const parse = (bytes: Uint8Array): Headers | Violation => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headers: Array<readonly [string, string]> = []
  const names = new Set<string>()
  let at = 4
  /** The next text behind its length. */
  const text = (max: number): string | Violation => {
    if (at + 4 > bytes.length) return bad("ends early")
    const length = view.getUint32(at)
    if (length > max) return violation(1009, `A header has ${length} bytes, more than the ${max} allowed here`)
    if (at + 4 + length > bytes.length) return bad("ends early")
    at += 4 + length
    return decoder.decode(bytes.subarray(at - length, at))
  }
  if (bytes.length < 4) return bad("ends early")
  const count = view.getUint32(0)
  if (count > maxHeaders) return violation(1009, `A header block has ${count} headers; ${maxHeaders} are allowed here`)
  for (let i = 0; i < count; i++) {
    const name = text(maxNameBytes)
    if (typeof name !== "string") return name
    const value = text(maxValueBytes)
    if (typeof value !== "string") return value
    if (name === "") return bad("has a header without a name (SPDY/3 2.6.10)")
    if (name !== name.toLowerCase()) return bad(`has the name ${name}, which is not in lower case (SPDY/3 2.6.10)`)
    if (names.has(name)) return bad(`has the name ${name} twice (SPDY/3 2.6.10)`)
    names.add(name)
    headers.push([name, value])
  }
  return at === bytes.length ? headers : bad("is longer than its headers")
}

/** The value of a header, or nothing. */
export const get = (headers: Headers, name: string): string | undefined =>
  headers.find(([other]) => other === name)?.[1]
