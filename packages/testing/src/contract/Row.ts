/**
 * One row of the transport contract: a requirement in words, and a program that fails when an adapter does not meet it.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import type { Platform } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { isDeepStrictEqual } from "node:util"
import type { Adapter } from "./Adapter.ts"
import type { Peer } from "./Peer.ts"

/** The members of a `Transport` that rows run on. */
export type Channel = "http" | "streaming" | "upgrade"

/** All channels. */
export const channels: ReadonlyArray<Channel> = ["http", "streaming", "upgrade"]

/** Why a row failed. */
export type RowError = Unmet | TransportError | HttpClientError.HttpClientError

/** What a row's program may use. */
export type Environment = Platform | Peer | Adapter | Scope.Scope

/** A row. */
export interface Row {
  readonly group: string
  /** The requirement. */
  readonly name: string
  /** The channel it is about, unless it is about all. */
  readonly channel?: Channel | undefined
  /**
   * What the endpoint must be able to do for it. An adapter that cannot, on this channel, fails with `UnsupportedOption`.
   */
  readonly needs: ReadonlyArray<Need>
  /** Whether it makes sense without sockets: it is about bytes and answers only. */
  readonly inMemory: boolean
  readonly run: Effect.Effect<void, RowError, Environment>
}

/** Options of an endpoint, by the names that adapters declare unsupported. */
export type Need = "clientCertificate" | "serverName" | "insecureSkipVerify" | "proxy" | "socks5" | "dial"

/** What a row has besides its program. */
export interface Options {
  readonly needs?: ReadonlyArray<Need> | undefined
  readonly inMemory?: boolean | undefined
  readonly channels?: ReadonlyArray<Channel> | undefined
}

type Program = Effect.Effect<void, RowError, Environment>

/** Makes the rows of a group: one that is about a channel each, and one that is about none in particular. */
export const group = (name: string): {
  readonly each: (name: string, run: (channel: Channel) => Program, options?: Options) => ReadonlyArray<Row>
  readonly one: (name: string, run: Program, options?: Options) => Row
} => {
  const row = (requirement: string, channel: Channel | undefined, run: Program, options: Options): Row => ({
    group: name,
    name: channel === undefined ? requirement : `${channel}: ${requirement}`,
    channel,
    needs: options.needs ?? [],
    inMemory: options.inMemory ?? false,
    run
  })
  return {
    each: (requirement, run, options = {}) =>
      (options.channels ?? channels).map((channel) => row(requirement, channel, run(channel), options)),
    one: (requirement, run, options = {}) => row(requirement, undefined, run, options)
  }
}

/** A requirement that was not met. */
export class Unmet extends Data.TaggedError("Unmet")<{ readonly message: string }> {}

/** Fails unless the condition holds. */
export const check = (condition: boolean, message: string): Effect.Effect<void, Unmet> =>
  condition ? Effect.void : Effect.fail(new Unmet({ message }))

/** Fails unless the two have the same structure and the same values: `undefined`, `null` and `NaN` are three. */
export const same = <A>(actual: A, expected: A, what: string): Effect.Effect<void, Unmet> =>
  check(
    isDeepStrictEqual(actual, expected),
    `${what}: expected ${Formatter.format(expected)}, got ${Formatter.format(actual)}`
  )

const interval = "20 millis"
const polls = 250

/** Repeats a check until it holds; fails as it does when it never does. */
export const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(effect, { schedule: Schedule.spaced(interval), times: polls })

/** A number, once it is above zero and has not changed for half a second: what was under way has come to a halt. */
export const settled = Effect.fnUntraced(function*<E, R>(
  read: Effect.Effect<number, E, R>
): Effect.fn.Return<number, E, R> {
  let last = yield* read
  for (let unchanged = 0; unchanged < 25 || last === 0;) {
    yield* Effect.sleep(interval)
    const next = yield* read
    unchanged = next === last ? unchanged + 1 : 0
    last = next
  }
  return last
})

/** Fails unless the effect fails with a `TransportError` for one of these reasons; the reason otherwise. */
export const failsWith = Effect.fnUntraced(function*<Tag extends TransportError["reason"]["_tag"], R>(
  effect: Effect.Effect<unknown, RowError, R>,
  ...tags: ReadonlyArray<Tag>
): Effect.fn.Return<Extract<TransportError["reason"], { readonly _tag: Tag }>, RowError, R> {
  const result = yield* Effect.result(effect)
  if (Result.isSuccess(result)) {
    return yield* new Unmet({ message: `expected ${tags.join(" or ")}, but it succeeded` })
  }
  const error = result.failure
  if (error._tag !== "TransportError") return yield* error
  const { reason } = error
  if (!isOneOf(reason, tags)) {
    const { cause } = reason as { readonly cause?: unknown }
    return yield* new Unmet({
      message: `expected ${tags.join(" or ")}, got ${reason._tag}: ${reason.message}; its cause: ${String(cause)}`
    })
  }
  return reason
})

const isOneOf = <Tag extends TransportError["reason"]["_tag"]>(
  reason: TransportError["reason"],
  tags: ReadonlyArray<Tag>
): reason is Extract<TransportError["reason"], { readonly _tag: Tag }> => tags.some((tag) => tag === reason._tag)

/** An endpoint with TLS settings added. */
export const withTls = (endpoint: Endpoint, tls: Endpoint["tls"]): Endpoint => ({
  ...endpoint,
  tls: { ...endpoint.tls, ...tls }
})
