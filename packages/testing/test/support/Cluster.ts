import * as Json from "@effect-k8s/testing/store/Json"
import type { StoredObject } from "@effect-k8s/testing/store/KubeObject"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import { eventually } from "./Eventually.ts"

const podRow = (cluster: TestCluster.Service) => {
  const row = cluster.registry.catalogue.find("", "v1", "pods")
  assert(row !== undefined)
  return row
}

export const container = (name = "main", more: Json.JsonObject = {}): Json.JsonObject => ({
  name,
  image: "busybox",
  ...more
})

export const reference = (cluster: TestCluster.Service, name = "p") => ({
  row: podRow(cluster),
  namespace: "default",
  name
})

/** Creates a pod, with one container unless the specification says otherwise. */
export const createPod = (cluster: TestCluster.Service, name = "p", spec: Json.JsonObject = {}) =>
  Effect.orDie(
    cluster.registry.create(podRow(cluster), "default", {
      metadata: { name },
      spec: { containers: [container()], ...spec }
    })
  )

export const getPod = (cluster: TestCluster.Service, name = "p"): Effect.Effect<StoredObject> =>
  Effect.orDie(cluster.registry.get(reference(cluster, name)))

/** Waits until a pod is as it should be, and gives it. */
export const awaitPod = Effect.fnUntraced(function*(
  cluster: TestCluster.Service,
  check: (pod: StoredObject) => void,
  name = "p"
): Effect.fn.Return<StoredObject> {
  yield* eventually(getPod(cluster, name), check)
  return yield* getPod(cluster, name)
})

export const status = (pod: StoredObject, ...path: ReadonlyArray<string>): Json.Json | undefined =>
  Json.get(pod, "status", ...path)

/** The status of a container. */
export const containerStatus = (pod: StoredObject, name = "main"): Json.JsonObject =>
  Json.object(Json.array(status(pod, "containerStatuses")).find((one) => Json.get(one, "name") === name))

export const isReady = (pod: StoredObject): void =>
  assert.isTrue(
    Json.array(status(pod, "conditions")).some((one) =>
      Json.get(one, "type") === "Ready" && Json.get(one, "status") === "True"
    )
  )

const directoryOf = (cluster: TestCluster.Service) =>
  cluster.pods.directory({ namespace: "default", pod: "p", container: "main" })

/** Waits until the container `main` of `p` has made a file, to say how far its command is: ready it is before that begins. */
export const markIsThere = Effect.fnUntraced(function*(cluster: TestCluster.Service, name: string) {
  const directory = yield* directoryOf(cluster)
  yield* eventually(Effect.sync(() => Fs.existsSync(`${directory}/${name}`)), (exists) => assert.isTrue(exists))
})

/** Makes a file in the container `main` of `p`, for which its command waits. */
export const mark = Effect.fnUntraced(function*(cluster: TestCluster.Service, name: string) {
  Fs.writeFileSync(`${yield* directoryOf(cluster)}/${name}`, "")
})

/** A cluster without TLS, with one pod that is ready. */
export const start = Effect.fnUntraced(function*(
  options: TestCluster.Options = {},
  spec: Json.JsonObject = {}
): Effect.fn.Return<TestCluster.Service, never, Scope.Scope> {
  const cluster = yield* TestCluster.make({ tls: false, ...options })
  yield* createPod(cluster, "p", spec)
  yield* awaitPod(cluster, isReady)
  return cluster
})
