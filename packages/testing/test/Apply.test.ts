import type { JsonObject } from "@effect-k8s/testing/store/Json"
import * as Json from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { applying, managers, refused } from "./support/Applying.ts"
import { configmaps, deployments, start } from "./support/Server.ts"

// The answers are those of Kubernetes 1.34 to the same requests.

const map = (data: JsonObject | undefined, metadata: JsonObject = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "a", ...metadata },
  ...(data === undefined ? {} : { data })
})

const data = (...names: ReadonlyArray<string>): JsonObject => ({
  "f:data": Object.fromEntries(names.map((name) => [`f:${name}`, {}]))
})

describe("server-side apply", () => {
  it.effect("makes what is not there, and owns what it says", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client)
      const made = yield* apply("one", map({ k: "1", l: "2" }, { labels: { x: "1" } }))
      assert.strictEqual(made.status, 201)
      assert.deepStrictEqual(made.at("metadata", "managedFields"), [{
        manager: "one",
        operation: "Apply",
        apiVersion: "v1",
        time: "1970-01-01T00:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { ...data("k", "l"), "f:metadata": { "f:labels": { "f:x": {} } } }
      }])
      yield* TestClock.adjust("10 seconds")
      const again = yield* apply("one", map({ k: "1", l: "2" }, { labels: { x: "1" } }))
      assert.deepStrictEqual(again.json, made.json)
    }))

  it.effect("takes YAML", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const made = yield* applying(client)(
        "one",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: y\n"
      )
      assert.deepStrictEqual([made.status, made.at("data")], [201, { k: "y" }])
    }))

  it.effect("shares fields of the same value, and refuses those of another", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client)
      yield* apply("one", map({ k: "1", l: "2" }, { labels: { x: "1" } }))
      const shared = yield* apply("two", map({ k: "1" }))
      assert.deepStrictEqual(managers(shared)["Apply two"], data("k"))
      // Who adds nothing has no time.
      assert.isUndefined(shared.at("metadata", "managedFields", 0, "time"))
      const one = yield* apply("two", map({ k: "1", l: "3" }))
      assert.deepStrictEqual(refused(one), [
        409,
        "Conflict",
        "Apply failed with 1 conflict: conflict with \"one\": .data.l"
      ])
      const both = yield* apply("two", map({ k: "3", l: "3" }))
      assert.strictEqual(
        both.at("message"),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.k\n- .data.l"
      )
      assert.deepStrictEqual(both.at("details"), {
        causes: [
          { reason: "FieldManagerConflict", message: "conflict with \"one\"", field: ".data.k" },
          { reason: "FieldManagerConflict", message: "conflict with \"one\"", field: ".data.l" }
        ]
      })
      const three = yield* apply("three", map({ k: "3", l: "3" }, { labels: { x: "2" } }))
      assert.strictEqual(
        three.at("message"),
        "Apply failed with 4 conflicts: conflicts with \"one\":\n- .data.k\n- .data.l\n- .metadata.labels.x\nconflicts with \"two\":\n- .data.k"
      )
      assert.strictEqual((yield* apply("two", map({ k: "3" }), "&force=false")).status, 409)
      assert.deepStrictEqual((yield* client.get(`${configmaps}/a`)).at("data"), { k: "1", l: "2" })
      const forced = yield* apply("two", map({ k: "3", l: "3" }), "&force=true")
      assert.deepStrictEqual(forced.at("data"), { k: "3", l: "3" })
      assert.deepStrictEqual(managers(forced), {
        "Apply one": { "f:metadata": { "f:labels": { "f:x": {} } } },
        "Apply two": data("k", "l")
      })
    }))

  it.effect("removes what the manager no longer says, unless others own it", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client)
      yield* apply("one", map({ mine: "1", shared: "1" }, { labels: { x: "1" } }))
      yield* apply("two", map({ shared: "1" }))
      yield* client.patch(`${configmaps}/a`, "merge-patch+json", { data: { theirs: "1" } })
      const left = yield* apply("one", map(undefined))
      assert.deepStrictEqual(left.at("data"), { shared: "1", theirs: "1" })
      assert.isUndefined(left.at("metadata", "labels"))
      assert.isUndefined(managers(left)["Apply one"])
    }))

  it.effect("knows who wrote otherwise, by the manager or the user agent", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const change = (body: JsonObject, query: string, agent: string) =>
        client.request(`${configmaps}/a${query}`, {
          method: "PATCH",
          body,
          headers: { "Content-Type": "application/merge-patch+json", "User-Agent": agent }
        })
      yield* client.post(`${configmaps}?fieldManager=poster`, map({ k: "1" }))
      yield* change({ data: { q: "1" }, metadata: { annotations: { m: "1" } } }, "", "cur_l-x/1.2 (foo)")
      const changed = yield* change({ data: { k: "2" } }, "?fieldManager=editor", "x/1")
      assert.deepStrictEqual(managers(changed), {
        "Update poster": { "f:data": {} },
        "Update cur_l-x": { ...data("q"), "f:metadata": { "f:annotations": { ".": {}, "f:m": {} } } },
        "Update editor": data("k")
      })
      const conflict = yield* applying(client)("one", map({ q: "2" }))
      assert.strictEqual(
        conflict.at("message"),
        "Apply failed with 1 conflict: conflict with \"cur_l-x\" using v1: .data.q"
      )
    }))

  it.effect("knows what others made, but for what every object of the kind has", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const made = yield* client.post("/api/v1/namespaces/default/services?fieldManager=u", {
        metadata: { name: "s" },
        spec: { selector: { a: "b" }, ports: [{ port: 80 }] }
      })
      const port = { ".": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {} }
      assert.deepStrictEqual(managers(made), {
        "Update u": {
          "f:spec": {
            "f:internalTrafficPolicy": {},
            "f:ports": { ".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": port },
            "f:selector": {},
            "f:sessionAffinity": {},
            "f:type": {}
          }
        }
      })
    }))

  it.effect("joins the oldest of many that update", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(`${configmaps}?fieldManager=m0`, map({ k0: "1" }))
      for (let i = 1; i <= 12; i++) {
        yield* TestClock.adjust("1 second")
        yield* client.patch(`${configmaps}/a?fieldManager=m${i}`, "merge-patch+json", { data: { [`k${i}`]: "1" } })
      }
      const names = Object.keys(managers(yield* client.get(`${configmaps}/a`)))
      assert.strictEqual(names.length, 10)
      assert.strictEqual(names[0], "Update ancient-changes")
      assert.include(names, "Update m12")
    }))

  it.effect("begins anew where managers were cleared", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client)
      yield* apply("one", map({ l: "1" }))
      const patch = { metadata: { managedFields: [{}] } }
      const cleared = yield* client.patch(`${configmaps}/a`, "merge-patch+json", patch)
      assert.isUndefined(cleared.at("metadata", "managedFields"))
      assert.strictEqual(
        (yield* apply("one", map({ l: "9" }))).at("message"),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.l"
      )
      assert.deepStrictEqual(managers(yield* apply("one", map({ n: "9" }))), {
        "Apply one": data("n"),
        "Update before-first-apply": { "f:data": { ".": {}, "f:l": {} } }
      })
    }))

  it.effect("lets kubectl take what it has applied itself, and keeps its annotation", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const annotation = "kubectl.kubernetes.io/last-applied-configuration"
      const before = JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { k: "1" } })
      yield* client.post(`${configmaps}?fieldManager=kubectl-client-side-apply`, {
        ...map({ k: "1", other: "1" }, { annotations: { [annotation]: before } })
      })
      const apply = applying(client)
      assert.strictEqual((yield* apply("kubectl", map({ other: "2" }))).status, 409)
      const taken = yield* apply("kubectl", map({ k: "5" }))
      assert.strictEqual(taken.at("data", "k"), "5")
      assert.strictEqual(
        taken.at("metadata", "annotations", annotation),
        "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"5\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"
      )
    }))

  it.effect("keeps nothing of a dry run", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const dry = yield* applying(client)("one", map({ k: "1" }), "&dryRun=All")
      assert.deepStrictEqual([dry.status, managers(dry)], [201, { "Apply one": data("k") }])
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 404)
    }))

  const long = "a".repeat(129)
  const options = "PatchOptions.meta.k8s.io \"\" is invalid: "
  const refusals: ReadonlyArray<readonly [string, manager: string, body: unknown, status: number, message: string]> = [
    ["without a manager", "", map({}), 422, `${options}fieldManager: Required value: is required for apply patch`],
    ["by too long a manager", long, map({}), 422, `${options}fieldManager: Too long: may not be more than 128 bytes`],
    ["with managers", "one", map({}, { managedFields: [{}] }), 400, "metadata.managedFields must be nil"],
    [
      "of another name",
      "one",
      map({}, { name: "b" }),
      400,
      "the name of the object (b) does not match the name on the URL (a)"
    ],
    ["of another kind", "one", { apiVersion: "v1", kind: "Secret" }, 400, "invalid object type: /v1, Kind=Secret"],
    ["of no kind", "one", {}, 400, "invalid object type: /, Kind="],
    [
      "with a field that the kind does not have",
      "one",
      { ...map({}), foo: 1 },
      500,
      "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .foo: field not declared in schema"
    ],
    [
      "with a value of another type",
      "one",
      map({ k: 1 }),
      500,
      "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.k: expected string, got &value.valueUnstructured{Value:1}"
    ],
    [
      "of another uid",
      "one",
      map({}, { uid: "abc" }),
      422,
      "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"abc\": field is immutable"
    ],
    [
      "of another version",
      "one",
      map({}, { resourceVersion: "1" }),
      409,
      "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    ]
  ]
  for (const [name, manager, body, status, message] of refusals) {
    it.effect(`is refused ${name}`, () =>
      Effect.gen(function*() {
        const { client } = yield* start()
        yield* client.post(configmaps, map({}))
        const answer = yield* applying(client)(manager, body)
        assert.deepStrictEqual([answer.status, answer.at("message")], [status, message])
      }))
  }

  it.effect("to what is not there needs its name, and no uid; a version does not matter", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client)
      assert.deepStrictEqual(refused(yield* apply("one", { apiVersion: "v1", kind: "ConfigMap" })), [
        400,
        "BadRequest",
        "the name of the object (a based on URL) was undeterminable: name must be provided"
      ])
      assert.deepStrictEqual(refused(yield* apply("one", map({}, { uid: "abc" }))), [
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object specified uid abc, and no existing object was found"
      ])
      assert.strictEqual((yield* apply("one", map({}, { resourceVersion: "5" }))).status, 201)
    }))

  it.effect("is the only patch that may be forced", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, map({}))
      const answer = yield* client.patch(`${configmaps}/a?force=true`, "merge-patch+json", {})
      assert.deepStrictEqual(refused(answer), [
        422,
        "Invalid",
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
      ])
    }))
})

const containers = (...all: ReadonlyArray<JsonObject>) => ({ template: { spec: { containers: all } } })
const deployment = (spec: JsonObject) => ({ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "d" }, spec })
const main = {
  name: "c",
  image: "img",
  ports: [{ containerPort: 80 }],
  env: [{ name: "A", value: "1" }]
}
const whole = (container: JsonObject) => ({
  replicas: 1,
  selector: { matchLabels: { a: "b" } },
  template: { metadata: { labels: { a: "b" } }, spec: { containers: [container], tolerations: [{ key: "x" }] } }
})
const d = `${deployments}/d`

describe("server-side apply to lists", () => {
  it.effect("merges them by their keys, defaults included, and removes elements that nobody owns", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client, d)
      const made = yield* apply("one", deployment(whole(main)))
      assert.deepStrictEqual(managers(made), {
        "Apply one": {
          "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
              "f:metadata": { "f:labels": { "f:a": {} } },
              "f:spec": {
                "f:containers": {
                  "k:{\"name\":\"c\"}": {
                    ".": {},
                    "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} } },
                    "f:image": {},
                    "f:name": {},
                    "f:ports": { "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": { ".": {}, "f:containerPort": {} } }
                  }
                },
                "f:tolerations": {}
              }
            }
          }
        }
      })
      const image = yield* apply("two", deployment(containers({ name: "c", image: "other" })))
      assert.strictEqual(
        image.at("message"),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"c\"].image"
      )
      yield* apply("two", deployment(containers({ name: "side", image: "s" })))
      const dropped = yield* apply("one", deployment(whole({ name: "c", image: "img" })))
      const spec = dropped.at("spec", "template", "spec")
      assert.deepStrictEqual(
        Json.array(Json.get(spec, "containers")).map((one) => [
          Json.get(one, "name"),
          Json.get(one, "env"),
          Json.get(one, "ports")
        ]),
        [["c", undefined, undefined], ["side", undefined, undefined]]
      )
    }))

  it.effect("takes quantities as numbers", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const limits = { ...main, resources: { limits: { cpu: 1, memory: "1Gi" } } }
      assert.strictEqual((yield* applying(client, d)("one", deployment(whole(limits)))).status, 201)
    }))

  it.effect("takes a raw object as one value", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const made = yield* applying(client, "/apis/apps/v1/namespaces/default/controllerrevisions/r")("one", {
        apiVersion: "apps/v1",
        kind: "ControllerRevision",
        metadata: { name: "r" },
        revision: 1,
        data: { a: { b: 1 } }
      })
      assert.deepStrictEqual(managers(made), { "Apply one": { "f:data": {}, "f:revision": {} } })
    }))

  it.effect("refuses an element that comes twice", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const apply = applying(client, d)
      const of = "failed to create typed patch object (/d; apps/v1, Kind=Deployment): .spec.template.spec.containers"
      const twice = yield* apply("one", deployment(containers({ name: "x" }, { name: "x" })))
      assert.strictEqual(twice.status, 500)
      assert.strictEqual(twice.at("message"), `${of}: duplicate entries for key [name="x"]`)
    }))

  it.effect("leaves the status to its subresource, and the rest to the object", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* applying(client, d)("one", deployment(whole(main)))
      const wanted = { ...deployment({ replicas: 5 }), status: { unavailableReplicas: 3 } }
      const status = yield* applying(client, `${d}/status`)("st", wanted)
      assert.deepStrictEqual(
        [status.at("spec", "replicas"), status.at("status", "unavailableReplicas")],
        [1, 3]
      )
      assert.deepStrictEqual(managers(status)["Apply st/status"], { "f:status": { "f:unavailableReplicas": {} } })
      const object = yield* applying(client, d)("x", { ...deployment({ paused: true }), status: { replicas: 9 } })
      assert.strictEqual(object.at("status", "unavailableReplicas"), 3)
      assert.notStrictEqual(object.at("status", "replicas"), 9)
      assert.deepStrictEqual(managers(object)["Apply x"], { "f:spec": { "f:paused": {} } })
      assert.strictEqual((yield* applying(client, `${deployments}/e/status`)("st", wanted)).status, 404)
    }))

  it.effect("takes the replicas by the scale", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* applying(client, d)("one", deployment(whole(main)))
      const scale = (replicas: number) => ({
        apiVersion: "autoscaling/v1",
        kind: "Scale",
        metadata: { name: "d" },
        spec: { replicas }
      })
      yield* client.patch(`${d}/scale?fieldManager=scaler`, "merge-patch+json", { spec: { replicas: 2 } })
      assert.deepStrictEqual(managers(yield* client.get(d))["Update scaler/scale"], { "f:spec": { "f:replicas": {} } })
      const apply = applying(client, `${d}/scale`)
      assert.strictEqual(
        (yield* apply("sa", scale(3))).at("message"),
        "Apply failed with 1 conflict: conflict with \"scaler\" with subresource \"scale\" using autoscaling/v1: .spec.replicas"
      )
      assert.strictEqual((yield* apply("sa", scale(3), "&force=true")).at("spec", "replicas"), 3)
      const after = yield* client.get(d)
      assert.isUndefined(managers(after)["Update scaler/scale"])
      assert.deepStrictEqual(managers(after)["Apply sa/scale"], { "f:spec": { "f:replicas": {} } })
      assert.strictEqual(
        (yield* applying(client, d)("one", deployment(whole(main)))).at("message"),
        "Apply failed with 1 conflict: conflict with \"sa\" with subresource \"scale\": .spec.replicas"
      )
      const kind = yield* apply("sa", deployment({ replicas: 1 }))
      assert.strictEqual(kind.at("message"), "invalid object type: apps/v1, Kind=Deployment")
    }))
})
