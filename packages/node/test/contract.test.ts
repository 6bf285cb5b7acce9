import * as NodePlatform from "@effect-k8s/node/NodePlatform"
import { Adapter } from "@effect-k8s/testing/contract/Adapter"
import * as Contract from "@effect-k8s/testing/contract/Contract"
import * as ChildPeer from "@effect-k8s/testing/contract/peer/ChildPeer"
import * as MemoryPeer from "@effect-k8s/testing/contract/peer/MemoryPeer"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Socket from "effect/socket/Socket"

const connections = new Set(["TCPSocketWrap", "TLSWrap"])

// Making the socket suspends nowhere; connecting is what its reader does.
const dial = ({ host, port }: { readonly host: string; readonly port: number }): Socket.Socket =>
  Effect.runSync(NodeSocket.makeNet({ host, port, noDelay: true, allowHalfOpen: true }))

const node = Layer.succeed(
  Adapter,
  Adapter.of({
    dial,
    streamingHttpVersion: "1.1",
    proxiedHttpVersion: "2.0",
    unsupported: {},
    openSockets: Effect.sync(() => process.getActiveResourcesInfo().filter((name) => connections.has(name)).length)
  })
)

const peer = Layer.provide(ChildPeer.layer(process.execPath), NodeServices.layer)

layer(Layer.mergeAll(NodePlatform.layer, peer, node), { excludeTestServices: true })("on Node", (it) => {
  for (const row of Contract.rows) {
    it.effect(`${row.group}: ${row.name}`, () => Contract.run(row))
  }
})

layer(Layer.merge(MemoryPeer.layer, node), { excludeTestServices: true })("in memory", (it) => {
  for (const row of Contract.rows.filter(({ inMemory }) => inMemory)) {
    it.effect(`${row.group}: ${row.name}`, () => Contract.run(row))
  }
})
