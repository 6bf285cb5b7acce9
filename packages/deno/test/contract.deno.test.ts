import * as DenoPlatform from "@effect-k8s/deno/DenoPlatform"
import { Adapter } from "@effect-k8s/testing/contract/Adapter"
import * as Contract from "@effect-k8s/testing/contract/Contract"
import * as ChildPeer from "@effect-k8s/testing/contract/peer/ChildPeer"
import * as NodeServices from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import * as NodeSocket from "@effect/platform-node-shared/NodeSocket"
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Socket from "effect/socket/Socket"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"

const node = fileURLToPath(new URL("../../../node_modules/node/bin/node", import.meta.url))

// Making the socket suspends nowhere; connecting is what its reader does.
const dial = ({ host, port }: { readonly host: string; readonly port: number }): Socket.Socket =>
  Effect.runSync(NodeSocket.makeNet({ host, port, noDelay: true, allowHalfOpen: true }))

const isSocket = (descriptor: string): boolean => {
  try {
    return Fs.readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:")
  } catch {
    return false
  }
}

const adapter = Layer.succeed(
  Adapter,
  Adapter.of({
    dial,
    streamingHttpVersion: "1.1",
    proxiedHttpVersion: "1.1",
    unsupported: {},
    openSockets: Effect.sync(() => Fs.readdirSync("/proc/self/fd").filter(isSocket).length)
  })
)

const spawner = Layer.provide(NodeServices.layer, Layer.merge(NodeFileSystem.layer, NodePath.layer))
const peer = Layer.provide(ChildPeer.layer(node), spawner)

it("this is Deno", () => {
  assert.isTrue("Deno" in globalThis)
})

layer(Layer.mergeAll(DenoPlatform.layer, peer, adapter), { excludeTestServices: true })("on Deno", (it) => {
  for (const row of Contract.rows) {
    it.effect(`${row.group}: ${row.name}`, () => Contract.run(row))
  }
})
