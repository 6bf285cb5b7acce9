/**
 * Writing frames whole: one writer at a time, and none is cut short but by the end of the connection.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { maxChunkBytes } from "../protocol/RemoteCommand.ts"

/** What gives each write its turn. */
export interface FrameWriter {
  /**
   * Runs a write when it is its turn. An interrupted one that has begun goes on in the background; one that waits for
   * its turn is not made.
   */
  readonly exclusively: (write: Effect.Effect<void, TransportError>) => Effect.Effect<void, TransportError>
  /** Runs a write in the background when it is its turn. Those before it have theirs before, and those after it after. */
  readonly later: (write: Effect.Effect<void, TransportError>) => Effect.Effect<void>
  /** Runs the last write in the caller's fiber, unless one was cut short: it would pass for the rest of that frame. */
  readonly lastly: (write: Effect.Effect<void, TransportError>) => Effect.Effect<void>
}

/** A writer whose writes end with the current scope. */
export const make: Effect.Effect<FrameWriter, never, Scope.Scope> = Effect.map(Scope.Scope, (scope) => {
  const lock = Semaphore.makeUnsafe(1)
  // Only the end of the scope cuts a write short. What was written behind it would pass for the rest of its frame.
  let broken = false
  const settle = (exit: Exit.Exit<void, TransportError>): Effect.Effect<void> => {
    if (Exit.isFailure(exit)) broken = true
    return Effect.void
  }
  /** Starts a write in the connection's scope, up to where it has to wait: it keeps its place, whatever comes next. */
  const start = (write: Effect.Effect<void, TransportError>) =>
    Effect.forkIn(lock.withPermit(write), scope, { startImmediately: true })
  return {
    // The caller may be interrupted while a frame is half way out, and the memory of the frame must stay until it is out.
    // So all of it runs in the connection's scope, the wait for its turn too: a turn that the caller had taken would be
    // lost with it, if it was interrupted before the write had begun, and nothing could ever be written again.
    exclusively: (write) =>
      Effect.uninterruptibleMask((restore) => {
        let begun = false
        const writing = start(Effect.suspend(() => {
          begun = true
          return Effect.onExit(write, settle)
        }))
        return Effect.flatMap(writing, (fiber) =>
          Effect.onInterrupt(restore(Fiber.join(fiber)), () => {
            if (begun) return Effect.void
            // At once: before another effect it could begin.
            fiber.interruptUnsafe()
            return Effect.asVoid(Fiber.await(fiber))
          }))
      }),
    later: (write) => Effect.asVoid(start(Effect.ignore(Effect.onExit(write, settle)))),
    lastly: (write) => Effect.ignore(lock.withPermit(Effect.suspend(() => broken ? Effect.void : write)))
  }
})

/**
 * Answers what the peer has asked, in the background of the scope and one at a time: the next is made when the last one is
 * out, so a peer that takes none has made none but one.
 */
export const answering = (
  scope: Scope.Scope,
  next: () => Uint8Array | undefined,
  send: (answer: Uint8Array) => Effect.Effect<void, TransportError>
): Effect.Effect<void> => {
  // What is being sent.
  let answer: Uint8Array | undefined
  const answerAll = Effect.whileLoop({
    while: () => answer !== undefined,
    body: () => answer === undefined ? Effect.void : Effect.ignore(send(answer)),
    step: () => {
      answer = next()
    }
  }).pipe(Effect.onError(() =>
    Effect.sync(() => {
      answer = undefined
    })
  ))
  // A reader that is interrupted between a question and the fiber that answers it would leave all later ones without.
  return Effect.uninterruptible(Effect.suspend(() => {
    if (answer !== undefined) return Effect.void
    answer = next()
    return answer === undefined ? Effect.void : Effect.asVoid(Effect.forkIn(answerAll, scope))
  }))
}

/** The chunks as payloads of at most 32 KiB: long ones cut, short ones that fit into one payload joined. */
export const toPayloads = (chunks: Arr.NonEmptyReadonlyArray<Uint8Array>): ReadonlyArray<Uint8Array> => {
  let size = 0
  for (const chunk of chunks) size += chunk.length
  if (size <= maxChunkBytes) return size === 0 ? [] : [chunks.length === 1 ? chunks[0] : Bytes.concat(chunks)]
  return chunks.flatMap((chunk) =>
    chunk.length === 0
      ? []
      : Arr.makeBy(
        Math.ceil(chunk.length / maxChunkBytes),
        (i) => chunk.subarray(i * maxChunkBytes, (i + 1) * maxChunkBytes)
      )
  )
}
