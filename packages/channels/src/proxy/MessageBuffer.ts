/**
 * A message that comes in pieces, in memory in proportion to its bytes: into how many pieces the peer cuts it, and the
 * network, takes none. A view of each piece would take many times those of a short one, and keep the whole chunk that it
 * was read with.
 */

/** Takes the pieces of one message after another. */
export interface MessageBuffer {
  /** Takes a piece; its memory is free again. */
  readonly push: (piece: Uint8Array) => void
  /** The message, which is whoever's who takes it. The next piece belongs to the next message. */
  readonly take: () => Uint8Array
}

// What most messages fit into is not given back in between.
const keptBytes = 16 * 1024

/** An empty one, for messages of at most `limit` bytes: whoever pushes sees to that. */
export const make = (limit: number): MessageBuffer => {
  let buffer = new Uint8Array(0)
  let size = 0
  return {
    push: (piece) => {
      const needed = size + piece.length
      if (needed > buffer.length) {
        // At least twice as much, so that however short the pieces are, a byte is moved but a few times.
        const larger = new Uint8Array(Math.max(needed, Math.min(Math.max(buffer.length * 2, keptBytes), limit)))
        larger.set(buffer.subarray(0, size))
        buffer = larger
      }
      buffer.set(piece, size)
      size = needed
    },
    take: () => {
      // One that came in one long piece fills its memory, and takes it along.
      const isAll = size === buffer.length
      const message = isAll ? buffer : buffer.slice(0, size)
      size = 0
      if (isAll || buffer.length > keptBytes) buffer = new Uint8Array(0)
      return message
    }
  }
}
