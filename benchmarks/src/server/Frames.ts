/**
 * The server's messages, framed once and written many times.
 */
import * as Pattern from "../shared/Pattern.ts"

const headerBytes = (payload: number): number => payload < 126 ? 2 : payload < 0x1_0000 ? 4 : 10

/** One message: a channel number, and its payload. */
export const message = (channel: number, payload: Uint8Array): Uint8Array => {
  const length = payload.length + 1
  const head = headerBytes(length)
  const frame = new Uint8Array(head + length)
  const view = new DataView(frame.buffer)
  frame[0] = 0x82
  if (head === 2) frame[1] = length
  else if (head === 4) {
    frame[1] = 126
    view.setUint16(2, length)
  } else {
    frame[1] = 127
    view.setBigUint64(2, BigInt(length))
  }
  frame[head] = channel
  frame.set(payload, head + 1)
  return frame
}

/** A control frame. */
export const control = (opcode: 8 | 10, payload: Uint8Array): Uint8Array =>
  Uint8Array.of(0x80 | opcode, payload.length, ...payload)

/** Close code 1000. */
export const close = control(8, Uint8Array.of(3, 232))

const framed = new Map<number, Uint8Array>()

/** One block of the pattern on stdout, in messages of `messageBytes`, channel byte included. */
export const block = (messageBytes: number): Uint8Array => {
  const known = framed.get(messageBytes)
  if (known !== undefined) return known
  const frames = Buffer.concat(
    Array.from(Pattern.pieces(Pattern.blockBytes, messageBytes - 1), (piece) => message(1, piece))
  )
  framed.set(messageBytes, frames)
  return frames
}
