/**
 * Which pod and which of its ports a forward means, by the rules of kubectl. Pure.
 */
import type { Pod, Service } from "@effect-k8s/core/apis/core/v1"
import type { LabelSelector } from "@effect-k8s/core/apis/meta/v1"

/** What tells the ports of a pod. */
export interface HasPorts {
  readonly metadata: { readonly name: string }
  readonly spec: Pick<Pod["spec"], "containers" | "initContainers">
}

/** A port that was found. */
export interface Found {
  /** The pod's. */
  readonly port: number
  /** The number that was asked for, by itself or by its name: a service's is the service's, wherever that sends it. */
  readonly asked: number
}

/** A port, or the sentence that says why it is none. */
export type Port =
  | ({ readonly _tag: "Port" } & Found)
  | { readonly _tag: "NoPort"; readonly description: string }

const maxPort = 65_535

/** Whether a number can be that of a port. */
export const isPort = (port: number): boolean => Number.isInteger(port) && port > 0 && port <= maxPort

/** What is said of a number that can not. */
export const outOfRange = (port: number): string => `${port} is no port: ports are 1 to ${maxPort}`

const found = (port: number): Port => ({ _tag: "Port", port, asked: port })

const noPort = (description: string): Port => ({ _tag: "NoPort", description })

const notUdp = (port: number | string): Port => noPort(`port ${port} speaks UDP, and only TCP can be forwarded`)

const declared = ({ spec }: HasPorts) =>
  [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ ports }) => ports ?? [])

const isTcp = (protocol: string | undefined): boolean => protocol === undefined || protocol === "TCP"

/** A number is the port itself, unless the pod says that it speaks UDP alone; a name is that of a container's port. */
export const ofPod = (pod: HasPorts, port: number | string): Port => {
  const ports = declared(pod)
  if (typeof port === "number") {
    if (!isPort(port)) return noPort(outOfRange(port))
    const known = ports.filter(({ containerPort }) => containerPort === port)
    return known.length > 0 && !known.some(({ protocol }) => isTcp(protocol)) ? notUdp(port) : found(port)
  }
  const named = ports.find(({ name }) => name === port)
  if (named === undefined) {
    const names = ports.flatMap(({ name }) => name ?? [])
    const others = names.length === 0 ? "its containers name no port" : `it has ${names.join(", ")}`
    return noPort(`pod ${pod.metadata.name} has no port named ${port}; ${others}`)
  }
  return isTcp(named.protocol) ? found(named.containerPort) : notUdp(port)
}

/**
 * A port of a service, by number or name, is what the service sends it to: a port of the pod, by number or name, and the
 * same number where nothing is said. A headless service sends nothing anywhere, so its numbers are the pod's, asked for by
 * themselves or by their names, and `targetPort` means nothing, as the API's documents say.
 */
export const ofService = (service: Pick<Service, "metadata" | "spec">, pod: HasPorts, port: number | string): Port => {
  const { clusterIP, ports = [] } = service.spec
  const matching = ports.filter((one) => one.port === port || one.name === port)
  const one = matching.find(({ protocol }) => isTcp(protocol))
  if (one === undefined) {
    if (matching.length > 0) return notUdp(port)
    const known = ports.map(({ name, port }) => name === undefined ? port : `${port} (${name})`)
    const others = known.length === 0 ? "it has none" : `it has ${known.join(", ")}`
    return noPort(`service ${service.metadata.name} has no port ${port}; ${others}`)
  }
  const target = clusterIP === "None" ? undefined : one.targetPort
  const ofTarget = ofPod(pod, target === undefined || target === 0 || target === "" ? one.port : target)
  return ofTarget._tag === "Port" ? { ...ofTarget, asked: one.port } : ofTarget
}

/** A selector in the API's text form. */
export const selectorText = (selector: LabelSelector): string =>
  [
    ...Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`),
    ...(selector.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
      switch (operator) {
        case "In":
          return `${key} in (${values.join(",")})`
        case "NotIn":
          return `${key} notin (${values.join(",")})`
        case "DoesNotExist":
          return `!${key}`
        default:
          return key
      }
    })
  ].join(",")

/** Whether connections can be forwarded to it. */
export const isRunning = (pod: Pick<Pod, "metadata" | "status">): boolean =>
  pod.status.phase === "Running" && pod.metadata.deletionTimestamp === undefined

const isReady = (pod: Pick<Pod, "status">): boolean =>
  (pod.status.conditions ?? []).some(({ status, type }) => type === "Ready" && status === "True")

const age = (pod: Pick<Pod, "metadata">): string => pod.metadata.creationTimestamp ?? ""

/** The one that serves best: it runs, it is ready, and has been there for longest. */
export const best = <P extends Pick<Pod, "metadata" | "status">>(pods: ReadonlyArray<P>): P | undefined => {
  const rank = (pod: P): number => (isRunning(pod) ? 2 : 0) + (isReady(pod) ? 1 : 0)
  return pods.reduce<P | undefined>(
    (best, pod) =>
      best === undefined || rank(pod) > rank(best) || (rank(pod) === rank(best) && age(pod) < age(best)) ? pod : best,
    undefined
  )
}
