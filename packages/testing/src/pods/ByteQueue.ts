/**
 * Chunks of bytes in order, taken in other pieces than they came.
 */

/** Bytes in order. */
export interface ByteQueue {
  /** How many bytes there are. */
  readonly size: () => number
  readonly push: (bytes: Uint8Array) => void
  /** The next bytes, at most so many: a view of a chunk, never two chunks joined. Empty if there are none. */
  readonly peek: (max: number) => Uint8Array
  /** Drops so many bytes from the front. */
  readonly advance: (count: number) => void
  /** Drops all, and says how many. */
  readonly clear: () => number
}

/** An empty queue. */
export const make = (): ByteQueue => {
  let chunks: Array<Uint8Array> = []
  // The chunks before this one are used up; they are let go of in batches, since `shift` moves the whole array.
  let head = 0
  let size = 0
  const peek = (max: number): Uint8Array => chunks[head]?.subarray(0, max) ?? new Uint8Array(0)
  return {
    size: () => size,
    push: (bytes) => {
      if (bytes.length === 0) return
      chunks.push(bytes)
      size += bytes.length
    },
    peek,
    advance: (count) => {
      let left = Math.min(count, size)
      size -= left
      while (left > 0) {
        const chunk = chunks[head]
        if (chunk === undefined) return
        if (chunk.length > left) {
          chunks[head] = chunk.subarray(left)
          return
        }
        left -= chunk.length
        head++
      }
      if (head > 64) {
        chunks = chunks.slice(head)
        head = 0
      }
    },
    clear: () => {
      const dropped = size
      chunks = []
      head = 0
      size = 0
      return dropped
    }
  }
}
