/**
 * A pool of connections of undici, made by a `Connector`.
 */
import type * as Undici from "@effect/platform-node/Undici"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Connector, Target } from "./connector.ts"

// API servers keep idle connections for minutes; a client that polls should not pay a handshake each time.
const keepAliveMillis = 60_000

/** Where undici wants a connection to. */
export const target = (options: Undici.buildConnector.Options, allowH2: boolean): Target => {
  const secure = options.protocol === "https:"
  return {
    address: {
      host: options.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: options.port === "" ? (secure ? 443 : 80) : Number(options.port)
    },
    secure,
    allowH2
  }
}

/** A dispatcher of its own connections, of HTTP/2 where it is allowed and negotiated; the scope destroys them. */
export const make = Effect.fnUntraced(function*(
  undici: typeof Undici,
  connector: Connector,
  allowH2: boolean
): Effect.fn.Return<Undici.Dispatcher, never, Scope.Scope> {
  const fork = Effect.runForkWith(yield* Effect.context())
  const agent = (allowH2: boolean): Undici.Agent =>
    new undici.Agent({
      allowH2,
      keepAliveTimeout: keepAliveMillis,
      keepAliveMaxTimeout: keepAliveMillis,
      connect: (options, callback) => {
        // A dialler may have a connection at once; undici forgets a request that is answered before it waits.
        fork(Effect.andThen(Effect.yieldNow, connector(target(options, allowH2)))).addObserver((exit) =>
          Exit.isSuccess(exit) ? callback(null, exit.value) : callback(toError(exit.cause), null)
        )
      }
    })
  const acquire = (allowH2: boolean) =>
    Effect.acquireRelease(Effect.sync(() => agent(allowH2)), (agent) => Effect.promise(() => agent.destroy()))
  const http1 = yield* acquire(false)
  // Over HTTP/2 undici joins repeated headers with commas, which would make one group of two.
  return (allowH2 ? yield* acquire(true) : http1).compose((dispatch) => (options, handler) =>
    isRecord(options.headers) && hasRepeated(options.headers)
      ? http1.dispatch({ ...options, headers: withRepeated(options.headers) }, handler)
      : dispatch(options, handler)
  )
})

const toError = (cause: Cause.Cause<unknown>): Error => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error : new Error(String(error))
}

type Values = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

const isRecord = (headers: Undici.Dispatcher.DispatchOptions["headers"]): headers is Record<string, string> =>
  headers !== null && headers !== undefined && !Array.isArray(headers) && !(Symbol.iterator in headers)

const isRepeated = (value: unknown): value is string => typeof value === "string" && value.includes("\n")

const hasRepeated = (headers: Values): boolean => Object.values(headers).some(isRepeated)

/** A header value with line feeds as one header line per part, as the transport's contract says. */
export const withRepeated = (headers: Values): Record<string, string | Array<string> | undefined> =>
  Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      isRepeated(value) ? value.split("\n") : typeof value === "object" ? [...value] : value
    ])
  )
