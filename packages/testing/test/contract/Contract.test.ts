import { Platform } from "@effect-k8s/core/Transport"
import { TransportError, UnsupportedOption } from "@effect-k8s/core/TransportError"
import { Adapter, type Unsupported } from "@effect-k8s/testing/contract/Adapter"
import * as Contract from "@effect-k8s/testing/contract/Contract"
import * as Exchange from "@effect-k8s/testing/contract/exchange"
import * as MemoryPeer from "@effect-k8s/testing/contract/peer/MemoryPeer"
import { channels, type Environment, group, type Row, type RowError, Unmet } from "@effect-k8s/testing/contract/Row"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

/** What becomes of a row on an adapter whose process has so many more sockets each time that it is asked. */
const run = (row: Row, unsupported: Unsupported = {}, growth = 0): Effect.Effect<void, RowError> => {
  let sockets = 0
  return Contract.run(row).pipe(
    Effect.provide(MemoryPeer.layer),
    Effect.provideService(
      Adapter,
      Adapter.of({
        dial: () => {
          throw new Error("nobody dials in memory")
        },
        streamingHttpVersion: "1.1",
        proxiedHttpVersion: "1.1",
        unsupported,
        openSockets: Effect.sync(() => sockets += growth)
      })
    ),
    Effect.scoped
  )
}

const unmet = (effect: Effect.Effect<void, RowError>): Effect.Effect<string, unknown> =>
  Effect.flatMap(
    Effect.flip(effect),
    (error) => error instanceof Unmet ? Effect.succeed(error.message) : Effect.fail(error)
  )

const { one } = group("itself")
const row = (program: Effect.Effect<void, RowError, Environment>, options: Parameters<typeof one>[2] = {}): Row =>
  one("a row", program, options)

/** A row that gets somewhere, or is told that it cannot. */
const connecting = (needs: Row["needs"], option?: string): Row =>
  row(
    Effect.gen(function*() {
      const { endpoint } = yield* Exchange.serve()
      const platform = yield* Platform
      if (option === undefined) return yield* Effect.asVoid(platform.transport(endpoint))
      // As an adapter that refuses does: it is asked through what the kit listens to.
      const transport = yield* platform.transport(endpoint)
      return yield* transport.classify(
        new TransportError({ reason: new UnsupportedOption({ option, runtime: "memory", hint: "leave it out" }) })
      )
    }),
    { needs }
  )

// What is left is waited for.
describe.concurrent("the contract of transports", () => {
  it.live("passes a row that leaves nothing", () =>
    run(row(Effect.gen(function*() {
      const { endpoint } = yield* Exchange.serve()
      yield* Exchange.seenThrough(endpoint, "http")
    }))))

  it.live("finds a fiber that a row leaves running", () =>
    Effect.gen(function*() {
      const message = yield* unmet(run(row(Effect.asVoid(Effect.forkDetach(Effect.sleep("1 minute"))))))
      assert.match(message, /[1-9]\d* fibers were left running/)
    }))

  it.live("finds an exchange that a row leaves at the server", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const message = yield* unmet(run(row(Effect.gen(function*() {
        const { endpoint } = yield* Exchange.serve()
        yield* Scope.provide(Exchange.upgraded(endpoint, "echo"), scope)
      }))))
      assert.match(message, /1 exchanges were left open at the server/)
    }))

  it.live("finds a socket that a row leaves in the process", () =>
    Effect.gen(function*() {
      assert.match(yield* unmet(run(row(Effect.void), {}, 1)), /\d+ sockets were left open in this process/)
    }))

  it.live("holds an adapter to what it says it cannot do, by name", () =>
    Effect.gen(function*() {
      const unsupported: Unsupported = { socks5: channels }
      yield* run(connecting(["socks5"], "a SOCKS5 proxy"), unsupported)
      assert.match(yield* unmet(run(connecting(["socks5"]), unsupported)), /does not say .* of socks5, but nothing/)
      assert.match(
        yield* unmet(run(connecting(["socks5"], "this"), unsupported)),
        /of socks5, but UnsupportedOption \(this is not supported on memory/
      )
      // Where it can, it must.
      const error = yield* Effect.flip(run(connecting(["socks5"], "a SOCKS5 proxy")))
      assert.strictEqual(error._tag, "TransportError")
    }))
})
