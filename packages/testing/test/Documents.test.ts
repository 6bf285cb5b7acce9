import { resources } from "@effect-k8s/testing/schemas/resources"
import * as Protobuf from "@effect-k8s/testing/server/Protobuf"
import * as Table from "@effect-k8s/testing/server/Table"
import * as Json from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, deployments, pod, pods, start } from "./support/Server.ts"
import * as Widgets from "./support/Widgets.ts"

const list = (value: Json.Json | undefined): ReadonlyArray<Json.Json> => Json.array(value)

describe("discovery", () => {
  const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

  it.effect("in the aggregated form names every resource", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const found: Array<string> = []
      for (const path of ["/api", "/apis"]) {
        const answer = yield* client.get(`${path}?timeout=32s`, { Accept: aggregated })
        assert.strictEqual(
          answer.headers["Content-Type"],
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        )
        for (const group of list(answer.at("items"))) {
          for (const version of list(HandlerClient.at(group, "versions"))) {
            for (const resource of list(HandlerClient.at(version, "resources"))) {
              const name = HandlerClient.at(group, "metadata", "name")
              const parts = [name, HandlerClient.at(version, "version"), HandlerClient.at(resource, "resource")]
              found.push(parts.map((part) => Json.string(part) ?? "").join("/"))
            }
          }
        }
      }
      const expected = resources.map((row) => [row.group, row.version, row.plural].join("/"))
      assert.deepStrictEqual(found.sort(), expected.sort())
    }))

  it.effect("prefers stable and later versions", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      assert.strictEqual((yield* client.get("/apis/autoscaling")).at("preferredVersion", "version"), "v2")
      const versions = list((yield* client.get("/apis/resource.k8s.io")).at("versions"))
      const names = versions.map((version) => HandlerClient.at(version, "version"))
      assert.deepStrictEqual(names, ["v1", "v1beta2", "v1beta1", "v1alpha3"].filter((name) => names.includes(name)))
    }))

  it.effect("is not sent again to a client that has it", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const first = yield* client.get("/apis", { Accept: aggregated })
      const second = yield* client.get("/apis", { "Accept": aggregated, "If-None-Match": first.headers["ETag"] ?? "" })
      assert.deepStrictEqual([second.status, second.text], [304, ""])
    }))

  it.effect("in the form of old tells verbs and subresources", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      assert.deepStrictEqual((yield* client.get("/api")).at("versions"), ["v1"])
      const groups = list((yield* client.get("/apis")).at("groups")).map((group) => HandlerClient.at(group, "name"))
      assert.includeMembers(groups, ["apps", "batch", "rbac.authorization.k8s.io"])
      const apps = yield* client.get("/apis/apps/v1")
      const named = (name: string) =>
        list(apps.at("resources")).find((resource) => HandlerClient.at(resource, "name") === name)
      assert.strictEqual(HandlerClient.at(named("deployments"), "namespaced"), true)
      assert.deepStrictEqual(
        [HandlerClient.at(named("deployments/scale"), "group"), HandlerClient.at(named("deployments/scale"), "kind")],
        ["autoscaling", "Scale"]
      )
    }))

  const unknown: ReadonlyArray<readonly [string, string]> = [
    ["/nope", "404 page not found\n"],
    ["/apis/foo.bar/v1", "404 page not found\n"],
    ["/apis/foo.bar/v1/foos", "404 page not found\n"],
    ["/api/v1/foos", "the server could not find the requested resource"],
    ["/apis/apps/v9/deployments", "the server could not find the requested resource"],
    [`${configmaps}/a/b`, "the server could not find the requested resource"]
  ]
  for (const [path, text] of unknown) {
    it.effect(`has nothing at ${path}`, () =>
      Effect.gen(function*() {
        const { client } = yield* start()
        const answer = yield* client.get(path)
        assert.strictEqual(answer.status, 404)
        assert.include(answer.text, text)
      }))
  }

  it.effect("tells the version that was chosen", () =>
    Effect.gen(function*() {
      const { client } = yield* start({ version: "1.28.15" })
      const answer = yield* client.get("/version")
      assert.deepStrictEqual([answer.at("major"), answer.at("minor"), answer.at("gitVersion")], ["1", "28", "v1.28.15"])
    }))

  it.effect("has an OpenAPI document for each version, with a patch that checks fields for each kind", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const index = yield* client.get("/openapi/v3")
      const url = index.textAt("paths", "apis/apps/v1", "serverRelativeURL")
      const document = yield* client.get(url)
      const patch = document.at("paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch")
      assert.deepStrictEqual(HandlerClient.at(patch, "x-kubernetes-group-version-kind"), {
        group: "apps",
        version: "v1",
        kind: "Deployment"
      })
    }))

  it.effect("describes custom resources by the schemas of their definitions", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(
        Widgets.definitions,
        Widgets.definition([{
          name: "v1",
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: "object", properties: { size: { type: "integer" } } } }
        }])
      )
      const document = yield* client.get("/openapi/v3/apis/example.com/v1")
      assert.deepStrictEqual(
        document.at("components", "schemas", "com.example.v1.Widget", "properties", "size"),
        { type: "integer" }
      )
      const base = "/apis/example.com/v1/namespaces/{namespace}/widgets"
      assert.deepStrictEqual(Object.keys(Object(document.at("paths"))), [
        "/apis/example.com/v1/widgets",
        base,
        `${base}/{name}`,
        `${base}/{name}/status`
      ])
    }))
})

describe("representations", () => {
  it.effect("are negotiated", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const kind = (path: string, accept: string) =>
        Effect.map(client.get(path, { Accept: accept }), (answer) => answer.at("kind") ?? answer.status)
      const table = "application/json;as=Table;v=v1;g=meta.k8s.io"
      assert.strictEqual(yield* kind(configmaps, `${table},application/json`), "Table")
      assert.strictEqual(yield* kind(`${configmaps}/a`, table), "Table")
      assert.strictEqual(
        yield* kind(configmaps, "application/vnd.kubernetes.protobuf,application/json"),
        "ConfigMapList"
      )
      assert.strictEqual(yield* kind(configmaps, "*/*"), "ConfigMapList")
      const partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
      assert.strictEqual(yield* kind(configmaps, partial), "PartialObjectMetadataList")
      const refused = yield* client.get(configmaps, { Accept: "text/html" })
      assert.deepStrictEqual([refused.status, refused.at("reason")], [406, "NotAcceptable"])
    }))

  it.effect("as tables show what kubectl prints", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("p"))
      const row = Effect.map(
        client.get(pods, { Accept: "application/json;as=Table;v=v1;g=meta.k8s.io" }),
        (answer) => list(answer.at("rows", 0, "cells")).slice(0, 5)
      )
      const status = (value: object) => client.patch(`${pods}/p/status`, "merge-patch+json", { status: value })
      assert.deepStrictEqual(yield* row, ["p", "0/1", "Pending", "0", "0s"])
      yield* TestClock.adjust("90 minutes")
      yield* status({
        phase: "Running",
        containerStatuses: [{ name: "main", ready: true, restartCount: 3, state: { running: {} } }]
      })
      assert.deepStrictEqual(yield* row, ["p", "1/1", "Running", "3", "90m"])
      yield* status({
        containerStatuses: [{
          name: "main",
          ready: false,
          restartCount: 4,
          state: { waiting: { reason: "CrashLoopBackOff" } }
        }]
      })
      assert.deepStrictEqual(yield* row, ["p", "0/1", "CrashLoopBackOff", "4", "90m"])
      yield* client.patch(`${pods}/p`, "merge-patch+json", { metadata: { finalizers: ["x/y"] } })
      yield* client.remove(`${pods}/p`)
      assert.deepStrictEqual((yield* row)[2], "Terminating")
    }))

  const ages: ReadonlyArray<readonly [number, string]> = [
    [0, "0s"],
    [119, "119s"],
    [120, "2m"],
    [125, "2m5s"],
    [600, "10m"],
    [3 * 3600, "3h"],
    [3 * 3600 + 60, "3h1m"],
    [8 * 3600 + 60, "8h"],
    [48 * 3600, "2d"],
    [51 * 3600, "2d3h"],
    [9 * 86400, "9d"],
    [3 * 365 * 86400, "3y"]
  ]
  for (const [seconds, text] of ages) {
    it(`show ${seconds} seconds as ${text}`, () => assert.strictEqual(Table.age(seconds * 1000), text))
  }
})

describe("a protobuf body", () => {
  it("is read as the object it stands for", () => {
    const field = (number: number, ...content: ReadonlyArray<Uint8Array | string>): Buffer => {
      const body = Buffer.concat(content.map((one) => Buffer.from(one)))
      return Buffer.concat([Buffer.from([number << 3 | 2, body.length]), body])
    }
    const metadata = field(1, field(1, "c"), field(2, ""), field(3, ""), field(11, field(1, "l"), field(2, "1")))
    const body = Buffer.concat([
      Buffer.from("k8s\0"),
      field(1, field(1, "v1"), field(2, "ConfigMap")),
      field(
        2,
        metadata,
        field(2, field(1, "a"), field(2, "b")),
        field(3, field(1, "bin"), field(2, Uint8Array.of(0, 255)))
      ),
      field(3, ""),
      field(4, "")
    ])
    assert.deepStrictEqual(Option.getOrThrow(Protobuf.decode(body)), {
      kind: "ConfigMap",
      apiVersion: "v1",
      metadata: { name: "c", labels: { l: "1" } },
      data: { a: "b" },
      binaryData: { bin: "AP8=" }
    })
  })

  it.effect("that is broken or unknown is a bad request", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      for (const body of ["k8s\0\n", "nope", "k8s\0"]) {
        const answer = yield* client.request(configmaps, {
          method: "POST",
          body: new TextEncoder().encode(body),
          headers: { "Content-Type": "application/vnd.kubernetes.protobuf" }
        })
        assert.strictEqual(answer.status, 400)
      }
    }))
})

describe("subresources", () => {
  const deployment = {
    metadata: { name: "d" },
    spec: {
      replicas: 0,
      selector: { matchLabels: { a: "b" } },
      template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "a", image: "b" }] } }
    }
  }

  it.effect("scale a workload", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(deployments, deployment)
      const scale = yield* client.get(`${deployments}/d/scale`)
      assert.deepStrictEqual([scale.at("kind"), scale.at("spec"), scale.at("status")], ["Scale", {}, {
        replicas: 0,
        selector: "a=b"
      }])
      const patched = yield* client.patch(`${deployments}/d/scale`, "merge-patch+json", { spec: { replicas: 3 } })
      assert.strictEqual(patched.at("spec", "replicas"), 3)
      yield* client.put(`${deployments}/d/scale`, { ...patched.json, spec: { replicas: 2 } })
      const stale = yield* client.put(`${deployments}/d/scale`, { ...patched.json, spec: { replicas: 9 } })
      assert.strictEqual(stale.status, 409)
      const object = yield* client.get(`${deployments}/d`)
      assert.deepStrictEqual([object.at("spec", "replicas"), object.at("metadata", "generation")], [2, 3])
    }))

  it.effect("evict a pod unless its budget forbids it", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
      yield* client.post(pods, { ...pod("p"), metadata: { name: "p", labels: { a: "b" } } })
      yield* client.post(budgets, { metadata: { name: "b" }, spec: { selector: { matchLabels: { a: "b" } } } })
      const allow = (disruptionsAllowed: number) =>
        client.patch(`${budgets}/b/status`, "merge-patch+json", { status: { disruptionsAllowed } })
      const evict = client.post(`${pods}/p/eviction`, { metadata: { name: "p" } })
      yield* allow(0)
      const refused = yield* evict
      assert.deepStrictEqual([refused.status, refused.at("reason"), refused.headers["Retry-After"]], [
        429,
        "TooManyRequests",
        "10"
      ])
      yield* allow(1)
      assert.strictEqual((yield* evict).status, 201)
      assert.strictEqual((yield* client.get(`${pods}/p`)).status, 404)
    }))

  it.effect("bind a pod to a node once, and add ephemeral containers", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("p"))
      const bind = client.post(`${pods}/p/binding`, { metadata: { name: "p" }, target: { kind: "Node", name: "n" } })
      assert.strictEqual((yield* bind).status, 201)
      assert.strictEqual((yield* bind).status, 409)
      const debug = { spec: { ephemeralContainers: [{ name: "debug", image: "busybox" }] } }
      const patched = yield* client.patch(`${pods}/p/ephemeralcontainers`, "strategic-merge-patch+json", debug)
      assert.deepStrictEqual(
        [patched.at("spec", "nodeName"), patched.at("spec", "ephemeralContainers", 0, "name")],
        ["n", "debug"]
      )
    }))

  it.effect("of namespaces are told from resources in them", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const namespace = "/api/v1/namespaces/default"
      const patched = yield* client.patch(`${namespace}/status`, "merge-patch+json", { status: { conditions: [] } })
      assert.deepStrictEqual([patched.at("kind"), patched.at("metadata", "name")], ["Namespace", "default"])
      const finalized = yield* client.put(`${namespace}/finalize`, {
        metadata: { name: "default" },
        spec: { finalizers: [] }
      })
      assert.deepStrictEqual(finalized.at("spec", "finalizers"), [])
    }))

  it.effect("that nobody has plugged in are not implemented, and those of another method not allowed", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      assert.strictEqual((yield* client.get(`${pods}/p/exec`)).status, 501)
      assert.strictEqual((yield* client.post(`${pods}/p/log`, {})).status, 405)
    }))
})

describe("a node", () => {
  it.effect("follows pods, sets their status, and lets them go when they are deleted", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const { client } = yield* start({
        node: Effect.fnUntraced(function*({ podRow, pods, registry }) {
          yield* Effect.forkScoped(Stream.runForEach(pods, ({ object, type }) => {
            const { name, namespace } = object.metadata
            events.push(`${type} ${name}`)
            const reference = { row: podRow, name, namespace }
            const change = type === "ADDED"
              ? Effect.andThen(
                registry.update(reference, "subresource", (before) =>
                  Result.succeed({ ...before, spec: { ...Json.object(before["spec"]), nodeName: "n" } })),
                registry.update(reference, "status", (before) =>
                  Result.succeed({ ...before, status: { phase: "Running" } }))
              )
              : type === "MODIFIED" && object.metadata.deletionTimestamp !== undefined
              ? registry.remove(reference, { gracePeriodSeconds: 0 })
              : Effect.void
            return Effect.orDie(change)
          }))
          return { subresources: new Map() }
        })
      })
      yield* client.post(pods, pod("p"))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual((yield* client.get(`${pods}/p`)).at("status", "phase"), "Running")
      const marked = yield* client.remove(`${pods}/p`)
      assert.strictEqual(marked.at("metadata", "deletionGracePeriodSeconds"), 30)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual((yield* client.get(`${pods}/p`)).status, 404)
      yield* Effect.yieldNow
      assert.deepStrictEqual(events, ["ADDED p", "MODIFIED p", "MODIFIED p", "MODIFIED p", "DELETED p"])
    }))
})
