/**
 * A byte stream both ways in terms of promises: what connections of Deno, Effect's sockets and TLS have in common, so
 * that each can run over the others.
 */
import type { TcpConn } from "./deno.ts"

/**
 * - `read`: the next bytes, which are the caller's, or `null` at the peer's end. One at a time; nothing is read before.
 * - `giveBack`: takes back what was read, when nobody has any of it any more: its memory is read into again.
 * - `write`: resolves when the memory may be used again. One at a time.
 * - `closeWrite`: no more will be written; reading goes on.
 * - `destroy`: at once. Reads and writes that are pending fail.
 */
export interface RawStream {
  readonly read: () => Promise<Uint8Array | null>
  readonly giveBack?: ((bytes: Uint8Array) => void) | undefined
  readonly write: (bytes: Uint8Array) => Promise<void>
  readonly closeWrite: () => Promise<void>
  readonly destroy: () => void
}

const readBytes = 64 * 1024
/** Up to here a copy is cheaper than the memory that would stay behind it. */
const copyBytes = 16 * 1024

const releasedBytes = 16 * 1024

/**
 * Gives back memory that is nobody's any more: by themselves collections come late, and of what went through tens of MiB
 * would stay. What is small is not worth it.
 */
export const release = ({ buffer, byteLength }: Uint8Array): void => {
  if (byteLength >= releasedBytes && byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) {
    buffer.transfer(0)
  }
}

/** A connection of Deno. */
export const fromConn = (conn: TcpConn): RawStream => {
  let buffer = new Uint8Array(readBytes)
  let spare: Uint8Array<ArrayBuffer> | undefined
  return {
    read: async () => {
      while (true) {
        const length = await conn.read(buffer)
        if (length === null) return null
        if (length === 0) continue
        if (length <= copyBytes) return buffer.slice(0, length)
        const bytes = buffer.subarray(0, length)
        buffer = spare ?? new Uint8Array(readBytes)
        spare = undefined
        return bytes
      }
    },
    giveBack: ({ buffer: memory, byteLength }) => {
      if (byteLength > copyBytes && memory.byteLength === readBytes && memory instanceof ArrayBuffer) {
        spare = new Uint8Array(memory)
      }
    },
    write: async (bytes) => {
      for (let from = 0; from < bytes.length;) from += await conn.write(from === 0 ? bytes : bytes.subarray(from))
    },
    closeWrite: () => conn.closeWrite(),
    destroy: () => {
      try {
        conn.close()
      } catch {
        // It was closed before.
      }
    }
  }
}

/** A stream of which some bytes have been read already. */
export const withUnread = (stream: RawStream, unread: Uint8Array): RawStream => {
  let first: Uint8Array | undefined = unread.length === 0 ? undefined : unread
  return {
    ...stream,
    read: () => {
      if (first === undefined) return stream.read()
      const bytes = first
      first = undefined
      return Promise.resolve(bytes)
    }
  }
}
