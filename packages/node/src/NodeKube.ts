/**
 * effect-k8s on Node: one layer brings the client and everything that programs and pipelines need.
 *
 * ```ts
 * import * as NodeKube from "@effect-k8s/node/NodeKube"
 * import * as Effect from "effect/Effect"
 *
 * program.pipe(Effect.provide(NodeKube.layer))
 * ```
 */
import type { Listeners } from "@effect-k8s/channels/Listeners"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigError } from "@effect-k8s/core/KubeConfigError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as NodeChildProcessSpawner from "@effect/platform-node/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as NodeListeners from "./NodeListeners.ts"
import * as NodePlatform from "./NodePlatform.ts"

/** What every layer of this module provides beside the client: transports, listeners, files, and local processes. */
export type Services = Platform | Listeners | FileSystem.FileSystem | Path.Path | ChildProcessSpawner

/** Transports, listeners, files and local processes of Node, without a client. */
export const layerServices: Layer.Layer<Services> = Layer.mergeAll(
  NodePlatform.layer,
  NodeListeners.layer,
  Layer.provideMerge(NodeChildProcessSpawner.layer, Layer.mergeAll(NodeFileSystem.layer, NodePath.layer))
)

/**
 * The client that kubectl would use, and the services of Node: `KUBECONFIG` or `~/.kube/config`, else the service account
 * of the pod.
 *
 * Fails with `KubeConfigError`, which names the file, the key and what to do.
 */
export const layer: Layer.Layer<KubeClient.KubeClient | Services, KubeConfigError> = Layer.provideMerge(
  KubeClient.layerDefault,
  layerServices
)

/** The client of a context of the kubeconfig, and the services of Node. */
export const layerKubeConfig = (
  options: KubeConfig.ResolveOptions & KubeConfig.LoadOptions = {}
): Layer.Layer<KubeClient.KubeClient | Services, KubeConfigError> =>
  Layer.provideMerge(KubeClient.layerKubeConfig(options), layerServices)

/** The client of an endpoint, and the services of Node. */
export const layerEndpoint = (
  endpoint: Endpoint,
  options: KubeClient.EndpointOptions = {}
): Layer.Layer<KubeClient.KubeClient | Services> =>
  Layer.provideMerge(KubeClient.layerEndpoint(endpoint, options), layerServices)
