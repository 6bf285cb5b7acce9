/**
 * A test cluster with a pod, and servers at its ports, for tests of what is forwarded.
 */
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Net from "node:net"

const makePod = Effect.gen(function*() {
  const pods = Api.make(Pod)
  const command = ["sleep", "1000"]
  yield* pods.create({ metadata: { name: "web" }, spec: { containers: [{ name: "main", image: "x", command }] } })
  yield* Effect.repeat(pods.get("web"), {
    schedule: Schedule.spaced("20 millis"),
    until: (pod) => pod.status.phase === "Running"
  })
})

/** A cluster with the pod `web`. */
export const clusterOf = (options: TestCluster.Options = {}) =>
  Layer.effectDiscard(makePod).pipe(
    Layer.provideMerge(TestCluster.layerClient(options)),
    Layer.provideMerge(NodeKube.layerServices)
  )

/** A server on this machine, whose ports the pods share. */
export const serve = Effect.fnUntraced(function*(handler: (socket: Net.Socket) => void) {
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => {}).once("close", () => sockets.delete(socket))
    handler(socket)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))),
    () =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )
  return { port: (server.address() as Net.AddressInfo).port, open: () => sockets.size }
})
