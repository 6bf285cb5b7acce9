/**
 * The contract of transports as a table of rows, each a requirement, for any adapter to run.
 *
 * A row starts the servers and proxies it wants (`Peer`), makes transports by the adapter's `Platform`, and fails with
 * `Unmet` when the requirement is not met or something is left behind: a socket here or at the server, or a fiber.
 *
 * ```ts
 * import * as Contract from "@effect-k8s/testing/contract/Contract"
 *
 * for (const row of Contract.rows) {
 *   it.live(`${row.group}: ${row.name}`, () => Effect.provide(Contract.run(row), myRuntime))
 * }
 * ```
 */
import { Platform } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { Adapter, type Unsupported } from "./Adapter.ts"
import { type Listener, Peer } from "./Peer.ts"
import { check, type Environment, eventually, type Need, type Row, type RowError, Unmet } from "./Row.ts"
import * as ConnectProxy from "./rows/connectProxy.ts"
import * as Dial from "./rows/dial.ts"
import * as Duplex from "./rows/duplex.ts"
import * as Load from "./rows/load.ts"
import * as Proxy from "./rows/proxy.ts"
import * as ProxyChoice from "./rows/proxyChoice.ts"
import * as Refusals from "./rows/refusals.ts"
import * as Requests from "./rows/requests.ts"
import * as SocksProxy from "./rows/socksProxy.ts"
import * as Tls from "./rows/tls.ts"

/** All rows. */
export const rows: ReadonlyArray<Row> = [
  ...Tls.rows,
  ...Requests.rows,
  ...Refusals.rows,
  ...Duplex.rows,
  ...ConnectProxy.rows,
  ...Proxy.rows,
  ...SocksProxy.rows,
  ...ProxyChoice.rows,
  ...Dial.rows,
  ...Load.rows
]

const timeout = "60 seconds"

/**
 * Runs a row, and checks that it leaves nothing behind. Where the adapter declares that it cannot do what the row needs,
 * the row must fail with `UnsupportedOption`, which names it.
 */
export const run = Effect.fnUntraced(function*(row: Row): Effect.fn.Return<void, RowError, Environment> {
  const adapter = yield* Adapter
  const peer = yield* Peer
  const lacking = unsupportedNeeds(row, adapter.unsupported)
  const program = lacking.length > 0 ? saysUnsupported(row.run, lacking) : row.run
  const fibers = fiberCounter()
  const before = yield* adapter.openSockets
  // The listeners outlive the row, to see what it leaves.
  const scope = yield* Effect.scope
  const listeners: Array<Listener> = []
  const observed = Peer.of({
    ...peer,
    listen: (options) =>
      Effect.tap(Scope.provide(peer.listen(options), scope), (listener) => Effect.sync(() => listeners.push(listener)))
  })

  yield* Effect.scoped(program).pipe(
    Effect.provideService(Peer, observed),
    Effect.provideService(Metric.FiberRuntimeMetrics, fibers.service),
    Effect.timeoutOrElse({
      duration: timeout,
      orElse: () => Effect.fail(new Unmet({ message: `no end within ${timeout}` }))
    })
  )

  yield* eventually(Effect.forEach(listeners, nothingOpen, { discard: true }))
  yield* eventually(
    Effect.flatMap(
      adapter.openSockets,
      (after) => check(after <= before, `${after - before} sockets were left open in this process`)
    )
  )
  yield* eventually(Effect.suspend(() => check(fibers.alive() === 0, `${fibers.alive()} fibers were left running`)))
}, Effect.scoped)

const nothingOpen = (listener: Listener): Effect.Effect<void, Unmet> =>
  Effect.flatMap(
    listener.stats,
    ({ exchanges, open }) =>
      check(
        open === 0 && exchanges === 0,
        `${open} connections and ${exchanges} exchanges were left open at the server`
      )
  )

const fiberCounter = () => {
  let alive = 0
  return {
    alive: () => alive,
    service: {
      recordFiberStart: () => {
        alive++
      },
      recordFiberEnd: () => {
        alive--
      }
    }
  }
}

// The row fails as it may, and rows expect failures themselves: what counts is what the adapter has said.
const saysUnsupported = Effect.fnUntraced(function*(
  program: Row["run"],
  lacking: ReadonlyArray<Need>
): Effect.fn.Return<void, Unmet, Environment> {
  const platform = yield* Platform
  const said: Array<TransportError> = []
  const listen = <A, R>(effect: Effect.Effect<A, TransportError, R>): Effect.Effect<A, TransportError, R> =>
    Effect.tapError(effect, (error) => Effect.sync(() => said.push(error)))
  const exit = yield* Effect.exit(Effect.provideService(
    program,
    Platform,
    Platform.of({
      transport: (endpoint) =>
        listen(
          Effect.map(platform.transport(endpoint), (transport) => ({
            ...transport,
            upgrade: (request) => listen(transport.upgrade(request)),
            classify: (cause) => {
              const error = transport.classify(cause)
              said.push(error)
              return error
            }
          }))
        )
    })
  ))
  const named = ({ reason }: TransportError): boolean =>
    reason._tag === "UnsupportedOption" && lacking.some((need) => words[need].test(reason.option))
  yield* check(
    Exit.isFailure(exit) && said.some(named),
    `the adapter does not say UnsupportedOption of ${lacking.join(" or ")}, but ${
      said.map(({ message, reason }) => `${reason._tag} (${message})`).join(", ") || "nothing"
    }`
  )
})

/** What the name of an option must have in it, so that whoever has set it knows which is meant. */
const words: Readonly<Record<Need, RegExp>> = {
  clientCertificate: /client.?certificate/i,
  serverName: /server.?name/i,
  insecureSkipVerify: /skip.?verify|verification/i,
  proxy: /proxy/i,
  socks5: /socks5/i,
  dial: /dial/i
}

/** What a row needs that an adapter cannot do. A row that is about all channels needs it on all. */
const unsupportedNeeds = (row: Row, unsupported: Unsupported): ReadonlyArray<Need> =>
  row.needs.filter((need) => {
    const channels = unsupported[need] ?? []
    return row.channel === undefined ? channels.length > 0 : channels.includes(row.channel)
  })
