/**
 * Reading a connection into one memory.
 *
 * Node has that for sockets that connect (`onread`), not for those that a server accepts. A server that allocates for
 * each read takes as much of the processor as the fastest clients, and would be what is measured; so this uses what
 * `onread` sets, and ordinary reading where a Node has it no more.
 */
import type { Duplex } from "node:stream"

const bufferBytes = 256 * 1024

interface Handle {
  readonly useUserBuffer?: (buffer: Uint8Array) => void
}

/** Hands on the bytes of `socket`; they are only good during the call. */
export const readInto = (
  socket: Duplex & { readonly _handle?: Handle | null },
  take: (chunk: Uint8Array) => void
): void => {
  const symbols = Object.getOwnPropertySymbols(socket)
  const symbol = (name: string) => symbols.find(({ description }) => description === name)
  const buffer = symbol("kBuffer")
  const callback = symbol("kBufferCb")
  const { _handle: handle } = socket
  if (buffer === undefined || callback === undefined || handle?.useUserBuffer === undefined) {
    socket.on("data", take)
    return
  }
  const memory = Buffer.allocUnsafe(bufferBytes)
  Object.assign(socket, {
    [buffer]: memory,
    [callback]: (size: number) => {
      take(memory.subarray(0, size))
      return true
    }
  })
  handle.useUserBuffer(memory)
  socket.resume()
}
