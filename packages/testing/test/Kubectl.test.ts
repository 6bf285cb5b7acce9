/**
 * The oracle: unmodified kubectl binaries, as many as are found. Each has a cache of its own.
 */
import * as Faults from "@effect-k8s/testing/Faults"
import * as Json from "@effect-k8s/testing/store/Json"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { execFile, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { eventually } from "./support/Eventually.ts"
import { installed, oldestAndNewest } from "./support/Kubectl.ts"
import * as Widgets from "./support/Widgets.ts"

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

const start = Effect.fnUntraced(function*(binary: string) {
  const cluster = yield* TestCluster.make({
    // The rows write the statuses of pods themselves.
    pods: false,
    users: [{ name: "getter", rules: [{ verbs: ["get"], resources: ["pods"] }] }]
  })
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "kubectl-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  const kubeconfig = file("kubeconfig", cluster.kubeconfigText())
  const common = ["--kubeconfig", kubeconfig, "--cache-dir", join(folder, "cache")]
  const environment = { HOME: folder, PATH: process.env["PATH"] }
  const run = (...args: ReadonlyArray<string>): Effect.Effect<Ran> =>
    Effect.callback((resume) => {
      const child = execFile(binary, [...common, ...args], { env: environment, timeout: 20_000 }, (cause, out, err) =>
        resume(Effect.succeed({ code: cause === null ? 0 : Number(cause.code ?? 1), out, err })))
      child.stdin?.end()
      return Effect.sync(() =>
        child.kill("SIGKILL")
      )
    })
  /** Fails the row, with what kubectl said, when it does not succeed. */
  const ok = (...args: ReadonlyArray<string>): Effect.Effect<string> =>
    Effect.flatMap(
      run(...args),
      ({ code, err, out }) =>
        code === 0 ? Effect.succeed(out) : Effect.die(new Error(`kubectl ${args.join(" ")}: ${code}: ${err}${out}`))
    )
  return { cluster, common, environment, file, run, ok }
})

const manifest = (value: string): string => {
  const items = [
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" }, data: { k: value } },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "web", labels: { app: "web" } },
      spec: { containers: [{ name: "main", image: "busybox" }] }
    }
  ]
  return JSON.stringify({ apiVersion: "v1", kind: "List", items })
}

describe.skipIf(installed.length === 0)("kubectl (skipped where none is on the path)", () => {
  for (const { name, path: binary } of oldestAndNewest) {
    describe(name, () => {
      it.effect("gets, lists and prints", () =>
        Effect.gen(function*() {
          const { file, ok, run } = yield* start(binary)
          yield* ok("create", "-f", file("m.json", manifest("1")))
          assert.match(yield* ok("get", "pods"), /^NAME +READY +STATUS +RESTARTS +AGE\nweb +0\/1 +Pending +0 +\d+s\n$/)
          assert.match(yield* ok("get", "pods", "-o", "wide"), /NODE/)
          const pod = Json.parse(yield* ok("get", "pod", "web", "-o", "json"))
          assert.strictEqual(Json.get(Option.getOrUndefined(pod), "spec", "restartPolicy"), "Always")
          assert.strictEqual(yield* ok("get", "pods", "-l", "app=web", "-o", "name"), "pod/web\n")
          assert.match(yield* ok("get", "all,configmaps"), /configmap\/c +1/)
          assert.match(yield* ok("describe", "pod", "web"), /Labels: +app=web/)
          const missing = yield* run("get", "pod", "nope")
          assert.deepStrictEqual([missing.code, missing.err], [
            1,
            "Error from server (NotFound): pods \"nope\" not found\n"
          ])
        }))

      it.effect("creates, applies and deletes", () =>
        Effect.gen(function*() {
          const { cluster, file, ok, run } = yield* start(binary)
          yield* ok("create", "namespace", "shop")
          yield* ok("-n", "shop", "create", "configmap", "made", "--from-literal=a=b")
          yield* ok("-n", "shop", "create", "deployment", "d", "--image=nginx")
          yield* ok("-n", "shop", "scale", "deployment", "d", "--replicas=3")
          assert.match(yield* ok("-n", "shop", "get", "deployment", "d"), /0\/3/)
          assert.match(yield* ok("apply", "-f", file("m.json", manifest("1"))), /configmap\/c created/)
          assert.match(yield* ok("apply", "-f", file("m.json", manifest("1"))), /configmap\/c unchanged/)
          assert.match(yield* ok("apply", "-f", file("m.json", manifest("2"))), /configmap\/c configured/)
          assert.strictEqual(yield* ok("get", "configmap", "c", "-o", "jsonpath={.data.k}"), "2")
          assert.match(yield* ok("delete", "configmap", "c"), /deleted/)
          yield* ok("delete", "namespace", "shop")
          assert.strictEqual((yield* run("get", "namespace", "shop")).code, 1)
          const again = yield* run("create", "-f", file("p.json", manifest("1")))
          assert.include(again.err, "(AlreadyExists)")
          const agents = yield* cluster.requests.records
          assert.isTrue(agents.every((record) => record.headers.get("user-agent")?.[0]?.startsWith("kubectl") === true))
        }))

      it.effect("applies on the server, and tells who is in the way", () =>
        Effect.gen(function*() {
          const { file, ok, run } = yield* start(binary)
          const apply = (value: string) => ["apply", "--server-side", "-f", file("m.json", manifest(value))]
          assert.match(yield* ok(...apply("1")), /configmap\/c serverside-applied\npod\/web serverside-applied/)
          const forced = yield* ok(...apply("1"), "--field-manager=other")
          assert.match(forced, /configmap\/c serverside-applied/)
          const conflict = yield* run(...apply("2"), "--field-manager=other")
          assert.include(conflict.err, "Apply failed with 1 conflict: conflict with \"kubectl\": .data.k")
          assert.include(conflict.err, "--force-conflicts")
          yield* ok(...apply("2"), "--field-manager=other", "--force-conflicts")
          assert.strictEqual(yield* ok("get", "configmap", "c", "-o", "jsonpath={.data.k}"), "2")
          const shown = yield* ok("get", "configmap", "c", "-o", "yaml")
          assert.notInclude(shown, "managedFields")
          assert.include(yield* ok("get", "configmap", "c", "-o", "yaml", "--show-managed-fields"), "manager: other")
        }))

      it.effect("takes over on the server what it applied itself", () =>
        Effect.gen(function*() {
          const { file, ok } = yield* start(binary)
          yield* ok("apply", "-f", file("m.json", manifest("1")))
          yield* ok("apply", "--server-side", "-f", file("m.json", manifest("2")))
          const managers = "jsonpath={range .metadata.managedFields[*]}{.manager} {.operation},{end}"
          // As on a real server: who keeps the annotation of old is a manager of its own.
          const both = "kubectl-last-applied Apply,kubectl Apply,"
          assert.strictEqual(yield* ok("get", "configmap", "c", "-o", managers), both)
          assert.strictEqual(yield* ok("get", "configmap", "c", "-o", "jsonpath={.data.k}"), "2")
        }))

      it.effect("merges lists by what the server says of them", () =>
        Effect.gen(function*() {
          const { file, ok } = yield* start(binary)
          const deployment = (...containers: ReadonlyArray<object>) =>
            file(
              "d.json",
              JSON.stringify({
                apiVersion: "apps/v1",
                kind: "Deployment",
                metadata: { name: "d" },
                spec: {
                  selector: { matchLabels: { a: "b" } },
                  template: { metadata: { labels: { a: "b" } }, spec: { containers } }
                }
              })
            )
          const app = (ports: ReadonlyArray<object>) => ({ name: "app", image: "app", ports })
          yield* ok("apply", "-f", deployment(app([{ containerPort: 80 }, { containerPort: 81 }])))
          // Somebody injects a container, which is not in the manifest.
          const injected = { spec: { template: { spec: { containers: [{ name: "side", image: "side" }] } } } }
          yield* ok("patch", "deployment", "d", "-p", JSON.stringify(injected))
          yield* ok("apply", "-f", deployment(app([{ containerPort: 81 }])))
          const names = "jsonpath={range .spec.template.spec.containers[*]}{.name}:{.ports[*].containerPort} {end}"
          assert.deepStrictEqual((yield* ok("get", "deployment", "d", "-o", names)).trim().split(" ").sort(), [
            "app:81",
            "side:"
          ])
        }))

      it.effect("labels and patches", () =>
        Effect.gen(function*() {
          const { file, ok } = yield* start(binary)
          yield* ok("create", "-f", file("m.json", manifest("1")))
          yield* ok("label", "pod", "web", "tier=front")
          yield* ok("annotate", "pod", "web", "note=1")
          yield* ok("patch", "pod", "web", "-p", "{\"metadata\":{\"labels\":{\"s\":\"1\"}}}")
          yield* ok("patch", "pod", "web", "--type=merge", "-p", "{\"metadata\":{\"labels\":{\"m\":\"1\"}}}")
          yield* ok(
            "patch",
            "pod",
            "web",
            "--type=json",
            "-p",
            "[{\"op\":\"add\",\"path\":\"/metadata/labels/j\",\"value\":\"1\"}]"
          )
          assert.match(yield* ok("get", "pod", "web", "--show-labels"), /app=web,j=1,m=1,s=1,tier=front/)
        }))

      it.effect("watches, and waits for conditions and deletions", () =>
        Effect.gen(function*() {
          const { cluster, common, environment, file, ok, run } = yield* start(binary)
          yield* ok("create", "-f", file("m.json", manifest("1")))
          const row = cluster.registry.catalogue.find("", "v1", "pods")
          if (row === undefined) return assert.fail("there are no pods")

          let output = ""
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              const child = spawn(binary, [...common, "get", "pods", "-w"], { env: environment })
              child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
              return child
            }),
            (child) => Effect.sync(() => child.kill("SIGKILL"))
          )
          yield* eventually(cluster.requests.count({ verb: "watch" }), (count) => assert.strictEqual(count, 1))
          const ready = yield* Effect.forkScoped(run("wait", "pod/web", "--for=condition=Ready", "--timeout=15s"))
          yield* eventually(cluster.requests.count({ verb: "watch" }), (count) => assert.strictEqual(count, 2))
          yield* cluster.registry.update(
            { row, namespace: "default", name: "web" },
            "status",
            (before) =>
              Result.succeed({
                ...before,
                status: { phase: "Running", conditions: [{ type: "Ready", status: "True" }] }
              })
          )
          assert.strictEqual((yield* Fiber.join(ready)).out, "pod/web condition met\n")
          yield* eventually(Effect.sync(() => output), (text) => assert.match(text, /Pending[^]*Running/))

          const gone = yield* Effect.forkScoped(run("wait", "configmap/c", "--for=delete", "--timeout=15s"))
          yield* eventually(
            cluster.requests.count({ verb: "watch", resource: "configmaps" }),
            (count) => assert.strictEqual(count, 1)
          )
          yield* ok("delete", "configmap", "c", "--wait=false")
          assert.strictEqual((yield* Fiber.join(gone)).code, 0)
        }))

      it.effect("discovers, and asks for versions and permissions", () =>
        Effect.gen(function*() {
          const { ok, run } = yield* start(binary)
          const resources = yield* ok("api-resources", "--no-headers")
          assert.match(resources, /^deployments +deploy +apps\/v1 +true +Deployment$/m)
          assert.match(yield* ok("api-versions"), /^rbac\.authorization\.k8s\.io\/v1$/m)
          assert.match(yield* ok("version"), /v1\.34\.4/)
          assert.strictEqual(yield* ok("auth", "can-i", "create", "pods"), "yes\n")
          assert.strictEqual((yield* run("--context", "getter", "auth", "can-i", "create", "pods")).out, "no\n")
          const refused = yield* run("--context", "getter", "get", "pods")
          assert.include(
            refused.err,
            "Error from server (Forbidden): pods is forbidden: User \"getter\" cannot list resource \"pods\""
          )
          assert.strictEqual((yield* run("--context", "admin-token", "get", "pods")).code, 0)
        }))

      it.effect("explains kinds, custom ones too", () =>
        Effect.gen(function*() {
          const { file, ok } = yield* start(binary)
          const definition = Widgets.definition([{
            name: "v1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", properties: { size: { type: "integer" } } } }
          }])
          yield* ok("create", "-f", file("crd.json", JSON.stringify(definition)))
          assert.match(yield* ok("explain", "deployment.spec.replicas"), /replicas.*<integer>/)
          assert.match(yield* ok("explain", "widget.size"), /size.*<integer>/)
        }))

      it.effect("pages through long lists, and lives with faults", () =>
        Effect.gen(function*() {
          const { cluster, ok, run } = yield* start(binary)
          const row = cluster.registry.catalogue.find("", "v1", "configmaps")
          if (row === undefined) return assert.fail("there are no configmaps")
          for (let i = 0; i < 30; i++) yield* cluster.registry.create(row, "default", { metadata: { name: `c${i}` } })
          const names = yield* ok("get", "configmaps", "--chunk-size=7", "-o", "name")
          assert.strictEqual(names.trim().split("\n").length, 30)
          assert.strictEqual(yield* cluster.requests.count({ resource: "configmaps", verb: "list" }), 5)
          yield* cluster.faults.inject({ verb: "list", resource: "configmaps" }, Faults.tooManyRequests(1))
          yield* ok("get", "configmaps")
          yield* cluster.faults.inject({ verb: "list", resource: "configmaps" }, Faults.unauthorized, {
            times: Infinity
          })
          const refused = yield* run("get", "configmaps")
          assert.deepStrictEqual([refused.code, /Unauthorized|logged in/.test(refused.err)], [1, true])
        }))
    })
  }
})
