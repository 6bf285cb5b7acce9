/**
 * What carries SPDY at a server's end: the bytes of a connection as they are, or binary messages of a WebSocket. Pure.
 */
import { violation } from "@effect-k8s/channels/protocol/ProtocolError"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"

/** One connection's carrier. */
export interface ForwardCarrier {
  /** The bytes of SPDY in the next bytes, and what is to be answered to the rest of them; nothing after the end. */
  readonly receive: (
    chunk: Uint8Array
  ) => {
    readonly spdy: ReadonlyArray<Uint8Array>
    readonly answers: ReadonlyArray<Uint8Array>
    readonly isOver: boolean
  }
  /** A frame of SPDY, in parts, as it is sent. The parts are not copied. */
  readonly encode: (...parts: ReadonlyArray<Uint8Array>) => ReadonlyArray<Uint8Array>
  /** What is said at the end. */
  readonly goodbye: ReadonlyArray<Uint8Array>
}

/** The bytes as they are. */
export const raw: ForwardCarrier = {
  receive: (chunk) => ({ spdy: [chunk], answers: [], isOver: false }),
  encode: (...parts) => parts,
  goodbye: []
}

const nothing = new Uint8Array(0)
const { Opcode } = WebSocketFrame
const close = (code: number): Uint8Array => WebSocketFrame.encodeClose(code, "", undefined)
// As Go's writer with its buffer of 4 KiB: what does not fit is a fragment, and the message ends with an empty one.
const maxWholeBytes = 4096
const lastFragment = WebSocketFrame.encode({ opcode: Opcode.Continuation, payload: nothing }, undefined)

/** A WebSocket that was just opened. */
export const makeTunnel = (): ForwardCarrier => {
  const decoder = WebSocketFrame.makeDecoder({ role: "server" })
  return {
    receive: (chunk) => {
      const spdy: Array<Uint8Array> = []
      const answers: Array<Uint8Array> = []
      let isOver = false
      for (const event of decoder.decode(chunk)) {
        if (event._tag === "Ping") {
          answers.push(WebSocketFrame.encode({ opcode: Opcode.Pong, payload: event.payload }, undefined))
        } else if (event._tag === "Data" && !event.text) spdy.push(event.payload)
        else if (event._tag !== "Pong") {
          const { error } = event._tag === "Violation" ? event : violation(1003, "")
          answers.push(close(event._tag === "Close" ? event.code ?? 1000 : error.closeCode))
          isOver = true
          break
        }
      }
      return { spdy, answers, isOver }
    },
    encode: (...parts) => {
      let size = 0
      for (const part of parts) size += part.length
      const isWhole = size <= maxWholeBytes
      const header = new Uint8Array(WebSocketFrame.encodedSize(size, false) - size)
      WebSocketFrame.encodeHeaderInto(header, 0, { opcode: Opcode.Binary, fin: isWhole, size }, undefined)
      return isWhole ? [header, ...parts] : [header, ...parts, lastFragment]
    },
    goodbye: [close(1000)]
  }
}
