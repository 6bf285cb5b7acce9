/**
 * The messages of exec and attach over WebSocket: a channel number, then payload (protocol reference 2.4 to 2.8).
 *
 * `v5.channel.k8s.io` differs from `v4.channel.k8s.io` in one thing: the client can end its stdin, by a message of the
 * byte 255 and the channel number.
 */
import * as JsonObject from "./JsonObject.ts"
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"
import type { Data } from "./WebSocketFrame.ts"

/** The subprotocol in which the client can end a channel. API servers answer it since 1.30. */
export const v5 = "v5.channel.k8s.io"
/** The subprotocol that every server speaks. Its stdin cannot be ended. */
export const v4 = "v4.channel.k8s.io"
/** The subprotocols that this module speaks. */
export type Subprotocol = typeof v5 | typeof v4

/** Channel numbers: the first byte of each message (protocol reference 2.5). */
export const Channel = { Stdin: 0, Stdout: 1, Stderr: 2, Status: 3, Resize: 4, Close: 255 } as const

/** Most payload bytes in one message to a server: kubectl's chunk, which every server takes whole. */
export const maxChunkBytes = 32_768

/** Most bytes that a server takes in one message, channel byte included. It drops the connection over one more. */
export const maxMessageBytes = 33_554_432

/** A piece of a channel's bytes. An empty one marks an empty message, which is never the end of the channel. */
export interface Part<Channel extends number> {
  readonly _tag: "Part"
  readonly channel: Channel
  /** A view of the chunk that the frame decoder was given. */
  readonly bytes: Uint8Array
}

/** Bytes on a channel that the protocol does not know, or that is closed: to be ignored, as real peers do. */
export interface Ignored {
  readonly _tag: "Ignored"
  readonly channel: number
  readonly size: number
}

/** The client ends a channel (v5). */
export interface ChannelClosed {
  readonly _tag: "ChannelClosed"
  readonly channel: number
}

/** What a server sends: stdout, stderr and the status. */
export type ServerMessage = Part<1 | 2 | 3> | Ignored | Violation

/** What a client sends: stdin, sizes of its terminal, and the end of a channel. */
export type ClientMessage = Part<0 | 4> | ChannelClosed | Ignored | Violation

/** Reads the data events of one connection, in order, and copies nothing. */
export interface Reader<Message> {
  /** What a piece of a message means, or `undefined` if nothing: an empty message, a channel byte alone. */
  readonly read: (data: Data) => Message | undefined
}

/** A piece of a message behind its channel byte. */
export interface Piece {
  readonly channel: number
  readonly bytes: Uint8Array
  /** Begins the payload. */
  readonly first: boolean
  /** Ends the message. */
  readonly last: boolean
}

/** Takes the channel byte off each message, wherever messages are cut. For the other protocols of channels too. */
export const makeSplitter = (): (data: Data) => Piece | undefined => {
  let channel = -1
  let first = true
  return (data) => {
    let bytes = data.payload
    if (data.first) {
      channel = -1
      first = true
    }
    if (channel < 0) {
      if (bytes.length === 0) return undefined
      channel = bytes[0]!
      bytes = bytes.subarray(1)
    }
    if (bytes.length === 0 && !data.last) return undefined
    const piece = { channel, bytes, first, last: data.last }
    first = false
    return piece
  }
}

/** A message without payload is told once; an empty piece of another says nothing. */
const saysNothing = (piece: Piece): boolean => piece.bytes.length === 0 && !piece.first

/**
 * Reads what a server sends. A text message is a violation: these protocols are binary, and bytes that pass for text
 * would be damaged wherever they are not.
 *
 * @example
 * ```ts
 * import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
 *
 * const reader = RemoteCommand.makeClientReader()
 * const payload = Uint8Array.of(1, 104, 105)
 * reader.read({ _tag: "Data", text: false, payload, first: true, last: true, frame: true })
 * // => { _tag: "Part", channel: 1, bytes: Uint8Array.of(104, 105) }
 * ```
 */
export const makeClientReader = (): Reader<ServerMessage> => {
  const split = makeSplitter()
  return {
    read: (data) => {
      if (data.text) {
        return violation(1003, "The server sent a text message; v5 and v4.channel.k8s.io messages are binary")
      }
      const piece = split(data)
      if (piece === undefined || saysNothing(piece)) return undefined
      const { bytes, channel } = piece
      return channel === Channel.Stdout || channel === Channel.Stderr || channel === Channel.Status
        ? { _tag: "Part", channel, bytes }
        : { _tag: "Ignored", channel, size: bytes.length }
    }
  }
}

/**
 * Reads what a client sends, as real servers do: text counts as bytes, empty messages and unknown channels are ignored.
 * Under v5 a close signal that is not two bytes, or names a channel above 4, is a violation with close code 1000; real
 * servers then close without a status.
 */
export const makeServerReader = (subprotocol: Subprotocol): Reader<ClientMessage> => {
  const split = makeSplitter()
  const closed = new Set<number>()
  let signal = -1
  const close = ({ bytes, first, last }: Piece): ClientMessage | undefined => {
    if (first) signal = -1
    if ((signal < 0 ? 0 : 1) + bytes.length > 1) {
      return violation(1000, "The client sent a close signal of more than 2 bytes")
    }
    if (bytes.length === 1) signal = bytes[0]!
    if (!last) return undefined
    if (signal < 0) return violation(1000, "The client sent a close signal without a channel")
    if (signal > Channel.Resize) return violation(1000, `The client closed channel ${signal}, which does not exist`)
    if (closed.has(signal)) return undefined
    closed.add(signal)
    return { _tag: "ChannelClosed", channel: signal }
  }
  return {
    read: (data) => {
      const piece = split(data)
      if (piece === undefined) return undefined
      if (piece.channel === Channel.Close && subprotocol === v5) return close(piece)
      if (saysNothing(piece)) return undefined
      const { bytes, channel } = piece
      return (channel === Channel.Stdin || channel === Channel.Resize) && !closed.has(channel)
        ? { _tag: "Part", channel, bytes }
        : { _tag: "Ignored", channel, size: bytes.length }
    }
  }
}

/** The message by which a client ends a channel (v5 only; a v4 server ignores it). The whole message: no prefix. */
export const encodeClose = (channel: number): Uint8Array => Uint8Array.of(Channel.Close, channel)

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

const maxDimension = 0xffff

/** The payload, for channel 4, that sets the size of the remote terminal. Sizes outside of 0 to 65535 are clamped. */
export const encodeResize = (size: TerminalSize): Uint8Array =>
  new TextEncoder().encode(`{"Width":${dimension(size.width)},"Height":${dimension(size.height)}}\n`)

const dimension = (value: number): number =>
  Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), 0), maxDimension)

/** Reads the sizes that a client sends on channel 4. */
export interface ResizeParser {
  /** The sizes completed by these bytes. None ever again after bytes that are no size. */
  readonly push: (bytes: Uint8Array) => ReadonlyArray<TerminalSize>
}

// A size takes 30 bytes.
const maxResizeBytes = 4_096

/**
 * A parser for the sizes of a terminal as servers read them (protocol reference 2.8): JSON objects, one behind the other,
 * cut anywhere, keys in any case, other members ignored, a missing or null member 0. Anything else ends it silently.
 */
export const makeResizeParser = (): ResizeParser => {
  const collector = JsonObject.makeCollector(maxResizeBytes)
  let ended = false
  return {
    push: (bytes) => {
      const sizes: Array<TerminalSize> = []
      let at = 0
      while (!ended && at < bytes.length) {
        at = collector.push(bytes, at)
        const state = collector.state()
        if (state === "Complete") {
          const size = parseSize(collector.text())
          collector.reset()
          if (size === undefined) ended = true
          else sizes.push(size)
        } else if (state === "NotObject" || state === "TooLarge") ended = true
      }
      return sizes
    }
  }
}

const parseSize = (text: string): TerminalSize | undefined => {
  const object = JsonObject.parse(text)
  if (object === undefined) return undefined
  let width: unknown = 0
  let height: unknown = 0
  for (const [key, value] of Object.entries(object)) {
    if (value === null) continue
    const name = key.toLowerCase()
    if (name === "width") width = value
    else if (name === "height") height = value
  }
  return isDimension(width) && isDimension(height) ? { width, height } : undefined
}

const isDimension = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maxDimension
