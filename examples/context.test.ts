import * as Api from "@effect-k8s/core/Api"
import { Namespace, Pod } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as Faults from "@effect-k8s/testing/Faults"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"

const file = fileURLToPath(new URL("exec-pipeline.ts", import.meta.url))

/** A cluster that is not the demo's own, and its client. */
const cluster = (options?: TestCluster.Options) =>
  Layer.provideMerge(TestCluster.layerClient(options), NodeKube.layerServices)

/** Starts the demo with the kubeconfig of the cluster. */
const start = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const kubeconfig = yield* fs.makeTempFileScoped({ prefix: "effect-k8s-demo-" })
  yield* fs.writeFileString(kubeconfig, (yield* TestCluster.TestCluster).kubeconfigText(), { mode: 0o600 })
  const handle = yield* ChildProcess.make(process.execPath, [file, "--context", "admin", ...args], {
    env: { KUBECONFIG: kubeconfig, NO_COLOR: "1" },
    extendEnv: true
  })
  const text = (stream: typeof handle.stdout) => Effect.forkScoped(Stream.mkString(Stream.decodeText(stream)))
  return { handle, stdout: yield* text(handle.stdout), stderr: yield* text(handle.stderr) }
})

/** What the demo says, and how it ends. */
const run = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const { handle, stderr, stdout } = yield* start(...args)
  return { code: yield* handle.exitCode, stdout: yield* Fiber.join(stdout), stderr: yield* Fiber.join(stderr) }
})

const namespaces = Effect.map(
  Api.make(Namespace).list(),
  ({ items }) => items.filter(({ metadata }) => metadata.name.startsWith("effect-k8s-demo-"))
)

/** Waits for what the demo does in the cluster. */
const until = <A, E>(effect: Effect.Effect<A, E, KubeClient>, check: (value: A) => boolean) =>
  Effect.repeat(effect, { until: check, schedule: Schedule.spaced("20 millis") })

/** Namespaces that the demo made and did not delete. */
const assertDeleted = Effect.gen(function*() {
  const { requests } = yield* TestCluster.TestCluster
  assert.strictEqual(yield* requests.count({ verb: "create", resource: "namespaces" }), 1)
  const left = (yield* namespaces).filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  assert.deepStrictEqual(left.map(({ metadata }) => metadata.name), [])
})

describe("the demo on a cluster by its context", () => {
  it.live("runs to its end", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run()
      assert.strictEqual(stderr, "")
      assert.strictEqual(code, 0)
      assert.include(stdout, (yield* TestCluster.TestCluster).url.origin)
      assert.match(stdout, /^ {2}\+ vault-0 +sh -c 'gunzip.*exit 0/m)
      assert.match(stdout, /ContainerNotFound/)
      yield* assertDeleted
    }).pipe(Effect.scoped, Effect.provide(cluster())), 120_000)

  for (
    const reason of ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "CrashLoopBackOff"]
  ) {
    it.live(`fails when a pod waits for ever: ${reason}`, () =>
      Effect.gen(function*() {
        const demo = yield* Effect.forkChild(run("--image", "nowhere/nothing:1"))
        const [namespace] = yield* until(namespaces, (found) => found.length === 1)
        assert(namespace !== undefined)
        const pods = Api.make(Pod, { namespace: namespace.metadata.name })
        yield* until(pods.list(), ({ items }) => items.length === 3)
        const waiting = { reason, message: "it is not there" }
        yield* pods.status.patch.merge("shop-1", {
          status: {
            containerStatuses: [
              {
                name: "main",
                image: "nowhere/nothing:1",
                imageID: "",
                ready: false,
                restartCount: 0,
                state: { waiting }
              }
            ]
          }
        })
        const { code, stderr } = yield* Fiber.join(demo)
        assert.strictEqual(code, 1)
        assert.strictEqual(
          stderr.trim(),
          "PodNotRunning pod \"shop-1\" does not run the image nowhere/nothing:1: " +
            `${reason} (it is not there); name another with --image, one with sh, awk and gunzip that the cluster can pull`
        )
        yield* assertDeleted
      }).pipe(Effect.scoped, Effect.provide(cluster({ pods: false }))))
  }

  it.live("fails when a pod does not run in time", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run("--wait", "0.5")
      assert.strictEqual(code, 1)
      assert.match(stderr, /^PodNotRunning pod "shop-0" does not run the image busybox:1: .* after 0.5 s; .*--image/)
      yield* assertDeleted
    }).pipe(Effect.scoped, Effect.provide(cluster({ pods: false }))))

  for (const killSignal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it.live(`deletes its namespace after ${killSignal}`, () =>
      Effect.gen(function*() {
        const { handle } = yield* start()
        yield* until(namespaces, (found) => found.length === 1)
        yield* handle.kill({ killSignal })
        yield* assertDeleted
      }).pipe(Effect.scoped, Effect.provide(cluster({ pods: false }))))
  }

  it.live("names the namespace that it could not delete", () =>
    Effect.gen(function*() {
      const { faults } = yield* TestCluster.TestCluster
      yield* faults.inject({ verb: "delete", resource: "namespaces" }, Faults.failure(403, "Forbidden", "no"))
      const { stderr } = yield* run("--wait", "0.1")
      assert.match(stderr, /^delete namespace effect-k8s-demo-\w+ yourself: Could not delete/m)
    }).pipe(Effect.scoped, Effect.provide(cluster({ pods: false }))))
})
