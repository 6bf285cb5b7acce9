/**
 * Where connections are forwarded to: a pod, or what selects pods.
 */
import * as Api from "@effect-k8s/core/Api"
import * as Apps from "@effect-k8s/core/apis/apps/v1"
import * as Core from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Resource from "@effect-k8s/core/Resource"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as PodPorts from "./forward/podPorts.ts"
import type * as Target from "./Target.ts"

/** The kinds of object that select pods. */
export type SelectingKind = "service" | "deployment" | "statefulset"

/** What selects pods, of which one is taken. */
export interface Selecting<out Kind extends SelectingKind = SelectingKind> {
  readonly kind: Kind
  readonly name: string
  /** The client's namespace unless told. */
  readonly namespace: string | undefined
}

/** A pod, or what selects one. */
export type ForwardTarget = Target.Target | Selecting

/** Where, beside the name. */
export interface Options {
  /** The client's namespace unless told. */
  readonly namespace?: string | undefined
}

const selecting =
  <Kind extends SelectingKind>(kind: Kind) => (name: string, options: Options = {}): Selecting<Kind> => ({
    kind,
    name,
    namespace: options.namespace
  })

/** A pod of a service. Ports are the service's: numbers or names, as the service maps them to the pod's. */
export const service: (name: string, options?: Options) => Selecting<"service"> = selecting("service")

/** A pod of a deployment. */
export const deployment: (name: string, options?: Options) => Selecting<"deployment"> = selecting("deployment")

/** A pod of a stateful set. */
export const statefulSet: (name: string, options?: Options) => Selecting<"statefulset"> = selecting("statefulset")

/** A pod that was found. */
export interface Resolved {
  readonly namespace: string
  readonly pod: string
  /** Nothing where the pod may not be read. */
  readonly uid: string | undefined
  /** Which port of the pod is meant. Fails with `PortUnavailable`. */
  readonly port: (port: number | string) => Effect.Effect<PodPorts.Found, KubeError.KubeError>
}

/** For reading: `service shop/web`, `pod web-0`. */
export const format = (target: ForwardTarget): string => {
  const [kind, name] = "kind" in target ? [target.kind, target.name] : ["pod", target.pod]
  return `${kind} ${target.namespace === undefined ? "" : `${target.namespace}/`}${name}`
}

const pollMillis = 500

/**
 * Finds the pod. One that is named must run; of those that are selected, a ready one is preferred, and one that runs is
 * waited for.
 *
 * Fails with `NotFound`, with `PodUnavailable` when none runs, and with `Encode` when a name is none. Whoever may forward
 * to a pod but not read it can name it, and its ports by number.
 */
export const resolve = Effect.fnUntraced(function*(
  target: ForwardTarget,
  options: { readonly podTimeout: Duration.Duration }
): Effect.fn.Return<Resolved, KubeError.KubeError, KubeClient> {
  const client = yield* KubeClient
  const namespace = target.namespace ?? client.namespace
  const name = "kind" in target ? target.name : target.pod
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({
      reason,
      request: { verb: "port-forward", resource: "pods/portforward", namespace, name, server: client.cluster.server }
    })
  const wrong = [namespace, name].find((name) => !Resource.isName(name))
  if (wrong !== undefined) {
    return yield* fail(new KubeError.Encode({ description: `${JSON.stringify(wrong)} is not a name` }))
  }
  const pods = Api.make(Core.Pod, { namespace })

  const resolved = (
    { name: pod, uid }: { readonly name: string; readonly uid?: string | undefined },
    portOf: (port: number | string) => PodPorts.Port
  ): Resolved => ({
    namespace,
    pod,
    uid,
    port: (port) => {
      const found = portOf(port)
      return found._tag === "Port"
        ? Effect.succeed(found)
        : Effect.fail(fail(new KubeError.PortUnavailable({ port: String(port), description: found.description })))
    }
  })

  if (!("kind" in target)) {
    const pod = yield* pods.get(target.pod).pipe(
      Effect.catchIf(({ reason }) => reason._tag === "Forbidden", () => Effect.undefined)
    )
    if (pod === undefined) {
      const unread = { metadata: { name: target.pod }, spec: { containers: [] } } as const
      return resolved({ name: target.pod }, (port) =>
        typeof port === "number" ? PodPorts.ofPod(unread, port) : {
          _tag: "NoPort",
          description: `the name of port ${port} cannot be looked up, because pod ${target.pod} may not be read`
        })
    }
    if (!PodPorts.isRunning(pod)) {
      const description = pod.metadata.deletionTimestamp === undefined
        ? `pod ${pod.metadata.name} is ${pod.status.phase ?? "in no phase"}`
        : `pod ${pod.metadata.name} is being deleted`
      return yield* fail(new KubeError.PodUnavailable({ description }))
    }
    return resolved(pod.metadata, (port) => PodPorts.ofPod(pod, port))
  }

  const select = Effect.fnUntraced(function*(labelSelector: string) {
    const begun = yield* Clock.currentTimeMillis
    if (labelSelector === "") {
      return yield* fail(new KubeError.PodUnavailable({ description: `${format(target)} selects no pods` }))
    }
    while (true) {
      const { items } = yield* pods.list({ labelSelector })
      const pod = PodPorts.best(items)
      if (pod !== undefined && PodPorts.isRunning(pod)) return pod
      if ((yield* Clock.currentTimeMillis) - begun >= Duration.toMillis(options.podTimeout)) {
        const description = pod === undefined
          ? `no pod is selected by ${format(target)} (${labelSelector})`
          : `none of the ${items.length} pods of ${format(target)} runs`
        return yield* fail(new KubeError.PodUnavailable({ description }))
      }
      yield* Effect.sleep(pollMillis)
    }
  })

  switch (target.kind) {
    case "service": {
      const service = yield* Api.make(Core.Service, { namespace }).get(name)
      const pod = yield* select(PodPorts.selectorText({ matchLabels: service.spec.selector }))
      return resolved(pod.metadata, (port) => PodPorts.ofService(service, pod, port))
    }
    case "deployment": {
      const { spec } = yield* Api.make(Apps.Deployment, { namespace }).get(name)
      const pod = yield* select(PodPorts.selectorText(spec.selector))
      return resolved(pod.metadata, (port) => PodPorts.ofPod(pod, port))
    }
    case "statefulset": {
      const { spec } = yield* Api.make(Apps.StatefulSet, { namespace }).get(name)
      const pod = yield* select(PodPorts.selectorText(spec.selector))
      return resolved(pod.metadata, (port) => PodPorts.ofPod(pod, port))
    }
  }
})
