/**
 * The pods that rows share: made when first asked for, and gone with their namespace.
 */
import * as Api from "@effect-k8s/core/Api"
import { Pod, type PodInput, type PodSpec } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Images } from "../pods/Images.ts"
import type * as Lab from "./Lab.ts"

/** The kinds that a server can run. */
export const kindsOf = (server: Lab.Server): ReadonlyArray<Lab.PodKind> =>
  server._tag === "TestCluster" ? ["plain", "three", "shell-less", "cat-less"] : ["plain", "three"]

const image = "localhost/busybox:1"

const container = (kind: Lab.PodKind, name: string, of: string = image) => ({
  name,
  image: of,
  command: ["sleep", "1000000"],
  // By this a command tells where it runs: `three/side`.
  env: [{ name: "WHERE", value: `${kind}/${name}` }]
})

const podOf = (kind: Lab.PodKind): PodInput => ({
  metadata: {
    name: kind,
    ...(kind === "three" ? { annotations: { "kubectl.kubernetes.io/default-container": "side" } } : {})
  },
  spec: { terminationGracePeriodSeconds: 0, containers: containersOf(kind) }
})

const containersOf = (kind: Lab.PodKind): PodSpec["containers"] => {
  switch (kind) {
    case "plain":
      return [container(kind, "main")]
    case "three":
      return [
        container(kind, "main"),
        container(kind, "side"),
        { ...container(kind, "tty"), tty: true, stdin: true }
      ]
    case "shell-less":
    case "cat-less":
      return [container(kind, "main", `conformance/${kind}`)]
  }
}

const isRunning = (pod: Pod): boolean =>
  pod.status.phase === "Running" && (pod.status.containerStatuses ?? []).every(({ ready }) => ready)

/** The images that a TestCluster needs for the kinds of pod. */
export const images: Images = {
  "conformance/shell-less": { programs: ["sleep", "echo", "touch"] },
  "conformance/cat-less": { programs: ["sh", "sleep", "head", "echo"] }
}

/** Makes a pod of a kind in the client's namespace and waits until it runs. */
export const make = Effect.fnUntraced(function*(kind: Lab.PodKind): Effect.fn.Return<Pod, KubeError, KubeClient> {
  const pods = Api.make(Pod)
  // The service account of a new namespace takes its moment.
  yield* pods.create(podOf(kind)).pipe(
    Effect.retry({
      schedule: Schedule.spaced("200 millis"),
      times: 50,
      while: (error) => error.reason._tag === "Forbidden" || error.reason._tag === "ServerFailure"
    })
  )
  return yield* Effect.repeat(pods.get(kind), { schedule: Schedule.spaced("50 millis"), until: isRunning })
})
