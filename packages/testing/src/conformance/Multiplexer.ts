/**
 * Many two-way streams over one socket, each with back-pressure and an end of its own: what an agent's tunnel is made of.
 *
 * A frame is a kind, the number of a stream, a length, and a payload. A stream sends no more than it has credit for, so
 * one that nobody reads holds up no other, and a side holds at most a window of each.
 */
import { type Duplex, Duplex as NodeDuplex } from "node:stream"

const Kind = { Open: 0, Data: 1, Credit: 2, End: 3, Reset: 4 } as const
const headerBytes = 9
/** Bytes of a stream that may wait unread. */
const windowBytes = 256 * 1024
// Small enough for streams to take turns.
const frameBytes = 32 * 1024

type Send = (kind: number, id: number, payload: Uint8Array, done?: () => void) => void

const none = new Uint8Array(0)

const credit = (bytes: number): Uint8Array => {
  const payload = new Uint8Array(4)
  new DataView(payload.buffer).setUint32(0, bytes)
  return payload
}

/** One stream, as a Node stream that its owner reads, writes and destroys. */
class MultiplexedStream extends NodeDuplex {
  readonly #id: number
  readonly #send: Send
  readonly #forget: () => void
  #credit = windowBytes
  /** What has arrived since credit was last given. */
  #owed = 0
  #blocked: (() => void) | undefined
  #ends = 0
  #failure: Error | undefined

  constructor(id: number, send: Send, forget: () => void) {
    super({ allowHalfOpen: true, emitClose: true })
    this.#id = id
    this.#send = send
    this.#forget = forget
    // The owner hears of a failure by its reads and writes; one that listens to neither must not end the process.
    this.on("error", () => {})
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    const size = Math.min(chunk.length, this.#credit, frameBytes)
    if (size === 0 && chunk.length > 0) {
      this.#blocked = () => this._write(chunk, _encoding, done)
      return
    }
    this.#credit -= size
    const next = size === chunk.length ? () => done() : () => this._write(chunk.subarray(size), _encoding, done)
    this.#send(Kind.Data, this.#id, chunk.subarray(0, size), next)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#ends++
    this.#send(Kind.End, this.#id, none, () => done())
  }

  override _read(): void {
    if (this.#owed === 0) return
    this.#send(Kind.Credit, this.#id, credit(this.#owed))
    this.#owed = 0
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#forget()
    if (this.#ends < 2) this.#send(Kind.Reset, this.#id, none)
    done(error)
  }

  granted(bytes: number): void {
    this.#credit += bytes
    const blocked = this.#blocked
    this.#blocked = undefined
    blocked?.()
  }

  arrived(bytes: Uint8Array): void {
    this.#owed += bytes.length
    this.push(bytes)
  }

  ended(): void {
    this.#ends++
    this.push(null)
  }

  /** Fails once what came before the failure has been read. */
  failed(cause: Error): void {
    this.#failure = cause
    if (this.readableLength === 0) this.destroy(cause)
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size)
    if (this.#failure !== undefined && this.readableLength === 0) this.destroy(this.#failure)
    return chunk
  }
}

/** One side of the connection. */
export interface Multiplexer {
  /** Opens a stream to a target, named in words that the other side understands. */
  readonly open: (target: string) => Duplex
  /** Neither reads nor passes on anything more, and closes nothing. */
  readonly silence: () => void
}

/** Starts to speak on a socket. `accept` is given the streams that the other side opens. */
export const make = (carrier: Duplex, accept: (target: string, stream: Duplex) => void = () => {}): Multiplexer => {
  const streams = new Map<number, MultiplexedStream>()
  let last = 0
  let held: Buffer = Buffer.alloc(0)
  let silent = false

  const send: Send = (kind, id, payload, done) => {
    if (silent || carrier.destroyed || carrier.writableEnded) return
    const frame = Buffer.allocUnsafe(headerBytes + payload.length)
    frame.writeUInt8(kind, 0)
    frame.writeUInt32BE(id, 1)
    frame.writeUInt32BE(payload.length, 5)
    frame.set(payload, headerBytes)
    carrier.write(frame, (error) => error ?? done?.())
  }

  const add = (id: number): MultiplexedStream => {
    const stream = new MultiplexedStream(id, send, () => streams.delete(id))
    streams.set(id, stream)
    return stream
  }

  const take = (kind: number, id: number, payload: Buffer): void => {
    if (kind === Kind.Open) return accept(payload.toString(), add(id))
    // A stream that was destroyed here is still being written to until the other side hears of it.
    const stream = streams.get(id)
    switch (kind) {
      case Kind.Data:
        return stream?.arrived(payload)
      case Kind.Credit:
        return stream?.granted(payload.readUInt32BE(0))
      case Kind.End:
        return stream?.ended()
      default:
        stream?.failed(new Error("the other end has reset the connection"))
    }
  }

  carrier.on("data", (chunk: Buffer) => {
    if (silent) return
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    while (held.length >= headerBytes) {
      const end = headerBytes + held.readUInt32BE(5)
      if (held.length < end) return
      const frame = held.subarray(0, end)
      held = held.subarray(end)
      take(frame.readUInt8(0), frame.readUInt32BE(1), frame.subarray(headerBytes))
    }
  })
  carrier.on("end", () => {
    for (const stream of streams.values()) stream.ended()
  })
  let cause: Error | undefined
  carrier.on("error", (error: Error) => {
    cause = error
  })
  carrier.on("close", () => {
    for (const stream of streams.values()) {
      if (cause !== undefined || !stream.readableEnded) stream.destroy(cause)
    }
  })

  return {
    open: (target) => {
      const id = ++last
      send(Kind.Open, id, Buffer.from(target))
      return add(id)
    },
    silence: () => {
      silent = true
      carrier.pause()
    }
  }
}
