import type { JsonObject } from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, deployments, pod, pods, start } from "./support/Server.ts"

describe("create", () => {
  it.effect("fills in what the server decides, and drops what it does not take", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const answer = yield* client.post(configmaps, {
        metadata: { name: "a", uid: "mine", creationTimestamp: "2000-01-01T00:00:00Z", generation: 7, selfLink: "/x" },
        data: { k: "v" }
      })
      assert.strictEqual(answer.status, 201)
      assert.deepStrictEqual(Object.keys(answer.json), ["kind", "apiVersion", "metadata", "data"])
      assert.deepStrictEqual(
        Object.keys(answer.at("metadata") ?? {}),
        ["name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields"]
      )
      assert.notStrictEqual(answer.at("metadata", "uid"), "mine")
      // The test clock begins with 1970.
      assert.strictEqual(answer.at("metadata", "creationTimestamp"), "1970-01-01T00:00:00Z")
      assert.isTrue(answer.text.endsWith("}\n"))
      assert.strictEqual(answer.headers["Content-Type"], "application/json")
      assert.isString(answer.headers["Audit-Id"])
    }))

  it.effect("makes names from generateName, each of its own", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const names = yield* Effect.forEach([1, 2, 3], () =>
        Effect.map(client.post(configmaps, { metadata: { generateName: "x-" } }), (answer) =>
          answer.textAt("metadata", "name")))
      for (const name of names) {
        assert.match(name, /^x-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
      }
      assert.strictEqual(new Set(names).size, 3)
    }))

  it.effect("gives kinds with a specification a generation, and pods their defaults and first status", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const created = yield* client.post(pods, { ...pod("p"), status: { phase: "Failed" } })
      assert.strictEqual(created.at("metadata", "generation"), 1)
      assert.deepStrictEqual(created.at("status"), { phase: "Pending", qosClass: "BestEffort" })
      assert.strictEqual(created.at("spec", "restartPolicy"), "Always")
      assert.strictEqual(created.at("spec", "containers", 0, "imagePullPolicy"), "Always")
      assert.strictEqual((yield* client.post(configmaps, configmap("c"))).at("metadata", "generation"), undefined)
    }))

  // Status, reason, message and details as a real server (1.34) gives them.
  const refusals: ReadonlyArray<
    readonly [string, string, unknown, readonly [number, string, string, JsonObject | undefined]]
  > = [
    ["an object of that name", configmaps, configmap("taken"), [
      409,
      "AlreadyExists",
      "configmaps \"taken\" already exists",
      { name: "taken", kind: "configmaps" }
    ]],
    ["an unknown namespace", "/api/v1/namespaces/nope/configmaps", configmap("a"), [
      404,
      "NotFound",
      "namespaces \"nope\" not found",
      { name: "nope", kind: "namespaces" }
    ]],
    ["a name that is none", configmaps, configmap("B_d"), [
      422,
      "Invalid",
      "ConfigMap \"B_d\" is invalid: metadata.name: Invalid value: \"B_d\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      undefined
    ]],
    ["no name", configmaps, { metadata: {} }, [
      422,
      "Invalid",
      "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
      {
        kind: "ConfigMap",
        causes: [{
          reason: "FieldValueRequired",
          message: "Required value: name or generateName is required",
          field: "metadata.name"
        }]
      }
    ]],
    ["another namespace", configmaps, { metadata: { name: "z", namespace: "other" } }, [
      400,
      "BadRequest",
      "the namespace of the provided object does not match the namespace sent on the request",
      undefined
    ]],
    ["another kind", configmaps, { kind: "Pod", apiVersion: "v1", metadata: { name: "z" } }, [
      400,
      "BadRequest",
      "Pod in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion",
      undefined
    ]],
    ["a value of the wrong type", configmaps, configmap("z", { data: { a: 1 } }), [
      400,
      "BadRequest",
      "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
      undefined
    ]],
    ["a namespace with dots", "/api/v1/namespaces", configmap("a.b"), [
      422,
      "Invalid",
      "Namespace \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not contain dots",
      undefined
    ]],
    ["a pod without containers", pods, { metadata: { name: "p" }, spec: {} }, [
      422,
      "Invalid",
      "Pod \"p\" is invalid: spec.containers: Required value",
      {
        name: "p",
        kind: "Pod",
        causes: [{ reason: "FieldValueRequired", message: "Required value", field: "spec.containers" }]
      }
    ]],
    ["a deployment whose selector misses its template", deployments, {
      metadata: { name: "d" },
      spec: {
        selector: { matchLabels: { a: "b" } },
        template: { metadata: { labels: { a: "c" } }, spec: { containers: [{ name: "a", image: "b" }] } }
      }
    }, [
      422,
      "Invalid",
      "Deployment.apps \"d\" is invalid: spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
      {
        name: "d",
        group: "apps",
        kind: "Deployment",
        causes: [{
          reason: "FieldValueInvalid",
          message: "Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`",
          field: "spec.template.metadata.labels"
        }]
      }
    ]],
    ["a POST to an object", `${configmaps}/a`, configmap("a"), [
      405,
      "MethodNotAllowed",
      "the server does not allow this method on the requested resource",
      {}
    ]],
    ["no namespace", "/api/v1/configmaps", configmap("a"), [
      405,
      "MethodNotAllowed",
      "the server does not allow this method on the requested resource",
      {}
    ]]
  ]
  for (const [name, path, body, [status, reason, message, details]] of refusals) {
    it.effect(`is refused for ${name}`, () =>
      Effect.gen(function*() {
        const { client } = yield* start()
        yield* client.post(configmaps, configmap("taken"))
        const answer = yield* client.post(path, body)
        assert.deepStrictEqual([answer.status, answer.at("code"), answer.at("reason"), answer.at("message")], [
          status,
          status,
          reason,
          message
        ])
        if (details !== undefined) assert.deepStrictEqual(answer.at("details"), details)
        assert.strictEqual(answer.at("kind"), "Status")
      }))
  }

  it.effect("warns of fields that the kind does not have, or refuses them where it is told to", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const typo = (name: string) => ({
        metadata: { name },
        spec: { containers: [{ name: "a", image: "b", comand: ["x"] }], restartpolicy: "Never" }
      })
      const warned = yield* client.post(pods, typo("p"))
      assert.deepStrictEqual([warned.status, warned.headers["Warning"]], [
        201,
        "299 - \"unknown field \\\"spec.containers[0].comand\\\"\", 299 - \"unknown field \\\"spec.restartpolicy\\\"\""
      ])
      const strict = yield* client.post(`${pods}?fieldValidation=Strict`, typo("q"))
      assert.deepStrictEqual([strict.status, strict.at("message")], [
        400,
        "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.containers[0].comand\", unknown field \"spec.restartpolicy\""
      ])
      assert.strictEqual((yield* client.get(`${pods}/q`)).status, 404)
      const ignored = yield* client.post(`${pods}?fieldValidation=Ignore`, typo("q"))
      assert.deepStrictEqual([ignored.status, ignored.headers["Warning"]], [201, undefined])
      const patch = { spec: { foo: 1 } }
      const patched = yield* client.patch(`${pods}/p?fieldValidation=Strict`, "merge-patch+json", patch)
      assert.strictEqual(patched.status, 400)
    }))

  it.effect("knows the fields of inlined, mapped and opaque parts", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const full = {
        metadata: { name: "p", annotations: { any: "thing" } },
        spec: {
          volumes: [{ name: "v", emptyDir: { sizeLimit: "1Gi" } }, { name: "c", configMap: { name: "x", items: [] } }],
          containers: [{
            name: "a",
            image: "b",
            resources: { limits: { cpu: "1" } },
            readinessProbe: { httpGet: { path: "/", port: 80, httpHeaders: [] }, periodSeconds: 1 },
            env: [{ name: "e", valueFrom: { configMapKeyRef: { name: "x", key: "k" } } }]
          }]
        }
      }
      assert.strictEqual((yield* client.post(`${pods}?fieldValidation=Strict`, full)).status, 201)
    }))

  it.effect("names every field at fault", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const answer = yield* client.post(pods, {
        metadata: { name: "p", labels: { "a b": "c" }, finalizers: ["x"] },
        spec: { containers: [{ name: "X_" }, { name: "a", image: "i" }, { name: "a", image: "i" }] }
      })
      const causes = answer.at("details", "causes")
      const fields = Array.isArray(causes) ? causes.map((cause) => HandlerClient.at(cause, "field")) : []
      assert.deepStrictEqual(fields, [
        "metadata.labels",
        "metadata.finalizers[0]",
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.containers[2].name"
      ])
    }))

  it.effect("of a dry run answers the object and keeps nothing", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const before = server.registry.store.revision()
      const answer = yield* client.post(`${configmaps}?dryRun=All`, configmap("a"))
      assert.strictEqual(answer.status, 201)
      assert.strictEqual(answer.at("metadata", "resourceVersion"), undefined)
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 404)
      assert.strictEqual(server.registry.store.revision(), before)
      assert.strictEqual((yield* client.post(`${configmaps}?dryRun=Some`, configmap("a"))).status, 422)
    }))

  it.effect("and every other write of a dry run change nothing", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      yield* client.post(configmaps, configmap("a", { data: { k: "1" } }))
      const before = server.registry.store.revision()
      const path = `${configmaps}/a?dryRun=All`
      const patched = yield* client.patch(path, "merge-patch+json", { data: { k: "2" } })
      assert.deepStrictEqual([patched.status, patched.at("data", "k")], [200, "2"])
      assert.strictEqual((yield* client.put(path, configmap("a", { data: { k: "3" } }))).at("data", "k"), "3")
      assert.strictEqual((yield* client.remove(path)).at("status"), "Success")
      assert.strictEqual((yield* client.remove(`${configmaps}?dryRun=All`)).status, 200)
      assert.strictEqual((yield* client.remove(`${configmaps}/a`, { dryRun: ["All"] })).status, 200)
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).at("data", "k"), "1")
      assert.strictEqual(server.registry.store.revision(), before)
    }))
})

describe("replace", () => {
  it.effect("takes the version that was read, and refuses an older one with a conflict", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const first = yield* client.post(configmaps, configmap("a", { data: { k: "1" } }))
      const version = first.at("metadata", "resourceVersion")
      const body = { metadata: { name: "a", resourceVersion: version }, data: { k: "2" } }
      const second = yield* client.put(`${configmaps}/a`, body)
      assert.strictEqual(second.status, 200)
      assert.strictEqual(second.at("metadata", "uid"), first.at("metadata", "uid"))
      const third = yield* client.put(`${configmaps}/a`, { ...body, data: { k: "3" } })
      assert.deepStrictEqual([third.status, third.at("reason"), third.at("message")], [
        409,
        "Conflict",
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
      ])
    }))

  it.effect("without a version replaces whatever is there", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a", { data: { k: "1" } }))
      assert.strictEqual((yield* client.put(`${configmaps}/a`, configmap("a", { data: { k: "2" } }))).status, 200)
    }))

  it.effect("that changes nothing keeps the version", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const first = yield* client.post(configmaps, configmap("a", { data: { k: "1" } }))
      const second = yield* client.put(`${configmaps}/a`, configmap("a", { data: { k: "1" } }))
      assert.strictEqual(second.at("metadata", "resourceVersion"), first.at("metadata", "resourceVersion"))
    }))

  it.effect("counts changes of the specification, and only those", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const spec = (replicas: number) => ({
        replicas,
        selector: { matchLabels: { a: "b" } },
        template: { metadata: { labels: { a: "b" } }, spec: { containers: [{ name: "a", image: "b" }] } }
      })
      const generation = (body: object) =>
        Effect.map(client.put(`${deployments}/d`, body), (answer) => answer.at("metadata", "generation"))
      yield* client.post(deployments, { metadata: { name: "d" }, spec: spec(1) })
      assert.strictEqual(yield* generation({ metadata: { name: "d", labels: { x: "1" } }, spec: spec(1) }), 1)
      assert.strictEqual(yield* generation({ metadata: { name: "d", labels: { x: "1" } }, spec: spec(2) }), 2)
    }))

  it.effect("refuses another name, another uid, and an object that is not there", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const renamed = yield* client.put(`${configmaps}/a`, configmap("b"))
      assert.deepStrictEqual([renamed.status, renamed.at("message")], [
        400,
        "the name of the object (b) does not match the name on the URL (a)"
      ])
      assert.strictEqual((yield* client.put(`${configmaps}/a`, { metadata: { name: "a", uid: "1" } })).status, 409)
      assert.strictEqual((yield* client.put(`${configmaps}/none`, configmap("none"))).status, 404)
    }))

  it.effect("keeps the status of the object, as a status keeps the object", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("p"))
      const main = yield* client.patch(`${pods}/p`, "merge-patch+json", {
        metadata: { labels: { x: "1" } },
        status: { phase: "Failed" }
      })
      assert.deepStrictEqual([main.at("status", "phase"), main.at("metadata", "labels", "x")], ["Pending", "1"])
      const status = yield* client.patch(`${pods}/p/status`, "merge-patch+json", {
        spec: { nodeName: "elsewhere" },
        status: { phase: "Running" }
      })
      assert.deepStrictEqual([status.at("status", "phase"), status.at("spec", "nodeName")], ["Running", undefined])
    }))

  it.effect("does not change what is fixed", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("p"))
      const change = (patch: object) => client.patch(`${pods}/p`, "strategic-merge-patch+json", patch)
      const env = yield* change({ spec: { containers: [{ name: "main", env: [{ name: "x", value: "1" }] }] } })
      assert.deepStrictEqual([env.status, env.at("details", "causes", 0, "field")], [422, "spec"])
      assert.strictEqual((yield* change({ spec: { containers: [{ name: "main", image: "other" }] } })).status, 200)
    }))
})

describe("patch", () => {
  it.effect("goes by its media type", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a", { data: { k: "1" } }))
      const value = (type: string, patch: unknown) =>
        Effect.map(client.patch(`${configmaps}/a`, type, patch), (answer) => answer.at("data", "k") ?? answer.status)
      assert.strictEqual(yield* value("merge-patch+json", { data: { k: "2" } }), "2")
      assert.strictEqual(yield* value("strategic-merge-patch+json", { data: { k: "3" } }), "3")
      assert.strictEqual(yield* value("json-patch+json", [{ op: "replace", path: "/data/k", value: "4" }]), "4")
      assert.strictEqual(yield* value("json-patch+json", [{ op: "test", path: "/data/k", value: "9" }]), 422)
      assert.strictEqual(yield* value("json-patch+json", { x: 1 }), 400)
      assert.strictEqual(yield* value("json", { data: { k: "5" } }), 415)
    }))

  it.effect("with a version is refused when the object is newer", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const patch = { metadata: { resourceVersion: "1" }, data: { k: "2" } }
      assert.strictEqual((yield* client.patch(`${configmaps}/a`, "merge-patch+json", patch)).at("reason"), "Conflict")
    }))
})

describe("delete", () => {
  it.effect("answers a Status for most kinds, and the object for pods", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const created = yield* client.post(configmaps, configmap("a"))
      yield* client.post(pods, pod("p"))
      assert.deepStrictEqual((yield* client.remove(`${configmaps}/a`)).json, {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Success",
        details: { name: "a", kind: "configmaps", uid: created.at("metadata", "uid") }
      })
      assert.strictEqual((yield* client.remove(`${pods}/p`)).at("kind"), "Pod")
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 404)
    }))

  it.effect("checks its preconditions", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const uid = yield* client.remove(`${configmaps}/a`, { preconditions: { uid: "abc" } })
      assert.deepStrictEqual([uid.status, uid.at("details")], [409, { name: "a", kind: "ConfigMap" }])
      const version = yield* client.remove(`${configmaps}/a`, { preconditions: { resourceVersion: "1" } })
      assert.strictEqual(version.status, 409)
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 200)
    }))

  it.effect("waits for finalizers, which can only become fewer", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, { metadata: { name: "a", finalizers: ["x/a"] } })
      const marked = yield* client.remove(`${configmaps}/a`)
      assert.strictEqual(marked.at("metadata", "deletionTimestamp"), "1970-01-01T00:00:00Z")
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 200)
      const patch = (finalizers: ReadonlyArray<string>) =>
        client.patch(`${configmaps}/a`, "merge-patch+json", { metadata: { finalizers } })
      assert.strictEqual((yield* patch(["x/a", "x/b"])).status, 422)
      assert.strictEqual((yield* patch([])).status, 200)
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 404)
    }))

  it.effect("gives a pod on a node its grace, until a delete without grace", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("p", { nodeName: "n", terminationGracePeriodSeconds: 20 }))
      const marked = yield* client.remove(`${pods}/p`)
      assert.deepStrictEqual(
        [marked.at("metadata", "deletionGracePeriodSeconds"), marked.at("metadata", "deletionTimestamp")],
        [20, "1970-01-01T00:00:20Z"]
      )
      const shorter = yield* client.remove(`${pods}/p?gracePeriodSeconds=5`)
      assert.strictEqual(shorter.at("metadata", "deletionGracePeriodSeconds"), 5)
      const longer = yield* client.remove(`${pods}/p`, { gracePeriodSeconds: 60 })
      assert.strictEqual(longer.at("metadata", "deletionGracePeriodSeconds"), 5)
      yield* client.remove(`${pods}/p`, { gracePeriodSeconds: 0 })
      assert.strictEqual((yield* client.get(`${pods}/p`)).status, 404)
    }))

  it.effect("of a namespace takes its contents along, and lets nothing new in while something is left", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post("/api/v1/namespaces", configmap("t"))
      yield* client.post("/api/v1/namespaces/t/configmaps", configmap("a"))
      yield* client.post("/api/v1/namespaces/t/configmaps", { metadata: { name: "b", finalizers: ["x/y"] } })
      const answer = yield* client.remove("/api/v1/namespaces/t")
      assert.strictEqual(answer.at("status", "phase"), "Terminating")
      assert.strictEqual((yield* client.get("/api/v1/namespaces/t/configmaps/a")).status, 404)
      const late = yield* client.post("/api/v1/namespaces/t/configmaps", configmap("late"))
      assert.deepStrictEqual([late.status, late.at("details", "causes", 0, "reason")], [403, "NamespaceTerminating"])
      yield* client.patch("/api/v1/namespaces/t/configmaps/b", "merge-patch+json", { metadata: { finalizers: null } })
      assert.strictEqual((yield* client.get("/api/v1/namespaces/t")).status, 404)
    }))

  it.effect("of an owner takes dependents along, or disowns them, or waits for them", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const family = Effect.fnUntraced(function*(name: string, finalizers: ReadonlyArray<string> = []) {
        const owner = yield* client.post(configmaps, configmap(name))
        const uid = owner.at("metadata", "uid")
        const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name, uid, blockOwnerDeletion: true }]
        yield* client.post(configmaps, { metadata: { name: `${name}-child`, ownerReferences, finalizers } })
      })
      const exists = (name: string) =>
        Effect.map(client.get(`${configmaps}/${name}`), (answer) => answer.status === 200)

      yield* family("background")
      yield* client.remove(`${configmaps}/background`)
      assert.isFalse(yield* exists("background-child"))

      yield* family("orphan")
      yield* client.remove(`${configmaps}/orphan`, { propagationPolicy: "Orphan" })
      assert.isFalse(yield* exists("orphan"))
      const child = yield* client.get(`${configmaps}/orphan-child`)
      assert.deepStrictEqual([child.status, child.at("metadata", "ownerReferences")], [200, undefined])

      yield* family("foreground", ["x/y"])
      yield* client.remove(`${configmaps}/foreground`, { propagationPolicy: "Foreground" })
      assert.isTrue(yield* exists("foreground"))
      yield* client.patch(`${configmaps}/foreground-child`, "merge-patch+json", { metadata: { finalizers: null } })
      assert.isFalse(yield* exists("foreground-child"))
      assert.isFalse(yield* exists("foreground"))
    }))

  it.effect("of a collection goes by selectors", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      for (const name of ["a", "b"]) yield* client.post(configmaps, { metadata: { name, labels: { is: name } } })
      const answer = yield* client.remove(`${configmaps}?labelSelector=is%3Da`)
      assert.deepStrictEqual([answer.at("kind"), answer.at("items", 0, "metadata", "name")], ["ConfigMapList", "a"])
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 404)
      assert.strictEqual((yield* client.get(`${configmaps}/b`)).status, 200)
    }))
})
