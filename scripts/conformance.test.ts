/**
 * What the table does to a cluster that others use: nothing outside of its own namespace, and that is gone at the end.
 */
import * as Api from "@effect-k8s/core/Api"
import { Namespace } from "@effect-k8s/core/apis/core/v1"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import type { RequestRecord } from "@effect-k8s/testing/RequestLog"
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

/** A cluster that is not the table's own. */
const cluster = (options?: TestCluster.Options) =>
  Layer.provideMerge(TestCluster.layerClient(options), NodeKube.layerServices)

/** Starts a script with the cluster as the one of `KUBECONFIG`; `KUBECONFIG` among the arguments is its file. */
const start = Effect.fnUntraced(function*(script: string, ...args: ReadonlyArray<string>) {
  const fs = yield* FileSystem.FileSystem
  const kubeconfig = yield* fs.makeTempFileScoped({ prefix: "effect-k8s-conformance-" })
  yield* fs.writeFileString(kubeconfig, (yield* TestCluster.TestCluster).kubeconfigText(), { mode: 0o600 })
  const file = fileURLToPath(new URL(script, import.meta.url))
  const given = args.map((arg) => arg === "KUBECONFIG" ? kubeconfig : arg)
  const handle = yield* ChildProcess.make(process.execPath, [file, ...given], {
    env: { KUBECONFIG: kubeconfig },
    extendEnv: true
  })
  return { handle, output: yield* Effect.forkScoped(Stream.mkString(Stream.decodeText(handle.all))) }
})

// A WebSocket is asked for by GET.
const isReading = ({ resource = "", verb }: RequestRecord): boolean =>
  /^(?:get|list|watch)$/.test(verb) && !/\/(?:exec|attach|portforward)$/.test(resource)

/** What was asked to change something, and has not been refused. */
const writes = Effect.gen(function*() {
  const { requests } = yield* TestCluster.TestCluster
  const records = yield* requests.records
  return records.filter((record) => !isReading(record) && (record.status ?? 0) < 400)
})

const show = ({ method, url }: RequestRecord): string => `${method} ${url.pathname}`

/** Where an object is, or a namespace itself. */
const namespaceOf = ({ name, namespace, resource }: RequestRecord): string | undefined =>
  resource === "namespaces" ? name : namespace

const namespaces = Effect.map(
  Api.make(Namespace).list(),
  ({ items }) => items.map(({ metadata }) => metadata.name).toSorted()
)

/** Runs it to its end, and asserts that it has written where it may, and that the namespaces are as before. */
const keepsToItsOwn = Effect.fnUntraced(function*<A, E, R>(use: Effect.Effect<A, E, R>) {
  const before = yield* namespaces
  const result = yield* use
  assert.deepStrictEqual(yield* namespaces, before)
  const made = yield* writes
  const isNew = (record: RequestRecord): boolean => record.resource === "namespaces" && record.verb === "create"
  const outside = made.filter((record) => !isNew(record) && namespaceOf(record)?.startsWith("conformance-") !== true)
  assert.deepStrictEqual(outside.map(show), [])
  const own = new Set(made.map(namespaceOf).filter((name) => name !== undefined))
  assert.strictEqual(own.size, made.filter(isNew).length, `namespaces: ${[...own].join(", ")}`)
  return { result, made }
})

describe("the conformance table against a cluster", () => {
  it.live("writes in a namespace of its own and nowhere else, and deletes that", () =>
    Effect.gen(function*() {
      // R2 fails, as no role of a test cluster lets anybody do anything: what counts is where it writes.
      const filter = "E1,S1,S4,S5,U3,R2,PX4"
      const { made, result: [code, output] } = yield* keepsToItsOwn(Effect.gen(function*() {
        const args = ["--kubeconfig", "KUBECONFIG", "--once", "--filter", filter]
        const { handle, output } = yield* start("conformance.ts", ...args)
        return [yield* handle.exitCode, yield* Fiber.join(output)] as const
      }))
      assert.strictEqual(code, 1, output)
      assert.match(output, /^FAIL R2 [^]*\n6 passed, 1 failed/m)
      // Else the rows that write are others now, and those here say little.
      const kinds = new Set(made.map(({ resource }) => resource))
      assert.includeMembers([...kinds], [
        "namespaces",
        "pods",
        "pods/exec",
        "configmaps",
        "podtemplates",
        "roles"
      ])
    }).pipe(Effect.scoped, Effect.provide(cluster())))

  for (
    const [signal, script, ...args] of [
      ["SIGINT", "conformance.ts", "--kubeconfig", "KUBECONFIG"],
      ["SIGTERM", "conformance.ts", "--kubeconfig", "KUBECONFIG", "--runtime", "deno"],
      ["SIGHUP", "conformance.ts", "--kubeconfig", "KUBECONFIG"],
      ["SIGINT", "test-cluster.ts"]
    ] as const
  ) {
    it.live(`deletes its namespace after ${signal}: ${[script, ...args].join(" ")}`, () =>
      Effect.gen(function*() {
        const { requests } = yield* TestCluster.TestCluster
        yield* keepsToItsOwn(Effect.gen(function*() {
          const { handle, output } = yield* start(script, ...args)
          // Its pods are there, or are made.
          yield* Effect.repeat(requests.count({ verb: "create", resource: "pods" }), {
            until: (count) => count > 0,
            schedule: Schedule.spaced("20 millis")
          })
          process.kill(handle.pid, signal)
          assert.notStrictEqual(yield* handle.exitCode, 0, yield* Fiber.join(output))
        }))
      }).pipe(Effect.scoped, Effect.provide(cluster())))
  }
})
