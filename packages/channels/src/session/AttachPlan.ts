/**
 * What of a pod can be attached to, and what is asked for. Pure.
 */
import type { Pod } from "@effect-k8s/core/apis/core/v1"
import type { KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Result from "effect/Result"
import type { Resolved } from "../Target.ts"

/** Which streams are wanted. */
export interface Wanted {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  /** A terminal is insisted on. */
  readonly tty: boolean
}

/** How a container is attached to. */
export interface Plan {
  /** The run of the container: it has another id after a restart. */
  readonly containerId: string
  readonly uid: string
  readonly tty: boolean
  /** The end of stdin reaches the container; otherwise its stdin stays open for the next one that attaches. */
  readonly endsStdin: boolean
  /**
   * The container has a stdin that is not wanted. Over WebSocket v4 servers take that for its end: the session is over at
   * once with Success, and with `stdinOnce` the container has lost its stdin (seen on 1.28 and 1.36).
   */
  readonly leavesStdin: boolean
  readonly streams: Omit<Wanted, "tty">
}

/** A pod as far as it matters here. */
export type HasContainers = Pick<Pod, "metadata" | "spec" | "status">

interface Spec {
  readonly name: string
  readonly stdin?: boolean | undefined
  readonly stdinOnce?: boolean | undefined
  readonly tty?: boolean | undefined
}

const specs = ({ spec }: HasContainers): ReadonlyArray<Spec> => [
  ...spec.containers,
  ...(spec.initContainers ?? []),
  ...(spec.ephemeralContainers ?? [])
]

/** The status of a container of any kind. */
export const statusOf = ({ status }: HasContainers, container: string) =>
  [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? [])
  ].find(({ name }) => name === container)

const describe = (pod: HasContainers, container: string): Pick<KubeError.ContainerNotRunning, "state" | "detail"> => {
  const state = statusOf(pod, container)?.state
  if (state?.terminated !== undefined) {
    const { exitCode, reason } = state.terminated
    return { state: "terminated", detail: `${reason ?? "ended"}, exit code ${exitCode}` }
  }
  return { state: "waiting", detail: state?.waiting?.reason ?? `the pod is ${pod.status.phase ?? "not on a node yet"}` }
}

/** Why a container is not running. */
export const notRunning = (pod: HasContainers, container: string): KubeError.ContainerNotRunning =>
  new KubeError.ContainerNotRunning({ pod: pod.metadata.name, container, ...describe(pod, container) })

/**
 * How to attach to a container. Fails for one that the pod does not have, that does not run, or that was started without
 * what is wanted: servers accept that, and then nothing ever arrives.
 */
export const make = (
  pod: HasContainers,
  container: string,
  wanted: Wanted
): Result.Result<Plan, KubeError.ContainerNotFound | KubeError.ContainerNotRunning | KubeError.NoSuchStream> => {
  const spec = specs(pod).find(({ name }) => name === container)
  const { name } = pod.metadata
  if (spec === undefined) {
    const containers = specs(pod).map((one) => one.name)
    return Result.fail(new KubeError.ContainerNotFound({ pod: name, container, containers }))
  }
  const status = statusOf(pod, container)
  if (status?.containerID === undefined || status.state?.running === undefined) {
    return Result.fail(notRunning(pod, container))
  }
  const tty = spec.tty === true
  if (wanted.tty && !tty) return Result.fail(new KubeError.NoSuchStream({ pod: name, container, stream: "tty" }))
  if (wanted.stdin && spec.stdin !== true) {
    return Result.fail(new KubeError.NoSuchStream({ pod: name, container, stream: "stdin" }))
  }
  return Result.succeed({
    containerId: status.containerID,
    uid: pod.metadata.uid,
    tty,
    endsStdin: wanted.stdin && (tty || spec.stdinOnce === true),
    leavesStdin: !wanted.stdin && spec.stdin === true,
    // A terminal has one output; servers refuse to be asked for two.
    streams: { stdin: wanted.stdin, stdout: wanted.stdout, stderr: wanted.stderr && !tty }
  })
}

/** The request, without the headers of a protocol. */
export const toRequest = (
  { container, namespace, pod }: Omit<Resolved, "image">,
  { streams, tty }: Plan
): KubeRequest => ({
  method: "GET",
  path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/attach`,
  query: [
    ["container", container],
    ...(["stdin", "stdout", "stderr"] as const).flatMap((name) => streams[name] ? [[name, "true"] as const] : []),
    ...(tty ? [["tty", "true"] as const] : [])
  ],
  accept: "*/*",
  info: { verb: "attach", resource: "pods/attach", namespace, name: pod }
})
