/**
 * Rows about the bytes of an upgraded connection: order, ends, memory.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import { digest, readAll, serve, type Server, upgraded } from "../exchange.ts"
import * as Pattern from "../Pattern.ts"
import { check, eventually, failsWith, group, type Row, same, settled, Unmet } from "../Row.ts"

const { one } = group("upgraded connections")

const mebibyte = 1024 * 1024
/** What the buffers of a connection may hold: those of the kernels grow to about 10 MiB on a loopback. */
const bufferBound = 24 * mebibyte
const tooMuch = 4 * bufferBound

const decoder = new TextDecoder()

/** Reads exactly one digest in JSON, then so many bytes. */
const readReport = Effect.fnUntraced(function*(connection: ByteDuplex) {
  const text = decoder.decode(yield* readAll(connection))
  return JSON.parse(text) as Pattern.Digest
})

const writeAll = (connection: ByteDuplex, bytes: number) =>
  Effect.forEach(Pattern.chunks(bytes), (chunk) => connection.write([chunk]), { discard: true })

/** Writes and counts what was taken. */
const writeCounting = (connection: ByteDuplex, bytes: number) => {
  let taken = 0
  const writing = Effect.forEach(
    Pattern.chunks(bytes),
    (chunk) => Effect.tap(connection.write([chunk]), () => Effect.sync(() => (taken += chunk.length))),
    { discard: true }
  )
  return { taken: Effect.sync(() => taken), writing }
}

const pullsDone = (connection: ByteDuplex) =>
  Effect.flatMap(
    Effect.exit(connection.pull),
    (exit) =>
      Exit.isFailure(exit) && Pull.isDoneCause(exit.cause)
        ? Effect.void
        : Effect.fail(new Unmet({ message: `a pull after the end gave ${String(exit)}` }))
  )

const lost = (effect: Effect.Effect<unknown, Cause.Done | Effect.Error<ByteDuplex["end"]>>) =>
  failsWith(
    Pull.catchDone(effect, () => Effect.fail(new Unmet({ message: "the loss came as a clean end" }))),
    "ConnectionLost"
  )

const gone = ({ listener }: Server) =>
  eventually(
    Effect.flatMap(listener.stats, ({ exchanges }) => check(exchanges === 0, "the server still has the connection"))
  )

const over = [undefined, {}] as const

export const rows: ReadonlyArray<Row> = over.flatMap((tls) => {
  const row = (
    name: string,
    run: (server: Server) => Effect.Effect<void, RowFailure, RowEnvironment>,
    inMemory = true
  ) =>
    one(
      tls === undefined ? name : `${name}, over TLS`,
      Effect.flatMap(serve({ tls }), run),
      { inMemory: inMemory && tls === undefined }
    )
  return [
    row(
      "carry bytes both ways at once",
      Effect.fnUntraced(function*({ endpoint }) {
        const connection = yield* upgraded(endpoint, "echo")
        const writing = yield* Effect.forkChild(Effect.andThen(writeAll(connection, mebibyte), connection.end))
        yield* same(yield* digest(connection), yield* Pattern.digestOf(mebibyte), "bytes")
        yield* Fiber.join(writing)
      })
    ),

    row(
      "write chunks of any length in order",
      Effect.fnUntraced(function*({ endpoint }) {
        const connection = yield* upgraded(endpoint, "sink")
        const sent = Pattern.digester()
        const [whole] = [...Pattern.chunks(200_000, 200_000)]
        let from = 0
        for (const lengths of [[1, 0, 2], [0], [0, 0], [70_000, 3, 50_000, 1], [4096]] as const) {
          const [first, ...rest] = lengths.map((length) => whole!.subarray(from, from += length))
          for (const chunk of [first!, ...rest]) sent.add(chunk)
          yield* connection.write([first!, ...rest])
        }
        yield* connection.end
        yield* same(yield* readReport(connection), sent.digest(), "bytes")
      })
    ),

    row(
      "give the memory of a write back with its success",
      Effect.fnUntraced(function*({ endpoint }) {
        const connection = yield* upgraded(endpoint, "sink")
        const buffer = new Uint8Array(300_000)
        const sent = Pattern.digester()
        for (const chunk of Pattern.chunks(16 * mebibyte, 300_000)) {
          buffer.set(chunk)
          const view = buffer.subarray(0, chunk.length)
          sent.add(view)
          yield* connection.write([view.subarray(0, 7), view.subarray(7)])
          buffer.fill(0xee)
        }
        yield* connection.end
        yield* same(yield* readReport(connection), sent.digest(), "bytes")
      })
    ),

    row(
      "give early bytes first, however many came with the 101",
      Effect.fnUntraced(function*({ endpoint }) {
        for (const bytes of [1, 5, 1000, 2 * mebibyte]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const connection = yield* upgraded(endpoint, `early?bytes=${bytes}`)
            const seen = Pattern.digester()
            while (seen.digest().bytes < bytes) {
              for (
                const chunk of yield* Pull.catchDone(
                  connection.pull,
                  () => Effect.fail(new Unmet({ message: "the early bytes ended" }))
                )
              ) seen.add(chunk)
            }
            yield* same(seen.digest(), yield* Pattern.digestOf(bytes), `${bytes} early bytes`)
          }))
        }
      }),
      false
    ),

    row(
      "read on after a half-close, to the end of the answer",
      Effect.fnUntraced(function*({ endpoint }) {
        const answer = 2 * mebibyte
        const connection = yield* upgraded(endpoint, `sink?bytes=${answer}`)
        yield* writeAll(connection, 100_000)
        yield* connection.end
        const all = yield* readAll(connection)
        const report = JSON.stringify(yield* Pattern.digestOf(100_000))
        yield* same(decoder.decode(all.subarray(0, report.length)), report, "report")
        const rest = Pattern.digester()
        rest.add(all.subarray(report.length))
        yield* same(rest.digest(), yield* Pattern.digestOf(answer), "answer")
      })
    ),

    row(
      "end with Done at the peer's FIN, once and for all",
      Effect.fnUntraced(function*({ endpoint }) {
        for (const then of ["fin", "close"]) {
          const connection = yield* upgraded(endpoint, `source?bytes=200000&then=${then}`)
          yield* same(yield* digest(connection), yield* Pattern.digestOf(200_000), "bytes before the end")
          yield* pullsDone(connection)
          yield* pullsDone(connection)
        }
      })
    ),

    row(
      "fail with ConnectionLost at a reset, in pulls and in writes, once and for all",
      Effect.fnUntraced(
        function*({ endpoint, listener }) {
          const connection = yield* upgraded(endpoint, "source?bytes=1000&then=reset")
          for (let left = 1000; left > 0;) {
            const chunks = yield* Pull.catchDone(
              connection.pull,
              () => Effect.fail(new Unmet({ message: "the bytes ended" }))
            )
            for (const chunk of chunks) left -= chunk.length
          }
          const waiting = yield* Effect.forkChild(Effect.exit(connection.pull))
          yield* Effect.yieldNow
          yield* listener.release
          yield* lost(Effect.flatMap(Fiber.join(waiting), (exit) => exit))
          yield* lost(connection.pull)
          yield* lost(connection.write([Uint8Array.of(1)]))
          yield* lost(Effect.forever(connection.write([new Uint8Array(100)])))
        }
      )
    ),

    row(
      "neither end nor fail while the peer is silent, and are let go of at once",
      Effect.fnUntraced(function*(server) {
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(upgraded(server.endpoint, "source?bytes=10&then=hold"), scope)
        for (let left = 10; left > 0;) {
          const chunks = yield* Pull.catchDone(
            connection.pull,
            () => Effect.fail(new Unmet({ message: "the bytes ended" }))
          )
          for (const chunk of chunks) left -= chunk.length
        }
        const waiting = yield* Effect.forkChild(Effect.exit(connection.pull))
        const early = yield* Effect.timeoutOption(Fiber.join(waiting), "300 millis")
        yield* check(Option.isNone(early), `the silence gave ${String(Option.getOrUndefined(early))}`)
        yield* Scope.close(scope, Exit.void)
        yield* gone(server)
      })
    ),

    row(
      "fail a suspended write when the peer goes away",
      Effect.fnUntraced(function*({ endpoint }) {
        // The peer never reads, and leaves when it has written.
        const connection = yield* upgraded(endpoint, "source?bytes=10&then=close")
        yield* failsWith(writeAll(connection, tooMuch), "ConnectionLost")
      }),
      false
    ),

    row(
      "lose nothing to pulls that are interrupted",
      Effect.fnUntraced(function*({ endpoint }) {
        const bytes = 4 * mebibyte
        const connection = yield* upgraded(endpoint, `source?bytes=${bytes}`)
        const seen = Pattern.digester()
        const pull = Effect.uninterruptibleMask((restore) =>
          Effect.map(restore(connection.pull), (chunks) => {
            chunks.forEach(seen.add)
            return true
          })
        )
        let interrupted = 0
        const round = Effect.gen(function*() {
          const fiber = yield* Effect.forkChild(Pull.catchDone(pull, () => Effect.succeed(false)))
          // From none to a few turns of the event loop.
          for (let turns = interrupted % 4; turns > 0; turns--) yield* Effect.sleep(0)
          yield* Fiber.interrupt(fiber)
          const exit = yield* Fiber.await(fiber)
          if (Exit.isSuccess(exit)) return exit.value
          if (!Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.failCause(exit.cause)
          interrupted++
          return true
        })
        while (yield* round);
        yield* same(seen.digest(), yield* Pattern.digestOf(bytes), "bytes")
        yield* check(interrupted > 0, "no pull was interrupted")
      })
    ),

    row(
      "suspend the writer while the peer does not read, with bounded memory",
      Effect.fnUntraced(
        function*({ endpoint, listener }) {
          const connection = yield* upgraded(endpoint, "sink?hold")
          const { taken, writing } = writeCounting(connection, tooMuch)
          const fiber = yield* Effect.forkChild(Effect.andThen(writing, connection.end))
          const held = yield* settled(taken)
          yield* check(held < bufferBound, `${held} bytes were taken with nobody reading`)
          yield* listener.release
          yield* Fiber.join(fiber)
          yield* same(yield* readReport(connection), yield* Pattern.digestOf(tooMuch), "bytes")
        }
      )
    ),

    row(
      "push back on a peer that writes while nobody pulls",
      Effect.fnUntraced(function*({ endpoint, listener }) {
        const connection = yield* upgraded(endpoint, `source?bytes=${tooMuch}`)
        const held = yield* settled(Effect.map(listener.stats, ({ sent }) => sent))
        yield* check(held < bufferBound, `the peer could write ${held} bytes with nobody reading`)
        yield* same(yield* digest(connection), yield* Pattern.digestOf(tooMuch), "bytes")
      })
    ),

    row(
      "read on while a write is suspended",
      Effect.fnUntraced(function*({ endpoint }) {
        const connection = yield* upgraded(endpoint, "echo")
        const writing = yield* Effect.forkChild(Effect.andThen(writeAll(connection, tooMuch), connection.end))
        // Nobody reads, so the echo stalls, and with it the writer.
        yield* Effect.sleep("100 millis")
        yield* same(yield* digest(connection), yield* Pattern.digestOf(tooMuch), "bytes")
        yield* Fiber.join(writing)
      })
    ),

    row(
      "are destroyed with their scope at once, although the peer does not read",
      Effect.fnUntraced(
        function*(server) {
          const scope = yield* Scope.make()
          const connection = yield* Scope.provide(upgraded(server.endpoint, "sink?hold"), scope)
          const { taken, writing } = writeCounting(connection, tooMuch)
          const fiber = yield* Effect.forkChild(Effect.exit(writing))
          yield* settled(taken)
          yield* Scope.close(scope, Exit.void)
          // The peer has read nothing yet; what it will find is less than all.
          const exit = yield* Fiber.join(fiber)
          yield* check(Exit.isFailure(exit), "the suspended write succeeded")
          yield* server.listener.release
          yield* gone(server)
          const { received } = yield* server.listener.stats
          yield* check(received < tooMuch, "everything was written after the scope had ended")
        }
      )
    ),

    row(
      "are closed when the fiber that holds them is interrupted",
      Effect.fnUntraced(function*(server) {
        const fiber = yield* Effect.forkChild(Effect.scoped(
          Effect.flatMap(
            upgraded(server.endpoint, "source?bytes=10&then=hold"),
            (connection) => Effect.forever(Effect.asVoid(connection.pull))
          )
        ))
        yield* eventually(
          Effect.flatMap(server.listener.stats, ({ sent }) => check(sent === 10, "the connection was not made"))
        )
        yield* Fiber.interrupt(fiber)
        yield* gone(server)
      })
    ),

    row(
      "fail pulls and writes that outlive their scope",
      Effect.fnUntraced(function*(server) {
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(upgraded(server.endpoint, "echo"), scope)
        const pulling = yield* Effect.forkChild(Effect.exit(connection.pull))
        yield* Effect.yieldNow
        yield* Scope.close(scope, Exit.void)
        const end = yield* Effect.timeoutOption(Fiber.join(pulling), "5 seconds")
        yield* check(Option.isSome(end), "a pull waits on, although its connection is closed")
        const write = yield* Effect.timeoutOption(Effect.exit(connection.write([Uint8Array.of(1)])), "5 seconds")
        yield* check(Option.isSome(write) && Exit.isFailure(write.value), "a write after the end succeeded")
        yield* gone(server)
      })
    ),

    row(
      "survive 100 MiB in each direction",
      Effect.fnUntraced(function*({ endpoint }) {
        const bytes = 100 * mebibyte
        const expected = yield* Pattern.digestOf(bytes)
        const down = yield* upgraded(endpoint, `source?bytes=${bytes}`)
        yield* same(yield* digest(down), expected, "bytes down")
        const up = yield* upgraded(endpoint, "sink")
        yield* writeAll(up, bytes)
        yield* up.end
        yield* same(yield* readReport(up), expected, "bytes up")
      })
    )
  ]
})

type RowFailure = Effect.Error<Row["run"]>
type RowEnvironment = Effect.Services<Row["run"]>
