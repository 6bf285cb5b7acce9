/**
 * SPDY inside WebSocket messages, at the client's end (protocol reference 4.4): the payloads of binary messages, one
 * behind the other, are the bytes of a SPDY connection. Where messages begin and end means nothing, and an empty one
 * neither; we write a message for each frame of SPDY.
 */
import * as ForwardPairs from "./ForwardPairs.ts"
import type { Event, ForwardProtocol } from "./ForwardProtocol.ts"
import { violation } from "./ProtocolError.ts"
import { dataHeaderBytes } from "./SpdyFrame.ts"
import * as Frame from "./WebSocketFrame.ts"

/** The subprotocol that the handshake offers. */
export const protocol = "SPDY/3.1+portforward.k8s.io"

const { Opcode } = Frame

/** The connections of a tunnel at its start. `nextMask` gives the masking key of each frame (RFC 6455 5.3). */
export const make = (nextMask: () => number): ForwardProtocol => {
  const pairs = ForwardPairs.make()
  const decoder = Frame.makeDecoder({ role: "client" })
  const header = new Uint8Array(dataHeaderBytes)
  // Of several pings the last is answered (RFC 6455 5.5.3).
  let ping: Uint8Array | undefined

  const messages = (frames: ForwardPairs.Frames): Uint8Array | undefined => {
    if (frames.length === 0) return undefined
    const size = frames.reduce((sum, frame) => sum + Frame.encodedSize(frame.length, true), 0)
    const bytes = new Uint8Array(size)
    let at = 0
    for (const payload of frames) {
      at = Frame.encodeInto(bytes, at, { opcode: Opcode.Binary, payload }, nextMask())
    }
    return bytes
  }
  const message = (frame: Uint8Array): Uint8Array => Frame.encode({ opcode: Opcode.Binary, payload: frame }, nextMask())

  const onFrame = (event: Frame.Event): ReadonlyArray<Event> => {
    switch (event._tag) {
      case "Data":
        return event.text
          ? [violation(1003, "The server sent a text message; a tunnel's messages are binary")]
          : pairs.receive(event.payload)
      case "Ping":
        ping = event.payload
        return []
      case "Pong":
        return [{ _tag: "Pong" }]
      case "Close":
        return [{ _tag: "Closed", code: event.code, reason: event.reason }]
      case "Violation":
        return [event]
    }
  }

  let isOver = false
  return {
    receive: (chunk) => {
      const events: Array<Event> = []
      if (isOver) return events
      for (const frame of decoder.decode(chunk)) {
        for (const event of onFrame(frame)) {
          events.push(event)
          isOver = event._tag === "Closed" || event._tag === "Violation"
        }
        if (isOver) break
      }
      return events
    },
    replies: () => {
      const inner = pairs.replies()
      const pong = ping === undefined ? undefined : Frame.encode({ opcode: Opcode.Pong, payload: ping }, nextMask())
      ping = undefined
      if (inner === undefined) return pong
      const outer = message(inner)
      return pong === undefined ? outer : ForwardPairs.join([outer, pong])
    },
    open: (port) => {
      const { frames, pair } = pairs.open(port)
      return { pair, bytes: messages(frames) ?? new Uint8Array(0) }
    },
    sendable: pairs.sendable,
    overhead: dataHeaderBytes + Frame.maxOverhead,
    encodeInto: (target, offset, pair, payload) => {
      pairs.headerInto(header, 0, pair, payload.length)
      return Frame.encodeInto(target, offset, { opcode: Opcode.Binary, prefix: header, payload }, nextMask())
    },
    end: (pair) => messages(pairs.end(pair)),
    leave: (pair) => messages(pairs.end(pair)),
    release: (pair) => messages(pairs.release(pair)),
    settle: pairs.settle,
    consumed: pairs.consumed,
    ping: () => message(pairs.ping()),
    keepAlive: () => message(pairs.ping()),
    goodbye: () => {
      const close = Frame.encodeClose(1000, "", nextMask())
      return ForwardPairs.join([message(pairs.goAway()), close]) ?? close
    }
  }
}
