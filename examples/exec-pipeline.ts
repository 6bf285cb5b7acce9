/**
 * `pnpm demo [--context NAME] [--image IMAGE] [--wait SECONDS]`: an exec pipeline through pods and local processes, and
 * what happens when it fails, is interrupted, or meets a server that lies. It runs on a TestCluster of its own, or on a
 * cluster of yours, in a namespace that it makes, and deletes whatever ends it.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { StageResult } from "@effect-k8s/channels/pipeline/StageResult"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Namespace, Pod, type PodResource } from "@effect-k8s/core/apis/core/v1"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as NodeKube from "@effect-k8s/node/NodeKube"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    context: { type: "string" },
    image: { type: "string", default: "busybox:1" },
    wait: { type: "string", default: "120" }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Output
// ---------------------------------------------------------------------------------------------------------------------

const terminal = process.stdout.isTTY
const paint = (code: number) => (text: string): string => terminal ? `\x1b[${code}m${text}\x1b[0m` : text
const [bold, dim, red, green] = [paint(1), paint(90), paint(31), paint(32)]

const print = (line = ""): Effect.Effect<void> => Effect.sync(() => console.log(line))
const title = (text: string): Effect.Effect<void> => print(`\n${bold(text)}`)
const progress = (text: string): Effect.Effect<void> =>
  Effect.sync(() => terminal && process.stdout.write(`\r\x1b[K${text === "" ? "" : dim(text)}`))

const sizeOf = (bytes: number): string =>
  bytes < 1024
    ? `${bytes} B`
    : bytes < 2 ** 20
    ? `${(bytes / 1024).toFixed(1)} KiB`
    : `${(bytes / 2 ** 20).toFixed(1)} MiB`
const fit = (text: string, width: number): string =>
  (text.length > width ? `${text.slice(0, width - 1)}…` : text).padEnd(width)

const heading = dim(
  `    ${fit("where", 8)} ${fit("command", 36)} ${"in".padStart(10)} ${"out".padStart(10)} ${"rate".padStart(10)}  end`
)

const printStage = (result: StageResult): Effect.Effect<void> => {
  const where = result._tag === "Pod" ? result.target.split("/")[1] ?? result.target : result._tag.toLowerCase()
  const rate = Math.max(result.bytesIn, result.bytesOut) / Math.max(result.durationMillis, 1) / 1000
  const end = [
    result.end === "Completed" ? undefined : result.end,
    result._tag === "Through" || result.exitCode === undefined ? undefined : `exit ${result.exitCode}`,
    result._tag === "Pod" ? `${result.transport} ${result.protocol?.split(".")[0]}` : undefined,
    result._tag === "Pod" && result.verified.stdout ? "verified" : undefined
  ]
  return print(
    [
      `  ${result.end === "Failed" ? red("x") : green("+")}`,
      fit(where, 8),
      fit(result.command, 36),
      sizeOf(result.bytesIn).padStart(10),
      sizeOf(result.bytesOut).padStart(10),
      `${rate.toFixed(1)} MB/s`.padStart(10),
      ` ${end.filter((part) => part !== undefined).join(", ")}`
    ].join(" ").trimEnd()
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// The pods
// ---------------------------------------------------------------------------------------------------------------------

const names = ["shop-0", "shop-1", "vault-0"]
const rows = 600_000

/** A pod does not come to run. */
class PodNotRunning extends Data.TaggedError("PodNotRunning")<{ readonly pod: string; readonly why: string }> {
  override get message(): string {
    return `pod "${this.pod}" does not run the image ${values.image}: ${this.why}; ` +
      "name another with --image, one with sh, awk and gunzip that the cluster can pull"
  }
}

// What a container waits for that no time will bring, or not soon.
const hopeless = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "InvalidImageName",
  "ErrImageNeverPull",
  "CreateContainerConfigError",
  "CrashLoopBackOff"
])

const isRunning = ({ status }: Pod): boolean => status.phase === "Running"

const waiting = ({ status }: Pod) => status.containerStatuses?.map(({ state }) => state?.waiting).find(Boolean)

/** Waits until all pods run. Fails when one of them cannot, or does not in time. */
const awaitRunning = Effect.fnUntraced(function*(pods: Api.Api<PodResource>) {
  const notRunning = (pod: Pod, suffix = "") => {
    const { message, reason } = waiting(pod) ?? {
      reason: pod.status.phase,
      message: pod.status.conditions?.find(({ status }) => status === "False")?.message
    }
    const why = `${reason ?? "it was not scheduled"}${message === undefined ? "" : ` (${message})`}${suffix}`
    return new PodNotRunning({ pod: pod.metadata.name, why })
  }
  // A watch without a version begins with the pods that are there.
  yield* pods.watch().pipe(
    Stream.mapEffect(() => pods.list()),
    Stream.tap(({ items }) => {
      const lost = items.find((pod) => hopeless.has(waiting(pod)?.reason ?? ""))
      return lost === undefined ? Effect.void : Effect.fail(notRunning(lost))
    }),
    Stream.takeUntil(({ items }) => items.every(isRunning)),
    Stream.runDrain,
    Effect.timeoutOrElse({
      duration: Duration.seconds(Number(values.wait)),
      orElse: () =>
        Effect.flatMap(pods.list(), ({ items }) => {
          const late = items.find((pod) => !isRunning(pod))
          return late === undefined ? Effect.void : Effect.fail(notRunning(late, ` after ${values.wait} s`))
        })
    })
  )
})

/** A namespace that is deleted at the end of the scope. */
const makeNamespace = Effect.gen(function*() {
  const name = `effect-k8s-demo-${crypto.randomUUID().slice(0, 6)}`
  const namespaces = Api.make(Namespace)
  yield* Effect.acquireRelease(
    namespaces.create({ metadata: { name } }),
    () =>
      namespaces.delete(name).pipe(
        Effect.catch((error) => Effect.sync(() => console.error(`delete namespace ${name} yourself: ${error.message}`)))
      )
  )
  return name
})

/** Three pods in a namespace of their own, and some MiB of orders in the first. */
const prepare = Effect.gen(function*() {
  const namespace = yield* makeNamespace
  const pods = Api.make(Pod, { namespace })
  for (const name of names) {
    const containers = [{ name: "main", image: values.image, command: ["sleep", "100000"] }]
    yield* pods.create({
      metadata: { name, labels: { app: "demo" } },
      spec: { terminationGracePeriodSeconds: 0, containers }
    })
      .pipe(Effect.retry({
        // A real cluster makes the service account of a new namespace in its own time.
        while: (error) => error.reason._tag === "Forbidden",
        schedule: Schedule.spaced("200 millis"),
        times: 50
      }))
  }
  yield* awaitRunning(pods)
  const orders = `awk 'BEGIN { split("tea coffee salt rice soap oil wool", goods)
    for (i = 0; i < ${rows}; i++) print "order of " goods[1 + int(7 * rand())] }' > orders`
  yield* Exec.string(Exec.check(Exec.on(Target.pod("shop-0", { namespace }))(["sh", "-c", orders])))
  return { namespace, pods, target: (name: string) => Target.pod(name, { namespace, container: "main" }) }
})

/** Processes in a pod that have a word on their command line. */
const countProcesses = (target: Target.Target, word: string) =>
  Exec.string(
    Exec.on(target)([
      "sh",
      "-c",
      `for p in /proc/[0-9]*; do tr '\\0' ' ' <"$p/cmdline" 2>/dev/null; echo; done | grep -c "$1"`,
      "count",
      `[${word.slice(0, 1)}]${word.slice(1)}`
    ])
  ).pipe(Effect.map((text) => Number(text)))

/** Sockets of this process, once their number rests. On a TestCluster both ends of each are ours. */
const openSockets = Effect.gen(function*() {
  let before = -1
  return yield* Effect.sync(() =>
    process.getActiveResourcesInfo().filter((name) => name.startsWith("TCPSocket")).length
  )
    .pipe(Effect.repeat({
      schedule: Schedule.spaced("100 millis"),
      until: (count) => {
        const rests = count === before
        before = count
        return rests
      }
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// The program
// ---------------------------------------------------------------------------------------------------------------------

const program = Effect.gen(function*() {
  const client = yield* KubeClient.KubeClient
  yield* print(`${bold("effect-k8s")} on ${client.cluster.server}`)
  const { pods, target } = yield* prepare

  yield* title("Pods, by the typed client")
  for (const pod of (yield* pods.list({ labelSelector: "app=demo" })).items) {
    const { image, name } = pod.spec.containers[0]!
    yield* print(`  ${pod.metadata.name.padEnd(10)} ${pod.status.phase ?? ""}  ${name} (${image ?? ""})`)
  }

  yield* title("A pipeline of four stages: a pod, a local process, a stream, another pod")
  let passed = 0
  const counter = Exec.through((input) =>
    Stream.mapArrayEffect(input, (chunks) => {
      for (const chunk of chunks) passed += chunk.length
      return Effect.as(progress(`  ${sizeOf(passed)} compressed`), chunks)
    }), { name: "count" })
  const tally = Exec.on(target("shop-0"))`cat orders`.pipe(
    Exec.pipeTo(ChildProcess.make`gzip -c`),
    Exec.pipeTo(counter),
    Exec.pipeTo(Exec.on(target("vault-0"))(["sh", "-c", "gunzip | sort | uniq -c > tally"]))
  )
  const results = yield* Exec.run(tally)
  yield* progress("")
  yield* print(heading)
  yield* Effect.forEach(results, printStage, { discard: true })
  const counted = yield* Exec.lines(Exec.on(target("vault-0"))`cat tally`)
  yield* print(`  ${counted.map((line) => line.trim().replace(/^(\d+) order of (\w+)$/, "$2 $1")).join(", ")}`)

  yield* title("A stage that fails")
  const failing = Exec.on(target("shop-0"))`cat orders`.pipe(
    Exec.pipeTo(Exec.on(target("vault-0"))(["sh", "-c", "head -n 1; echo vault is sealed >&2; exit 3"])),
    Exec.pipeTo(ChildProcess.make`wc -c`)
  )
  yield* Exec.run(failing).pipe(
    Effect.catchTag("StageFailed", (error) =>
      Effect.gen(function*() {
        yield* print(`  ${red(error._tag)} stage ${error.stage + 1}: ${error.reason._tag}`)
        yield* print(`  stderr: ${error.stderrTail.trim()}`)
        yield* print(heading)
        yield* Effect.forEach(error.results, printStage, { discard: true })
      }))
  )

  yield* title("The same command in every pod")
  yield* Exec.fanOut(names.map(target), (target) => Exec.on(target)(["sh", "-c", "ls | wc -l"])).pipe(
    Stream.tap(({ result, stdout, target }) =>
      print(`  ${result._tag === "Success" ? green("+") : red("x")} ${target.pod.padEnd(10)} ${stdout.trim()} entries`)
    ),
    Stream.runDrain
  )

  yield* title("An endless command, interrupted")
  const marker = `endless-${crypto.randomUUID().slice(0, 8)}`
  const count = Effect.all({ sockets: openSockets, processes: countProcesses(target("shop-1"), marker) })
  const report = (when: string, { processes, sockets }: Effect.Success<typeof count>) =>
    print(`  ${when.padEnd(12)} ${sockets} sockets, ${processes} processes in the pod`)
  const yes = Exec.on(target("shop-1"))(["sh", "-c", "yes", marker])
  yield* report("before", yield* count)
  const fiber = yield* Effect.forkChild(Stream.runDrain(Exec.stream(yes)))
  const running = { schedule: Schedule.spaced("50 millis"), times: 100 }
  yield* report("running", yield* Effect.repeat(count, { ...running, until: ({ processes }) => processes > 0 }))
  yield* Fiber.interrupt(fiber)
  yield* report("interrupted", yield* Effect.repeat(count, { ...running, until: ({ processes }) => processes === 0 }))

  yield* title("What servers report as success")
  const size = 32 * 2 ** 20
  const input = Stream.fromIterable(Array.from({ length: size / 65_536 }, () => new Uint8Array(65_536).fill(97)), {
    chunkSize: 1
  })
  for (const supervise of ["never", "preferred"] as const) {
    const file = `upload-${supervise}`
    const upload = Exec.feed(Exec.on(target("vault-0"), { supervise })(["dd", `of=${file}`, "bs=65536"]), input)
    const outcome = yield* Effect.scoped(
      Effect.flatMap(upload, (handle) => Effect.all({ exitCode: handle.exitCode, verified: handle.verified }))
    ).pipe(Effect.match({
      onFailure: (error) => red(error.reason._tag),
      onSuccess: ({ exitCode, verified }) => `exit ${exitCode}, ${verified.stdout ? "verified" : "not verified"}`
    }))
    const stored = Number(yield* Exec.string(Exec.on(target("vault-0"))(["sh", "-c", `wc -c < ${file}`])))
    yield* print(
      `  ${stored === size ? green("+") : red("x")} ${(supervise === "never" ? "bare" : "supervised").padEnd(11)}` +
        `${outcome}: ${sizeOf(stored)} of ${sizeOf(size)} stored`
    )
  }

  yield* title("A refused exec, with the server's reason")
  yield* Effect.scoped(Exec.on({ ...target("vault-0"), container: "no-such-container" })`true`).pipe(
    Effect.catchTag("KubeError", (error) =>
      Effect.gen(function*() {
        yield* print(`  ${red(error.reason._tag)} ${error.message}`)
        const status = "status" in error.reason ? error.reason.status : undefined
        yield* print(`  the server: ${status?.code ?? ""} ${status?.message ?? "nothing"}`)
      }))
  )
  yield* print()
})

// ---------------------------------------------------------------------------------------------------------------------
// Where it runs
// ---------------------------------------------------------------------------------------------------------------------

const layer = values.context === undefined
  ? Layer.provideMerge(TestCluster.layerClient(), NodeKube.layerServices)
  : NodeKube.layerKubeConfig({ context: values.context })

// The end of a terminal is an interruption too.
process.once("SIGHUP", () => process.kill(process.pid, "SIGTERM"))

NodeRuntime.runMain(program.pipe(
  Effect.scoped,
  Effect.provide(layer),
  Effect.catch((error) =>
    Effect.sync(() => {
      console.error(`${red(error._tag)} ${error.message}`)
      process.exitCode = 1
    })
  )
))
