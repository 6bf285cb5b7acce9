/**
 * A Node stream as a `ByteDuplex`.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { Duplex } from "node:stream"

// Chunks handed on in one pull; bounds what one pull can bring when Node keeps refilling its buffer.
const pullChunks = 64

const readAvailable = (stream: Duplex): NonEmptyReadonlyArray<Uint8Array> | undefined => {
  const first = stream.read() as Uint8Array | null
  if (first === null) return undefined
  const chunks: [Uint8Array, ...Array<Uint8Array>] = [first]
  for (
    let next: Uint8Array | null;
    chunks.length < pullChunks && (next = stream.read() as Uint8Array | null) !== null;
  ) {
    chunks.push(next)
  }
  return chunks
}

/**
 * Takes over a connected stream, which must not be flowing. The caller destroys it. `lost` says what an error of the
 * stream means.
 */
export const make = (stream: Duplex, lost: (cause: unknown) => TransportError): ByteDuplex => {
  type Resume = (effect: Effect.Effect<NonEmptyReadonlyArray<Uint8Array>, TransportError | Cause.Done>) => void
  let waiting: Resume | undefined
  let end: Effect.Effect<never, TransportError | Cause.Done> | undefined

  // The only place where a pull is resumed: what was read goes first, even after an error, then the end.
  const deliver = (): void => {
    if (waiting === undefined) return
    const chunks = readAvailable(stream)
    const effect = chunks === undefined ? end : Effect.succeed(chunks)
    if (effect === undefined) return
    const resume = waiting
    waiting = undefined
    resume(effect)
  }
  const finish = (effect: Effect.Effect<never, TransportError | Cause.Done>): void => {
    end ??= effect
    deliver()
  }

  stream.pause()
  stream.on("readable", deliver)
  stream.on("end", () => finish(Cause.done()))
  stream.on("error", (cause) => finish(Effect.fail(lost(cause))))
  stream.on("close", () => finish(Effect.fail(lost(new Error("the connection is closed")))))

  const whenWritten = (register: (done: (cause?: Error | null) => void) => void): Effect.Effect<void, TransportError> =>
    Effect.callback<void, TransportError>((resume) => {
      register((cause) => resume(cause === null || cause === undefined ? Effect.void : Effect.fail(lost(cause))))
    })

  // The callback of the last write comes when all of them are with the kernel, or when the stream is destroyed.
  const writeNow = (chunks: NonEmptyReadonlyArray<Uint8Array>, done: (cause?: Error | null) => void): void => {
    if (chunks.length === 1) {
      stream.write(chunks[0], done)
      return
    }
    stream.cork()
    for (let i = 0; i < chunks.length - 1; i++) stream.write(chunks[i])
    stream.write(chunks[chunks.length - 1], done)
    stream.uncork()
  }

  return {
    pull: Effect.callback((resume) => {
      waiting = resume
      deliver()
      return Effect.sync(() => {
        if (waiting === resume) waiting = undefined
      })
    }),
    // A peer that has said its last word and hung up makes the next write fail, and Node then gives up what the kernel
    // still has from it: the outcome of a command. So Node reads first, which it has done when immediates run.
    write: (chunks) => whenWritten((done) => void setImmediate(writeNow, chunks, done)),
    end: whenWritten((done) => stream.end(done))
  }
}
