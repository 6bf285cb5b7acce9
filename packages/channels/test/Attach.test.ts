import * as Attach from "@effect-k8s/channels/Attach"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as AttachPlan from "@effect-k8s/channels/session/AttachPlan"
import * as ContainerEnd from "@effect-k8s/channels/session/ContainerEnd"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "./support/execServer.ts"

type Json = Readonly<Record<string, unknown>>

const id = "containerd://one"
const running = { running: {} }
const ended = (exitCode: number, containerID = id) => ({ terminated: { exitCode, containerID, reason: "Error" } })

/** A pod with a container, whose status is this, and with others. */
const podOf = (spec: Json = {}, status: Json = {}, more: Json = {}) => ({
  kind: "Pod",
  apiVersion: "v1",
  metadata: { name: "p", namespace: "ns", uid: "u1", resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: {
    containers: [{ name: "c", image: "i", ...spec }, { name: "d", image: "i" }],
    initContainers: [{ name: "init", image: "i", stdin: true }],
    ephemeralContainers: [{ name: "debug", image: "i", stdin: true, tty: true }]
  },
  status: {
    phase: "Running",
    containerStatuses: [
      { name: "c", containerID: id, state: running, image: "", imageID: "", ready: true, restartCount: 0, ...status },
      {
        name: "d",
        state: { waiting: { reason: "ImagePullBackOff" } },
        image: "",
        imageID: "",
        ready: false,
        restartCount: 0
      }
    ],
    initContainerStatuses: [
      {
        name: "init",
        containerID: "containerd://i",
        state: running,
        image: "",
        imageID: "",
        ready: false,
        restartCount: 0
      }
    ],
    ephemeralContainerStatuses: [
      {
        name: "debug",
        containerID: "containerd://e",
        state: running,
        image: "",
        imageID: "",
        ready: false,
        restartCount: 0
      }
    ],
    ...more
  }
})

const nothing: AttachPlan.Wanted = { stdin: false, stdout: true, stderr: true, tty: false }

describe("what can be attached to", () => {
  const make = (pod: ReturnType<typeof podOf>, container: string, wanted: Partial<AttachPlan.Wanted> = {}) =>
    AttachPlan.make(pod, container, { ...nothing, ...wanted })

  it("a container that runs, of any kind, by the id of its run", () => {
    for (const [name, containerId] of [["c", id], ["init", "containerd://i"], ["debug", "containerd://e"]] as const) {
      const plan = Result.getOrThrow(make(podOf(), name))
      assert.strictEqual(plan.containerId, containerId)
    }
  })

  it("a terminal is one whether it was asked for or not, and has no stderr", () => {
    const plan = Result.getOrThrow(make(podOf({ stdin: true, tty: true }), "c", { stdin: true }))
    assert.deepStrictEqual(plan.streams, { stdin: true, stdout: true, stderr: false })
    assert.deepStrictEqual([plan.tty, plan.endsStdin], [true, true])
  })

  it("the end of stdin reaches a container with stdinOnce only", () => {
    const ends = (spec: Json, stdin = true) => Result.getOrThrow(make(podOf(spec), "c", { stdin })).endsStdin
    assert.isFalse(ends({ stdin: true }))
    assert.isTrue(ends({ stdin: true, stdinOnce: true }))
    assert.isFalse(ends({ stdin: true, stdinOnce: true }, false))
  })

  const refused: ReadonlyArray<
    readonly [string, ReturnType<typeof podOf>, string, Partial<AttachPlan.Wanted>, string, RegExp]
  > = [
    ["a container that does not exist", podOf(), "x", {}, "ContainerNotFound", /choose one of c, d, init, debug/],
    ["one that waits", podOf(), "d", {}, "ContainerNotRunning", /waiting \(ImagePullBackOff\); wait/],
    [
      "one that has ended",
      podOf({}, { state: ended(3) }),
      "c",
      {},
      "ContainerNotRunning",
      /terminated \(Error, exit code 3\)/
    ],
    [
      "one without a status",
      podOf({}, {}, { containerStatuses: [], phase: "Pending" }),
      "c",
      {},
      "ContainerNotRunning",
      /the pod is Pending/
    ],
    ["one without stdin", podOf(), "c", { stdin: true }, "NoSuchStream", /has no stdin; set stdin: true/],
    [
      "one without a terminal",
      podOf({ stdin: true }),
      "c",
      { tty: true },
      "NoSuchStream",
      /has no terminal; set tty: true/
    ]
  ]
  for (const [what, pod, container, wanted, tag, message] of refused) {
    it(`${what} is refused: ${tag}`, () => {
      const reason = Result.getOrThrow(Result.flip(make(pod, container, wanted)))
      assert.strictEqual(reason._tag, tag)
      assert.match(reason.message, message)
    })
  }
})

describe("the end of a run by its pod's status", () => {
  const run: ContainerEnd.Run = { namespace: "ns", pod: "p", uid: "u1", container: "c", containerId: id }
  const cases: ReadonlyArray<readonly [string, ReturnType<typeof podOf>, ContainerEnd.End]> = [
    ["it runs", podOf(), { _tag: "Running" }],
    ["it has ended", podOf({}, { state: ended(3) }), { _tag: "Exited", code: 3 }],
    [
      "it was started again since",
      podOf({}, { containerID: "containerd://two", lastState: ended(4) }),
      { _tag: "Exited", code: 4 }
    ],
    [
      "it waits to be started again",
      podOf({}, { state: { waiting: { reason: "CrashLoopBackOff" } }, lastState: ended(5) }),
      { _tag: "Exited", code: 5 }
    ],
    [
      "it was started again twice",
      podOf({}, { containerID: "containerd://three", lastState: ended(1, "containerd://two") }),
      { _tag: "Forgotten" }
    ],
    ["another run has ended", podOf({}, { state: ended(1, "containerd://two"), containerID: "containerd://two" }), {
      _tag: "Forgotten"
    }],
    ["the pod is another one", { ...podOf(), metadata: { ...podOf().metadata, uid: "u2" } }, { _tag: "Gone" }]
  ]
  for (const [what, pod, end] of cases) {
    it(`${what}: ${end._tag}`, () => assert.deepStrictEqual(ContainerEnd.read(pod, run), end))
  }
})

const target = Target.pod("p", { namespace: "ns", container: "c" })

interface Settings extends Server.Settings {
  /** What the pod is, at each read of it; the last one stays. */
  readonly pods?: ReadonlyArray<object | undefined> | undefined
  /** What a watch is answered with. */
  readonly watch?: (() => Response) | undefined
}

/** A server that leaves the session to the test. */
const attached = Effect.fnUntraced(function*(options: Attach.AttachOptions = {}, settings: Settings = {}) {
  const pods = [...settings.pods ?? [podOf({ stdin: true })]]
  const server = yield* Server.make({
    ...settings,
    pod: (name) => {
      if (name === "pods") return settings.watch?.() ?? new Response("", { status: 200 })
      const pod = pods.length > 1 ? pods.shift() : pods[0]
      return pod === undefined
        ? Response.json({ kind: "Status", reason: "NotFound", code: 404 }, { status: 404 })
        : Response.json(pod)
    }
  })
  const handle = yield* Effect.provideService(Attach.attach(target, options), KubeClient, server.client)
  const session = yield* server.accepted
  yield* Server.timePasses
  return { server, session, handle }
})

const end = (session: Server.ServerSession, status: object = Server.exitStatus(0)) =>
  Effect.andThen(session.status(status), session.goodbye())

/** Writes to its end. The gate lets nothing out for a moment. */
const write = Effect.fnUntraced(function*(handle: Attach.AttachHandle, text: string) {
  const writing = yield* Effect.forkChild(Stream.run(Stream.encodeText(Stream.make(text)), handle.stdin))
  while (writing.pollUnsafe() === undefined) yield* Effect.andThen(Server.settle, TestClock.adjust("10 millis"))
  yield* Fiber.join(writing)
})

const reasonOf = <A, R>(effect: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason._tag)

describe("attach", () => {
  const offers: ReadonlyArray<readonly [string, Json, Attach.AttachOptions, ReadonlyArray<string>]> = [
    ["v4, which loses no output, for output alone", {}, {}, [v4]],
    ["v4 where no end of stdin is to be said", { stdin: true }, { stdin: "pipe" }, [v4]],
    ["v5 alone where the end of stdin must be said", { stdin: true, stdinOnce: true }, { stdin: "pipe" }, [v5]],
    ["both for a terminal", { stdin: true, tty: true }, { stdin: "pipe" }, [v5, v4]],
    ["v5 alone for the output of one that has a stdin", { stdin: true }, {}, [v5]],
    ["v5 alone for the output of a terminal that has a stdin", { stdin: true, tty: true }, {}, [v5]],
    ["both for a terminal without a stdin", { tty: true }, {}, [v5, v4]]
  ]
  for (const [what, spec, options, subprotocols] of offers) {
    it.effect(`offers ${what}`, () =>
      Effect.gen(function*() {
        const { server } = yield* attached(options, { pods: [podOf(spec)] })
        assert.deepStrictEqual(server.asked[0]?.subprotocols, subprotocols)
        assert.deepStrictEqual(server.asked[0]?.command, [])
        assert.strictEqual(server.asked[0]?.container, "c")
      }))
  }

  it.effect("is refused where the end of stdin must be said and cannot", () =>
    Effect.gen(function*() {
      const pods = [podOf({ stdin: true, stdinOnce: true })]
      assert.strictEqual(
        yield* reasonOf(attached({ stdin: "pipe" }, { pods, protocols: [v4] })),
        "HalfCloseUnsupported"
      )
    }))

  it.effect("is not asked for where the end of stdin could not be said in the protocols that the caller names", () =>
    Effect.gen(function*() {
      const pods = [podOf({ stdin: true, stdinOnce: true })]
      assert.strictEqual(yield* reasonOf(attached({ stdin: "pipe", protocols: [v5, v4] }, { pods })), "Encode")
      const { server } = yield* attached({ stdin: "pipe", protocols: [v4] }, { pods: [podOf({ stdin: true })] })
      assert.deepStrictEqual(server.asked[0]?.subprotocols, [v4])
    }))

  it.effect("tells a container that ended just before by its state", () =>
    Effect.gen(function*() {
      const refuse = () => ({ status: 500, body: "container c not found in pod p_ns" })
      const error = yield* Effect.flip(attached({}, { refuse, pods: [podOf(), podOf({}, { state: ended(9) })] }))
      assert.strictEqual(error.reason._tag, "ContainerNotRunning")
      assert.include(error.message, "exit code 9")
    }))

  it.effect("does not end the stdin of a container that keeps it open, which can be written to again", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* attached({ stdin: "pipe" })
      for (const text of ["a", "b"]) yield* write(handle, text)
      yield* Server.settle
      assert.deepStrictEqual(session.seen.map(({ _tag }) => _tag), ["Stdin", "Stdin"])
    }))

  it.effect("ends stdin with stdinOnce, and sends ^D to a terminal", () =>
    Effect.gen(function*() {
      for (const [spec, last] of [[{ stdinOnce: true }, "StdinEnded"], [{ tty: true }, "Stdin"]] as const) {
        const { handle, session } = yield* attached({ stdin: "pipe" }, { pods: [podOf({ stdin: true, ...spec })] })
        yield* write(handle, "a")
        yield* Server.settle
        assert.deepStrictEqual(session.seen.map(({ _tag }) => _tag), ["Stdin", last])
      }
    }))

  it.effect("makes a terminal draw again by two sizes", () =>
    Effect.gen(function*() {
      const { session } = yield* attached({ size: { width: 80, height: 24 } }, { pods: [podOf({ tty: true })] })
      assert.match((yield* session.nextOf("Resize")).text, /81.*25/)
      assert.match((yield* session.nextOf("Resize")).text, /80.*24/)
    }))

  it.effect("has no supervisor and nothing to kill", () =>
    Effect.gen(function*() {
      const { handle } = yield* attached()
      assert.deepStrictEqual([handle.supervised, handle.processGroup, handle.containerId], [false, undefined, id])
      assert.strictEqual(yield* reasonOf(handle.kill()), "KillUnsupported")
      assert.strictEqual(yield* reasonOf(Stream.run(Stream.make(new Uint8Array(1)), handle.stdin)), "StdinNotPiped")
    }))
})

const event = (type: string, object: object): string => `${JSON.stringify({ type, object })}\n`

describe("the exit code of an attach", () => {
  it.effect("is in the pod's status already", () =>
    Effect.gen(function*() {
      const { handle, server, session } = yield* attached({}, { pods: [podOf(), podOf({}, { state: ended(3) })] })
      yield* end(session)
      assert.strictEqual(yield* handle.exitCode, 3)
      const reads = server.reads.length
      assert.strictEqual(yield* handle.exitCode, 3)
      assert.strictEqual(server.reads.length, reads)
      assert.deepStrictEqual(yield* handle.verified, { stdout: false, stderr: false })
    }))

  it.effect("comes by one watch, and past events that say nothing of it", () =>
    Effect.gen(function*() {
      const watch = () => new Response(event("MODIFIED", podOf()) + event("MODIFIED", podOf({}, { state: ended(4) })))
      const { handle, server, session } = yield* attached({}, { watch })
      yield* end(session)
      assert.strictEqual(yield* handle.exitCode, 4)
      assert.strictEqual(server.reads.filter((read) => read.endsWith("/pods")).length, 1)
    }))

  it.effect("is in the last state of a pod that was deleted, or is lost with it", () =>
    Effect.gen(function*() {
      for (const [status, told] of [[{ state: ended(137) }, 137], [{}, "OutcomeUnknown"]] as const) {
        const watch = () => new Response(event("DELETED", podOf({}, status)))
        const { handle, session } = yield* attached({}, { watch })
        yield* end(session)
        const exit = yield* Effect.result(handle.exitCode)
        assert.strictEqual(Result.isSuccess(exit) ? Number(exit.success) : exit.failure.reason._tag, told)
      }
    }))

  it.effect("is read now and then by a role that may not watch", () =>
    Effect.gen(function*() {
      const watch = () => Response.json({ kind: "Status", reason: "Forbidden", code: 403 }, { status: 403 })
      const pods = [podOf(), podOf(), podOf(), podOf({}, { state: ended(6) })]
      const { handle, session } = yield* attached({}, { pods, watch })
      yield* end(session)
      const code = yield* Effect.forkChild(handle.exitCode)
      while (code.pollUnsafe() === undefined) yield* Effect.andThen(Server.settle, TestClock.adjust("500 millis"))
      assert.strictEqual(yield* Fiber.join(code), 6)
    }))

  it.effect("is not known while the container runs on: StillRunning, after the deadline", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* attached({ exitTimeout: "3 seconds" })
      yield* end(session)
      const told = yield* Effect.forkChild(reasonOf(handle.exitCode))
      yield* Server.settle
      yield* TestClock.adjust("2999 millis")
      yield* Server.settle
      assert.isUndefined(told.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(told), "StillRunning")
    }))

  const unknown: ReadonlyArray<readonly [string, object | undefined, RegExp]> = [
    ["the pod is gone", undefined, /the pod is gone/],
    ["the container was started again twice", podOf({}, { containerID: "containerd://3" }), /started again since/]
  ]
  for (const [what, pod, message] of unknown) {
    it.effect(`is not known when ${what}`, () =>
      Effect.gen(function*() {
        const { handle, session } = yield* attached({}, { pods: [podOf(), pod] })
        yield* end(session)
        const error = yield* Effect.flip(handle.exitCode)
        assert.strictEqual(error.reason._tag, "OutcomeUnknown")
        assert.match(error.message, message)
      }))
  }

  it.effect("is taken from the pod too when the server closes without a Status", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* attached({}, { pods: [podOf(), podOf({}, { state: ended(8) })] })
      yield* session.goodbye()
      assert.strictEqual(yield* handle.exitCode, 8)
    }))

  it.effect("is taken from the pod when the translator says that the container has just ended", () =>
    Effect.gen(function*() {
      const { handle, session } = yield* attached({}, { pods: [podOf(), podOf({}, { state: ended(2) })] })
      yield* end(session, Server.internalError("unable to upgrade connection: container c not found in pod p_ns"))
      assert.strictEqual(yield* handle.exitCode, 2)
    }))

  it.effect("is not asked for when the connection is lost", () =>
    Effect.gen(function*() {
      const { handle, server, session } = yield* attached()
      const reads = server.reads.length
      yield* session.connection.reset
      assert.strictEqual(yield* reasonOf(handle.exitCode), "ConnectionLost")
      assert.strictEqual(server.reads.length, reads)
    }))
})
