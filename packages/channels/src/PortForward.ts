/**
 * Connections to ports of pods, through the API server.
 *
 * ```ts
 * const forward = yield* PortForward.open(Target.pod("db-0"))
 * const connection = yield* forward.connect(5432)
 * ```
 *
 * Many connections, to many ports, share a few sockets. One that is refused or broken off fails by itself, with the
 * server's words; the session lives, and goes on with a new socket, or a new pod of that name, when the old one is gone.
 */
import type { Tls } from "@effect-k8s/core/Endpoint"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import { Platform } from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import type * as Scope from "effect/Scope"
import * as Listen from "./forward/listen.ts"
import * as Session from "./forward/openSession.ts"
import type { ForwardOptions } from "./ForwardOptions.ts"
import * as ForwardTarget from "./ForwardTarget.ts"
import type { ListenError, Listeners } from "./Listeners.ts"

export {
  /** A connection through a forwarded port. */
  type Connection
} from "./forward/ForwardConnection.ts"
export {
  /** A port to listen on, and where its connections go. */
  type ForwardedPort,
  /** A port that is listened on. */
  type Forwarding,
  /** What is listened on. */
  type Listening,
  /** Options of `listen`. */
  type ListenOptions
} from "./forward/listen.ts"
export {
  /** Connections to the ports of one pod. */
  type Session,
  /** Counts of the moment. */
  type Stats
} from "./forward/openSession.ts"
export {
  /** A pod of a deployment. */
  deployment,
  /** A pod, or what selects one. */
  type ForwardTarget,
  /** A pod of a service, with the service's ports. */
  service,
  /** A pod of a stateful set. */
  statefulSet
} from "./ForwardTarget.ts"

/**
 * Opens a session to a pod. Closing the scope ends it, and all its connections, in success, failure and interruption. In
 * success it waits until what was written on connections to their end has arrived, for half a minute at most
 * (`lingerTimeout`).
 *
 * Fails with `KubeError`: by the Status of a refusal, `UpgradeRefused` with all that was tried, `PodUnavailable` where no
 * pod runs.
 */
export const open = (
  target: ForwardTarget.ForwardTarget,
  options: ForwardOptions = {}
): Effect.Effect<Session.Session, KubeError, KubeClient | Scope.Scope> =>
  Effect.withSpan(Session.openSession(target, options), "PortForward.open", {
    attributes: { "k8s.target": ForwardTarget.format(target) }
  })

/**
 * Listens on local ports, and forwards their connections: `kubectl port-forward` as a value. Closing the scope ends the
 * listeners and all connections.
 *
 * Fails with `KubeError` before anything listens, and with `ListenError`, which names the address, when one is in use. A
 * connection that the pod refuses or breaks off is broken off locally, never ended in order, and the others go on.
 */
export const listen = (
  target: ForwardTarget.ForwardTarget,
  ports: readonly [Listen.ForwardedPort, ...ReadonlyArray<Listen.ForwardedPort>],
  options: Listen.ListenOptions = {}
): Effect.Effect<Listen.Listening, KubeError | ListenError, KubeClient | Listeners | Scope.Scope> =>
  Effect.withSpan(Listen.listen(target, ports, options), "PortForward.listen", {
    attributes: { "k8s.target": ForwardTarget.format(target) }
  })

/** Options of `httpClient`. */
export interface HttpOptions extends ForwardOptions {
  /**
   * What the program in the pod speaks; `"http"` unless told. Its certificate must be for the host of the URLs, or for
   * `tls.serverName`.
   */
  readonly scheme?: "http" | "https" | undefined
  /** The host of the URLs; `localhost` unless told. */
  readonly host?: string | undefined
  /**
   * How `"https"` verifies the program, and who we are to it: its own authority, the name in its certificate, a client
   * certificate. Nothing of the cluster's TLS or credentials is used for it; the runtime's own trust is unless told.
   */
  readonly tls?: Tls | undefined
}

/**
 * A client of an HTTP server in a pod, whose connections are forwarded, and kept for later requests. Request URLs are on
 * `http://localhost` (see `HttpOptions`), with the port that was named, which is a service's own for a service, when it is
 * not the scheme's. Over TLS it is HTTP/2 where the server offers it and the runtime speaks it over a dialler: Node does,
 * Deno does not.
 *
 * ```ts
 * const client = yield* PortForward.httpClient(Target.pod("vault-0"), 8200, { scheme: "https", tls: { ca } })
 * const health = yield* client.get("https://localhost:8200/v1/sys/health")
 * ```
 *
 * Fails with `KubeError` when the session cannot be opened, and with `TransportError` when what `tls` holds cannot be
 * used. Requests fail as those of any `HttpClient`; the cause of one without an answer is our `TransportError`.
 */
export const httpClient = Effect.fnUntraced(function*(
  target: ForwardTarget.ForwardTarget,
  port: number | string,
  options: HttpOptions = {}
): Effect.fn.Return<
  HttpClient.HttpClient,
  KubeError | TransportError,
  KubeClient | Platform | Scope.Scope
> {
  const platform = yield* Platform
  const session = yield* Session.openSession(target, options)
  const { asked } = yield* session.portOf(port)
  const url = new URL(`${options.scheme ?? "http"}://${options.host ?? "localhost"}`)
  url.port = String(asked)
  const { classify, http } = yield* platform.transport({ url, tls: options.tls, dial: () => session.socket(port) })
  // Some runtimes pass on what breaks a connection that was made in words of their own.
  return HttpClient.transformResponse(
    http,
    Effect.mapError((error) => {
      if (error.reason._tag !== "TransportError") return error
      const { cause, request } = error.reason
      return new HttpClientError.HttpClientError({
        reason: new HttpClientError.TransportError({ request, cause: classify(cause ?? error.reason) })
      })
    })
  )
})
