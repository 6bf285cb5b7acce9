import * as LeakCheck from "@effect-k8s/testing/conformance/LeakCheck"
import * as Json from "@effect-k8s/testing/store/Json"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Cluster from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const {
  awaitPod,
  container,
  containerStatus,
  createPod,
  getPod,
  isReady,
  mark,
  markIsThere,
  reference,
  start,
  status
} = Cluster

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]

const isGone = (cluster: TestCluster.Service, name = "p") =>
  eventually(Effect.result(cluster.registry.get(reference(cluster, name))), (found) => {
    assert.isTrue(Result.isFailure(found))
  })

const remove = (cluster: TestCluster.Service, gracePeriodSeconds?: number) =>
  Effect.orDie(cluster.registry.remove(reference(cluster), { gracePeriodSeconds }))

const argvs = (cluster: TestCluster.Service) =>
  Effect.map(cluster.pods.processes, (all) => all.map(({ argv }) => argv.join(" ")).sort())

const conditions = (pod: Parameters<typeof status>[0]) =>
  Json.array(status(pod, "conditions")).map((one) =>
    `${Json.string(Json.get(one, "type"))}=${Json.string(Json.get(one, "status"))}`
  )

describe("a pod", () => {
  it.live("is scheduled, and runs until it is ready", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const pod = yield* getPod(cluster)
      assert.strictEqual(Json.get(pod, "spec", "nodeName"), "test-node")
      assert.strictEqual(status(pod, "phase"), "Running")
      assert.strictEqual(status(pod, "podIP"), "127.0.0.1")
      assert.match(Json.string(status(pod, "startTime")) ?? "", /^20\d\d-.*Z$/)
      assert.deepStrictEqual(conditions(pod), [
        "PodReadyToStartContainers=True",
        "Initialized=True",
        "Ready=True",
        "ContainersReady=True",
        "PodScheduled=True"
      ])
      const main = containerStatus(pod)
      assert.deepStrictEqual([main["ready"], main["started"], main["restartCount"]], [true, true, 0])
      assert.match(Json.string(main["containerID"]) ?? "", /^containerd:\/\/[0-9a-f]{64}$/)
    }))

  it.live("runs its containers' commands, or for ever, in directories of their own", () =>
    Effect.gen(function*() {
      const cluster = yield* start({
        pods: { images: { app: { command: ["sleep", "77"], env: { A: "image", B: "image" } } } }
      }, {
        containers: [
          container("a"),
          container("b", {
            command: ["sh", "-c"],
            args: ["echo $A-$C > file; exec sleep $(N)"],
            env: [
              { name: "N", value: "88" },
              { name: "A", value: "pod" },
              { name: "C", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }
            ]
          }),
          container("c", { image: "app:3", workingDir: "/srv/app" })
        ]
      })
      yield* eventually(argvs(cluster), (all) =>
        assert.deepStrictEqual(all, ["sleep 2147483647", "sleep 77", "sleep 88"]))
      const directory = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "b" })
      assert(directory !== undefined)
      assert.strictEqual(Fs.readFileSync(Path.join(directory, "file"), "utf8"), "pod-p\n")
      const inC = yield* ExecClient.run(cluster, sh("pwd; echo $HOME $B"), { container: "c" })
      const [cwd, rest] = inC.channel(1).toString().split("\n")
      const home = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "c" })
      assert.deepStrictEqual([cwd, rest], [`${home}/srv/app`, `${home} image`])
    }))

  it.live("lists its processes: whose they are, and their groups", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, sh("sleep 55 & exec sleep 66"), { protocols: ExecClient.v5 })
      yield* eventually(cluster.pods.processes, (all) => {
        const [main, first, second] = all.toSorted((a, b) => Number(b.argv[1]) - Number(a.argv[1]))
        assert.deepStrictEqual([main?.exec, main?.pod, main?.container], [undefined, "p", "main"])
        assert.deepStrictEqual(first?.argv, ["sleep", "66"])
        assert.deepStrictEqual(second?.argv, ["sleep", "55"])
        assert.strictEqual(first?.pid, first?.group)
        assert.strictEqual(second?.group, first?.pid)
        assert.strictEqual(second?.exec, first?.exec)
        assert.match(first?.exec ?? "", /^exec-/)
      })
      assert.strictEqual(client.end(), "none")
      const [exec] = yield* cluster.pods.execs()
      const processes = yield* cluster.pods.processes
      assert.isTrue(processes.some(({ pid }) => pid === exec?.pid))
    }))

  it.live("succeeds or fails with its containers, and is not restarted, by the policy Never", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false })
      const never = (name: string, ...commands: ReadonlyArray<string>) =>
        createPod(cluster, name, {
          restartPolicy: "Never",
          containers: commands.map((command, i) => container(`c${i}`, { command: sh(command) }))
        })
      yield* never("good", "true", "exit 0")
      yield* never("bad", "true", "exit 3")
      const good = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Succeeded"), "good")
      const bad = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Failed"), "bad")
      const terminated = (pod: typeof bad, name: string) =>
        Json.object(Json.get(containerStatus(pod, name), "state", "terminated"))
      assert.deepInclude(terminated(good, "c0"), { exitCode: 0, reason: "Completed" })
      assert.deepInclude(terminated(bad, "c1"), { exitCode: 3, reason: "Error" })
      assert.include(conditions(bad), "Ready=False")
      assert.deepStrictEqual(yield* cluster.pods.processes, [])
    }))

  it.live("is restarted after a failure, by OnFailure, and after any end, by Always", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false, pods: { restartMillis: 1 } })
      yield* createPod(cluster, "failing", {
        restartPolicy: "OnFailure",
        containers: [container("main", { command: sh("exit 2") })]
      })
      yield* createPod(cluster, "done", {
        restartPolicy: "OnFailure",
        containers: [container("main", { command: sh("true") })]
      })
      yield* createPod(cluster, "always", { containers: [container("main", { command: sh("true") })] })
      const hasRestarted = (pod: Parameters<typeof status>[0]) =>
        assert.isAtLeast(Json.number(containerStatus(pod)["restartCount"]) ?? 0, 3)
      const failing = yield* awaitPod(cluster, hasRestarted, "failing")
      assert.deepInclude(Json.object(Json.get(containerStatus(failing), "lastState", "terminated")), { exitCode: 2 })
      assert.strictEqual(status(failing, "phase"), "Running")
      yield* awaitPod(cluster, hasRestarted, "always")
      const done = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Succeeded"), "done")
      assert.strictEqual(containerStatus(done)["restartCount"], 0)
    }))

  it.live("waits in CrashLoopBackOff between restarts", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false, pods: { restartMillis: 100_000 } })
      yield* createPod(cluster, "p", { containers: [container("main", { command: sh("exit 1") })] })
      const pod = yield* awaitPod(cluster, (pod) =>
        assert.strictEqual(Json.get(containerStatus(pod), "state", "waiting", "reason"), "CrashLoopBackOff"))
      assert.deepStrictEqual([containerStatus(pod)["restartCount"], status(pod, "phase")], [1, "Running"])
      yield* remove(cluster)
      yield* isGone(cluster)
    }))

  it.live("says why a container's command could not be started", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false })
      yield* createPod(cluster, "p", {
        restartPolicy: "Never",
        containers: [container("main", { command: ["nonexistent"] })]
      })
      const pod = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Failed"))
      assert.deepInclude(Json.object(Json.get(containerStatus(pod), "state", "terminated")), {
        exitCode: 128,
        reason: "StartError",
        startedAt: "1970-01-01T00:00:00Z",
        message:
          "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create " +
          "failed: unable to start container process: exec: \"nonexistent\": executable file not found in $PATH"
      })
    }))

  it.live.skipIf(process.platform !== "linux")(
    "says so too of what the kernel refuses, such as an argument too long for it",
    () =>
      Effect.gen(function*() {
        const cluster = yield* TestCluster.make({ tls: false })
        yield* createPod(cluster, "p", {
          restartPolicy: "Never",
          containers: [container("main", { command: ["echo", "x".repeat(200_000)] })]
        })
        const pod = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Failed"))
        assert.match(
          Json.string(Json.get(containerStatus(pod), "state", "terminated", "message")) ?? "",
          /unable to start container process: exec echo: E2BIG$/
        )
      })
  )

  it.live("runs init containers first, one after the other, and nothing after one that failed", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false })
      const marks = Fs.mkdtempSync("/tmp/init-")
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(marks, { recursive: true })))
      yield* createPod(cluster, "p", {
        initContainers: [
          container("one", { command: sh(`sleep 0.1; echo one >> ${marks}/order`) }),
          container("two", { command: sh(`echo two >> ${marks}/order`) })
        ],
        containers: [container("main", { command: sh(`echo main >> ${marks}/order; sleep 100`) })]
      })
      yield* createPod(cluster, "q", {
        restartPolicy: "Never",
        initContainers: [container("bad", { command: sh("exit 1") })]
      })
      yield* awaitPod(cluster, isReady)
      yield* eventually(
        Effect.sync(() => Fs.readFileSync(`${marks}/order`, "utf8")),
        (order) => assert.strictEqual(order, "one\ntwo\nmain\n")
      )
      const failed = yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Failed"), "q")
      assert.strictEqual(Json.get(containerStatus(failed), "state", "waiting", "reason"), "ContainerCreating")
    }))

  it.live("stays where it is without a scheduler of the node's", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* createPod(cluster, "q", { schedulerName: "nobody" })
      yield* createPod(cluster, "r", { nodeName: "elsewhere" })
      yield* createPod(cluster, "s")
      yield* awaitPod(cluster, isReady, "s")
      for (const name of ["q", "r"]) assert.strictEqual(status(yield* getPod(cluster, name), "phase"), "Pending")
    }))

  it.live("runs ephemeral containers that are added later", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* Effect.orDie(cluster.registry.update(reference(cluster), "subresource", (before) =>
        Result.succeed({
          ...before,
          spec: {
            ...Json.object(before["spec"]),
            ephemeralContainers: [container("debug", { command: ["sleep", "44"] })]
          }
        })))
      yield* awaitPod(cluster, (pod) =>
        assert.isDefined(Json.get(Json.array(status(pod, "ephemeralContainerStatuses"))[0], "state", "running")))
      const client = yield* ExecClient.run(cluster, ["true"], { container: "debug" })
      assert.strictEqual(client.outcome()._tag, "Exited")
    }))
})

// A trap is set a moment after its container is ready.
const trapIsSet = (cluster: TestCluster.Service) => markIsThere(cluster, "on")

describe("the deletion of a pod", () => {
  const trapping = {
    containers: [container("main", { command: sh("trap 'echo no' TERM; : > on; while :; do sleep 0.05; done") })]
  }

  it.live("asks the command to end, and removes the pod when it has", () =>
    Effect.gen(function*() {
      const marks = Fs.mkdtempSync("/tmp/term-")
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(marks, { recursive: true })))
      const cluster = yield* start({}, {
        containers: [
          container("main", {
            command: sh(`trap 'echo bye > ${marks}/bye; exit 0' TERM; : > on; while :; do sleep 0.05; done`)
          })
        ]
      })
      yield* trapIsSet(cluster)
      yield* remove(cluster)
      assert.isDefined((yield* getPod(cluster)).metadata.deletionTimestamp)
      yield* isGone(cluster)
      assert.strictEqual(Fs.readFileSync(`${marks}/bye`, "utf8"), "bye\n")
      assert.deepStrictEqual(yield* cluster.pods.processes, [])
    }))

  it.live("kills a command that does not end within its grace", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, trapping)
      yield* trapIsSet(cluster)
      yield* remove(cluster, 1)
      yield* isGone(cluster)
      assert.deepStrictEqual(yield* cluster.pods.processes, [])
    }))

  it.live("takes a grace that is shortened later", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, trapping)
      yield* trapIsSet(cluster)
      yield* remove(cluster, 1000)
      yield* Effect.sleep("50 millis")
      assert.isDefined((yield* getPod(cluster)).metadata.deletionTimestamp)
      yield* remove(cluster, 1)
      yield* isGone(cluster)
    }))

  it.live("by force removes the pod at once, and kills what runs in it", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, trapping)
      const client = yield* ExecClient.open(cluster, ["sleep", "100"], { protocols: ExecClient.v5 })
      yield* eventually(cluster.pods.starts(), (starts) => assert.strictEqual(starts, 1))
      yield* remove(cluster, 0)
      assert.isTrue(Result.isFailure(yield* Effect.result(cluster.registry.get(reference(cluster)))))
      yield* client.ended
      const outcome = client.outcome()
      assert(outcome._tag === "Exited")
      assert.strictEqual(outcome.code, 137)
      yield* eventually(cluster.pods.processes, (all) => assert.deepStrictEqual(all, []))
    }))

  it.live("lets another pod of the same name follow", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const before = yield* getPod(cluster)
      yield* remove(cluster, 0)
      yield* createPod(cluster)
      const after = yield* awaitPod(cluster, isReady)
      assert.notStrictEqual(after.metadata.uid, before.metadata.uid)
      const client = yield* ExecClient.run(cluster, ["echo", "hi"])
      assert.strictEqual(client.channel(1).toString(), "hi\n")
    }))
})

describe("the end of a container", () => {
  it.live("ends its execs and all that they have started, in sessions of their own too", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, {
        restartPolicy: "Never",
        containers: [container("main", { command: sh("while [ ! -e stop ]; do sleep 0.05; done; exit 4") })]
      })
      const client = yield* ExecClient.open(
        cluster,
        sh("setsid sleep 111 & (trap '' TERM HUP; sleep 222) & sleep 333"),
        { protocols: ExecClient.v5 }
      )
      yield* eventually(argvs(cluster), (all) => assert.includeMembers(all, ["sleep 111", "sleep 222", "sleep 333"]))
      yield* ExecClient.run(cluster, ["touch", "stop"])
      yield* client.ended
      const outcome = client.outcome()
      assert(outcome._tag === "Exited")
      assert.strictEqual(outcome.code, 137)
      yield* awaitPod(cluster, (pod) => assert.strictEqual(status(pod, "phase"), "Failed"))
      assert.deepStrictEqual(yield* cluster.pods.processes, [])
    }))
})

// What has ended may be taken away between two looks at it.
const lives = (pid: number): boolean => {
  try {
    return !/ [ZX] /.test(Fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

describe("the end of a cluster", () => {
  it.live("leaves no process, no directory and no listener", () =>
    Effect.gen(function*() {
      const listeners = () => ["exit", "SIGTERM", "SIGINT", "SIGHUP"].map((name) => process.listenerCount(name))
      const before = listeners()
      const scope = yield* Scope.make()
      const cluster = yield* Scope.provide(start(), scope)
      const client = yield* Scope.provide(
        ExecClient.open(cluster, sh("setsid sleep 1111 & trap '' TERM; sleep 2222"), { protocols: ExecClient.v5 }),
        scope
      )
      yield* eventually(argvs(cluster), (all) => assert.includeMembers(all, ["sleep 1111", "sleep 2222"]))
      const pids = (yield* cluster.pods.processes).map(({ pid }) => pid)
      const directory = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "main" })
      assert(directory !== undefined)
      assert.isTrue(Fs.existsSync(directory))
      assert.notDeepEqual(listeners(), before)
      yield* Scope.close(scope, Exit.void)
      assert.notStrictEqual(client.end(), "fin")
      for (const pid of pids) assert.isFalse(lives(pid))
      assert.isFalse(Fs.existsSync(Path.dirname(Path.dirname(directory))))
      assert.deepStrictEqual(listeners(), before)
    }))

  it.live("leaves no socket, pipe, timer or fiber in this process, whatever its execs were doing", () =>
    Effect.gen(function*() {
      const counted = (name: string) => !name.startsWith("TTY") && name !== "CloseReq"
      const probe = Effect.sync(() => {
        const counts: Record<string, number> = {}
        for (const name of process.getActiveResourcesInfo().filter(counted)) counts[name] = (counts[name] ?? 0) + 1
        return { ...counts, listeners: process.listenerCount("exit") }
      })
      const busy = Effect.gen(function*() {
        const cluster = yield* start({ pods: { era: "1.36" } })
        const open = (script: string, protocols: string, paused = false) =>
          ExecClient.open(cluster, sh(script), { protocols, streams: "ioe", paused })
        yield* ExecClient.run(cluster, ["true"])
        yield* open("cat", ExecClient.v5)
        yield* open("while :; do echo x; done", ExecClient.v4, true)
        const left = yield* open("sleep 1000", ExecClient.v5)
        left.destroy()
        // It ends when more of its stdin has arrived than its pipe holds.
        const unread = yield* open("while [ ! -e go ]; do sleep 0.05; done", ExecClient.v5)
        yield* unread.feed(1 << 20)
        yield* eventually(cluster.pods.execs(), (all) => assert.strictEqual(all.at(-1)?.stdinBytes, 1 << 20))
        yield* mark(cluster, "go")
        yield* eventually(cluster.pods.execs(), (all) => assert.isTrue(all.some(({ harm }) => harm.includes("hung"))))
      })
      yield* LeakCheck.checked(busy, probe)
    }))

  it.live("without pods runs nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false, pods: false })
      yield* createPod(cluster)
      const client = yield* ExecClient.open(cluster, ["true"], { protocols: ExecClient.v5 })
      assert.strictEqual(client.status, 501)
      assert.strictEqual(status(yield* getPod(cluster), "phase"), "Pending")
    }))
})
