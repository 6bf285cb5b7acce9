import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const gone = {
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  message: "it is gone",
  reason: "NotFound",
  code: 404
}

describe("a target without a container", () => {
  const pod = (annotations: Record<string, string> = {}) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", annotations },
    spec: {
      containers: [{ name: "first", image: "i1" }, { name: "second", image: "i2" }],
      initContainers: [{ name: "init", image: "i0" }]
    }
  })
  const containerOf = Effect.fnUntraced(function*(annotations: Record<string, string>) {
    const server = yield* Server.make({
      pod: () => Response.json(pod(annotations)),
      script: Programs.serve(Programs.basic)
    })
    yield* Effect.provideService(Exec.exitCode(Exec.on(Target.pod("p"))(["exit", "0"])), KubeClient, server.client)
    assert.deepStrictEqual(server.reads, ["GET /api/v1/namespaces/ns/pods/p"])
    return server.asked[0]?.container
  })

  it.effect("is the first, or the one that the annotation names, if it is there", () =>
    Effect.gen(function*() {
      const key = "kubectl.kubernetes.io/default-container"
      assert.strictEqual(yield* containerOf({}), "first")
      assert.strictEqual(yield* containerOf({ [key]: "second" }), "second")
      assert.strictEqual(yield* containerOf({ [key]: "init" }), "init")
      assert.strictEqual(yield* containerOf({ [key]: "gone" }), "first")
    }))

  it.effect("that was read is not read again", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
      const where = Target.fromPod({
        metadata: { name: "p", namespace: "other", uid: "u", resourceVersion: "1", creationTimestamp: "" },
        spec: { containers: [{ name: "first" }] }
      })
      yield* Effect.provideService(Exec.exitCode(Exec.on(where)(["exit", "0"])), KubeClient, server.client)
      assert.deepStrictEqual(server.reads, [])
      assert.deepStrictEqual([server.asked[0]?.namespace, server.asked[0]?.container], ["other", "first"])
    }))

  it.effect("fails with NotFound when there is no such pod", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ pod: () => Response.json(gone, { status: 404 }) })
      const error = yield* Effect.flip(
        Effect.provideService(Exec.on(Target.pod("p"))(["a"]), KubeClient, server.client)
      )
      assert.strictEqual(error.reason._tag, "NotFound")
      assert.strictEqual(server.asked.length, 0)
    }))

  it.effect("fails with ContainerNotFound when the pod has none", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        pod: () => Response.json({ ...pod(), spec: { containers: [] } })
      })
      const error = yield* Effect.flip(
        Effect.provideService(Exec.on(Target.pod("p"))(["a"]), KubeClient, server.client)
      )
      assert.strictEqual(error.reason._tag, "ContainerNotFound")
    }))
})
