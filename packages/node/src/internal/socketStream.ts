/**
 * An Effect `Socket` as a Node stream, so that undici and `node:tls` can run over what a custom dialler opens.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { Duplex } from "node:stream"

const toError = (cause: Cause.Cause<unknown>): Error => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error : new Error(String(error))
}

/** An open socket, and how to run what concerns it. */
export interface Parts {
  readonly pull: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, Socket.SocketError>
  readonly writer: Socket.Writer
  readonly reading: Scope.Closeable
  readonly writing: Scope.Closeable
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** Opens the socket. A failure or an interruption releases it; a stream that was made is the caller's to destroy. */
export const open = (socket: Socket.Socket): Effect.Effect<SocketStream, Socket.SocketError> =>
  openAs(socket, (parts) => new SocketStream(parts))

/** The same, as a stream of one's own. */
export const openAs = <S extends SocketStream>(
  socket: Socket.Socket,
  make: (parts: Parts) => S
): Effect.Effect<S, Socket.SocketError> =>
  Effect.suspend(() => {
    const reading = Scope.makeUnsafe()
    const writing = Scope.makeUnsafe()
    return Effect.gen(function*() {
      const fork = Effect.runForkWith(yield* Effect.context())
      const pull = yield* Scope.provide(Socket.readerBytes(socket), reading)
      const writer = yield* Scope.provide(socket.writer, writing)
      return make({ pull, writer, reading, writing, fork })
    }).pipe(
      Effect.onError((cause) =>
        Effect.andThen(Scope.close(reading, Exit.failCause(cause)), Scope.close(writing, Exit.failCause(cause)))
      )
    )
  })

/** An open socket; destroying the stream releases it. */
export class SocketStream extends Duplex {
  readonly #parts: Parts
  readonly #fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  #pulling = false

  constructor(parts: Parts) {
    super({ allowHalfOpen: true })
    this.#parts = parts
  }

  override _read(): void {
    if (this.#pulling) return
    this.#pulling = true
    this.#run(this.#parts.pull, (exit) => {
      this.#pulling = false
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
    this.#finish(this.#parts.writer.write(chunk), callback)
  }

  override _writev(
    chunks: ReadonlyArray<{ readonly chunk: Uint8Array }>,
    callback: (error?: Error | null) => void
  ): void {
    const [first, ...rest] = chunks.map(({ chunk }) => chunk)
    this.#finish(first === undefined ? Effect.void : this.#parts.writer.writeAll([first, ...rest]), callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finish(Scope.close(this.#parts.writing, Exit.void), callback)
  }

  // A write to a socket that is gone waits for the next connection, which never comes: what runs is interrupted.
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const close = Fiber.interruptAll([...this.#fibers]).pipe(
      Effect.andThen(Scope.close(this.#parts.reading, Exit.void)),
      Effect.andThen(Scope.close(this.#parts.writing, Exit.void))
    )
    this.#parts.fork(close).addObserver(() => callback(error))
  }

  #finish(effect: Effect.Effect<unknown, unknown>, callback: (error?: Error) => void): void {
    this.#run(effect, (exit) => Exit.isSuccess(exit) ? callback() : callback(toError(exit.cause)))
  }

  #run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    const fiber = this.#parts.fork(effect)
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
