/**
 * One row of the conformance table: a requirement in words, and a program that fails when it is not met.
 */
import type { Listeners } from "@effect-k8s/channels/Listeners"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Formatter from "effect/Formatter"
import type * as Path from "effect/Path"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Scope from "effect/Scope"
import { isDeepStrictEqual } from "node:util"
import * as Lab from "./Lab.ts"

/** What a row's program may use. */
export type Environment =
  | KubeClient
  | Platform
  | Listeners
  | ChildProcessSpawner
  | FileSystem.FileSystem
  | Path.Path
  | Lab.Lab
  | Scope.Scope

/** A row. */
export interface Row {
  /** Its number in the list of cases: `E1`, `V4`. */
  readonly id: string
  /** The requirement. */
  readonly name: string
  /** Why a real cluster cannot be made to show it; nothing where one can. */
  readonly scripted: string | undefined
  /** Why it says nothing about a server that is reached so; nothing for the servers that it is for. */
  readonly inapplicable: (server: Lab.Server, endpoint: Endpoint) => string | undefined
  /** The paths it runs on. */
  readonly paths: ReadonlyArray<Lab.Path>
  /** Why it is not both of them. */
  readonly why: string | undefined
  readonly run: Effect.Effect<void, unknown, Environment>
}

/** Options of a row. */
export interface Options {
  /** Why a real cluster cannot be made to show it; such a row runs on TestCluster only. */
  readonly scripted?: string | undefined
  /** It writes stdin to its end over WebSocket, which servers before 1.30 cannot be told. */
  readonly halfClose?: boolean | undefined
  /** The only path it runs on, and why the other makes no sense. Both unless told. */
  readonly only?: { readonly path: Lab.Path; readonly why: string } | undefined
  /** What makes it say nothing about some servers, or ways to reach them, besides the above. */
  readonly inapplicable?: Row["inapplicable"] | undefined
}

/** A row that runs everywhere, or, `scripted`, on TestCluster only. */
export const row = (
  id: string,
  name: string,
  run: Effect.Effect<void, unknown, Environment> | (() => Effect.fn.Return<void, unknown, Environment>),
  options: Options = {}
): Row => ({
  id,
  name,
  scripted: options.scripted,
  paths: options.only === undefined ? ["direct", "tunnel"] : [options.only.path],
  why: options.only?.why,
  inapplicable: (server, endpoint) => inapplicable(options, server, endpoint),
  run: Effect.isEffect(run) ? run : Effect.gen(run)
})

const inapplicable = (options: Options, server: Lab.Server, endpoint: Endpoint): string | undefined => {
  const reason = options.inapplicable?.(server, endpoint)
  if (reason !== undefined || server._tag === "TestCluster") return reason
  if (options.scripted !== undefined) return options.scripted
  return options.halfClose === true && Lab.minorVersion(server) < 30
    ? `Kubernetes ${server.version} cannot be told the end of stdin over WebSocket; H1 shows that SPDY is used`
    : undefined
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

/** The tag of the reason that an effect fails with, or what it gives. */
export const reasonOf = <
  A,
  E extends { readonly _tag: string; readonly reason?: { readonly _tag: string } | undefined },
  R
>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<string, never, R> =>
  Effect.match(effect, {
    onSuccess: (value) => `success: ${JSON.stringify(value)}`,
    onFailure: (error) => error.reason?._tag ?? error._tag
  })

/** The error that an effect fails with; fails itself when the effect succeeds. */
export const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<E, Unmet, R> =>
  Effect.mapError(
    Effect.flip(effect),
    (value) => new Unmet({ message: `it should have failed, but gave ${JSON.stringify(value)}` })
  )
