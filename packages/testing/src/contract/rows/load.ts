/**
 * Rows about many exchanges at once, and long ones.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { classified, connect, digestStream, execute, get, open, see, serve } from "../exchange.ts"
import * as Pattern from "../Pattern.ts"
import { check, group, type Row, same, settled } from "../Row.ts"

const { each, one } = group("load")

const mebibyte = 1024 * 1024
const bufferBound = 24 * mebibyte
const watches = 300

const over = [undefined, {}] as const
const named = (name: string, tls: (typeof over)[number]): string => tls === undefined ? name : `${name}, over TLS`

export const rows: ReadonlyArray<Row> = over.flatMap((tls) => [
  one(
    named(`${watches} watches at once are all served, and do not hold up requests and upgrades`, tls),
    Effect.gen(function*() {
      const { endpoint, listener } = yield* serve({ tls })
      const transport = yield* connect(endpoint)
      const received = { first: 0, second: 0 }
      const begun = yield* Latch.make()
      const watch = Effect.scoped(Effect.gen(function*() {
        const response = yield* execute(transport, "streaming", get(endpoint, "lines"))
        const lines = Stream.splitLines(Stream.decodeText(response.stream))
        yield* classified(
          transport,
          Stream.runForEach(lines, (line) =>
            Effect.suspend(() => {
              if (line !== "first") return Effect.sync(() => received.second++)
              return ++received.first === watches ? begun.open : Effect.void
            }))
        )
      }))
      const fiber = yield* Effect.forkChild(Effect.all(Array.from({ length: watches }, () => watch), {
        concurrency: "unbounded",
        discard: true
      }))
      // So many take a busy machine its time; one that fails is told by all of them.
      yield* Effect.raceFirst(begun.await, Fiber.join(fiber))
      for (let i = 0; i < 10; i++) yield* see(transport, "http", get(endpoint, "seen"))
      const connection = yield* open(transport, get(endpoint, "echo"))
      yield* connection.write([Uint8Array.of(1)])
      yield* listener.release
      yield* Fiber.join(fiber)
      yield* same(received, { first: watches, second: watches }, "lines")
    }),
    { inMemory: tls === undefined }
  ),

  ...each(
    named("pushes back on a server whose answer is not read", tls),
    Effect.fnUntraced(function*(channel) {
      const bytes = 4 * bufferBound
      const { endpoint, listener } = yield* serve({ tls })
      const transport = yield* connect(endpoint)
      const response = yield* execute(
        transport,
        channel === "http" ? "http" : "streaming",
        get(endpoint, `source?bytes=${bytes}`)
      )
      const sent = yield* settled(Effect.map(listener.stats, (stats) => stats.sent))
      yield* check(sent < bufferBound, `the server could write ${sent} bytes with nobody reading`)
      yield* same(yield* classified(transport, digestStream(response.stream)), yield* Pattern.digestOf(bytes), "bytes")
    }),
    { channels: ["http", "streaming"], inMemory: tls === undefined }
  ),

  one(
    named("a stream that is not read does not hold up the others", tls),
    Effect.gen(function*() {
      const { endpoint, listener } = yield* serve({ tls })
      const transport = yield* connect(endpoint)
      yield* execute(transport, "streaming", get(endpoint, `source?bytes=${4 * bufferBound}`))
      yield* settled(Effect.map(listener.stats, (stats) => stats.sent))
      for (let i = 0; i < 3; i++) yield* see(transport, "streaming", get(endpoint, "seen"))
      yield* see(transport, "http", get(endpoint, "seen"))
    }),
    { inMemory: tls === undefined }
  ),

  one(
    named("50 upgrades at once are told apart", tls),
    Effect.gen(function*() {
      const { endpoint } = yield* serve({ tls })
      const transport = yield* connect(endpoint)
      yield* Effect.forEach(Array.from({ length: 50 }, (_, i) => i), (i) =>
        Effect.scoped(Effect.gen(function*() {
          const connection = yield* open(transport, get(endpoint, "echo"))
          yield* connection.write([new Uint8Array(1000).fill(i)])
          yield* connection.end
          const bytes = yield* digestStream(Stream.fromPull(Effect.succeed(connection.pull)))
          const expected = Pattern.digester()
          expected.add(new Uint8Array(1000).fill(i))
          yield* same(bytes, expected.digest(), `bytes of upgrade ${i}`)
        })), { concurrency: "unbounded", discard: true })
    }),
    { inMemory: tls === undefined }
  )
])
