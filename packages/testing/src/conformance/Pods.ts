/**
 * The pods that rows share: made when first asked for, and gone with their namespace.
 */
import * as Api from "@effect-k8s/core/Api"
import { Pod, type PodInput, type PodSpec } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Images } from "../pods/Images.ts"
import * as FewPrograms from "./FewPrograms.ts"
import * as ForwardPrograms from "./ForwardPrograms.ts"
import type * as Lab from "./Lab.ts"

/** All kinds. */
export const kinds: ReadonlyArray<Lab.PodKind> = ["plain", "three", "web", "shell-less", "cat-less"]

/** What a server's pods can run. */
export interface Programs {
  readonly ports: ForwardPrograms.Ports
  /** The command of the pod of the kind `web`, which listens on the ports. */
  readonly web: ReadonlyArray<string>
  /** Whether there are `images` for the kinds that lack programs. */
  readonly images: boolean
}

/** What a server's pods can run. Their ports are free on this machine too, because local ones have the same numbers. */
export const programsOf = (server: Lab.Server): Effect.Effect<Programs> =>
  Effect.map(ForwardPrograms.freePorts, (ports) =>
    server._tag === "Cluster"
      ? { ports, web: ForwardPrograms.busybox(ports), images: false }
      : { ports, web: ForwardPrograms.node(ports), images: true })

const image = "localhost/busybox:1"

const container = (kind: Lab.PodKind, name: string, of: string = image) => ({
  name,
  image: of,
  command: ["sleep", "1000000"],
  // By this a command tells where it runs: `three/side`.
  env: [{ name: "WHERE", value: `${kind}/${name}` }]
})

const podOf = (kind: Lab.PodKind, name: string, app: string, programs: Programs): PodInput => ({
  metadata: {
    name,
    ...(kind === "web" ? { labels: { app } } : {}),
    ...(kind === "three" ? { annotations: { "kubectl.kubernetes.io/default-container": "side" } } : {})
  },
  spec: { terminationGracePeriodSeconds: 0, ...specOf(kind, programs) }
})

const specOf = (kind: Lab.PodKind, { images, ports, web }: Programs): PodSpec => {
  switch (kind) {
    case "web":
      return {
        containers: [{
          ...container(kind, "main"),
          command: web,
          readinessProbe: { tcpSocket: { port: ports.http }, periodSeconds: 1 },
          ports: [
            { name: "http", containerPort: ports.http },
            { name: "lab", containerPort: ports.lab },
            { name: "dns", containerPort: 53, protocol: "UDP" }
          ]
        }]
      }
    case "plain":
      return { containers: [container(kind, "main")] }
    case "three":
      return {
        containers: [
          container(kind, "main"),
          container(kind, "side"),
          { ...container(kind, "tty"), tty: true, stdin: true }
        ]
      }
    case "shell-less":
    case "cat-less":
      return images
        ? { containers: [container(kind, "main", `conformance/${kind}`)] }
        : FewPrograms.hiding(container(kind, "main"), few[kind])
  }
}

/** The programs of the kinds that lack some. */
const few = {
  "shell-less": ["sleep", "echo", "mktemp", "ls", "rm"],
  "cat-less": ["sh", "sleep", "head", "echo"]
} as const

const isRunning = (pod: Pod): boolean =>
  pod.status.phase === "Running" && (pod.status.containerStatuses ?? []).every(({ ready }) => ready)

/** The images that a TestCluster needs for the kinds of pod. */
export const images: Images = {
  "conformance/shell-less": { programs: few["shell-less"] },
  "conformance/cat-less": { programs: few["cat-less"] }
}

/**
 * Makes a pod of a kind in the client's namespace and waits until it runs. It is named for its kind unless told; one of the
 * kind `web` is labelled `app` for its name unless told.
 */
export const make = Effect.fnUntraced(function*(
  kind: Lab.PodKind,
  programs: Programs = { ports: ForwardPrograms.ownPorts, web: [], images: false },
  name: string = kind,
  app: string = name
): Effect.fn.Return<Pod, KubeError, KubeClient> {
  const pods = Api.make(Pod)
  // The service account of a new namespace takes its moment.
  yield* pods.create(podOf(kind, name, app, programs)).pipe(
    Effect.retry({
      schedule: Schedule.spaced("200 millis"),
      times: 50,
      while: (error) => error.reason._tag === "Forbidden" || error.reason._tag === "ServerFailure"
    })
  )
  return yield* Effect.repeat(pods.get(name), { schedule: Schedule.spaced("50 millis"), until: isRunning })
})

/** Deletes a pod without grace, and waits until it is gone. One that is not there is gone already. */
export const remove = Effect.fnUntraced(function*(name: string): Effect.fn.Return<void, KubeError, KubeClient> {
  const pods = Api.make(Pod)
  yield* Effect.catchIf(
    pods.delete(name, { gracePeriodSeconds: 0 }),
    ({ reason }) => reason._tag === "NotFound",
    () => Effect.void
  )
  yield* Effect.repeat(pods.getOption(name), {
    schedule: Schedule.spaced("50 millis"),
    until: Option.isNone,
    times: 200
  })
})
