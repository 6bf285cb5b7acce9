/**
 * Where a command runs: a pod, and which of its containers.
 */
import * as Api from "@effect-k8s/core/Api"
import * as Pods from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Resource from "@effect-k8s/core/Resource"
import * as Effect from "effect/Effect"

/** Where, below the pod's name. */
export interface Options {
  /** The client's namespace unless told. */
  readonly namespace?: string | undefined
  /** The one that kubectl would take unless told: what the pod's annotation names, else the first. */
  readonly container?: string | undefined
}

/** A pod, and a container of it. */
export interface Target {
  readonly pod: string
  readonly namespace: string | undefined
  readonly container: string | undefined
  /** The image of the container, where it is known. */
  readonly image: string | undefined
}

const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

/**
 * A pod by name. Without a container the pod is read when a command starts, to find the default one.
 *
 * @example
 * ```ts
 * import * as Target from "@effect-k8s/channels/Target"
 *
 * Target.pod("web-0", { namespace: "shop" }).pod // => "web-0"
 * ```
 */
export const pod = (name: string, options: Options = {}): Target => ({
  pod: name,
  namespace: options.namespace,
  container: options.container,
  image: undefined
})

/** What of a pod tells its containers. */
type HasContainers = Pick<Pods.Pod, "metadata" | "spec">

/** A pod that was read: its namespace and its default container are known, and no further request is needed. */
export const fromPod = (
  pod: HasContainers,
  options: Pick<Options, "container"> = {}
): Target => {
  const container = options.container ?? defaultContainer(pod)
  return {
    pod: pod.metadata.name,
    namespace: pod.metadata.namespace,
    container,
    image: containers(pod).find(({ name }) => name === container)?.image
  }
}

const containers = (
  { spec }: HasContainers
): ReadonlyArray<{ readonly name: string; readonly image?: string | undefined }> => [
  ...spec.containers,
  ...(spec.initContainers ?? []),
  ...(spec.ephemeralContainers ?? [])
]

// As kubectl: an annotation that names no container is passed over.
const defaultContainer = (pod: HasContainers): string | undefined => {
  const annotated = pod.metadata.annotations?.[defaultContainerAnnotation]
  return containers(pod).some(({ name }) => name === annotated) ? annotated : pod.spec.containers[0]?.name
}

/** A target with everything filled in. */
export interface Resolved {
  readonly pod: string
  readonly namespace: string
  readonly container: string
  readonly image: string | undefined
}

/**
 * Fills in the namespace and the container. Reads the pod when no container is named.
 *
 * Fails with `NotFound` when there is no such pod, and with `Encode` when a name is none.
 */
export const resolve = Effect.fnUntraced(function*(
  target: Target
): Effect.fn.Return<Resolved, KubeError.KubeError, KubeClient> {
  const client = yield* KubeClient
  const namespace = target.namespace ?? client.namespace
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({
      reason,
      request: { verb: "get", resource: "pods", namespace, name: target.pod, server: client.cluster.server }
    })
  const wrong = [namespace, target.pod].find((name) => !Resource.isName(name))
  if (wrong !== undefined) {
    return yield* fail(new KubeError.Encode({ description: `${JSON.stringify(wrong)} is not a name` }))
  }
  if (target.container !== undefined) return { ...target, namespace, container: target.container }
  const found = fromPod(yield* Api.make(Pods.Pod, { namespace }).get(target.pod))
  if (found.container === undefined) {
    return yield* fail(new KubeError.ContainerNotFound({ pod: target.pod, containers: [] }))
  }
  return { ...found, namespace, container: found.container }
})

/** `pod`, `pod/container` with the namespace in front where it is known: for reading. */
export const format = (target: Target): string =>
  [target.namespace, target.pod, target.container].filter((part) => part !== undefined).join("/")
