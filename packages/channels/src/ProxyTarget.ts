/**
 * What the API server is asked to connect to by a `proxy` subresource, and the path of it (protocol reference 1.7).
 */
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import { KubeClient, type KubeRequest } from "@effect-k8s/core/KubeClient"
import * as KubeError from "@effect-k8s/core/KubeError"
import * as Resource from "@effect-k8s/core/Resource"
import * as Effect from "effect/Effect"
import * as PodPorts from "./forward/podPorts.ts"
import * as ForwardTarget from "./ForwardTarget.ts"
import type * as Target from "./Target.ts"

/** A node: its kubelet, or another port of it. */
export interface Node {
  readonly kind: "node"
  readonly name: string
}

/** A pod, a service, of which the API server takes a pod that is ready, or a node. */
export type ProxyTarget = Target.Target | ForwardTarget.Selecting<"service"> | Node

/** A node. */
export const node = (name: string): Node => ({ kind: "node", name })

/** Which port of the target, and what it speaks. */
export interface Options {
  /**
   * A number, or a name: of a container's port, which is looked up in the pod, or of a service's. Unless told, the first
   * that a pod declares, the nameless one of a service, the kubelet's of a node.
   */
  readonly port?: number | string | undefined
  /** `"http"` unless told. With `"https"` the API server takes any certificate. A kubelet is always asked by `https`. */
  readonly scheme?: "http" | "https" | undefined
}

/** A target as the API server knows it. */
export interface Resolved {
  /** The path of the subresource, without an end: `/api/v1/namespaces/shop/pods/https:web-0:8443/proxy`. */
  readonly path: string
  readonly info: KubeRequest["info"]
}

/** For reading: `pod shop/web-0`. */
export const format = (target: ProxyTarget): string =>
  "kind" in target && target.kind === "node" ? `node ${target.name}` : ForwardTarget.format(target)

// RFC 6335 5.1.
const isPortName = (port: string): boolean => /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?$/i.test(port)

/**
 * Finds the path. Reads the pod when a port of it is named; asks nobody otherwise.
 *
 * Fails with `Encode` when a name or a port is none, with `PortUnavailable` when the pod has no port of that name, and as
 * reading the pod does.
 */
export const resolve = Effect.fnUntraced(function*(
  target: ProxyTarget,
  options: Options
): Effect.fn.Return<Resolved, KubeError.KubeError, KubeClient> {
  const client = yield* KubeClient
  const kind = "kind" in target ? target.kind : "pod"
  const name = "kind" in target ? target.name : target.pod
  const namespace = "namespace" in target ? target.namespace ?? client.namespace : undefined
  const info: KubeRequest["info"] = { verb: "proxy", resource: `${kind}s/proxy`, namespace, name }
  const fail = (reason: KubeError.KubeErrorReason) =>
    new KubeError.KubeError({ reason, request: { ...info, server: client.cluster.server } })
  const encode = (description: string) => fail(new KubeError.Encode({ description }))

  // A colon would separate parts of the path.
  const wrong = [namespace, name].find((part) => part !== undefined && (!Resource.isName(part) || part.includes(":")))
  if (wrong !== undefined) return yield* encode(`${JSON.stringify(wrong)} is not a name`)
  let { port } = options
  if (typeof port === "number" && !PodPorts.isPort(port)) return yield* encode(PodPorts.outOfRange(port))
  if (typeof port === "string" && !isPortName(port)) {
    return yield* encode(`${JSON.stringify(port)} is no name of a port`)
  }
  if (kind === "node" && typeof port === "string") {
    return yield* encode("the ports of a node have numbers, and no names")
  }
  if (kind === "pod" && typeof port === "string") {
    // The API server would take it for the name of a well-known service: "http" for 80.
    const found = PodPorts.ofPod(yield* Api.make(Pod, { namespace }).get(name), port)
    if (found._tag === "NoPort") {
      return yield* fail(new KubeError.PortUnavailable({ port, description: found.description }))
    }
    port = found.port
  }
  const scheme = options.scheme === "https" ? "https:" : ""
  const id = `${scheme}${name}${port === undefined ? scheme === "" ? "" : ":" : `:${port}`}`
  const place = namespace === undefined ? "" : `/namespaces/${namespace}`
  return { path: `/api/v1${place}/${kind}s/${id}/proxy`, info }
})
