/**
 * How live clusters are reached: by a context of a kubeconfig, with all that this SDK's own transport can do.
 */
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { ClusterFailed, CodegenError } from "../CodegenError.ts"
import type { Server } from "./OpenApiIndex.ts"

/** Which cluster. */
export interface Which {
  /** A context of the kubeconfig; the current one unless told. */
  readonly context?: string | undefined
  /** A kubeconfig file; what kubectl would read unless told. */
  readonly kubeconfig?: string | undefined
}

/** Reaches clusters. The connections end with the scope. Fails with `ClusterFailed`. */
export class ClusterAccess extends Context.Service<ClusterAccess, {
  readonly server: (which: Which) => Effect.Effect<Server, CodegenError, Scope.Scope>
}>()("@effect-k8s/codegen/ClusterAccess") {}

/** Reaches clusters on Node. */
export const layerNode: Layer.Layer<ClusterAccess> = Layer.succeed(ClusterAccess, {
  server: (which) =>
    Effect.gen(function*() {
      // Most runs need no cluster, and the transport takes a while to load.
      const NodeKube = yield* Effect.promise(() => import("@effect-k8s/node/NodeKube"))
      const context = yield* Layer.build(
        which.context === undefined && which.kubeconfig === undefined ? NodeKube.layer : NodeKube.layerKubeConfig({
          context: which.context,
          files: which.kubeconfig === undefined ? undefined : [which.kubeconfig]
        })
      ).pipe(Effect.mapError((cause) => failed(which, cause)))
      return fromClient(which, Context.get(context, KubeClient.KubeClient))
    })
})

/** The server of a client. */
export const fromClient = (which: Which, client: KubeClient.KubeClient["Service"]): Server => ({
  // The address is nobody's business: the name gets into the lock file.
  name: which.context === undefined ? "cluster" : `cluster ${which.context}`,
  address: client.cluster.server,
  get: (path) => {
    const [pathname = "", query = ""] = path.split("?")
    return client.stream({
      method: "GET",
      path: pathname,
      query: [...new URLSearchParams(query)],
      info: { verb: "get", resource: pathname.slice(1) }
    }).pipe(
      Stream.mkUint8Array,
      Effect.mapError((cause) => failed(which, cause))
    )
  }
})

const failed = ({ context }: Which, cause: Error): CodegenError =>
  new CodegenError({ reason: new ClusterFailed({ context, cause }) })
