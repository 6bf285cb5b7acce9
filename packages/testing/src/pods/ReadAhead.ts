/**
 * Reading a connection ahead of what handles its bytes, so that a handler which waits does not hide that the client has
 * left. Real servers hold about as much before they stop reading, and never learn of it; here, where each test's sockets are
 * counted, a little more is read now and then.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type { ServerConnection } from "../server/Exchange.ts"

const aheadBytes = 12 * 1024 * 1024
const moreBytes = 8 * 1024 * 1024
const maxBytes = 64 * 1024 * 1024
const lookMillis = 250
// What was read before the client left is still handled, unless it waits for what will not come.
const afterEndMillis = 1_000

/** Handles chunk after chunk, until the handler says that one was the last, or the client has left. */
export const run = Effect.fnUntraced(function*(
  connection: ServerConnection,
  handle: (chunk: Uint8Array) => Effect.Effect<boolean, TransportError>
): Effect.fn.Return<void, TransportError> {
  const chunks: Array<Uint8Array> = []
  let size = 0
  let limit = aheadBytes
  let hasEnded = false
  const hasSome = Latch.makeUnsafe(false)
  const hasRoom = Latch.makeUnsafe(true)

  const reading = Effect.gen(function*() {
    while (true) {
      if (!hasRoom.isOpen()) {
        const room = yield* size >= maxBytes
          ? Effect.asSome(hasRoom.await)
          : Effect.timeoutOption(hasRoom.await, lookMillis)
        if (Option.isNone(room)) {
          limit = size + moreBytes
          hasRoom.openUnsafe()
        }
      }
      for (const chunk of yield* connection.pull) {
        chunks.push(chunk)
        size += chunk.length
      }
      if (size >= limit) hasRoom.closeUnsafe()
      hasSome.openUnsafe()
    }
  }).pipe(
    Effect.ignore,
    Effect.ensuring(Effect.sync(() => {
      hasEnded = true
      hasSome.openUnsafe()
    }))
  )
  const handling = Effect.gen(function*() {
    while (true) {
      const chunk = chunks.shift()
      if (chunk !== undefined) {
        size -= chunk.length
        if (size < aheadBytes) {
          limit = aheadBytes
          hasRoom.openUnsafe()
        }
        if (yield* handle(chunk)) return
      } else {
        if (hasEnded) return
        hasSome.closeUnsafe()
        yield* hasSome.await
      }
    }
  })
  const handler = yield* Effect.forkChild(handling)
  const left = Effect.andThen(reading, Effect.timeoutOption(Fiber.await(handler), afterEndMillis))
  yield* Effect.raceFirst(Fiber.join(handler), Effect.asVoid(left))
})
