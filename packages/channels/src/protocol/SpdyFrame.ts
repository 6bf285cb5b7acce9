/**
 * The frames of SPDY/3.1, for both ends (SPDY/3.1 draft 2.2, protocol reference 3.5): bytes in, events out, and frames to
 * bytes.
 *
 * The payload of data frames is handed on as it arrives, as views of the bytes it came in. Control frames are small and
 * kept until they are whole; header blocks are decompressed as they arrive.
 */
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"
import * as SpdyHeaders from "./SpdyHeaders.ts"

/** The kinds of control frame. */
export const Type = {
  SynStream: 1,
  SynReply: 2,
  RstStream: 3,
  Settings: 4,
  Ping: 6,
  GoAway: 7,
  Headers: 8,
  WindowUpdate: 9
} as const

/** Why a stream is reset (SPDY/3.1 2.6.3). `Cancel` from a Kubernetes server is its usual end of an output. */
export const Reset = {
  ProtocolError: 1,
  InvalidStream: 2,
  RefusedStream: 3,
  UnsupportedVersion: 4,
  Cancel: 5,
  InternalError: 6,
  FlowControlError: 7,
  StreamInUse: 8,
  StreamAlreadyClosed: 9,
  InvalidCredentials: 10,
  FrameTooLarge: 11
} as const

/** The setting that is the window with which streams begin. */
export const initialWindowSetting = 7

/** A stream begins. */
export interface SynStream {
  readonly _tag: "SynStream"
  readonly stream: number
  readonly fin: boolean
  readonly unidirectional: boolean
  readonly headers: SpdyHeaders.Headers
}

/** The answer to a `SynStream`, or more headers of a stream. */
export interface WithHeaders {
  readonly _tag: "SynReply" | "Headers"
  readonly stream: number
  readonly fin: boolean
  readonly headers: SpdyHeaders.Headers
}

/** The end of a stream, both ways. */
export interface RstStream {
  readonly _tag: "RstStream"
  readonly stream: number
  readonly status: number
}

/** Settings of the peer, by number. */
export interface Settings {
  readonly _tag: "Settings"
  readonly settings: ReadonlyArray<readonly [id: number, value: number]>
}

/** A ping, or the answer to one: those of a client are odd, of a server even. */
export interface Ping {
  readonly _tag: "Ping"
  readonly id: number
}

/** The peer will take no new streams; of Kubernetes servers, the end. */
export interface GoAway {
  readonly _tag: "GoAway"
  readonly lastStream: number
  /** 0 in order, 1 a protocol error, 2 an internal error. */
  readonly status: number
}

/** The peer takes so many bytes more; stream 0 is the connection. */
export interface WindowUpdate {
  readonly _tag: "WindowUpdate"
  readonly stream: number
  readonly delta: number
}

/** A piece of a stream's bytes. Every data frame gives at least one, an empty frame an empty one. */
export interface Data {
  readonly _tag: "Data"
  readonly stream: number
  /** A view of the chunk given to `decode`. */
  readonly payload: Uint8Array
  /** The stream ends, this way, with this piece. */
  readonly fin: boolean
}

/** What a decoder finds. A `Violation` is the last event of a connection. */
export type Event =
  | SynStream
  | WithHeaders
  | RstStream
  | Settings
  | Ping
  | GoAway
  | WindowUpdate
  | Data
  | Violation

/** The state of one direction of one connection. */
export interface Decoder {
  /**
   * The events of the next bytes of the connection, which may be cut anywhere. Never throws: a breach of protocol is a
   * `Violation`, after the valid events before it, and nothing follows it. Holds 16 KiB of headers at most, and the
   * 32 KiB before them that their compression refers to.
   */
  readonly decode: (chunk: Uint8Array) => Array<Event>
}

const headerBytes = 8
const version = 3
const fin = 0x01
const unidirectional = 0x02
// A header block within the limits takes less, however it was compressed.
const maxHeaderFrameBytes = 2 * SpdyHeaders.maxBlockBytes
// What stands before a header block, and the longest frame without one: 32 settings.
const maxFixedBytes = 4 + 32 * 8

const names: Readonly<Record<number, string>> = {
  [Type.SynStream]: "SYN_STREAM",
  [Type.SynReply]: "SYN_REPLY",
  [Type.RstStream]: "RST_STREAM",
  [Type.Settings]: "SETTINGS",
  [Type.Ping]: "PING",
  [Type.GoAway]: "GOAWAY",
  [Type.Headers]: "HEADERS",
  [Type.WindowUpdate]: "WINDOW_UPDATE"
}

/** Bytes in front of the header block of a frame, or its whole length; nothing for a type that is not known. */
const fixedBytesOf = (type: number, length: number): number | undefined => {
  switch (type) {
    case Type.SynStream:
      return 10
    case Type.SynReply:
    case Type.Headers:
    case Type.Ping:
      return 4
    case Type.RstStream:
    case Type.GoAway:
    case Type.WindowUpdate:
      return 8
    case Type.Settings:
      return length
    default:
      return undefined
  }
}

const hasHeaders = (type: number): boolean => type === Type.SynStream || type === Type.SynReply || type === Type.Headers

const uint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

const uint31 = (bytes: Uint8Array, at: number): number => uint32(bytes, at) & 0x7fff_ffff

/**
 * A decoder at the start of a connection: give it the bytes after the upgrade. Control frames of a type that is not known
 * are passed over (SPDY/3.1 2.2.1).
 *
 * @example
 * ```ts
 * import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
 *
 * const decoder = SpdyFrame.makeDecoder()
 * decoder.decode(SpdyFrame.encodePing(1)) // => [{ _tag: "Ping", id: 1 }]
 * ```
 */
export const makeDecoder = (): Decoder => {
  const header = new Uint8Array(headerBytes)
  let headerHas = 0

  // The frame whose payload is being read.
  let state: "Header" | "Data" | "Fixed" | "Block" | "Skip" = "Header"
  let type = 0
  let flags = 0
  let stream = 0
  let remaining = 0
  const fixed = new Uint8Array(maxFixedBytes)
  let fixedHas = 0
  let fixedNeeds = 0

  const headers = SpdyHeaders.makeReader()
  let ended = false

  /** Enters the frame whose header is complete. */
  const enter = (): Violation | undefined => {
    headerHas = 0
    flags = header[4]!
    remaining = uint32(header, 4) & 0xff_ffff
    if ((header[0]! & 0x80) === 0) {
      stream = uint31(header, 0)
      state = "Data"
      return stream === 0 ? violation(1002, "The peer sent data of stream 0, which does not exist") : undefined
    }
    const sent = ((header[0]! & 0x7f) << 8) | header[1]!
    type = (header[2]! << 8) | header[3]!
    if (sent !== version) {
      return violation(1002, `The peer sent a frame of SPDY version ${sent}; Kubernetes speaks 3 (SPDY/3.1 2.2.1)`)
    }
    const needs = fixedBytesOf(type, remaining)
    if (needs === undefined) {
      state = "Skip"
      return undefined
    }
    const fits = hasHeaders(type)
      ? remaining >= needs && remaining <= maxHeaderFrameBytes
      : remaining === needs && needs <= maxFixedBytes
    if (!fits) return violation(1002, `The peer sent a ${names[type]} frame of ${remaining} bytes (SPDY/3.1 2.6)`)
    fixedHas = 0
    fixedNeeds = needs
    state = "Fixed"
    return undefined
  }

  /** The event of a frame that has headers, all of which are here. */
  const withHeaders = (): Event => {
    const block = headers.end()
    if ("_tag" in block) return block
    const [stream, isFin] = [uint31(fixed, 0), (flags & fin) !== 0]
    if (stream === 0) return violation(1002, `The peer sent a ${names[type]} frame of stream 0, which does not exist`)
    return type === Type.SynStream
      ? {
        _tag: "SynStream",
        stream,
        fin: isFin,
        unidirectional: (flags & unidirectional) !== 0,
        headers: block
      }
      : { _tag: type === Type.SynReply ? "SynReply" : "Headers", stream, fin: isFin, headers: block }
  }

  /** The event of a frame without headers. */
  const withoutHeaders = (): Event => {
    switch (type) {
      case Type.RstStream:
        return { _tag: "RstStream", stream: uint31(fixed, 0), status: uint32(fixed, 4) }
      case Type.Ping:
        return { _tag: "Ping", id: uint32(fixed, 0) }
      case Type.GoAway:
        return { _tag: "GoAway", lastStream: uint31(fixed, 0), status: uint32(fixed, 4) }
      case Type.WindowUpdate:
        return { _tag: "WindowUpdate", stream: uint31(fixed, 0), delta: uint31(fixed, 4) }
      default: {
        const count = uint32(fixed, 0)
        if (fixedNeeds !== 4 + count * 8) {
          return violation(1002, `The peer sent ${count} settings in ${fixedNeeds} bytes (SPDY/3.1 2.6.4)`)
        }
        return {
          _tag: "Settings",
          settings: Array.from({ length: count }, (_, i) => [
            uint32(fixed, 4 + i * 8) & 0xff_ffff,
            uint32(fixed, 8 + i * 8)
          ])
        }
      }
    }
  }

  const decode = (chunk: Uint8Array): Array<Event> => {
    const events: Array<Event> = []
    const end = chunk.length
    let at = 0
    const take = (size: number): Uint8Array => {
      // Not `subarray`: on a Node `Buffer` that would make another one, whose `slice` does not copy.
      const view = new Uint8Array(chunk.buffer, chunk.byteOffset + at, size)
      at += size
      remaining -= size
      return view
    }
    const push = (event: Event): void => void events.push(event)
    while (!ended) {
      if (state === "Header") {
        while (headerHas < headerBytes && at < end) header[headerHas++] = chunk[at++]!
        if (headerHas < headerBytes) break
        const broken = enter()
        if (broken !== undefined) {
          push(broken)
          ended = true
        }
        continue
      }
      const size = Math.min(remaining, end - at)
      if (size === 0 && remaining > 0) break
      switch (state) {
        case "Data": {
          const payload = take(size)
          const isLast = remaining === 0
          push({ _tag: "Data", stream, payload, fin: isLast && (flags & fin) !== 0 })
          if (isLast) state = "Header"
          break
        }
        case "Skip":
          take(size)
          if (remaining === 0) state = "Header"
          break
        case "Fixed": {
          const some = Math.min(size, fixedNeeds - fixedHas)
          fixed.set(take(some), fixedHas)
          fixedHas += some
          if (fixedHas < fixedNeeds) break
          if (hasHeaders(type)) {
            state = "Block"
          } else {
            state = "Header"
            push(withoutHeaders())
          }
          break
        }
        case "Block": {
          const broken = headers.push(take(size))
          if (broken !== undefined) push(broken)
          else if (remaining === 0) {
            state = "Header"
            push(withHeaders())
          }
          break
        }
      }
      ended = events.at(-1)?._tag === "Violation"
    }
    return events
  }

  return { decode }
}

const putUint32 = (bytes: Uint8Array, at: number, value: number): number => {
  bytes[at] = value >>> 24
  bytes[at + 1] = (value >>> 16) & 0xff
  bytes[at + 2] = (value >>> 8) & 0xff
  bytes[at + 3] = value & 0xff
  return at + 4
}

/** A control frame of these 32-bit words, and a header block. */
const control = (type: number, flags: number, words: ReadonlyArray<number>, block?: Uint8Array): Uint8Array => {
  const length = words.length * 4 + (block?.length ?? 0)
  const bytes = new Uint8Array(headerBytes + length)
  let at = putUint32(bytes, 0, 0x8000_0000 + version * 0x1_0000 + type)
  at = putUint32(bytes, at, flags * 0x100_0000 + length)
  for (const word of words) at = putUint32(bytes, at, word)
  if (block !== undefined) bytes.set(block, at)
  return bytes
}

/** The beginning of a stream, with a header block of `SpdyHeaders.makeWriter`. */
export const encodeSynStream = (
  stream: number,
  block: Uint8Array,
  options?: { readonly fin?: boolean }
): Uint8Array => {
  // Priority and slot are two bytes, not four.
  const bytes = new Uint8Array(headerBytes + 10 + block.length)
  let at = putUint32(bytes, 0, 0x8000_0000 + version * 0x1_0000 + Type.SynStream)
  at = putUint32(bytes, at, (options?.fin === true ? fin : 0) * 0x100_0000 + 10 + block.length)
  at = putUint32(bytes, at, stream)
  bytes.set(block, at + 6)
  return bytes
}

/** The answer to the beginning of a stream. */
export const encodeSynReply = (stream: number, block: Uint8Array): Uint8Array =>
  control(Type.SynReply, 0, [stream], block)

/** The end of a stream, both ways. */
export const encodeRstStream = (stream: number, status: number): Uint8Array =>
  control(Type.RstStream, 0, [stream, status])

/** A ping, or the answer to one. */
export const encodePing = (id: number): Uint8Array => control(Type.Ping, 0, [id])

/** The end of the connection. */
export const encodeGoAway = (lastStream: number, status = 0): Uint8Array =>
  control(Type.GoAway, 0, [lastStream, status])

/** That so many bytes more may be sent on a stream; 0 is the connection. */
export const encodeWindowUpdate = (stream: number, delta: number): Uint8Array =>
  control(Type.WindowUpdate, 0, [stream, delta])

/** Settings by number. */
export const encodeSettings = (settings: Settings["settings"]): Uint8Array =>
  control(Type.Settings, 0, [settings.length, ...settings.flat()])

/** The bytes in front of the payload of a data frame. */
export const dataHeaderBytes = headerBytes

/** The most payload bytes of one data frame (24 bits). Go's senders keep to 32 KiB. */
export const maxDataBytes = 0xff_ffff

/** Writes the header of a data frame into `target`, and gives the offset after it. `size` is at most `maxDataBytes`. */
export const encodeDataHeaderInto = (
  target: Uint8Array,
  offset: number,
  data: { readonly stream: number; readonly size: number; readonly fin: boolean }
): number => putUint32(target, putUint32(target, offset, data.stream), (data.fin ? fin : 0) * 0x100_0000 + data.size)

/** A data frame, in memory of its own. */
export const encodeData = (stream: number, payload: Uint8Array, isFin = false): Uint8Array => {
  const bytes = new Uint8Array(headerBytes + payload.length)
  encodeDataHeaderInto(bytes, 0, { stream, size: payload.length, fin: isFin })
  bytes.set(payload, headerBytes)
  return bytes
}
