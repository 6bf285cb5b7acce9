/**
 * The client's frames, read as little as the command needs: counting alone never touches the payload, so the server
 * costs the same whatever the client sends.
 */

/** What comes out of the bytes. */
export interface Handler {
  /** Payload of stdin; unmasked only for a reader that asked for bytes. */
  readonly stdin: (size: number, bytes: Uint8Array | undefined) => void
  /** The client has ended its stdin, by a close signal or by closing. */
  readonly end: () => void
  readonly ping: (payload: Uint8Array) => void
}

const Opcode = { Close: 8, Ping: 9, Pong: 10 } as const

/** Takes the chunks of a connection in order. */
export const make = (handler: Handler, wantsBytes: boolean): (chunk: Uint8Array) => void => {
  const header = new Uint8Array(14)
  let has = 0
  let needs = 2
  let opcode = 0
  let remaining = 0
  let channel = -1
  let phase = 0
  let small: Array<number> = []

  const unmasked = (chunk: Uint8Array, from: number, to: number): Uint8Array => {
    const mask = header.subarray(needs - 4, needs)
    const bytes = new Uint8Array(to - from)
    bytes.set(chunk.subarray(from, to))
    const turned = Uint8Array.from({ length: 4 }, (_, i) => mask[(phase + i) & 3]!)
    const [word = 0] = new Uint32Array(turned.buffer)
    const words = new Uint32Array(bytes.buffer, 0, bytes.length >> 2)
    for (let i = 0; i < words.length; i++) words[i] = words[i]! ^ word
    for (let i = words.length * 4; i < bytes.length; i++) bytes[i] = bytes[i]! ^ turned[i & 3]!
    return bytes
  }

  const finished = (): void => {
    if (opcode === Opcode.Close) handler.end()
    else if (opcode === Opcode.Ping) handler.ping(Uint8Array.from(small))
    else if (channel === 255 && small[0] === 0) handler.end()
    has = 0
    needs = 2
  }

  return (chunk) => {
    let at = 0
    while (at < chunk.length) {
      if (has < needs) {
        header[has++] = chunk[at++]!
        if (has === 2) {
          const length = header[1]! & 0x7f
          needs = 6 + (length === 126 ? 2 : length === 127 ? 8 : 0)
        }
        if (has < needs) continue
        const view = new DataView(header.buffer)
        const length = header[1]! & 0x7f
        opcode = header[0]! & 0x0f
        remaining = length === 126 ? view.getUint16(2) : length === 127 ? Number(view.getBigUint64(2)) : length
        channel = -1
        phase = 0
        small = []
        if (remaining === 0) finished()
        continue
      }
      if (channel < 0 && opcode < 8) {
        channel = chunk[at++]! ^ header[needs - 4]!
        phase = 1
        if (--remaining === 0) finished()
        continue
      }
      const size = Math.min(remaining, chunk.length - at)
      if (opcode < 8 && channel === 0) handler.stdin(size, wantsBytes ? unmasked(chunk, at, at + size) : undefined)
      else small.push(...unmasked(chunk, at, at + size))
      at += size
      phase = (phase + size) & 3
      remaining -= size
      if (remaining === 0) finished()
    }
  }
}
