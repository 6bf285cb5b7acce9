/**
 * The frames of WebSocket, for both roles (RFC 6455 5 and 7): bytes in, events out, and frames to bytes.
 *
 * Nothing is reassembled. The payload of data frames is handed on as it arrives, as views of the bytes it came in, so
 * the memory held is 139 bytes whatever the peer sends. No extension is ever negotiated, so reserved bits are refused.
 */
import { xorInPlace } from "./Masking.ts"
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"

/** The kinds of frame (RFC 6455 5.2). */
export const Opcode = { Continuation: 0x0, Text: 0x1, Binary: 0x2, Close: 0x8, Ping: 0x9, Pong: 0xa } as const
/** The kinds of frame (RFC 6455 5.2). */
export type Opcode = (typeof Opcode)[keyof typeof Opcode]

/**
 * A piece of a data message. Every frame gives at least one, an empty frame an empty one; a frame that arrives in
 * several chunks gives one for each chunk.
 */
export interface Data {
  readonly _tag: "Data"
  /** The message is text. */
  readonly text: boolean
  /** A view of the chunk given to `decode`. */
  readonly payload: Uint8Array
  /** Begins a message. */
  readonly first: boolean
  /** Ends the message. */
  readonly last: boolean
  /** Begins a frame: true without `first` is a fragment of a message. */
  readonly frame: boolean
}

/** A ping with its payload (a copy), to be answered by a pong with the same. */
export interface Ping {
  readonly _tag: "Ping"
  readonly payload: Uint8Array
}

/** A pong with its payload (a copy). */
export interface Pong {
  readonly _tag: "Pong"
  readonly payload: Uint8Array
}

/** A close frame. The decoder ignores what follows it. `code` is absent when the frame was empty. */
export interface Close {
  readonly _tag: "Close"
  readonly code: number | undefined
  readonly reason: string
}

/** What a decoder finds. `Close` and `Violation` are the last event of a connection. */
export type Event = Data | Ping | Pong | Close | Violation

/** Which end of the connection decodes: a client refuses masked frames, a server unmasked ones. */
export type Role = "client" | "server"

/** Settings of a decoder. */
export interface DecoderOptions {
  readonly role: Role
  /** The longest message accepted, in bytes, over all its fragments. Without it, 2^53 - 1. */
  readonly maxMessageBytes?: number | undefined
}

/** The state of one direction of one connection. */
export interface Decoder {
  /**
   * The events of the next bytes of the connection, which may be cut anywhere. Never throws: a breach of protocol is a
   * `Violation`, after the valid events before it. After a `Violation` or a `Close` it returns no more events.
   *
   * A server's decoder owns the chunk: it unmasks in place.
   */
  readonly decode: (chunk: Uint8Array) => Array<Event>
}

const maxControlBytes = 125
const maxHeaderBytes = 14

/** Whether a close frame may carry this code: RFC 6455 7.4, and the codes registered since (1012 to 1014). */
export const isCloseCode = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)

/**
 * A decoder at the start of a connection: give it the bytes after the handshake.
 *
 * @example
 * ```ts
 * import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
 *
 * const decoder = WebSocketFrame.makeDecoder({ role: "client" })
 * decoder.decode(Uint8Array.of(0x82)) // => []
 * decoder.decode(Uint8Array.of(0x01, 0x07)).map((event) => event._tag) // => ["Data"]
 * ```
 */
export const makeDecoder = (options: DecoderOptions): Decoder => {
  const server = options.role === "server"
  const peer = server ? "The client" : "The server"
  const maxMessageBytes = Math.min(options.maxMessageBytes ?? Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)

  const header = new Uint8Array(maxHeaderBytes)
  let headerHas = 0
  let headerNeeds = 2

  // The frame whose payload is being read.
  let inPayload = false
  let opcode = 0
  let fin = false
  let remaining = 0
  let mask = 0
  let maskIndex = 0
  let frameStarts = false

  const control = new Uint8Array(maxControlBytes)
  let controlHas = 0

  // The message that data frames belong to.
  let messageOpen = false
  let messageText = false
  let messageStarts = false
  let messageBytes = 0
  let utf8: TextDecoder | undefined

  let ended = false

  /** Checks what the first two bytes tell, and learns from them how long the header is. */
  const checkStart = (): Violation | undefined => {
    const byte0 = header[0]!
    const byte1 = header[1]!
    fin = (byte0 & 0x80) !== 0
    opcode = byte0 & 0x0f
    const masked = (byte1 & 0x80) !== 0
    const length = byte1 & 0x7f
    if ((byte0 & 0x70) !== 0) {
      return violation(
        1002,
        `${peer} sent a frame with reserved bits (0x${hex(byte0 & 0x70)}), as for an extension such as compression, ` +
          `but none was negotiated (RFC 6455 5.2)`
      )
    }
    if (opcode >= 0x8) {
      if (opcode > Opcode.Pong) return unknownOpcode()
      if (!fin) return violation(1002, `${peer} sent a fragmented ${nameOf(opcode)} frame (RFC 6455 5.5)`)
      if (length > maxControlBytes) {
        return violation(1002, `${peer} sent a ${nameOf(opcode)} frame of more than 125 bytes (RFC 6455 5.5)`)
      }
    } else {
      if (opcode > Opcode.Binary) return unknownOpcode()
      if (opcode === Opcode.Continuation && !messageOpen) {
        return violation(1002, `${peer} sent a continuation frame without a message to continue (RFC 6455 5.4)`)
      }
      if (opcode !== Opcode.Continuation && messageOpen) {
        return violation(1002, `${peer} began a new message before it had ended the last one (RFC 6455 5.4)`)
      }
    }
    if (masked !== server) {
      return violation(
        1002,
        server
          ? "The client sent an unmasked frame; a client must mask every frame (RFC 6455 5.1)"
          : "The server sent a masked frame, which only clients may (RFC 6455 5.1)"
      )
    }
    headerNeeds = 2 + (length === 126 ? 2 : length === 127 ? 8 : 0) + (masked ? 4 : 0)
    return undefined
  }

  const unknownOpcode = (): Violation =>
    violation(1002, `${peer} sent a frame with the unknown opcode 0x${hex(opcode)} (RFC 6455 5.2)`)

  /** Checks the length and enters the payload. The header is complete. */
  const enterPayload = (): Violation | undefined => {
    let length = header[1]! & 0x7f
    if (length === 126) {
      length = (header[2]! << 8) | header[3]!
      if (length < 126) return notMinimal(length)
    } else if (length === 127) {
      const high = uint32(header, 2)
      length = high * 0x1_0000_0000 + uint32(header, 6)
      if (high >= 0x8000_0000) {
        return violation(1002, `${peer} sent a frame length with its highest bit set (RFC 6455 5.2)`)
      }
      if (length < 0x1_0000) return notMinimal(length)
    }
    if (opcode < 0x8) {
      if (length > maxMessageBytes - (messageOpen ? messageBytes : 0)) {
        return violation(1009, `${peer} sent a message of more than ${maxMessageBytes} bytes, the limit set here`)
      }
      if (!messageOpen) {
        messageOpen = true
        messageStarts = true
        messageBytes = 0
        messageText = opcode === Opcode.Text
      }
      messageBytes += length
    }
    mask = server ? uint32(header, headerNeeds - 4) : 0
    maskIndex = 0
    remaining = length
    frameStarts = true
    controlHas = 0
    headerHas = 0
    headerNeeds = 2
    inPayload = true
    return undefined
  }

  const notMinimal = (length: number): Violation =>
    violation(1002, `${peer} wrote the frame length ${length} in more bytes than it needs (RFC 6455 5.2)`)

  /** The event for the next piece of a data frame. */
  const data = (payload: Uint8Array): Data | Violation => {
    const last = fin && remaining === 0
    if (messageText && !isUtf8(payload, last)) {
      return violation(1007, `${peer} sent a text message that is not UTF-8 (RFC 6455 8.1)`)
    }
    const event: Data = {
      _tag: "Data",
      text: messageText,
      payload,
      first: messageStarts,
      last,
      frame: frameStarts
    }
    messageStarts = false
    frameStarts = false
    if (last) messageOpen = false
    return event
  }

  const isUtf8 = (payload: Uint8Array, last: boolean): boolean => {
    utf8 ??= new TextDecoder("utf-8", { fatal: true })
    try {
      utf8.decode(payload, { stream: !last })
      return true
    } catch {
      return false
    }
  }

  /** The event for a control frame, whose payload is complete. */
  const controlEvent = (): Event => {
    const payload = control.slice(0, controlHas)
    if (opcode === Opcode.Ping) return { _tag: "Ping", payload }
    if (opcode === Opcode.Pong) return { _tag: "Pong", payload }
    if (payload.length === 0) return { _tag: "Close", code: undefined, reason: "" }
    if (payload.length === 1) {
      return violation(1002, `${peer} sent a close frame of one byte, which is no close code (RFC 6455 5.5.1)`)
    }
    const code = (payload[0]! << 8) | payload[1]!
    if (!isCloseCode(code)) {
      return violation(1002, `${peer} sent the close code ${code}, which no frame may carry (RFC 6455 7.4)`)
    }
    const reason = decodeUtf8(payload.subarray(2))
    return reason === undefined
      ? violation(1007, `${peer} closed with code ${code} and a reason that is not UTF-8 (RFC 6455 5.5.1)`)
      : { _tag: "Close", code, reason }
  }

  const decode = (chunk: Uint8Array): Array<Event> => {
    const events: Array<Event> = []
    const end = chunk.length
    let at = 0
    while (!ended) {
      if (!inPayload) {
        while (headerHas < headerNeeds && at < end) header[headerHas++] = chunk[at++]!
        if (headerHas < headerNeeds) break
        const broken = headerHas === 2
          ? checkStart() ?? (headerNeeds === 2 ? enterPayload() : undefined)
          : enterPayload()
        if (broken !== undefined) {
          events.push(broken)
          ended = true
        }
        if (!inPayload) continue
      }

      const size = Math.min(remaining, end - at)
      if (size === 0 && remaining > 0) break
      if (mask !== 0 && size > 0) {
        xorInPlace(chunk, at, at + size, mask, maskIndex)
        maskIndex = (maskIndex + size) & 3
      }
      remaining -= size
      if (opcode < 0x8) {
        // Not `subarray`: on a Node `Buffer` that would make another one, whose `slice` does not copy.
        const event = data(new Uint8Array(chunk.buffer, chunk.byteOffset + at, size))
        events.push(event)
        if (event._tag === "Violation") ended = true
      } else {
        for (let i = 0; i < size; i++) control[controlHas++] = chunk[at + i]!
        if (remaining === 0) {
          const event = controlEvent()
          events.push(event)
          if (event._tag === "Close" || event._tag === "Violation") ended = true
        }
      }
      at += size
      if (remaining === 0) inPayload = false
    }
    return events
  }

  return { decode }
}

/** A frame to be sent. */
export interface Frame {
  readonly opcode: Opcode
  /** Ends its message; true unless it says otherwise. */
  readonly fin?: boolean | undefined
  /** The first payload byte or bytes, in front of `payload`: a channel number, the header of an inner protocol. */
  readonly prefix?: number | Uint8Array | undefined
  readonly payload: Uint8Array
}

/** The bytes that a frame takes beyond its payload and prefix, at most. */
export const maxOverhead = maxHeaderBytes

/** The bytes that a frame takes on the wire. `payloadBytes` counts the prefix too. */
export const encodedSize = (payloadBytes: number, masked: boolean): number =>
  payloadBytes + (payloadBytes < 126 ? 2 : payloadBytes < 0x1_0000 ? 4 : 10) + (masked ? 4 : 0)

/**
 * Writes what stands before a payload of so many bytes into `target`, and gives the offset after it: for one who does not
 * want the payload copied. With a mask, the payload has still to be masked.
 */
export const encodeHeaderInto = (
  target: Uint8Array,
  offset: number,
  header: Pick<Frame, "opcode" | "fin"> & { readonly size: number },
  mask: number | undefined
): number => {
  const { fin, opcode, size: length } = header
  let at = offset
  target[at++] = fin === false ? opcode : 0x80 | opcode
  const maskBit = mask === undefined ? 0 : 0x80
  if (length < 126) {
    target[at++] = maskBit | length
  } else if (length < 0x1_0000) {
    target[at++] = maskBit | 126
    target[at++] = length >>> 8
    target[at++] = length & 0xff
  } else {
    target[at++] = maskBit | 127
    at = putUint32(target, at, Math.floor(length / 0x1_0000_0000))
    at = putUint32(target, at, length >>> 0)
  }
  return mask === undefined ? at : putUint32(target, at, mask)
}

/**
 * Writes a frame into `target` at `offset` and returns the offset after it, so that frames can be packed one behind
 * the other and written at once. The payload is copied, so its memory is free again on return.
 *
 * A client passes the masking key as an unsigned 32-bit number, fresh and random for each frame (RFC 6455 5.3), a
 * server `undefined`. The caller makes room (`encodedSize`); a target that is too small is a `RangeError`.
 *
 * @example
 * ```ts
 * import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
 *
 * const target = new Uint8Array(64)
 * const payload = new TextEncoder().encode("ls\n")
 * const stdin = { opcode: WebSocketFrame.Opcode.Binary, prefix: 0, payload }
 * WebSocketFrame.encodeInto(target, 0, stdin, 0x12345678) // => 10
 * ```
 */
export const encodeInto = (target: Uint8Array, offset: number, frame: Frame, mask: number | undefined): number => {
  const { payload, prefix } = frame
  const prefixBytes = prefix === undefined ? 0 : typeof prefix === "number" ? 1 : prefix.length
  const length = prefixBytes + payload.length
  const end = offset + encodedSize(length, mask !== undefined)
  let at = encodeHeaderInto(target, offset, { opcode: frame.opcode, fin: frame.fin, size: length }, mask)
  const start = at
  if (typeof prefix === "number") target[at++] = prefix
  else if (prefix !== undefined) {
    target.set(prefix, at)
    at += prefix.length
  }
  target.set(payload, at)
  // A copy and then one pass in place: as fast as a pass from source to target where the two line up in memory, and
  // a third faster where they do not. `set` is also what refuses a target that is too small.
  if (mask !== undefined) xorInPlace(target, start, end, mask, 0)
  return end
}

/** The bytes of one frame, in memory of their own. See `encodeInto`. */
export const encode = (frame: Frame, mask: number | undefined): Uint8Array => {
  const { payload, prefix } = frame
  const prefixBytes = prefix === undefined ? 0 : typeof prefix === "number" ? 1 : prefix.length
  const target = new Uint8Array(encodedSize(prefixBytes + payload.length, mask !== undefined))
  encodeInto(target, 0, frame, mask)
  return target
}

/**
 * The bytes of a close frame. Without a code it is empty, and the reason is not sent. A reason longer than 123 bytes of
 * UTF-8 is cut after the last character that fits. The code is written as it is: `isCloseCode` tells the valid ones.
 */
export const encodeClose = (code: number | undefined, reason: string, mask: number | undefined): Uint8Array => {
  if (code === undefined) return encode({ opcode: Opcode.Close, payload: new Uint8Array(0) }, mask)
  const payload = new Uint8Array(maxControlBytes)
  payload[0] = code >>> 8
  payload[1] = code & 0xff
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2))
  return encode({ opcode: Opcode.Close, payload: payload.subarray(0, 2 + written) }, mask)
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

const putUint32 = (bytes: Uint8Array, at: number, value: number): number => {
  bytes[at] = value >>> 24
  bytes[at + 1] = (value >>> 16) & 0xff
  bytes[at + 2] = (value >>> 8) & 0xff
  bytes[at + 3] = value & 0xff
  return at + 4
}

const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const hex = (value: number): string => value.toString(16).padStart(2, "0")

const nameOf = (opcode: number): string => opcode === Opcode.Close ? "close" : opcode === Opcode.Ping ? "ping" : "pong"
