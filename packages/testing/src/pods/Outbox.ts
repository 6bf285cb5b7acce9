/**
 * What is to be written on a connection, in order: one write takes all that was put there while the one before it ran.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { ServerConnection } from "../server/Exchange.ts"

/** Bytes on their way out. */
export interface Outbox {
  /** Puts bytes behind those that wait. Their memory must stay as it is until they are flushed. */
  readonly put: (...chunks: ReadonlyArray<Uint8Array>) => void
  /** Writes what waits, and suspends until the runtime has taken it. An interrupted one goes on in the background. */
  readonly flush: Effect.Effect<void, TransportError>
}

// One large write costs less than several, and less than one of several chunks, which TLS joins in memory of its own.
const scratchBytes = 256 * 1024

/** An empty outbox of a connection that nothing else writes on. Its writes end with the current scope. */
export const make = (
  connection: Pick<ServerConnection, "write">
): Effect.Effect<Outbox, never, Scope.Scope> =>
  Effect.map(Scope.Scope, (scope) => {
    const lock = Semaphore.makeUnsafe(1)
    const waiting: Array<Uint8Array> = []
    let scratch: Uint8Array | undefined

    /** The first of so many chunks, as many as fit into one write. */
    const fitting = (most: number): number => {
      let count = 0
      let size = 0
      while (count < most && (count === 0 || size + waiting[count]!.length <= scratchBytes)) {
        size += waiting[count++]!.length
      }
      return count
    }
    const join = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
      if (chunks.length === 1) return chunks[0]!
      const target = scratch ??= new Uint8Array(scratchBytes)
      let at = 0
      for (const chunk of chunks) {
        target.set(chunk, at)
        at += chunk.length
      }
      return target.subarray(0, at)
    }
    const write = (count: number): Effect.Effect<void, TransportError> =>
      Effect.onError(
        Effect.suspend(() => connection.write([join(waiting.splice(0, count))])),
        // The runtime may still be at it, and the memory is its own.
        () =>
          Effect.sync(() => {
            scratch = undefined
          })
      )
    const turn = lock.withPermit(Effect.suspend(() => {
      // What is put meanwhile has its own turn.
      let left = waiting.length
      return Effect.whileLoop({
        while: () => left > 0,
        body: () => {
          const count = fitting(left)
          left -= count
          return write(count)
        },
        step: () => {}
      })
    }))
    return {
      put: (...chunks) => {
        for (const chunk of chunks) if (chunk.length > 0) waiting.push(chunk)
      },
      flush: Effect.suspend(() =>
        // Not to wait for a turn when there is nothing to say: the output may be stuck.
        waiting.length === 0
          ? Effect.void
          // The frames of others are in it too: whoever is interrupted must not cut them off.
          : Effect.flatMap(Effect.forkIn(turn, scope, { startImmediately: true }), Fiber.join)
      )
    }
  })
