import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import type { Upgraded } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Pull from "effect/Pull"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

const address = { host: "memory", port: 1 }
const pair = MemoryTransport.pair(address)

const bytes = (length: number, from = 0): Uint8Array => Uint8Array.from({ length }, (_, i) => (from + i) & 0xff)

const concat = (chunks: Iterable<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat([...chunks]))

/** What arrives until the FIN. */
const readAll = (duplex: ByteDuplex): Effect.Effect<Uint8Array, TransportError> =>
  Effect.gen(function*() {
    const got: Array<Uint8Array> = []
    while (true) {
      const chunks = yield* Pull.catchDone(duplex.pull, () => Effect.undefined)
      if (chunks === undefined) return concat(got)
      got.push(...chunks)
    }
  })

/** Reads at least this many bytes. */
const read = (duplex: ByteDuplex, atLeast: number) =>
  Effect.gen(function*() {
    const got: Array<Uint8Array> = []
    let size = 0
    while (size < atLeast) {
      for (const chunk of yield* duplex.pull) {
        got.push(chunk)
        size += chunk.length
      }
    }
    return concat(got)
  })

const isDone = (exit: Exit.Exit<unknown, unknown>): boolean => Exit.isFailure(exit) && Pull.isDoneCause(exit.cause)

const isLost = (exit: Exit.Exit<unknown, unknown>): boolean => {
  if (Exit.isSuccess(exit)) return false
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "reason" in error &&
    (error as TransportError).reason._tag === "ConnectionLost"
}

/** Lets the other fibers go on until they wait. */
const settle = TestClock.adjust(0)

describe("a connection in memory", () => {
  it.effect.prop(
    "gives the bytes in order, whatever the chunks are",
    { sizes: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50_000 }))) },
    ({ sizes }) =>
      Effect.gen(function*() {
        const [left, right] = yield* pair
        const chunks = sizes.map((size, i) => bytes(size, i))
        yield* Effect.forkChild(
          Effect.andThen(
            Effect.forEach(chunks, (chunk) => left.write([chunk]), { discard: true }),
            left.end
          )
        )
        assert.strictEqual(Buffer.compare(yield* readAll(right), concat(chunks)), 0)
      }),
    { arbitrary: { runs: 30 } }
  )

  it.effect("runs both ways at once", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const big = bytes(1_000_000)
      const [a, b] = yield* Effect.all([
        read(left, 1_000_000),
        read(right, 1_000_000),
        left.write([big]),
        right.write([big])
      ], { concurrency: "unbounded" })
      assert.strictEqual(Buffer.compare(a, big), 0)
      assert.strictEqual(Buffer.compare(b, big), 0)
    }))

  it.effect("pushes back on a writer after 256 KiB, and goes on when it is read", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      let written = 0
      const writer = yield* Effect.forkChild(Effect.forEach(Arr.range(1, 100), () =>
        Effect.andThen(
          left.write([bytes(16 * 1024)]),
          Effect.sync(() => written++)
        ), { discard: true }))
      yield* settle
      assert.strictEqual(written, 16)
      yield* settle
      assert.strictEqual(written, 16)
      const got = yield* read(right, 1)
      assert.isAtMost(got.length, 272 * 1024)
      yield* settle
      assert.isAbove(written, 16)
      assert.isAtMost(written, 33)
      yield* read(right, 100 * 16 * 1024 - got.length)
      yield* Fiber.join(writer)
    }))

  it.effect("holds one write of any size back alike", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const writer = yield* Effect.forkChild(left.write([bytes(10_000_000)]))
      yield* settle
      assert.isUndefined(writer.pollUnsafe())
      yield* read(right, 10_000_000)
      yield* Fiber.join(writer)
    }))

  it.effect("keeps what was written when its memory is used again", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      for (const size of [10, 16 * 1024, 16 * 1024 + 1, 100_000]) {
        // A Buffer of Node is an array whose slice is no copy.
        for (const chunk of [bytes(size), Buffer.from(bytes(size))]) {
          yield* left.write([chunk])
          chunk.fill(0xee)
          assert.strictEqual(Buffer.compare(yield* read(right, size), bytes(size)), 0, `${size} bytes`)
        }
      }
    }))

  it.effect("gives memory that the reader may keep and change", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const chunk = bytes(10)
      yield* left.write([chunk])
      const [got] = yield* right.pull
      got.fill(0)
      assert.deepStrictEqual(chunk, bytes(10))
    }))

  it.effect("loses nothing when a pull is interrupted", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      for (let i = 0; i < 50; i++) {
        const pulling = yield* Effect.forkChild(right.pull)
        if (i % 3 === 0) yield* settle
        const writing = yield* Effect.forkChild(left.write([Uint8Array.of(i)]))
        if (i % 2 === 0) yield* Effect.yieldNow
        yield* Fiber.interrupt(pulling)
        const exit = yield* Fiber.await(pulling)
        const got = Exit.isSuccess(exit) ? exit.value : yield* right.pull
        assert.deepStrictEqual([...concat(got)], [i])
        yield* Fiber.join(writing)
      }
    }))

  it.effect("gives the FIN behind the last byte, and goes on in the other direction", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      yield* left.write([bytes(3)])
      yield* left.end
      assert.deepStrictEqual(yield* readAll(right), bytes(3))
      assert.isTrue(isDone(yield* Effect.exit(right.pull)))
      assert.isTrue(isLost(yield* Effect.exit(left.write([bytes(1)]))))
      yield* right.write([bytes(5)])
      yield* right.end
      assert.deepStrictEqual(yield* readAll(left), bytes(5))
    }))

  it.effect("wakes a waiting reader with the FIN", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const reader = yield* Effect.forkChild(Effect.exit(right.pull))
      yield* settle
      yield* left.end
      assert.isTrue(isDone(yield* Fiber.join(reader)))
    }))

  it.effect("that is closed gives what was written and the FIN; the peer cannot write", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      yield* left.write([bytes(3)])
      yield* left.close
      assert.isTrue(isLost(yield* Effect.exit(right.write([bytes(1)]))))
      assert.deepStrictEqual(yield* readAll(right), bytes(3))
    }))

  it.effect("that is closed releases a peer that waits to write", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const writer = yield* Effect.forkChild(Effect.exit(right.write([bytes(1_000_000)])))
      yield* settle
      yield* left.close
      assert.isTrue(isLost(yield* Fiber.join(writer)))
    }))

  it.effect("that is reset fails both ends, and loses what was not read", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      yield* left.write([bytes(3)])
      yield* right.write([bytes(4)])
      yield* left.reset
      assert.isTrue(isLost(yield* Effect.exit(right.pull)))
      assert.isTrue(isLost(yield* Effect.exit(left.pull)))
      assert.isTrue(isLost(yield* Effect.exit(right.write([bytes(1)]))))
      assert.isTrue(isLost(yield* Effect.exit(left.write([bytes(1)]))))
    }))

  it.effect("that is reset fails those who wait, and their bytes are lost too", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      const reader = yield* Effect.forkChild(Effect.exit(left.pull))
      const writer = yield* Effect.forkChild(Effect.exit(left.write([bytes(1_000_000)])))
      yield* settle
      yield* right.reset
      assert.isTrue(isLost(yield* Fiber.join(reader)))
      assert.isTrue(isLost(yield* Fiber.join(writer)))
      assert.isTrue(isLost(yield* Effect.exit(right.pull)))
    }))

  it.effect("that is reset after a FIN is lost, not ended", () =>
    Effect.gen(function*() {
      const [left, right] = yield* pair
      yield* left.write([bytes(3)])
      yield* left.end
      yield* left.reset
      assert.isTrue(isLost(yield* Effect.exit(right.pull)))
    }))
})

describe("a transport in memory", () => {
  const endpoint = { url: new URL("https://memory") }
  const accept = (serve: (connection: MemoryTransport.MemoryConnection) => Effect.Effect<void>) =>
    MemoryTransport.make(endpoint, {
      request: () => Effect.succeed(new Response("")),
      upgrade: () => Effect.succeed({ _tag: "Accepted", headers: Headers.empty, serve })
    })
  const upgrade = (transport: Effect.Success<ReturnType<typeof accept>>): Effect.Effect<
    Upgraded,
    TransportError,
    Scope.Scope
  > =>
    transport.upgrade(HttpClientRequest.get("https://memory/x")).pipe(
      Effect.filterOrElse((answer) => answer._tag === "Upgraded", () => Effect.die("refused"))
    )

  it.effect("closes an upgraded connection with its scope", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<Exit.Exit<Uint8Array, TransportError>>()
      const transport = yield* accept((connection) =>
        Effect.flatMap(Effect.exit(readAll(connection)), (exit) => Deferred.succeed(ended, exit))
      )
      const scope = yield* Scope.make()
      const { connection } = yield* Scope.provide(upgrade(transport), scope)
      yield* connection.write([bytes(3)])
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Deferred.await(ended), Exit.succeed(bytes(3)))
    }))

  it.effect("ends the connection when its server has returned", () =>
    Effect.gen(function*() {
      const transport = yield* accept((connection) => Effect.ignore(connection.write([bytes(2)])))
      const { connection } = yield* upgrade(transport)
      assert.deepStrictEqual(yield* readAll(connection), bytes(2))
    }))

  it.effect("ends its servers with its scope", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const transport = yield* Scope.provide(
        accept(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))),
        scope
      )
      const { connection } = yield* upgrade(transport)
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(interrupted)
      assert.isTrue(isDone(yield* Effect.exit(connection.pull)))
    }))
})
