/**
 * The contract of an adapter's layers as a table of rows: which cluster each is the client of, as whom, and through which
 * proxy. Requests and channels go the same way.
 *
 * ```ts
 * import * as Layers from "@effect-k8s/testing/contract/Layers"
 *
 * layer(Layers.cluster(MyKube.layerServices), { excludeTestServices: true })("MyKube", (it) => {
 *   for (const row of Layers.rows(MyKube)) it.effect(row.name, () => row.run)
 * })
 * ```
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import type { EndpointOptions, KubeClient } from "@effect-k8s/core/KubeClient"
import type { LoadOptions, ResolveOptions } from "@effect-k8s/core/KubeConfig"
import type { KubeConfigError } from "@effect-k8s/core/KubeConfigError"
import { KubeError } from "@effect-k8s/core/KubeError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as TestCluster from "../TestCluster.ts"
import { urlOf } from "./exchange.ts"
import type { Listener } from "./Peer.ts"
import * as ConnectProxy from "./peer/ConnectProxy.ts"
import { check, same, Unmet } from "./Row.ts"

/** What an adapter offers besides its `Platform`: clients, each with the services of the runtime. */
export interface Kube {
  /** The client that kubectl would use. */
  readonly layer: Layer.Layer<KubeClient, KubeConfigError>
  /** The client of a context. */
  readonly layerKubeConfig: (options?: ResolveOptions & LoadOptions) => Layer.Layer<KubeClient, KubeConfigError>
  /** The client of an endpoint. */
  readonly layerEndpoint: (endpoint: Endpoint, options?: EndpointOptions) => Layer.Layer<KubeClient>
}

/** Why a row failed. */
export type LayersError = Unmet | KubeConfigError | KubeError | ChannelError | PlatformError

/** A row. */
export interface LayersRow {
  /** The requirement. */
  readonly name: string
  readonly run: Effect.Effect<void, LayersError, TestCluster.TestCluster | FileSystem.FileSystem>
}

/** A host that no name service knows: it can be reached through a proxy of these rows alone. */
const host = "k8s.invalid"

const pod = Layer.effectDiscard(Effect.gen(function*() {
  const pods = Api.make(Pod)
  yield* pods.create({ metadata: { name: "p" }, spec: { containers: [{ name: "main", image: "busybox" }] } })
  yield* Effect.repeat(pods.get("p"), {
    until: ({ status }) => status.phase === "Running",
    schedule: Schedule.spaced("10 millis")
  })
}))

/** A cluster with a pod that runs, and the services that an adapter's layers come with: what the rows run in. */
export const cluster = <Services>(
  services: Layer.Layer<Services | Platform>
): Layer.Layer<TestCluster.TestCluster | KubeClient | Services | Platform, KubeError> =>
  pod.pipe(Layer.provideMerge(TestCluster.layerClient()), Layer.provideMerge(services))

/** Makes a request and opens a channel; fails unless both reach the cluster. */
export const use: Effect.Effect<void, Unmet | KubeError | ChannelError, KubeClient> = Effect.gen(function*() {
  const names = (yield* Api.make(Pod).list()).items.map(({ metadata }) => metadata.name)
  const echo = yield* Exec.string(Exec.on(Target.pod("p", { container: "main" }))`echo hello`)
  yield* same([names, echo], [["p"], "hello\n"], "the pods, and what a command wrote")
})

/** Fails unless the layer's requests and channels carry this header, or none. */
const usesAuthorization = Effect.fnUntraced(function*<E, R>(
  layer: Layer.Layer<KubeClient, E, R>,
  authorization: ReadonlyArray<string> | undefined
) {
  const { requests } = yield* TestCluster.TestCluster
  yield* requests.clear
  yield* Effect.provide(use, layer)
  yield* same(
    (yield* requests.records).map(({ headers, resource }) => [resource, headers.get("authorization")]),
    [["pods", authorization], ["pods/exec", authorization]],
    "requests, and their credentials"
  )
})

/** The rows, for the layers of an adapter. */
export const rows = (kube: Kube): ReadonlyArray<LayersRow> => [
  row(
    "layer is the client of KUBECONFIG's current context",
    Effect.gen(function*() {
      const KUBECONFIG = yield* writeKubeconfig({ "current-context": "admin-token" })
      yield* usesAuthorization(inEnvironment(kube.layer, { KUBECONFIG }), ["Bearer <redacted>"])
    })
  ),

  row(
    "layerKubeConfig is the client of the context that is named, with its certificate",
    Effect.gen(function*() {
      const file = yield* writeKubeconfig({ "current-context": "none" })
      yield* usesAuthorization(inEnvironment(kube.layerKubeConfig({ files: [file], context: "admin" }), {}), undefined)
      const unnamed = inEnvironment(kube.layerKubeConfig({ files: [file] }), {})
      const { message } = yield* failureOf(unnamed)
      yield* check(message.includes("context \"none\" does not exist"), `the message is: ${message}`)
    })
  ),

  ...["HTTPS_PROXY", "https_proxy"].map((name) =>
    row(
      `layer and layerKubeConfig go through the proxy of ${name}, requests and channels`,
      Effect.gen(function*() {
        const KUBECONFIG = yield* writeKubeconfig({ host })
        for (const self of ofKubeconfig(kube)) {
          for (const others of [{}, { NO_PROXY: "other.invalid" }]) {
            const proxy = yield* proxyToCluster
            yield* Effect.provide(use, inEnvironment(self, { KUBECONFIG, [name]: hrefOf(proxy), ...others }))
            yield* askedForHost(proxy)
          }
        }
      })
    )
  ),

  row(
    "a host of NO_PROXY is connected to directly",
    Effect.gen(function*() {
      const proxy = yield* proxyToCluster
      const env = {
        KUBECONFIG: yield* writeKubeconfig({ host }),
        HTTPS_PROXY: hrefOf(proxy),
        NO_PROXY: ".invalid"
      }
      for (const self of ofKubeconfig(kube)) yield* unreachable(inEnvironment(self, env))
      yield* notAsked(proxy)
    })
  ),

  row(
    "proxy-url comes before the environment, and is not subject to NO_PROXY",
    Effect.gen(function*() {
      const other = yield* proxyToCluster
      for (const self of ofKubeconfig(kube)) {
        const proxy = yield* proxyToCluster
        const KUBECONFIG = yield* writeKubeconfig({ host, "proxy-url": hrefOf(proxy) })
        yield* Effect.provide(use, inEnvironment(self, { KUBECONFIG, HTTPS_PROXY: hrefOf(other), NO_PROXY: "*" }))
        yield* askedForHost(proxy)
      }
      yield* notAsked(other)
    })
  ),

  row(
    "layerEndpoint goes where the endpoint says, and not through the environment's proxy",
    Effect.gen(function*() {
      const { endpoint, token } = yield* TestCluster.TestCluster
      const [other, proxy] = yield* Effect.all([proxyToCluster, proxyToCluster])
      const self = (endpoint: Endpoint) =>
        kube.layerEndpoint(endpoint, { credentials: Credentials.make({ token }), namespace: "default" })
      const env = { HTTPS_PROXY: hrefOf(other) }
      yield* Effect.provide(use, self(endpoint))
      yield* Effect.provide(use, inEnvironment(self(endpoint), env))
      yield* notAsked(proxy)
      const far: Endpoint = {
        ...endpoint,
        url: new URL(`https://${host}:${endpoint.url.port}`),
        tls: { ...endpoint.tls, serverName: "localhost" }
      }
      const through = { ...far, proxy: { url: urlOf(proxy, "http") } }
      yield* Effect.provide(use, inEnvironment(self(through), env))
      yield* askedForHost(proxy)
      yield* unreachable(inEnvironment(self(far), env))
      yield* notAsked(other)
    })
  )
]

const row = (
  name: string,
  run: Effect.Effect<void, LayersError, TestCluster.TestCluster | FileSystem.FileSystem | Scope.Scope>
): LayersRow => ({ name, run: Effect.scoped(run) })

const ofKubeconfig = (kube: Kube) => [kube.layer, kube.layerKubeConfig({ context: "admin" })]

interface Edit {
  /** The host of the server; the cluster's own unless told. */
  readonly host?: string
  readonly "proxy-url"?: string
  readonly "current-context"?: string
}

/** The cluster's kubeconfig as a file, with changes. */
const writeKubeconfig = Effect.fnUntraced(function*(edit: Edit) {
  const fs = yield* FileSystem.FileSystem
  const config = (yield* TestCluster.TestCluster).kubeconfig()
  const file = yield* fs.makeTempFileScoped({ prefix: "effect-k8s-layers-" })
  const text = JSON.stringify({
    ...config,
    "current-context": edit["current-context"] ?? config["current-context"],
    clusters: config.clusters.map(({ cluster, name }) => {
      const server = new URL(cluster.server)
      if (edit.host !== undefined) server.hostname = edit.host
      const proxy = edit["proxy-url"] === undefined ? {} : { "proxy-url": edit["proxy-url"] }
      return { name, cluster: { ...cluster, server: server.origin, "tls-server-name": "localhost", ...proxy } }
    })
  })
  yield* fs.writeFileString(file, text, { mode: 0o600 })
  return file
})

/** A layer in a process that has these variables and no others. */
const inEnvironment = <A, E>(self: Layer.Layer<A, E>, env: Readonly<Record<string, string>>): Layer.Layer<A, E> =>
  Layer.provide(self, ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))

/** A proxy that connects to the cluster whatever it is asked for. */
const proxyToCluster = Effect.flatMap(
  TestCluster.TestCluster,
  ({ url }) => ConnectProxy.make({ _tag: "Proxy", to: { host: "127.0.0.1", port: Number(url.port) } }, undefined)
)

const hrefOf = (proxy: Listener): string => urlOf(proxy, "http").href

/** Fails unless the proxy was asked for the host, by a request and by a channel at least, and for nothing else. */
const askedForHost = Effect.fnUntraced(function*(proxy: Listener) {
  const { url } = yield* TestCluster.TestCluster
  const { heads } = yield* proxy.stats
  yield* check(heads.length >= 2, `the proxy was asked ${heads.length} times`)
  yield* same(
    new Set(heads.map((head) => head.split("\r\n")[0])),
    new Set([`CONNECT ${host}:${url.port} HTTP/1.1`]),
    "what the proxy was asked for"
  )
})

const notAsked = (proxy: Listener): Effect.Effect<void, Unmet> =>
  Effect.flatMap(proxy.stats, ({ heads }) => same(heads, [], "what the proxy was asked for"))

/** Why the cluster cannot be used; fails where it can. */
const failureOf = (self: Layer.Layer<KubeClient, KubeConfigError>) =>
  Effect.mapError(Effect.flip(Effect.provide(use, self)), () => new Unmet({ message: "the cluster was reached" }))

const unreachable = Effect.fnUntraced(function*(self: Layer.Layer<KubeClient, KubeConfigError>) {
  const error = yield* failureOf(self)
  const reason = error instanceof KubeError && error.reason._tag === "Transport"
    ? error.reason.error.reason._tag
    : String(error)
  yield* same(reason, "Unreachable", "why it failed")
})
