/**
 * Listening on local addresses: what an adapter provides, because channels know no runtime.
 */
import type { Address } from "@effect-k8s/core/Endpoint"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"

const TypeId = "~@effect-k8s/channels/ListenError"

/** A local address could not be listened on. */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly address: Address
  /**
   * `in-use`, `forbidden` (ports below 1024), `no-address` (not of this machine), `no-port` (not 0 to 65535),
   * `not-permitted` (this process was started without the permission), or something else.
   */
  readonly why: "in-use" | "forbidden" | "no-address" | "no-port" | "not-permitted" | "other"
  /** What grants the permission, on runtimes that know such: `--allow-net=127.0.0.1:8080`. */
  readonly flag?: string | undefined
  readonly cause?: unknown
}> {
  readonly [TypeId] = TypeId

  override get message(): string {
    const { host, port } = this.address
    const at = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
    switch (this.why) {
      case "in-use":
        return `${at} is in use by another program; choose another port, or 0 for a free one`
      case "forbidden":
        return `${at} may not be listened on by this user; choose a port above 1023`
      case "no-address":
        return `${host} is no address of this machine, or none of this kind is configured`
      case "no-port":
        return `${port} is no port to listen on: those are 1 to 65535, and 0 is a free one`
      case "not-permitted":
        return `this process may not listen at ${at}; run it with ${this.flag ?? "the permission"}`
      case "other":
        return `${at} could not be listened on${this.cause instanceof Error ? ` (${this.cause.message})` : ""}`
    }
  }
}

/** An error of listening by the POSIX code of its cause, as runtimes pass it on: `EADDRINUSE`. */
export const listenError = (address: Address, cause: unknown): ListenError =>
  new ListenError({ address, why: whyOf(cause), cause })

const whyOf = (cause: unknown): ListenError["why"] => {
  switch (Predicate.hasProperty(cause, "code") ? cause.code : undefined) {
    case "EADDRINUSE":
      return "in-use"
    case "EACCES":
      return "forbidden"
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
    case "ENOTFOUND":
      return "no-address"
    default:
      return "other"
  }
}

/** Whether a value is a `ListenError`. */
export const isListenError = (u: unknown): u is ListenError => Predicate.hasProperty(u, TypeId)

/** A connection that was accepted. */
export interface Accepted {
  /** Its reader is to be acquired once. The end of the peer is `SocketCloseError` 1000; releasing the writer ends ours. */
  readonly socket: Socket.Socket
  /** Breaks the connection off, so that the peer takes it for no clean end. */
  readonly reset: Effect.Effect<void>
}

/** A local address that is listened on. */
export interface Listener {
  /** With the port that was chosen, where 0 was asked for. */
  readonly address: Address
  /** Runs the handler for each connection, those included that came before. Connections end with their handlers. */
  readonly run: <R>(
    handler: (accepted: Accepted) => Effect.Effect<void, never, R>
  ) => Effect.Effect<never, ListenError, R>
}

/** Listens on local TCP addresses; the scope stops it. Connections may be closed one way and go on the other. */
export class Listeners extends Context.Service<Listeners, {
  readonly listen: (address: Address) => Effect.Effect<Listener, ListenError, Scope.Scope>
}>()("@effect-k8s/channels/Listeners") {}
