import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import { KubeError } from "@effect-k8s/core/KubeError"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, layer } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as DiagnosticsChannel from "node:diagnostics_channel"
import * as Net from "node:net"

/** A host that no name service knows: it can be reached through a proxy of these tests alone. */
const host = "k8s.invalid"

/** A proxy that connects to the cluster whatever it is asked for, and keeps what it was. */
const proxyTo = Effect.fnUntraced(function*(port: number) {
  const sockets = new Set<Net.Socket>()
  const targets: Array<string> = []
  const server = Net.createServer((socket) => {
    const remote = Net.connect(port, "127.0.0.1")
    for (const each of [socket, remote]) {
      sockets.add(each)
      each.on("error", () => {}).on("close", () => {
        socket.destroy()
        remote.destroy()
      })
    }
    socket.once("data", (head) => {
      targets.push(/^CONNECT (\S+) /.exec(head.toString("latin1"))?.[1] ?? "no CONNECT")
      socket.write("HTTP/1.1 200 OK\r\n\r\n")
      socket.pipe(remote)
      remote.pipe(socket)
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )
  const { port: own } = server.address() as Net.AddressInfo
  return { url: `http://127.0.0.1:${own}`, targets }
})

interface Edit {
  /** The host of the server; the cluster's own unless told. */
  readonly host?: string
  readonly "proxy-url"?: string
  readonly "current-context"?: string
}

/** The cluster's kubeconfig as a file, with changes. */
const writeKubeconfig = Effect.fnUntraced(function*(edit: Edit = {}) {
  const fs = yield* FileSystem.FileSystem
  const config = (yield* TestCluster.TestCluster).kubeconfig()
  const file = yield* fs.makeTempFileScoped({ prefix: "effect-k8s-node-" })
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

/** A layer of this package in a process that has these variables and no others. */
const inEnvironment = <A, E>(self: Layer.Layer<A, E>, env: Readonly<Record<string, string>>): Layer.Layer<A, E> =>
  Layer.provide(self, ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))

/** A request and a channel. */
const use = Effect.fnUntraced(function*() {
  const names = (yield* Api.make(Pod).list()).items.map(({ metadata }) => metadata.name)
  const echo = yield* Exec.string(Exec.on(Target.pod("p", { container: "main" }))`echo hello`)
  return { names, echo }
})
const used = { names: ["p"], echo: "hello\n" }

const reasonOf = (error: unknown): string =>
  error instanceof KubeError && error.reason._tag === "Transport" ? error.reason.error.reason._tag : String(error)

const pod = Layer.effectDiscard(Effect.gen(function*() {
  const pods = Api.make(Pod)
  yield* pods.create({ metadata: { name: "p" }, spec: { containers: [{ name: "main", image: "busybox" }] } })
  yield* Effect.repeat(pods.get("p"), {
    until: ({ status }) => status.phase === "Running",
    schedule: Schedule.spaced("10 millis")
  })
}))
const cluster = pod.pipe(Layer.provideMerge(TestCluster.layerClient()), Layer.provideMerge(NodeKube.layerServices))

layer(cluster, { excludeTestServices: true })("NodeKube", (it) => {
  const url = Effect.map(TestCluster.TestCluster, (cluster) => cluster.url)

  it.effect("layer is the client of KUBECONFIG's current context", () =>
    Effect.gen(function*() {
      const KUBECONFIG = yield* writeKubeconfig({ "current-context": "admin-token" })
      const { requests } = yield* TestCluster.TestCluster
      yield* requests.clear
      assert.deepStrictEqual(yield* Effect.provide(use(), inEnvironment(NodeKube.layer, { KUBECONFIG })), used)
      const [list, exec] = yield* requests.records
      assert.deepStrictEqual([list?.resource, exec?.resource], ["pods", "pods/exec"])
      for (const request of [list, exec]) {
        assert.deepStrictEqual(request?.headers.get("authorization"), [
          "Bearer <redacted>"
        ])
      }
    }))

  it.effect("layerKubeConfig is the client of the context that is named", () =>
    Effect.gen(function*() {
      const file = yield* writeKubeconfig({ "current-context": "none" })
      const named = NodeKube.layerKubeConfig({ files: [file], context: "admin" })
      assert.deepStrictEqual(yield* Effect.provide(use(), inEnvironment(named, {})), used)
      const error = yield* Effect.flip(
        Effect.provide(use(), inEnvironment(NodeKube.layerKubeConfig({ files: [file] }), {}))
      )
      assert.include(error.message, "context \"none\" does not exist")
    }))

  for (const name of ["HTTPS_PROXY", "https_proxy"]) {
    it.effect(`layer and layerKubeConfig go through the proxy of ${name}, requests and channels`, () =>
      Effect.gen(function*() {
        const { port } = yield* url
        const KUBECONFIG = yield* writeKubeconfig({ host })
        for (const self of [NodeKube.layer, NodeKube.layerKubeConfig({ context: "admin" })]) {
          const proxy = yield* proxyTo(Number(port))
          const env = { KUBECONFIG, [name]: proxy.url, NO_PROXY: "other.invalid" }
          assert.deepStrictEqual(yield* Effect.provide(use(), inEnvironment(self, env)), used)
          assert.isAtLeast(proxy.targets.length, 2)
          assert.deepStrictEqual(new Set(proxy.targets), new Set([`${host}:${port}`]))
        }
      }))
  }

  it.effect("a host of NO_PROXY is connected to directly", () =>
    Effect.gen(function*() {
      const proxy = yield* proxyTo(Number((yield* url).port))
      const env = { KUBECONFIG: yield* writeKubeconfig({ host }), HTTPS_PROXY: proxy.url, NO_PROXY: ".invalid" }
      for (const self of [NodeKube.layer, NodeKube.layerKubeConfig({ context: "admin" })]) {
        const error = yield* Effect.flip(Effect.provide(use(), inEnvironment(self, env)))
        assert.strictEqual(reasonOf(error), "Unreachable")
      }
      assert.deepStrictEqual(proxy.targets, [])
    }), 60_000)

  it.effect("proxy-url comes before the environment, and is not subject to NO_PROXY", () =>
    Effect.gen(function*() {
      const { port } = yield* url
      const [other, proxy] = yield* Effect.all([proxyTo(Number(port)), proxyTo(Number(port))])
      const KUBECONFIG = yield* writeKubeconfig({ host, "proxy-url": proxy.url })
      const env = { KUBECONFIG, HTTPS_PROXY: other.url, NO_PROXY: "*" }
      for (const self of [NodeKube.layer, NodeKube.layerKubeConfig({ context: "admin" })]) {
        assert.deepStrictEqual(yield* Effect.provide(use(), inEnvironment(self, env)), used)
      }
      assert.isAtLeast(proxy.targets.length, 4)
      assert.deepStrictEqual(other.targets, [])
    }))

  it.effect(
    "layerEndpoint goes where the endpoint says, and not through the environment's proxy",
    () =>
      Effect.gen(function*() {
        const { endpoint, token } = yield* TestCluster.TestCluster
        const { port } = endpoint.url
        const [other, proxy] = yield* Effect.all([proxyTo(Number(port)), proxyTo(Number(port))])
        const far: Endpoint = {
          ...endpoint,
          url: new URL(`https://${host}:${port}`),
          tls: { ...endpoint.tls, serverName: "localhost" }
        }
        const of = (endpoint: Endpoint) =>
          inEnvironment(
            NodeKube.layerEndpoint(endpoint, { credentials: Credentials.make({ token }), namespace: "default" }),
            { HTTPS_PROXY: other.url }
          )
        assert.deepStrictEqual(yield* Effect.provide(use(), of(endpoint)), used)
        assert.deepStrictEqual(proxy.targets, [])
        const through = { ...far, proxy: { url: new URL(proxy.url) } }
        assert.deepStrictEqual(yield* Effect.provide(use(), of(through)), used)
        assert.isAtLeast(proxy.targets.length, 2)
        assert.strictEqual(reasonOf(yield* Effect.flip(Effect.provide(use(), of(far)))), "Unreachable")
        assert.deepStrictEqual(other.targets, [])
      }),
    60_000
  )

  it.effect("every connection has TCP_NODELAY set, through a proxy too", () =>
    Effect.gen(function*() {
      const { endpoint, token } = yield* TestCluster.TestCluster
      const proxy = yield* proxyTo(Number(endpoint.url.port))
      const ports = new Map<Net.Socket, number | undefined>()
      const onSocket = (message: unknown): void => {
        const { socket } = message as { readonly socket: Net.Socket }
        socket.once("connect", () => ports.set(socket, socket.remotePort))
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => DiagnosticsChannel.subscribe("net.client.socket", onSocket)),
        () => Effect.sync(() => DiagnosticsChannel.unsubscribe("net.client.socket", onSocket))
      )
      for (const through of [undefined, { url: new URL(proxy.url) }]) {
        ports.clear()
        yield* Effect.provide(
          use(),
          NodeKube.layerEndpoint({ ...endpoint, proxy: through }, { credentials: Credentials.make({ token }) })
        )
        const to = Number((through?.url ?? endpoint.url).port)
        const ours = Array.from(ports).filter(([, port]) => port === to).map(([socket]) => socket)
        assert.isAtLeast(ours.length, 2)
        for (const socket of ours) {
          // Node keeps the option under a symbol, and sets it on the handle when that is connected.
          const key = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "kSetNoDelay")
          assert(key !== undefined)
          assert.isTrue(Reflect.get(socket, key))
        }
      }
    }))
})
