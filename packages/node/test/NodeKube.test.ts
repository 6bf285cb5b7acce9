import * as Credentials from "@effect-k8s/core/Credentials"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import { urlOf } from "@effect-k8s/testing/contract/exchange"
import * as Layers from "@effect-k8s/testing/contract/Layers"
import * as ConnectProxy from "@effect-k8s/testing/contract/peer/ConnectProxy"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as DiagnosticsChannel from "node:diagnostics_channel"
import type * as Net from "node:net"

layer(Layers.cluster(NodeKube.layerServices), { excludeTestServices: true })("NodeKube", (it) => {
  for (const row of Layers.rows(NodeKube)) it.effect(row.name, () => row.run)

  it.effect("every connection has TCP_NODELAY set, through a proxy too", () =>
    Effect.gen(function*() {
      const { endpoint, token } = yield* TestCluster.TestCluster
      const proxy = yield* ConnectProxy.make({ _tag: "Proxy" }, undefined)
      const ports = new Map<Net.Socket, number | undefined>()
      const onSocket = (message: unknown): void => {
        const { socket } = message as { readonly socket: Net.Socket }
        socket.once("connect", () => ports.set(socket, socket.remotePort))
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => DiagnosticsChannel.subscribe("net.client.socket", onSocket)),
        () => Effect.sync(() => DiagnosticsChannel.unsubscribe("net.client.socket", onSocket))
      )
      for (const through of [undefined, { url: urlOf(proxy, "http") }]) {
        ports.clear()
        yield* Effect.provide(
          Layers.use,
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
