/**
 * effect-k8s on Deno: one layer brings the client and everything that programs and pipelines need.
 *
 * What a program must be allowed, and no more; a permission that is missing is an error that names the flag:
 *
 * | flag                                         | for                                                             |
 * | -------------------------------------------- | --------------------------------------------------------------- |
 * | `--allow-net=HOST:PORT`                      | the API server, or its proxy in its place                       |
 * | `--allow-read=FILE,...`                      | the kubeconfig, and the certificate, key and token files in it  |
 * | `--allow-env=KUBECONFIG,HOME,...`            | the kubeconfig's place; `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` |
 * | `--allow-net=127.0.0.1:PORT`                 | listening, for forwarded ports                                  |
 * | `--allow-run=PROGRAM --allow-env`            | local commands of a pipeline                                    |
 *
 * `layerEndpoint` needs the network only; where the proxy variables may not be read, its requests are of HTTP/1.1, because
 * `fetch` would obey them. Variables may be written in lower case too (`https_proxy`). Where there is no kubeconfig, in a
 * pod, `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT` and `POD_NAMESPACE` are read, and
 * `/var/run/secrets/kubernetes.io/serviceaccount`. So they are for a context that names no namespace, which is `default`
 * where they may not be read. Local commands need the whole environment, because they inherit it.
 *
 * ```ts
 * import * as DenoKube from "@effect-k8s/deno/DenoKube"
 * import * as Effect from "effect/Effect"
 *
 * program.pipe(Effect.provide(DenoKube.layer))
 * ```
 */
import type { Listeners } from "@effect-k8s/channels/Listeners"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as KubeConfig from "@effect-k8s/core/KubeConfig"
import type { KubeConfigError } from "@effect-k8s/core/KubeConfigError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as DenoListeners from "./DenoListeners.ts"
import * as DenoPlatform from "./DenoPlatform.ts"
import * as Permission from "./internal/permission.ts"

/** What every layer of this module provides beside the client: transports, listeners, files, and local processes. */
export type Services = Platform | Listeners | FileSystem.FileSystem | Path.Path | ChildProcessSpawner

const files = Layer.effect(
  FileSystem.FileSystem,
  Effect.map(Effect.provide(FileSystem.FileSystem, NodeFileSystem.layer), Permission.fileSystem)
)

const processes = Layer.effect(
  ChildProcessSpawner,
  Effect.map(ChildProcessSpawner, Permission.spawner)
).pipe(Layer.provide(NodeChildProcessSpawner.layer))

/** Transports, listeners, files and local processes of Deno, without a client. */
export const layerServices: Layer.Layer<Services> = Layer.mergeAll(
  DenoPlatform.layer,
  DenoListeners.layer,
  Layer.provideMerge(processes, Layer.mergeAll(files, NodePath.layer))
)

// Whoever has given a provider of their own wants that one.
const withEnvironment = <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R> =>
  Layer.unwrap(Effect.map(Effect.context(), (context) =>
    context.mapUnsafe.has(ConfigProvider.ConfigProvider.key)
      ? layer
      : Layer.provide(layer, ConfigProvider.layer(Permission.environment))))

/**
 * The client that kubectl would use, and the services of Deno: `KUBECONFIG` or `~/.kube/config`, else the service account
 * of the pod.
 *
 * Fails with `KubeConfigError`, which names the file, the key and what to do.
 */
export const layer: Layer.Layer<KubeClient.KubeClient | Services, KubeConfigError> = Layer.provideMerge(
  withEnvironment(KubeClient.layerDefault),
  layerServices
)

/** The client of a context of the kubeconfig, and the services of Deno. */
export const layerKubeConfig = (
  options: KubeConfig.ResolveOptions & KubeConfig.LoadOptions = {}
): Layer.Layer<KubeClient.KubeClient | Services, KubeConfigError> =>
  Layer.provideMerge(withEnvironment(KubeClient.layerKubeConfig(options)), layerServices)

/** The client of an endpoint, and the services of Deno. */
export const layerEndpoint = (
  endpoint: Endpoint,
  options: KubeClient.EndpointOptions = {}
): Layer.Layer<KubeClient.KubeClient | Services> =>
  Layer.provideMerge(KubeClient.layerEndpoint(endpoint, options), layerServices)
