/**
 * A stream of Node, of TCP or of TLS, as a `RawStream`.
 */
import type { Duplex } from "node:stream"
import type { RawStream } from "./rawStream.ts"

/** What concerns the stream below. */
export interface Below {
  /** Told whether somebody waits for bytes. */
  readonly wanted?: ((wanted: boolean) => void) | undefined
  /** Why writing has failed there, where the stream was not told. */
  readonly writeError?: (() => Error | undefined) | undefined
}

type Done = (error?: Error | null) => void

const unknown = (): undefined => undefined

/** Takes over a connected stream, which must not be flowing. */
export const make = (socket: Duplex, { wanted = unknown, writeError = unknown }: Below = {}): RawStream => {
  let waiting:
    | { readonly resolve: (bytes: Uint8Array | null) => void; readonly reject: (cause: Error) => void }
    | undefined
  let end: (() => void) | undefined

  const settle = (deliver: (to: NonNullable<typeof waiting>) => void): void => {
    if (waiting === undefined) return
    const to = waiting
    waiting = undefined
    wanted(false)
    deliver(to)
  }
  // What was read goes first, even after an error, then the end.
  const deliver = (): void => {
    if (waiting === undefined) return
    const bytes = socket.read() as Uint8Array | null
    if (bytes !== null) settle(({ resolve }) => resolve(bytes))
    else end?.()
  }
  const finish = (result: (to: NonNullable<typeof waiting>) => void): void => {
    end ??= () => settle(result)
    deliver()
  }

  wanted(false)
  socket.on("readable", deliver)
  socket.on("end", () => finish(({ resolve }) => resolve(null)))
  socket.on("error", (cause) => finish(({ reject }) => reject(cause)))
  socket.on("close", () => finish(({ reject }) => reject(new Error("the connection is closed"))))

  const whenWritten = (register: (done: Done) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      if (socket.destroyed) return reject(writeError() ?? new Error("the connection is closed"))
      // A write that waits when the stream is destroyed is not told of it everywhere.
      const onClose = (): void => reject(writeError() ?? new Error("the connection is closed"))
      socket.once("close", onClose)
      register((error) => {
        socket.off("close", onClose)
        const cause = error ?? writeError()
        if (cause === undefined || cause === null) resolve()
        else reject(cause)
      })
    })

  return {
    read: () =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        deliver()
        if (waiting !== undefined) wanted(true)
      }),
    write: (bytes) => bytes.length === 0 ? Promise.resolve() : whenWritten((done) => socket.write(bytes, done)),
    closeWrite: () => whenWritten((done) => socket.end(done)),
    destroy: () => void socket.destroy()
  }
}
