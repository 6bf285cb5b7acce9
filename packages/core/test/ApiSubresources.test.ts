import * as Api from "@effect-k8s/core/Api"
import { Deployment } from "@effect-k8s/core/apis/apps/v1"
import { ServiceAccount } from "@effect-k8s/core/apis/core/v1"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { base, failed, parsed, pod, pods, status, withServer } from "./apiFixtures.ts"
import { body, failure, json } from "./scriptedServer.ts"

describe("subresources", () => {
  const scale = {
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata: { name: "web" },
    spec: { replicas: 3 }
  } as const
  const deployments = Api.make(Deployment, { namespace: "shop" })
  const web = "/apis/apps/v1/namespaces/shop/deployments/web"

  it.effect("scale is read, replaced and patched as a Scale", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(
        () => json(scale),
        Effect.all([
          deployments.scale.get("web"),
          deployments.scale.replace("web", { ...scale, spec: { replicas: 5 } }, { dryRun: true }),
          deployments.scale.patch.merge("web", { spec: { replicas: 4 } })
        ])
      )
      assert.deepStrictEqual(seen.map(({ method, path, query }) => [method, path, query]), [
        ["GET", `${web}/scale`, []],
        ["PUT", `${web}/scale`, [["dryRun", "All"]]],
        ["PATCH", `${web}/scale`, []]
      ])
      assert.deepStrictEqual(parsed(seen[1]), { ...scale, spec: { replicas: 5 } })
      assert.deepStrictEqual(parsed(seen[2]), { spec: { replicas: 4 } })
      assert.strictEqual(seen[2]?.headers["content-type"], "application/merge-patch+json")
      assert.strictEqual(value[0].spec?.replicas, 3)
    }))

  it.effect("an eviction is created, and answered with a Status", () =>
    Effect.gen(function*() {
      const { seen } = yield* withServer(
        () => json(status, 201),
        pods.eviction.create("db-0", {
          metadata: { name: "db-0" },
          deleteOptions: { gracePeriodSeconds: 5 }
        })
      )
      assert.strictEqual(seen[0]?.path, `${base}/db-0/eviction`)
      assert.strictEqual(seen[0]?.method, "POST")
    }))

  it.effect("an eviction that a budget forbids fails with TooManyRequests", () =>
    Effect.gen(function*() {
      const error = yield* failed(
        Effect.map(
          withServer(
            () =>
              json(
                failure(429, "TooManyRequests", {
                  message: "Cannot evict pod as it would violate the pod's disruption budget.",
                  details: { causes: [{ reason: "DisruptionBudget", message: "needs 1" }] }
                }),
                429
              ),
            pods.eviction.create("db-0", { metadata: { name: "db-0" } })
          ),
          () => "evicted"
        )
      )
      assert(error.reason._tag === "TooManyRequests")
      assert.strictEqual(error.reason.status.details?.causes?.[0]?.reason, "DisruptionBudget")
      assert.strictEqual(error.request.resource, "pods/eviction")
    }))

  it.effect("status is replaced as the object", () =>
    Effect.gen(function*() {
      const { seen } = yield* withServer(
        () => json({ ...pod("web"), kind: "Deployment", apiVersion: "apps/v1" }),
        deployments.status.patch.json("web", [{ op: "replace", path: "/status/replicas", value: 1 }])
      )
      assert.strictEqual(seen[0]?.path, `${web}/status`)
    }))

  it.effect("a token is created", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(
        () => json({ kind: "TokenRequest", status: { token: "t", expirationTimestamp: "x" } }, 201),
        Api.make(ServiceAccount, { namespace: "shop" }).token.create("bot", { spec: { audiences: ["a"] } })
      )
      assert.strictEqual(seen[0]?.path, "/api/v1/namespaces/shop/serviceaccounts/bot/token")
      assert.strictEqual(value.status?.token, "t")
    }))

  it.effect("a log is a stream of bytes, with its options as the query", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(
        () => new Response(body(["one\ntw", "o\n"])),
        Stream.runCollect(
          pods.log("db-0", {
            container: "main",
            follow: true,
            previous: false,
            timestamps: true,
            sinceSeconds: 5,
            tailLines: 0,
            limitBytes: 10
          })
        )
      )
      assert.deepStrictEqual(value.map((bytes) => Buffer.from(bytes).toString()), ["one\ntw", "o\n"])
      assert.strictEqual(seen[0]?.path, `${base}/db-0/log`)
      assert.deepStrictEqual(Object.fromEntries(seen[0]?.query ?? []), {
        container: "main",
        follow: "true",
        previous: "false",
        timestamps: "true",
        sinceSeconds: "5",
        tailLines: "0",
        limitBytes: "10"
      })
      assert.strictEqual(seen[0]?.headers["accept"], "*/*")
    }))

  it.effect("a log that cannot be had fails with the reason", () =>
    Effect.gen(function*() {
      const error = yield* failed(
        withServer(() => json(failure(400, "BadRequest"), 400), Stream.runDrain(pods.log("db-0")))
      )
      assert.strictEqual(error.reason._tag, "BadRequest")
      assert.include(error.message, "get pods/log \"db-0\"")
    }))

  it("that upgrade the connection have no method", () => {
    assert.notProperty(pods, "exec")
    assert.notProperty(pods, "attach")
    assert.notProperty(pods, "portforward")
  })
})
