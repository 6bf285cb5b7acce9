/**
 * The server of the shared cluster behind middlewares in an order to choose, on a port of its own: what is lost when one of
 * them wraps what it should pass on.
 */
import type { Target } from "@effect-k8s/channels/Target"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Faults from "../Faults.ts"
import * as RequestLog from "../RequestLog.ts"
import * as Authentication from "../server/Authentication.ts"
import type { Middleware } from "../server/Exchange.ts"
import * as HttpFrontend from "../server/HttpFrontend.ts"
import * as Middlewares from "../server/Middlewares.ts"
import { Lab } from "./Lab.ts"
import type { Unmet } from "./Row.ts"
import * as Scripted from "./Scripted.ts"

// A command takes its time: the order of all six among each other is for a test that does without one.
const names = ["authentication", "log", "compression", "the rest"] as const

/** A middleware, or those that look at failures and headers only. */
export type Name = (typeof names)[number]

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length === 0
    ? [[]]
    : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))

/** All orders, each from the inside out. */
export const orders: ReadonlyArray<ReadonlyArray<Name>> = permutations(names)

/** The server. */
export interface Stacked {
  /** Does something with the container of the pod `plain`, behind the middlewares in this order. One at a time. */
  readonly run: <A, E, R>(
    order: ReadonlyArray<Name>,
    use: (target: Target) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<R, KubeClient.KubeClient>>
  /** Execs that its log has seen. */
  readonly runs: Effect.Effect<number>
}

/** Starts the server, without TLS; the scope ends it. */
export const make: Effect.Effect<Stacked, KubeError | Unmet, Lab | Platform | Scope.Scope> = Effect.gen(function*() {
  const { credentials, path, target, tunnel } = yield* Lab
  const cluster = yield* Scripted.cluster
  const administrator = { name: "admin", groups: ["system:masters"] }
  const { identify } = Authentication.make(new Map([[Redacted.value(cluster.token), administrator]]))
  const { log, middleware: logged } = RequestLog.make(identify)
  const { middleware: faulty } = Faults.make(identify)
  const middlewares: Readonly<Record<Name, Middleware>> = {
    authentication: (next) => (request) =>
      identify(request) === undefined ? Effect.succeed(Authentication.refused) : next(request),
    log: logged,
    compression: Middlewares.compressed,
    "the rest": (next) => faulty(Middlewares.audited(Middlewares.recovered(next)))
  }
  let { handler } = cluster
  const { url } = yield* HttpFrontend.make({ handler: (request) => handler(request) })
  const client = yield* KubeClient.make({
    endpoint: path === "tunnel" ? { url, dial: tunnel.dial } : { url },
    credentials
  })
  return {
    run: (order, use) =>
      Effect.suspend(() => {
        handler = order.reduce((next, name) => middlewares[name](next), cluster.handler)
        return Effect.provideService(use(target()), KubeClient.KubeClient, client)
      }),
    runs: log.count({ resource: "pods/exec" })
  }
})
