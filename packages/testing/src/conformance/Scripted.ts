/**
 * What rows do to a test cluster that nobody can do to a real one: faults, and clusters with other settings.
 */
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type { Platform } from "@effect-k8s/core/Transport"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Injected, Schedule } from "../Faults.ts"
import type { ExecFault } from "../pods/ExecFault.ts"
import type { ExecMatch, ExecRecord } from "../pods/ExecRecords.ts"
import type * as LocalNode from "../pods/LocalNode.ts"
import * as TestCluster from "../TestCluster.ts"
import { Lab } from "./Lab.ts"
import * as Pods from "./Pods.ts"
import { Unmet } from "./Row.ts"

/** The test cluster that a scripted row runs on. */
export const cluster: Effect.Effect<TestCluster.Service, Unmet, Lab> = Effect.flatMap(
  Lab,
  ({ server }) =>
    server._tag === "TestCluster"
      ? Effect.succeed(server.cluster)
      : Effect.fail(new Unmet({ message: "this needs a test cluster; mark the row as scripted" }))
)

/** Execs with this word, such as a marker, in their command line. */
export const withWord = (word: string): ExecMatch => ({ command: (words) => words.join(" ").includes(word) })

/** Puts a fault on the execs with a word in their command line, until the scope ends. On every one unless told. */
export const fault = (
  word: string,
  execFault: ExecFault,
  schedule: Schedule = { times: Infinity }
): Effect.Effect<Injected, Unmet, Lab | Scope.Scope> =>
  Effect.flatMap(
    cluster,
    ({ pods }) => Effect.acquireRelease(pods.inject(withWord(word), execFault, schedule), ({ remove }) => remove)
  )

/** What the server knows of the execs with a word in their command line, the first one first. */
export const records = (word: string): Effect.Effect<ReadonlyArray<ExecRecord>, Unmet, Lab> =>
  Effect.flatMap(cluster, ({ pods }) => pods.execs(withWord(word)))

/** A cluster of a row's own, with a pod in it. */
export interface Own {
  readonly cluster: TestCluster.Service
  /** The administrator's client, on the row's path. */
  readonly client: KubeClient.KubeClient["Service"]
  /** The container of a running pod of the kind `plain`. */
  readonly target: Target.Target
}

/** Starts a cluster like the shared one, that ends with the scope. Commands in it need `client`. */
export const own = Effect.fnUntraced(function*(
  options: LocalNode.Options = {}
): Effect.fn.Return<Own, KubeError, Lab | Platform | Scope.Scope> {
  const { endpoint, path, tunnel } = yield* Lab
  const started = yield* TestCluster.make({
    tls: endpoint.url.protocol === "https:",
    pods: { images: Pods.images, ...options }
  })
  const client = yield* KubeClient.make({
    endpoint: path === "tunnel" ? { ...started.endpoint, dial: tunnel.dial } : started.endpoint,
    credentials: Credentials.make({ token: started.token })
  })
  const pod = yield* Effect.provideService(Pods.make("plain"), KubeClient.KubeClient, client)
  // The pod's processes end before the cluster's sockets do.
  yield* Effect.addFinalizer(() =>
    Effect.ignore(Effect.provideService(Api.make(Pod).delete("plain"), KubeClient.KubeClient, client))
  )
  return { cluster: started, client, target: Target.fromPod(pod) }
})
