/**
 * A connection that passes so many bytes a second each way, as API servers make theirs when
 * `--max-connection-bytes-per-sec` is set (protocol reference 2.11).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { ServerConnection } from "../server/Exchange.ts"

// How often a second a connection passes its next bytes.
const slicesPerSecond = 20

/** Waits until so many bytes may have passed, counting from when those before had. */
const makePace = (bytesPerSecond: number): (bytes: number) => Effect.Effect<void> => {
  let freeAt = 0
  return (bytes) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      freeAt = Math.max(freeAt, now) + bytes / bytesPerSecond * 1000
      return Effect.sleep(freeAt - now)
    })
}

/** Limits a connection. What has been written or pulled has passed. */
export const limit = (bytesPerSecond: number) => (connection: ServerConnection): ServerConnection => {
  const sliceBytes = Math.max(1, Math.floor(bytesPerSecond / slicesPerSecond))
  const sent = makePace(bytesPerSecond)
  const received = makePace(bytesPerSecond)
  const writeChunk = Effect.fnUntraced(function*(chunk: Uint8Array) {
    for (let at = 0; at < chunk.length; at += sliceBytes) {
      const slice = chunk.subarray(at, at + sliceBytes)
      yield* sent(slice.length)
      yield* connection.write([slice])
    }
  })
  // Pulled and not yet passed. A pull that is interrupted while it waits takes nothing out of it.
  let waiting = new Uint8Array(0)
  const pull: ServerConnection["pull"] = Effect.gen(function*() {
    if (waiting.length === 0) waiting = Buffer.concat(yield* connection.pull)
    const slice = waiting.subarray(0, sliceBytes)
    yield* received(slice.length)
    waiting = waiting.subarray(slice.length)
    return [slice]
  })
  return { ...connection, write: (chunks) => Effect.forEach(chunks, writeChunk, { discard: true }), pull }
}
