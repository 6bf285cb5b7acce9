/**
 * A test cluster with one pod, whose ports are real ones, in a process of its own. Started by the driver with an IPC
 * channel, like the benchmark server.
 */
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as net from "node:net"
import { join } from "node:path"
import type { Order } from "../shared/Rotation.ts"
import type { ClusterReady, Place, Ports, ServerRecord } from "../shared/Work.ts"
import * as Rotation from "./Rotation.ts"

if (process.send === undefined) throw new Error("The test cluster is started by the driver: run `pnpm bench`.")

const place: Place = { namespace: "default", name: "bench", container: "main" }
const pollMillis = 20

/** Free ports of this machine, whose network the pods of a test cluster share. */
const freePorts = async (): Promise<Ports> => {
  const servers = await Promise.all([0, 1].map(() =>
    new Promise<net.Server>((resolve) => {
      const server = net.createServer().listen(0, "127.0.0.1", () => resolve(server))
    })
  ))
  const [ping = 0, lab = 0] = servers.map((server) => (server.address() as net.AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return { ping, lab }
}

const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1" })
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false)).on("connect", () => socket.destroy())
  })

const scope = Scope.makeUnsafe()
const cluster = await Effect.runPromise(Scope.provide(TestCluster.make(), scope))
const ports = await freePorts()
const row = cluster.registry.catalogue.find("", "v1", "pods")
if (row === undefined) throw new Error("the test cluster has no pods")
await Effect.runPromise(cluster.registry.create(row, place.namespace, {
  metadata: { name: place.name },
  spec: {
    containers: [{
      name: place.container,
      image: "bench",
      command: [process.execPath, join(import.meta.dirname, "target.ts"), String(ports.ping), String(ports.lab)]
    }]
  }
}))
while (!(await listens(ports.ping) && await listens(ports.lab))) {
  await new Promise((resolve) => setTimeout(resolve, pollMillis))
}
const ready: ClusterReady = { kubeconfig: cluster.kubeconfigText(), pod: place, ports }
process.send(ready)

let rotation: Rotation.Rotation | undefined
let judged = 0
/** Tells the rotation of the requests that were answered since. Whether all were. */
const judge = (): boolean => {
  const records = Effect.runSync(cluster.requests.records)
  for (; judged < records.length; judged++) {
    const record = records[judged]
    if (record?.status === undefined) return false
    rotation?.saw({
      key: `${record.method} ${record.url.href}`,
      isUpgrade: record.headers.has("upgrade"),
      isAccepted: record.status !== 401
    })
  }
  return true
}
const rotateEvery = (millis: number, tokenFile: string): void => {
  judge()
  rotation = Rotation.make(tokenFile, () => Redacted.value(Effect.runSync(cluster.rotateToken())))
  setInterval(() => {
    if (judge()) rotation?.rotate()
  }, millis)
}

let used = process.cpuUsage()
let known = 0
process.on("message", (order: Order) => {
  if (order._tag === "Rotate") rotateEvery(order.every, order.tokenFile)
  judge()
  const { system, user } = process.cpuUsage(used)
  used = process.cpuUsage()
  const { connections } = Effect.runSync(cluster.stats)
  const record: ServerRecord = {
    cpuMillis: (system + user) / 1000,
    connections: connections - known,
    execs: [],
    rotations: rotation?.take()
  }
  known = connections
  process.send?.(record)
})
// The driver's end is ours, and that of the pod.
process.on("disconnect", () => {
  const end = () => process.exit(0)
  Effect.runPromise(Scope.close(scope, Exit.void)).then(end, end)
})
