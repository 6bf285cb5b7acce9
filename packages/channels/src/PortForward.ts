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
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Session from "./forward/openSession.ts"
import type { ForwardOptions } from "./ForwardOptions.ts"
import * as ForwardTarget from "./ForwardTarget.ts"

export {
  /** A connection through a forwarded port. */
  type Connection
} from "./forward/ForwardConnection.ts"
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
 * Opens a session to a pod. Closing the scope ends it, and all its connections, in success, failure and interruption.
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
