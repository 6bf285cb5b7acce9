/**
 * An Effect `Socket` as a Node stream, so that undici and `node:tls` can run over what a custom dialler opens.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { Duplex } from "node:stream"

type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

const toError = (cause: Cause.Cause<unknown>): Error => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error : new Error(String(error))
}

/** Dials when it is constructed and is connected when Node reports it `ready`; destroying it releases the socket. */
export class SocketStream extends Duplex {
  readonly #socket: Socket.Socket
  readonly #fork: Fork
  readonly #scope = Scope.makeUnsafe()
  readonly #writing = Scope.makeUnsafe()
  #pull: Effect.Effect<ReadonlyArray<Uint8Array>, Socket.SocketError> = Effect.succeed([])
  #writer: Socket.Writer | undefined
  #opened: (error?: Error) => void = () => {}
  #reading = false
  readonly #fibers = new Set<Fiber.Fiber<unknown, unknown>>()

  constructor(socket: Socket.Socket, fork: Fork, opened: (error?: Error) => void) {
    super({ allowHalfOpen: true })
    this.#socket = socket
    this.#fork = fork
    this.#opened = opened
  }

  override _construct(callback: (error?: Error | null) => void): void {
    const open = Effect.gen({ self: this }, function*() {
      this.#pull = yield* Scope.provide(Socket.readerBytes(this.#socket), this.#scope)
      this.#writer = yield* Scope.provide(this.#socket.writer, this.#writing)
    })
    this.#finish(open, (error) => {
      callback(error)
      this.#opened(error)
    })
  }

  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    this.#run(this.#pull, (exit) => {
      this.#reading = false
      if (Exit.isSuccess(exit)) {
        for (const chunk of exit.value) this.push(chunk)
      } else if (isCleanEnd(exit.cause)) {
        this.push(null)
      } else {
        this.destroy(toError(exit.cause))
      }
    })
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#finish(this.#writer === undefined ? Effect.void : this.#writer.write(chunk), callback)
  }

  override _writev(
    chunks: ReadonlyArray<{ readonly chunk: Uint8Array }>,
    callback: (error?: Error | null) => void
  ): void {
    const [first, ...rest] = chunks.map(({ chunk }) => chunk)
    this.#finish(
      this.#writer === undefined || first === undefined ? Effect.void : this.#writer.writeAll([first, ...rest]),
      callback
    )
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finish(Scope.close(this.#writing, Exit.void), callback)
  }

  // A write to a socket that is gone waits for the next connection, which never comes: what runs is interrupted.
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const close = Fiber.interruptAll([...this.#fibers]).pipe(
      Effect.andThen(Scope.close(this.#scope, Exit.void)),
      Effect.andThen(Scope.close(this.#writing, Exit.void))
    )
    this.#fork(close).addObserver(() => callback(error))
  }

  #finish(effect: Effect.Effect<unknown, unknown>, callback: (error?: Error) => void): void {
    this.#run(effect, (exit) => Exit.isSuccess(exit) ? callback() : callback(toError(exit.cause)))
  }

  #run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const fiber = this.#fork(effect)
    this.#fibers.add(fiber)
    fiber.addObserver((exit) => {
      this.#fibers.delete(fiber)
      done(exit)
    })
  }
}

const isCleanEnd = (cause: Cause.Cause<Socket.SocketError>): boolean => {
  const error = Cause.squash(cause)
  return Socket.isSocketError(error) && error.reason._tag === "SocketCloseError" && error.reason.code === 1000
}
