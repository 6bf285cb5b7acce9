/**
 * Local listeners in front of a session of forwarded connections.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { ForwardOptions } from "../ForwardOptions.ts"
import type * as ForwardTarget from "../ForwardTarget.ts"
import { type Listener, ListenError, Listeners } from "../Listeners.ts"
import { openSession, type Session } from "./openSession.ts"
import { isPort } from "./podPorts.ts"
import { relay, type RelayError } from "./relay.ts"

/**
 * A port to listen on, and where its connections go. A number alone is both, and so is the number of a name, as with
 * kubectl: a service's own, wherever the service sends it.
 */
export type ForwardedPort = number | string | {
  /** The pod's or service's port, by number or name. */
  readonly remote: number | string
  /** 0 is a free one. The number of `remote` unless told: `svc/web 80` listens at 80, wherever the service sends it. */
  readonly local?: number | undefined
}

/** Options of `listen`. */
export interface ListenOptions extends ForwardOptions {
  /**
   * The addresses to listen on: `localhost` unless told, which is 127.0.0.1 and, where there is one, ::1. Whoever can
   * reach them can reach the pod.
   */
  readonly addresses?: readonly [string, ...ReadonlyArray<string>] | undefined
  /**
   * How long the pod may be silent after a local peer has ended its way, before the connection is broken off; 1 minute
   * unless told, and never less than 2 seconds, because servers tell only a second later that the pod has ended its own.
   */
  readonly lingerAfterEnd?: Duration.Input | undefined
  /** Told of each connection that was broken off, and why; logged at debug level unless told. */
  readonly onBroken?: ((port: number, error: RelayError) => Effect.Effect<void>) | undefined
}

/** A port that is listened on. */
export interface Forwarding {
  /** With the number that was chosen, where 0 was asked for. */
  readonly local: Address
  /** The port of the pod. */
  readonly remote: number
}

/** What is listened on. It ends with the scope that it was made in, and all its connections with it. */
export interface Listening {
  readonly ports: ReadonlyArray<Forwarding>
  readonly session: Session
}

interface Wanted {
  readonly asked: number | string
  readonly remote: number
  readonly local: number
}

const defaultLinger = Duration.minutes(1)
const leastLinger = Duration.seconds(2)

/** Listens at one port: `localhost` is IPv4 and IPv6, at the same number, and one of them is enough. */
const listenAt = Effect.fnUntraced(function*(
  hosts: ReadonlyArray<string>,
  port: number
): Effect.fn.Return<ReadonlyArray<Listener>, ListenError, Listeners | Scope.Scope> {
  const { listen } = yield* Listeners
  const found: Array<Listener> = []
  for (const host of hosts) {
    // Of a number that is none runtimes make what they like: some throw it.
    if (port !== 0 && !isPort(port)) return yield* new ListenError({ address: { host, port }, why: "no-port" })
    // A number that was chosen for the first address is used for the others.
    const wanted = port === 0 ? found[0]?.address.port ?? 0 : port
    if (host !== "localhost") {
      found.push(yield* listen({ host, port: wanted }))
      continue
    }
    const first = yield* listen({ host: "127.0.0.1", port: wanted })
    found.push(first)
    const second = yield* Effect.result(listen({ host: "::1", port: first.address.port }))
    if (Result.isSuccess(second)) found.push(second.success)
    // A program that listens on ::1 alone would be taken for the pod by half of the clients.
    else if (port !== 0 && second.failure.why === "in-use") return yield* second.failure
  }
  return found
})

/** Opens the session first: what is wrong with the pod is told before anything listens. */
export const listen = Effect.fnUntraced(function*(
  target: ForwardTarget.ForwardTarget,
  ports: readonly [ForwardedPort, ...ReadonlyArray<ForwardedPort>],
  options: ListenOptions
): Effect.fn.Return<Listening, KubeError | ListenError, KubeClient | Listeners | Scope.Scope> {
  const session = yield* openSession(target, options)
  const linger = options.lingerAfterEnd === undefined
    ? defaultLinger
    : Duration.max(Duration.fromInputUnsafe(options.lingerAfterEnd), leastLinger)

  const wanted = yield* Effect.forEach(ports, (port): Effect.Effect<Wanted, KubeError> => {
    const asked = typeof port === "object" ? port.remote : port
    return Effect.map(session.portOf(asked), (found) => ({
      asked,
      remote: found.port,
      local: (typeof port === "object" ? port.local : undefined) ?? found.asked
    }))
  })

  const broken = (port: number, error: RelayError): Effect.Effect<void> =>
    options.onBroken?.(port, error) ?? Effect.logDebug(error.message)

  const listening: Array<Forwarding> = []
  const all: Array<readonly [Wanted, Listener]> = []
  for (const one of wanted) {
    for (const listener of yield* listenAt(options.addresses ?? ["localhost"], one.local)) {
      all.push([one, listener])
      listening.push({ local: listener.address, remote: one.remote })
    }
  }
  // None accepts before all are there.
  for (const [{ asked, remote }, listener] of all) {
    yield* Effect.forkScoped(
      listener.run((accepted) =>
        relay(accepted, { connect: session.connectOwned(asked), linger }).pipe(
          Effect.catch((error) => broken(remote, error))
        )
      )
    )
  }
  return { ports: listening, session }
})
