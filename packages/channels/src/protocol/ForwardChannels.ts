/**
 * Port-forward over WebSocket without SPDY (protocol reference 4.1): one connection for each port of the request, made at
 * once. Port i has the channel 2i for its data and 2i + 1 for what the server says of its failure; each channel begins
 * with two bytes that name its port.
 *
 * A client asks for one port: of several, the end of one could not be told.
 */
import type { Event, ForwardProtocol } from "./ForwardProtocol.ts"
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"
import { makeSplitter } from "./RemoteCommand.ts"
import * as Frame from "./WebSocketFrame.ts"

/** The subprotocol, which shares its name with that of exec. */
export const protocol = "v4.channel.k8s.io"

/** The most ports of one request: a channel has one byte. */
export const maxPorts = 128

/** What a server sends. */
export type Message =
  /** The beginning of a port's data channel: its prologue is whole. */
  | { readonly _tag: "Began"; readonly index: number }
  /** Bytes from the pod: a view of what was read. */
  | { readonly _tag: "Data"; readonly index: number; readonly bytes: Uint8Array }
  /** A piece of what the server says of a failure; `last` with the end of its message. */
  | { readonly _tag: "Failure"; readonly index: number; readonly bytes: Uint8Array; readonly last: boolean }
  | Violation

/** Reads the data events of one connection, in order. */
export interface Reader {
  readonly read: (data: Frame.Data) => ReadonlyArray<Message>
}

const portBytes = 2

/** Reads what a server sends to a request for these ports. Messages may be cut and joined in any way. */
export const makeClientReader = (ports: ReadonlyArray<number>): Reader => {
  const split = makeSplitter()
  // The bytes of each channel's prologue.
  const prologues = ports.flatMap((): ReadonlyArray<Array<number>> => [[], []])
  return {
    read: (data) => {
      if (data.text) return [violation(1003, "The server sent a text message; v4.channel.k8s.io messages are binary")]
      const piece = split(data)
      if (piece === undefined) return []
      const { channel, last } = piece
      const prologue = prologues[channel]
      const index = channel >> 1
      if (prologue === undefined) {
        return [violation(1002, `The server sent data on channel ${channel}, which belongs to no port`)]
      }
      const messages: Array<Message> = []
      let { bytes } = piece
      const isData = channel % 2 === 0
      if (prologue.length < portBytes) {
        const taken = bytes.subarray(0, portBytes - prologue.length)
        prologue.push(...taken)
        bytes = bytes.subarray(taken.length)
        if (prologue.length < portBytes) return []
        const port = prologue[0]! | (prologue[1]! << 8)
        if (port !== ports[index]) {
          return [violation(1002, `The server named port ${port} on channel ${channel}, which is for ${ports[index]}`)]
        }
        if (isData) messages.push({ _tag: "Began", index })
        if (bytes.length === 0) return messages
      }
      if (!isData) messages.push({ _tag: "Failure", index, bytes, last })
      else if (bytes.length > 0) messages.push({ _tag: "Data", index, bytes })
      return messages
    }
  }
}

const maxTextLength = 4_096
const nothing = new Uint8Array(0)
// The payload of the last ping; others have none.
const farewell = new TextEncoder().encode("bye")
const { Opcode } = Frame

/** The one connection of a request for one port. `nextMask` gives the masking key of each frame (RFC 6455 5.3). */
export const make = (port: number, nextMask: () => number): ForwardProtocol => {
  const decoder = Frame.makeDecoder({ role: "client" })
  const reader = makeClientReader([port])
  const words = new TextDecoder()
  let text = ""
  let accepted = false
  let isOver = false
  let isClosed = false
  let isLeaving = false
  let ping: Uint8Array | undefined

  const failed = (): Event => {
    isOver = true
    return { _tag: "Failed", pair: 0, text, accepted }
  }

  const ended = (): Event => {
    isOver = true
    return { _tag: "Ended", pair: 0 }
  }

  const onMessage = (message: Message): ReadonlyArray<Event> => {
    switch (message._tag) {
      case "Began":
        accepted = true
        return [{ _tag: "Accepted", pair: 0 }]
      case "Data":
        return isOver ? [] : [{ _tag: "Data", pair: 0, bytes: message.bytes }]
      case "Failure": {
        if (isOver) return []
        const isFirst = text === ""
        if (text.length < maxTextLength) text += words.decode(message.bytes, { stream: !message.last })
        if (text === "") return []
        return message.last ? [failed()] : isFirst ? [{ _tag: "Ending", pair: 0 }] : []
      }
      case "Violation":
        return [message]
    }
  }

  const onFrame = (event: Frame.Event): ReadonlyArray<Event> => {
    switch (event._tag) {
      case "Data":
        return reader.read(event).flatMap(onMessage)
      case "Ping":
        ping = event.payload
        return []
      case "Pong":
        return isLeaving && event.payload.length === farewell.length
          ? [{ _tag: "Pong" }, { _tag: "Ending", pair: 0 }]
          : [{ _tag: "Pong" }]
      case "Close": {
        const closed: Event = { _tag: "Closed", code: event.code, reason: event.reason }
        // With one port, it is how a server says that the pod has closed the connection.
        if (isOver || event.code !== 1000) return [closed]
        return [text === "" ? ended() : failed(), closed]
      }
      case "Violation":
        return [event]
    }
  }

  const frame = (opcode: Frame.Opcode, payload: Uint8Array, prefix?: number): Uint8Array =>
    Frame.encode({ opcode, payload, prefix }, nextMask())
  const close = (): Uint8Array | undefined => {
    if (isClosed) return undefined
    isClosed = true
    return Frame.encodeClose(1000, "", nextMask())
  }

  let isLast = false
  return {
    receive: (chunk) => {
      const events: Array<Event> = []
      if (isLast) return events
      for (const frame of decoder.decode(chunk)) {
        for (const event of onFrame(frame)) {
          events.push(event)
          isLast = event._tag === "Closed" || event._tag === "Violation"
        }
        if (isLast) break
      }
      return events
    },
    replies: () => {
      const payload = ping
      ping = undefined
      return payload === undefined ? undefined : frame(Opcode.Pong, payload)
    },
    // The request has named the port.
    open: () => ({ pair: 0, bytes: nothing }),
    sendable: () => isOver || isClosed ? 0 : Number.POSITIVE_INFINITY,
    overhead: 1 + Frame.maxOverhead,
    encodeInto: (target, offset, _pair, payload) =>
      Frame.encodeInto(target, offset, { opcode: Opcode.Binary, prefix: 0, payload }, nextMask()),
    // There is no word for it; closing would end the other way too.
    end: () => undefined,
    // Servers drop what they have not passed on when they are told to close, and answer pings in their turn.
    leave: () => {
      isLeaving = true
      return frame(Opcode.Ping, farewell)
    },
    release: close,
    settle: () => isOver ? undefined : text !== "" ? failed() : isLeaving ? ended() : undefined,
    consumed: () => {},
    ping: () => frame(Opcode.Ping, nothing),
    // An empty message: servers pass over it.
    keepAlive: () => frame(Opcode.Binary, nothing),
    goodbye: () => close() ?? nothing
  }
}

/** What a server begins the channels of a port with. */
export const prologue = (port: number): Uint8Array => Uint8Array.of(port & 0xff, port >>> 8)

/** The ports of a request, or the text that is none, and why, in the words of Go. */
export type Ports =
  | { readonly _tag: "Ports"; readonly ports: ReadonlyArray<number> }
  | { readonly _tag: "BadPort"; readonly text: string; readonly why: "invalid syntax" | "value out of range" }

/** Reads the `ports` of a query: repeated, or separated by commas. 0 is a port here; the kubelet refuses it. */
export const parsePorts = (values: ReadonlyArray<string>): Ports => {
  const ports: Array<number> = []
  for (const text of values.flatMap((value) => value.split(","))) {
    if (!/^\d+$/.test(text)) return { _tag: "BadPort", text, why: "invalid syntax" }
    const port = Number(text)
    if (port > 0xffff) return { _tag: "BadPort", text, why: "value out of range" }
    ports.push(port)
  }
  return { _tag: "Ports", ports }
}
