/**
 * A real cluster as the driver sees it: a namespace of its own with one pod, which is removed at the end.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Namespace, Pod } from "@effect-k8s/core/apis/core/v1"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as KubeConfig from "@effect-k8s/core/KubeConfig"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Pattern from "../shared/Pattern.ts"
import * as Words from "../shared/Words.ts"
import type { Place, Ports } from "../shared/Work.ts"
import type { Server } from "./Server.ts"

const image = "localhost/busybox:1"
const ports: Ports = { ping: 9001, lab: 9002 }

/** A real cluster. */
export interface RealCluster extends Server {
  /** `v1.34.4`. */
  readonly version: string
}

/** Makes the namespace and the pod on the cluster of a kubeconfig's current context. `bytes` is how long the pattern is. */
export const start = async (file: string, bytes: number): Promise<RealCluster> => {
  const runtime = ManagedRuntime.make(NodeKube.layerKubeConfig({ files: [file] }))
  const place: Place = {
    namespace: `effect-k8s-bench-${crypto.randomUUID().slice(0, 8)}`,
    name: "bench",
    container: "main"
  }
  const { context, version } = await runtime.runPromise(Effect.gen(function*() {
    const { currentContext } = yield* KubeConfig.load({ files: [file] })
    const client = yield* KubeClient.KubeClient
    const answer = yield* client.json({ method: "GET", path: "/version", info: { verb: "get", resource: "version" } })
    // What a server answers to this is the same in all versions.
    const { gitVersion } = answer as { readonly gitVersion: string }
    return { context: currentContext ?? "", version: gitVersion }
  }))

  const remove = Effect.matchEffect(Api.make(Namespace).delete(place.namespace), {
    onSuccess: () => Effect.void,
    onFailure: ({ message }) => Console.error(`the namespace ${place.namespace} is left: ${message}`)
  })
  const prepare = Effect.gen(function*() {
    yield* Api.make(Namespace).create({ metadata: { name: place.namespace } })
    const pods = Api.make(Pod, { namespace: place.namespace })
    yield* pods.create({
      metadata: { name: place.name },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{
          name: place.container,
          image,
          command: ["sh", "-c", Words.serve(ports)],
          readinessProbe: { tcpSocket: { port: ports.lab }, periodSeconds: 1 }
        }]
      }
    }).pipe(
      // The service account of a new namespace takes its moment.
      Effect.retry({
        schedule: Schedule.spaced("200 millis"),
        times: 50,
        while: ({ reason }) => reason._tag === "Forbidden" || reason._tag === "ServerFailure"
      })
    )
    yield* Effect.repeat(pods.get(place.name), {
      schedule: Schedule.spaced("200 millis"),
      until: ({ status }) => status.containerStatuses?.every(({ ready }) => ready) === true
    }).pipe(Effect.timeout("2 minutes"))
    const target = Target.pod(place.name, { namespace: place.namespace, container: place.container })
    yield* Exec.exitCode(
      Exec.check(Exec.feed(Exec.on(target)(Words.writePattern(bytes)), Stream.succeed(Pattern.block)))
    )
  })

  const stop = async (): Promise<void> => {
    await runtime.runPromise(remove)
    await runtime.dispose()
  }
  try {
    await runtime.runPromise(prepare)
  } catch (cause) {
    await stop()
    throw cause
  }
  return {
    version,
    reach: () => ({ url: "", kubeconfig: file, context, pod: place, ports, real: true }),
    take: async () => ({ execs: [] }),
    stop
  }
}
