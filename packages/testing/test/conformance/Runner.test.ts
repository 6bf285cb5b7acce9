/**
 * The runner on rows that are made to come to each of its results. The cluster is one in memory, so that no adapter is
 * needed.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import { Listeners } from "@effect-k8s/channels/Listeners"
import * as Api from "@effect-k8s/core/Api"
import { Namespace } from "@effect-k8s/core/apis/core/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import { Platform } from "@effect-k8s/core/Transport"
import { Lab } from "@effect-k8s/testing/conformance/Lab"
import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import { images } from "@effect-k8s/testing/conformance/Pods"
import { check, type Row, row } from "@effect-k8s/testing/conformance/Row"
import * as Runner from "@effect-k8s/testing/conformance/Runner"
import * as InMemory from "@effect-k8s/testing/InMemory"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as NodeChildProcessSpawner from "@effect/platform-node-shared/NodeChildProcessSpawner"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as NodePath from "@effect/platform-node-shared/NodePath"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Stream from "effect/Stream"

const services = Layer.provideMerge(
  NodeChildProcessSpawner.layer,
  Layer.mergeAll(
    NodeFileSystem.layer,
    NodePath.layer,
    Layer.succeed(Listeners, Listeners.of({ listen: () => Effect.die("these rows listen to nobody") }))
  )
)

/** Runs rows on a cluster of their own, and gives it with what became of them and what was reported meanwhile. */
const run = Effect.fnUntraced(function*(
  rows: ReadonlyArray<Row>,
  options: Partial<Pick<Runner.Options, "server" | "rowTimeout">> = {}
) {
  const cluster = yield* TestCluster.make({ tls: false, pods: { images } })
  const credentials = Credentials.make({ token: cluster.token })
  const endpoint = { url: new URL("http://memory") }
  const platform = InMemory.platform(cluster.handler)
  const reported: Array<Runner.Result> = []
  const results = yield* Effect.scoped(Runner.run({
    rows,
    server: { _tag: "TestCluster", cluster },
    endpoint,
    credentials,
    namespace: "rows",
    client: (argument) => ChildProcess.make("false", [argument]),
    probe: LeakCheck.nodeProbe,
    report: (result) => Effect.sync(() => void reported.push(result)),
    rowTimeout: "1 minute",
    leaks: { polls: 50 },
    ...options
  })).pipe(Effect.provideService(Platform, platform), Effect.provide(services))
  assert.deepStrictEqual(reported, results)
  const client = yield* KubeClient.make({ endpoint, credentials }).pipe(Effect.provideService(Platform, platform))
  const namespaces = yield* Effect.provideService(Api.make(Namespace).list(), KubeClient.KubeClient, client)
  assert.notInclude(namespaces.items.map(({ metadata }) => metadata.name), "rows", "the namespace is left behind")
  return results
})

const direct = { only: { path: "direct", why: "one is enough" } } as const

/** The outcomes and messages of rows, in order. */
const summary = (results: ReadonlyArray<Runner.Result>) => results.map(({ message, outcome }) => [outcome, message])

describe("the runner", () => {
  it.live("tells rows that pass, that fail, that die, and that are never done, and goes on after each", () =>
    Effect.gen(function*() {
      const results = yield* run([
        row("R1", "passes", Effect.void, direct),
        row("R2", "fails", check(false, "two is not three"), direct),
        row("R3", "dies", Effect.die(new TypeError("no such thing")), direct),
        row("R4", "is never done", Effect.never, direct),
        row("R5", "passes too", Effect.void, direct)
      ], { rowTimeout: "300 millis" })
      assert.deepStrictEqual(results.map(({ id, name }) => `${id} ${name}`), [
        "R1 passes",
        "R2 fails",
        "R3 dies",
        "R4 is never done",
        "R5 passes too"
      ])
      assert.deepStrictEqual(summary(results), [
        ["passed", undefined],
        ["failed", "Unmet: two is not three"],
        ["failed", "TypeError: no such thing"],
        ["failed", "Unmet: no end within 300ms"],
        ["passed", undefined]
      ])
    }))

  it.live("skips rows that say nothing about the server, and does not run them", () =>
    Effect.gen(function*() {
      let runs = 0
      const count = Effect.sync(() => void runs++)
      const rows = [
        row("R1", "is not for this one", count, { ...direct, inapplicable: () => "it is another" }),
        row("R2", "is scripted", count, { ...direct, scripted: "it cannot be made to" }),
        row("R3", "ends stdin", count, { ...direct, halfClose: true })
      ]
      const here = yield* run(rows)
      assert.deepStrictEqual(summary(here), [
        ["skipped", "it is another"],
        ["passed", undefined],
        ["passed", undefined]
      ])
      assert.deepStrictEqual(here.map(({ scripted }) => scripted), [false, true, false])
      assert.strictEqual(runs, 2)
      const old = yield* run(rows, { server: { _tag: "Cluster", version: "v1.28.1" } })
      assert.deepStrictEqual(old.map(({ outcome }) => outcome), ["skipped", "skipped", "skipped"])
      assert.deepStrictEqual(old.map(({ message }) => message?.split(" ")[0]), ["it", "it", "Kubernetes"])
      assert.deepStrictEqual(summary(yield* run(rows, { server: { _tag: "Cluster", version: "v1.34.1" } })), [
        ["skipped", "it is another"],
        ["skipped", "it cannot be made to"],
        ["passed", undefined]
      ])
      assert.strictEqual(runs, 3)
    }))

  it.live("fails a row that leaves something, a fiber here or a process in a pod, and not the next one for it", () =>
    Effect.gen(function*() {
      let left: { readonly interruptUnsafe: () => void } | undefined
      const results = yield* run([
        row(
          "R1",
          "leaves a fiber",
          Effect.map(Effect.forkDetach(Effect.never), (fiber) => {
            left = fiber
          }),
          direct
        ),
        row("R2", "leaves a process in a pod", function*() {
          const { target } = yield* Lab
          const handle = yield* Exec.on(target(), { supervise: "never" })(["sh", "-c", "echo begun; exec sleep 1000"])
          yield* Stream.runHead(handle.stdout)
        }, direct),
        row("R3", "leaves nothing", function*() {
          const { target } = yield* Lab
          yield* Exec.exitCode(Exec.on(target())(["true"]))
        }, direct)
      ])
      left?.interruptUnsafe()
      const [fiber, process, nothing] = summary(results)
      assert.deepStrictEqual(fiber, ["failed", "Unmet: left behind: 1 fibers"])
      assert.strictEqual(process?.[0], "failed")
      assert.match(process?.[1] ?? "", /^Unmet: left behind: .*1 processes in pods/)
      assert.deepStrictEqual(nothing, ["passed", undefined])
    }))

  it.live("runs a row on each of its paths, with the client and the dialler of the path", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const look = Effect.gen(function*() {
        const { endpoint, path } = yield* Lab
        seen.push(`${path} ${endpoint.dial === undefined ? "by itself" : "by the dialler"}`)
      })
      const results = yield* run([
        row("R1", "runs on both", look),
        row("R2", "runs on one", look, { only: { path: "tunnel", why: "it says so" } })
      ])
      assert.deepStrictEqual(results.map(({ id, path }) => `${id} ${path}`), ["R1 direct", "R1 tunnel", "R2 tunnel"])
      assert.deepStrictEqual(seen, ["direct by itself", "tunnel by the dialler", "tunnel by the dialler"])
    }))
})
