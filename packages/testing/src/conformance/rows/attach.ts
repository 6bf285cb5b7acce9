/**
 * Attach: the main process of a container, its output from now on, its stdin and its end.
 */
import * as Attach from "@effect-k8s/channels/Attach"
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod, type PodSpec } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Lab } from "../Lab.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"

type Container = PodSpec["containers"][number]

const container = (name: string, script: string, more: Partial<Container> = {}): Container => ({
  name,
  image: "localhost/busybox:1",
  command: ["sh", "-c", script],
  ...more
})

const isUp = (pod: Pod): boolean => {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status
  const hasBegun = containerStatuses.length > 0 &&
    containerStatuses.every(({ state }) => state?.running !== undefined || state?.terminated !== undefined)
  return hasBegun || initContainerStatuses.some(({ state }) => state?.running !== undefined)
}

/** A pod of a row's own, which is up, and gone at the end of the scope. */
const podOf = Effect.fnUntraced(function*(
  containers: ReadonlyArray<Container>,
  spec: Partial<PodSpec> = {},
  annotations: Readonly<Record<string, string>> = {}
): Effect.fn.Return<Pod, KubeError, KubeClient | Scope.Scope> {
  const pods = Api.make(Pod)
  const name = `attach-${crypto.randomUUID().slice(0, 8)}`
  const input = {
    metadata: { name, annotations },
    spec: { terminationGracePeriodSeconds: 0, restartPolicy: "Never", ...spec }
  }
  const gone = Effect.repeat(pods.getOption(name), {
    schedule: Schedule.spaced("50 millis"),
    until: (o) => o._tag === "None"
  })
  yield* Effect.acquireRelease(
    pods.create({ ...input, spec: { ...input.spec, containers } }),
    () => Effect.ignore(Effect.andThen(pods.delete(name, { gracePeriodSeconds: 0 }), gone))
  )
  return yield* Effect.repeat(pods.get(name), { schedule: Schedule.spaced("50 millis"), until: isUp })
})

/** The lines of an output, one after the other; nothing at its end. */
const linesOf = (output: Stream.Stream<Uint8Array, ChannelError>) =>
  Effect.map(Stream.toPull(Stream.splitLines(Stream.decodeText(output))), (pull) => {
    let waiting: Array<string> = []
    const next: Effect.Effect<string | undefined, ChannelError> = Effect.suspend(() => {
      const line = waiting.shift()
      return line !== undefined
        ? Effect.succeed(line)
        : Pull.catchDone(
          Effect.flatMap(pull, (lines) => {
            waiting = [...lines]
            return next
          }),
          () => Effect.undefined
        )
    })
    return next
  })

/** Reads until a line. */
const until = (next: Effect.Effect<string | undefined, ChannelError>, wanted: (line: string) => boolean) =>
  Effect.flatMap(
    Effect.repeat(next, { until: (line) => line === undefined || wanted(line) }),
    (line) =>
      Effect.as(check(line !== undefined, "the output has ended before the line that was waited for"), line ?? "")
  )

/**
 * Attaches with a stdin that is written to line by line. The process answers `got` and the line. Servers answer before
 * they show any output, so lines are written until one comes back.
 */
const open = Effect.fnUntraced(function*(target: Target.Target, options: Attach.AttachOptions = {}) {
  const handle = yield* Attach.attach(target, { ...options, stdin: "pipe" })
  const typed = yield* Queue.unbounded<string, Cause.Done>()
  const writing = yield* Effect.forkScoped(
    Effect.exit(Stream.run(Stream.encodeText(Stream.fromQueue(typed)), handle.stdin))
  )
  const next = yield* linesOf(handle.stdout)
  const write = (line: string) => Queue.offer(typed, `${line}\n`)
  const calling = yield* Effect.forkChild(Effect.repeat(write("call"), Schedule.spaced("200 millis")))
  yield* until(next, (line) => line === "got call")
  yield* Fiber.interrupt(calling)
  return { handle, next, writing, write, end: Queue.end(typed) }
})

const counter = "i=0; while :; do echo out $i; echo err $i >&2; i=$((i + 1)); sleep 0.05; done"
// `quit` ends it with 7, the end of stdin with 5.
const reader = "echo begun; while read -r l; do echo \"got $l\"; [ \"$l\" != quit ] || { sleep 0.2; exit 7; }; done; " +
  "echo eof; sleep 0.2; exit 5"
const numberOf = (line: string): number => Number(line.split(" ")[1])

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("AT1", "attach gives what the main process writes from now on, each output on its own", function*() {
    const target = Target.fromPod(yield* podOf([container("main", counter)]))
    const last = yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Attach.attach(target)
      const [out, err] = [yield* linesOf(handle.stdout), yield* linesOf(handle.stderr)]
      yield* until(err, (line) => line.startsWith("err ") && numberOf(line) > 3)
      const line = yield* until(out, (line) => line.startsWith("out ") && numberOf(line) > 3)
      yield* same([handle.supervised, handle.processGroup], [false, undefined], "supervision")
      yield* same(yield* reasonOf(handle.kill()), "KillUnsupported", "kill")
      return numberOf(line)
    }))
    // Leaving ends nothing, and what came meanwhile is not repeated.
    const handle = yield* Attach.attach(target, { stderr: "ignore" })
    const line = yield* until(yield* linesOf(handle.stdout), (line) => line.startsWith("out "))
    yield* check(numberOf(line) > last, `the second attach began with "${line}", which is older than the first`)
    yield* same(yield* handle.isRunning, true, "running")
  }),
  row("AT2", "those who attach at once all see the output, and write to the same stdin", function*() {
    const target = Target.fromPod(yield* podOf([container("main", reader, { stdin: true })]))
    const [one, two] = [yield* open(target), yield* open(target)]
    for (const [from, line] of [[one, "first"], [two, "second"]] as const) {
      yield* from.write(line)
      for (const { next } of [one, two]) yield* until(next, (shown) => shown === `got ${line}`)
    }
  }),
  row(
    "AT3",
    "without stdinOnce the end of what one writes leaves the container's stdin open for the next",
    function*() {
      const target = Target.fromPod(yield* podOf([container("main", reader, { stdin: true })]))
      yield* Effect.scoped(Effect.gen(function*() {
        const { end, next, write, writing } = yield* open(target)
        yield* write("before")
        yield* end
        yield* yield* Fiber.join(writing)
        yield* until(next, (line) => line === "got before")
      }))
      const { handle, next, write } = yield* open(target)
      yield* write("after")
      yield* until(next, (line) => line === "got after")
      yield* same(yield* handle.isRunning, true, "running")
    }
  ),
  row("AT4", "with stdinOnce the end of stdin reaches the process, and its exit code is told", function*() {
    const target = Target.fromPod(yield* podOf([container("main", reader, { stdin: true, stdinOnce: true })]))
    const { end, handle, next, write } = yield* open(target)
    yield* write("a line")
    yield* until(next, (line) => line === "got a line")
    yield* end
    yield* until(next, (line) => line === "eof")
    yield* same(yield* handle.exitCode, 5, "exit code")
    yield* same(yield* handle.exitCode, 5, "exit code, asked again")
    yield* same(yield* handle.verified, { stdout: false, stderr: false }, "verified")
  }),
  row("AT5", "the exit code of a container that ends meanwhile is that of its run, started again or not", function*() {
    for (const restartPolicy of ["Never", "OnFailure"]) {
      const target = Target.fromPod(yield* podOf([container("main", reader, { stdin: true })], { restartPolicy }))
      const { handle, write } = yield* open(target)
      yield* write("quit")
      yield* same(yield* handle.exitCode, 7, `exit code, ${restartPolicy}`)
      yield* same(yield* handle.isRunning, false, "running")
    }
  }),
  row("AT6", "a terminal has one output, takes sizes, and ^D at the end of stdin", function*() {
    // In the background stdin is /dev/null, hence the copy.
    const script = "stty -echo; exec 3<&0; (while :; do stty size <&3; sleep 0.05; done) & " +
      "while read -r l; do echo \"got $l\"; done; kill $!; exit 5"
    const pod = yield* podOf([container("main", script, { stdin: true, tty: true })])
    const { end, handle, next, write } = yield* open(Target.fromPod(pod), { tty: true })
    yield* same(handle.tty, true, "tty")
    for (const [width, height] of [[100, 30], [132, 43]] as const) {
      yield* handle.resize({ width, height })
      yield* until(next, (line) => line === `${height} ${width}`)
    }
    yield* write("typed")
    yield* until(next, (line) => line === "got typed")
    yield* end
    yield* same(yield* handle.exitCode, 5, "exit code")
  }),
  row("AT7", "a terminal can be left and attached to again, and a size makes its process draw again", function*() {
    const script = "trap 'stty size' WINCH; while :; do read -r l; done"
    const target = Target.fromPod(yield* podOf([container("main", script, { stdin: true, tty: true })]))
    for (const size of [{ width: 80, height: 24 }, { width: 80, height: 24 }]) {
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Attach.attach(target, { tty: true })
        const next = yield* linesOf(handle.stdout)
        yield* Effect.forkScoped(Effect.repeat(
          Effect.andThen(handle.resize({ width: 81, height: 25 }), handle.resize(size)),
          Schedule.spaced("200 millis")
        ))
        yield* until(next, (line) => line === "24 80")
      }))
    }
  }),
  row(
    "AT7",
    "the output of a container whose stdin is not wanted goes on, and leaves its stdin to others",
    function*() {
      for (const more of [{}, { stdinOnce: true }, { tty: true }]) {
        const script = "(while :; do echo alive; sleep 0.05; done) & read -r l; echo \"read $l\"; wait"
        const target = Target.fromPod(yield* podOf([container("main", script, { stdin: true, ...more })]))
        for (const _ of [1, 2]) {
          yield* Effect.scoped(Effect.gen(function*() {
            const next = yield* linesOf((yield* Attach.attach(target)).stdout)
            for (let i = 0; i < 3; i++) yield* until(next, (line) => line === "alive")
          }))
        }
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* Attach.attach(target, { stdin: "pipe" })
          const next = yield* linesOf(handle.stdout)
          const typed = Stream.concat(Stream.encodeText(Stream.make("here\n")), Stream.never)
          yield* Effect.forkScoped(Effect.ignore(Stream.run(typed, handle.stdin)))
          yield* until(next, (line) => line === "read here")
        }))
      }
    }
  ),
  row("AT8", "what a container was started without is refused before anything is opened, by name", function*() {
    const { dials, target } = yield* Lab
    const pod = yield* podOf([
      container("main", counter),
      container("ended", "exit 3"),
      container("open", reader, { stdin: true })
    ])
    const at = (name: string, options: Attach.AttachOptions) =>
      reasonOf(Effect.scoped(Attach.attach(Target.fromPod(pod, { container: name }), options)))
    yield* Effect.repeat(Api.make(Pod).get(pod.metadata.name), {
      schedule: Schedule.spaced("50 millis"),
      until: ({ status }) =>
        (status.containerStatuses ?? []).some(({ name, state }) => name === "ended" && state?.terminated !== undefined)
    })
    const before = dials()
    yield* same(yield* at("main", { stdin: "pipe" }), "NoSuchStream", "stdin")
    yield* same(yield* at("main", { tty: true }), "NoSuchStream", "tty")
    yield* same(yield* at("open", { stdin: "pipe", tty: true }), "NoSuchStream", "tty of one with stdin")
    yield* same(yield* at("ended", {}), "ContainerNotRunning", "a container that has ended")
    yield* same(yield* at("nope", {}), "ContainerNotFound", "no such container")
    yield* same(yield* at("main", { stdout: "ignore", stderr: "ignore" }), "Encode", "nothing at all")
    const missing = Attach.attach({ ...target(), pod: "nope" })
    yield* same(yield* reasonOf(Effect.scoped(missing)), "NotFound", "no such pod")
    yield* same(dials() - before, 0, "connections that were opened for it")
  }),
  row("AT9", "init and ephemeral containers are attached to by name", function*() {
    const pod = yield* podOf([container("main", counter)], {
      initContainers: [container("first", `echo begun; while [ ! -e go ]; do echo init; sleep 0.05; done`)]
    })
    const first = yield* Attach.attach(Target.fromPod(pod, { container: "first" }))
    yield* until(yield* linesOf(first.stdout), (line) => line === "init")
    // The container ends by it, and may take the command with it before that has told its end.
    yield* Effect.exit(Exec.exitCode(Exec.on(Target.fromPod(pod, { container: "first" }))(["touch", "go"])))
    yield* same(yield* first.exitCode, 0, "exit code of the init container")

    const pods = Api.make(Pod)
    yield* pods.ephemeralcontainers.patch.strategic(pod.metadata.name, {
      spec: { ephemeralContainers: [container("debug", reader, { stdin: true })] }
    })
    const debug = Target.fromPod(pod, { container: "debug" })
    yield* Effect.repeat(pods.get(pod.metadata.name), {
      schedule: Schedule.spaced("50 millis"),
      until: ({ status }) => (status.ephemeralContainerStatuses ?? []).some(({ state }) => state?.running !== undefined)
    })
    const { handle, next, write } = yield* open(debug)
    yield* write("hello")
    yield* until(next, (line) => line === "got hello")
    yield* write("quit")
    yield* same(yield* handle.exitCode, 7, "exit code of the ephemeral container")
  }, { only: { path: "direct", why: "a pod keeps its ephemeral containers for good" } }),
  row(
    "AT10",
    "a tunnel that drops is a lost connection; the container runs on, and can be attached to again",
    function*() {
      const { tunnel } = yield* Lab
      const target = Target.fromPod(yield* podOf([container("main", reader, { stdin: true })]))
      const { handle, next, write } = yield* open(target)
      yield* write("one")
      yield* until(next, (line) => line === "got one")
      yield* tunnel.drop("reset")
      yield* same(yield* reasonOf(handle.exitCode), "ConnectionLost", "exit code")
      const again = yield* open(target)
      yield* again.write("two")
      yield* until(again.next, (line) => line === "got two")
      yield* same(again.handle.containerId, handle.containerId, "the run of the container")
    },
    { only: { path: "tunnel", why: "the tunnel is what ends the connection" } }
  ),
  row("AT11", "a pod that is deleted meanwhile ends the stream; its exit code is told or is not known", function*() {
    const pod = yield* podOf([container("main", counter)])
    const handle = yield* Attach.attach(Target.fromPod(pod))
    yield* Effect.forkScoped(Effect.exit(Stream.runDrain(handle.stderr)))
    const next = yield* linesOf(handle.stdout)
    yield* until(next, () => true)
    yield* Api.make(Pod).delete(pod.metadata.name, { gracePeriodSeconds: 0 })
    yield* Effect.exit(Effect.repeat(next, { until: (line) => line === undefined }))
    const told = yield* reasonOf(handle.exitCode)
    yield* check(["success: 137", "OutcomeUnknown", "ConnectionLost"].includes(told), `the exit code is ${told}`)
  }),
  row("AT12", "without a container's name attach is to the one that the pod's annotation names", function*() {
    const says = (text: string) => `while :; do echo ${text}; sleep 0.05; done`
    const pod = yield* podOf([container("first", says("first")), container("second", says("second"))], {}, {
      "kubectl.kubernetes.io/default-container": "second"
    })
    // One that is known by name alone, and one that was read before.
    for (const target of [Target.pod(pod.metadata.name), Target.fromPod(pod)]) {
      const handle = yield* Attach.attach(target)
      yield* same(yield* yield* linesOf(handle.stdout), "second", "what it says")
      yield* same(handle.info.container, "second", "the container that is told")
    }
  }, { only: { path: "direct", why: "the pod tells the container, whatever leads to it" } })
]
