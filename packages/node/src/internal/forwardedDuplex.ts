/**
 * A forwarded connection as clients of `node:net` expect one: with the methods of a `Socket` that they call without asking.
 */
import * as Socket from "effect/socket/Socket"
import { type Parts, SocketStream } from "./socketStream.ts"

/** A stream that also knows what clients tell their sockets. What concerns TCP does nothing here. */
export class ForwardedDuplex extends SocketStream {
  readonly connecting = false
  #timer: NodeJS.Timeout | undefined
  #millis = 0

  constructor(parts: Parts) {
    super(parts)
    // A connection that breaks while nobody listens must not end the process. Whoever reads or writes is told.
    this.on("error", () => {})
  }

  /** It is connected already; says so once more, as to those who connect what they are given. */
  connect(...args: ReadonlyArray<unknown>): this {
    const listener = args.at(-1)
    if (typeof listener === "function") this.once("connect", () => listener())
    queueMicrotask(() => this.emit("connect"))
    return this
  }

  /** Emits `timeout` after so many milliseconds without data in either direction; 0 never does. */
  setTimeout(millis: number, listener?: () => void): this {
    this.#millis = millis
    if (listener !== undefined) {
      if (millis > 0) this.once("timeout", listener)
      else this.off("timeout", listener)
    }
    this.#active()
    return this
  }

  setKeepAlive(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    this.#active()
    return super.push(chunk, encoding)
  }

  override _write(chunk: Uint8Array, encoding: string, callback: (error?: Error | null) => void): void {
    this.#active()
    super._write(chunk, encoding, callback)
  }

  override destroy(error?: Error): this {
    const cause = Socket.isSocketError(error) ? causeOf(error) : error
    return super.destroy(cause instanceof Error ? cause : error)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#timer)
    this.#millis = 0
    super._destroy(error, callback)
  }

  #active(): void {
    clearTimeout(this.#timer)
    if (this.#millis <= 0 || this.destroyed) return
    this.#timer = setTimeout(() => this.emit("timeout"), this.#millis).unref()
  }
}

/** Our own error, which an error of sockets is made of. */
export const causeOf = ({ reason }: Socket.SocketError): unknown => "cause" in reason ? reason.cause : reason
