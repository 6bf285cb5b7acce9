import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as ShellLess from "@effect-k8s/channels/session/ShellLess"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError, KubeErrorReason } from "@effect-k8s/core/KubeError"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })
const lost = new TransportError({ reason: new ConnectionLost({ address: { host: "api.test", port: 443 } }) })

/** How the start of a command fails, and what the server was asked. */
const refused = Effect.fnUntraced(function*(settings: Server.Settings, options: ExecOptions = {}) {
  const server = yield* Server.make(settings)
  const error: KubeError = yield* Effect.flip(
    Effect.provideService(Exec.on(target, options)(["psql"]), KubeClient, server.client)
  )
  yield* Server.settle
  assert.strictEqual(server.open(), 0)
  return { error, asked: server.asked }
})

const status = (code: number, reason: string, message = `it is ${reason}`): object => ({
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  message,
  reason,
  code
})

describe("an upgrade that is refused fails, and is asked for again only where the other transport may fare better", () => {
  const rows: ReadonlyArray<
    readonly [what: string, answer: Server.Answer, tag: KubeErrorReason["_tag"], message: string, asked?: number]
  > = [
    ["without a body", { status: 500 }, "UpgradeRefused", "websocket v5.channel.k8s.io, v4.channel.k8s.io: HTTP 500"],
    [
      "403 and text",
      { status: 403, body: "Forbidden by the proxy\n" },
      "UpgradeRefused",
      "(Forbidden by the proxy)",
      2
    ],
    ["403 and a Status", { status: 403, body: status(403, "Forbidden") }, "Forbidden", "ask for a role", 2],
    [
      "404 and a Status",
      { status: 404, body: status(404, "NotFound", "pods \"p\" not found") },
      "NotFound",
      "check the name"
    ],
    ["401 and a Status", { status: 401, body: status(401, "Unauthorized") }, "Unauthorized", "log in again"],
    ["401 and text", { status: 401, body: "Unauthorized" }, "Unauthorized", "log in again"],
    ["409 and a Status", { status: 409, body: status(409, "Conflict") }, "Conflict", "it is Conflict"],
    ["429 and text", { status: 429, body: "Too many requests" }, "TooManyRequests", "Too many requests"],
    ["500 and a Status", { status: 500, body: status(500, "InternalError") }, "ServerFailure", "failed with 500"],
    ["400 and text", { status: 400, body: "you must specify" }, "UpgradeRefused", "removed the Upgrade header", 2],
    ["426", { status: 426 }, "UpgradeRefused", "removed the Upgrade header", 2],
    ["414", { status: 414, body: "<html>" }, "UpgradeRefused", "the command line is too long", 1],
    [
      "431",
      { status: 431, body: "431 Request Header Fields Too Large" },
      "UpgradeRefused",
      "send long data on stdin",
      1
    ],
    ["502 and HTML", { status: 502, body: "<html>" }, "UpgradeRefused", "the command may have been started"],
    ["503", { status: 503 }, "UpgradeRefused", "the command may have been started"],
    ["504", { status: 504 }, "UpgradeRefused", "the command may have been started"],
    ["200 and HTML", { status: 200, body: "<html>Sign in</html>" }, "UpgradeRefused", "<html>Sign in</html>"],
    ["a redirect", { status: 302 }, "UpgradeRefused", "HTTP 302"],
    ["a broken connection", { error: lost }, "Transport", "was lost"]
  ]
  for (const [what, answer, tag, message, times = 1] of rows) {
    it.effect(`${tag}: ${what}`, () =>
      Effect.gen(function*() {
        const { asked, error } = yield* refused({ refuse: () => answer })
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, message)
        assert.include(error.message, "Could not exec pods/exec \"p\" in namespace \"ns\" at https://api.test: ")
        assert.deepStrictEqual(
          asked.map(({ method, transport }) => `${transport} by ${method}`),
          ["websocket by GET", "spdy by POST"].slice(0, times)
        )
        for (const transport of ["websocket", "spdy"] as const) {
          const only = yield* refused({ refuse: () => answer }, { transport })
          assert.strictEqual(only.error.reason._tag, tag)
          assert.deepStrictEqual(only.asked.map((asked) => asked.transport), [transport])
        }
      }))
  }

  it.effect("a 403 of both is about both roles", () =>
    Effect.gen(function*() {
      const { error } = yield* refused({
        refuse: ({ method }) => ({
          status: 403,
          body: status(403, "Forbidden", `User "u" cannot ${method === "GET" ? "get" : "create"} pods/exec`)
        })
      })
      assert.strictEqual(error.reason._tag, "Forbidden")
      assert.include(error.message, "User \"u\" cannot get pods/exec; User \"u\" cannot create pods/exec; ask for")
    }))

  it.effect("a long body is cut in the message", () =>
    Effect.gen(function*() {
      const { error } = yield* refused({ refuse: () => ({ status: 500, body: "x".repeat(5000) }) })
      assert(error.reason._tag === "UpgradeRefused")
      assert.strictEqual(error.reason.attempts[0]?.body, `${"x".repeat(200)}...`)
    }))
})

describe("a container", () => {
  it.effect("that the pod has not is ContainerNotFound, with its name", () =>
    Effect.gen(function*() {
      const body = status(400, "BadRequest", "container c is not valid for pod p")
      const { error } = yield* refused({ refuse: () => ({ status: 400, body }) })
      assert(error.reason._tag === "ContainerNotFound")
      assert.deepStrictEqual(
        [error.reason.pod, error.reason.container, error.reason.containers],
        ["p", "c", []]
      )
      assert.strictEqual(error.reason.status?.message, "container c is not valid for pod p")
    }))

  it.effect("that must be chosen is ContainerNotFound, with those that there are", () =>
    Effect.gen(function*() {
      const body = status(
        400,
        "BadRequest",
        "a container name must be specified for pod p, choose one of: [main cat tty]"
      )
      const { error } = yield* refused({ refuse: () => ({ status: 400, body }) })
      assert(error.reason._tag === "ContainerNotFound")
      assert.deepStrictEqual([error.reason.container, error.reason.containers], [undefined, ["main", "cat", "tty"]])
      assert.include(error.message, "choose one of main, cat, tty")
      assert.strictEqual(error.reason.status?.code, 400)
    }))

  it.effect("that must be chosen may be an init container", () =>
    Effect.gen(function*() {
      const said =
        "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [c]"
      const { error } = yield* refused({
        refuse: () => ({ status: 400, body: status(400, "BadRequest", said) })
      })
      assert(error.reason._tag === "ContainerNotFound")
      assert.deepStrictEqual(error.reason.containers, ["a", "b", "c"])
    }))

  it.effect("that must be chosen is ContainerNotFound also where the server names none", () =>
    Effect.gen(function*() {
      const said = "a container name must be specified for pod p"
      const { error } = yield* refused({ refuse: () => ({ status: 400, body: status(400, "BadRequest", said) }) })
      assert(error.reason._tag === "ContainerNotFound")
      assert.deepStrictEqual(error.reason.containers, [])
    }))

  it.effect("is not what every bad request is about", () =>
    Effect.gen(function*() {
      const body = status(400, "BadRequest", "the container c is not valid for pod p")
      const { error } = yield* refused({ refuse: () => ({ status: 400, body }) })
      assert.strictEqual(error.reason._tag, "BadRequest")
    }))
})

describe("a 101 that answers another handshake", () => {
  const rows: ReadonlyArray<readonly [string, Readonly<Record<string, string | undefined>>, string]> = [
    ["no accept value", { "sec-websocket-accept": undefined }, "Sec-WebSocket-Accept"],
    ["a wrong accept value", { "sec-websocket-accept": "AAAA" }, "Sec-WebSocket-Accept"],
    ["no subprotocol", { "sec-websocket-protocol": undefined }, "none of the subprotocols"],
    ["an empty subprotocol", { "sec-websocket-protocol": "" }, "none of the subprotocols"],
    ["another subprotocol", { "sec-websocket-protocol": "v3.channel.k8s.io" }, "v3.channel.k8s.io"],
    ["another upgrade", { upgrade: "SPDY/3.1" }, "SPDY/3.1"],
    ["no connection header", { connection: undefined }, "Connection"],
    ["an extension", { "sec-websocket-extensions": "permessage-deflate" }, "permessage-deflate"]
  ]
  for (const [what, headers, message] of rows) {
    it.effect(`is UpgradeRefused: ${what}`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make({ refuse: () => ({ upgradeWith: headers }) })
        const error = yield* Effect.flip(
          Effect.scoped(Effect.provideService(Exec.on(target)(["psql"]), KubeClient, server.client))
        )
        assert(error.reason._tag === "UpgradeRefused")
        assert.strictEqual(error.reason.attempts[0]?.code, 101)
        assert.include(error.message, message)
        assert.include(error.message, "the command may have been started")
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }))
  }
})

describe("a deadline", () => {
  it.effect("ends a handshake that is not answered, 30 s unless told", () =>
    Effect.gen(function*() {
      for (const handshakeTimeout of [undefined, "5 seconds"] as const) {
        const millis = handshakeTimeout === undefined ? 30_000 : 5000
        const server = yield* Server.make({ refuse: () => ({ never: true }) })
        const starting = yield* Effect.forkChild(
          Effect.flip(
            Effect.provideService(Exec.on(target, { handshakeTimeout })(["psql"]), KubeClient, server.client)
          )
        )
        while (server.asked.length === 0) yield* Server.settle
        yield* TestClock.adjust(millis - 1)
        assert.isUndefined(starting.pollUnsafe())
        yield* TestClock.adjust(1)
        const { reason } = yield* Fiber.join(starting)
        assert(reason._tag === "Transport" && reason.error.reason._tag === "NoAnswer")
        assert.strictEqual(reason.error.reason.timeoutMillis, millis)
      }
    }))

  it.effect("ends the wait for the supervisor's word, 1 minute unless told, and the connection", () =>
    Effect.gen(function*() {
      for (const startTimeout of [undefined, "5 seconds"] as const) {
        const millis = startTimeout === undefined ? 60_000 : 5000
        const server = yield* Server.make()
        const starting = yield* Effect.forkChild(
          Effect.flip(Effect.provideService(Exec.on(target, { startTimeout })(["psql"]), KubeClient, server.client))
        )
        yield* server.accepted
        yield* Server.settle
        yield* TestClock.adjust(millis - 1)
        assert.isUndefined(starting.pollUnsafe())
        yield* TestClock.adjust(1)
        const { reason } = yield* Fiber.join(starting)
        assert(reason._tag === "Transport" && reason.error.reason._tag === "NoAnswer")
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }
    }))
})

describe("an image without sh", () => {
  const containerd = "Internal error occurred: error executing command in container: failed to exec in container: " +
    "failed to start exec \"0123\": OCI runtime exec failed: exec failed: unable to start container process: exec: " +
    "\"sh\": executable file not found in $PATH: unknown"

  /** A runtime without sh: how it says so, and how it runs the rest. */
  const without = (say: (session: Server.ServerSession) => Effect.Effect<unknown>): Server.Settings => ({
    script: (session) =>
      Programs.parseSupervised(session.asked.command) === undefined
        ? Programs.serve(Programs.basic)(session)
        : say(session)
  })
  const ways: ReadonlyArray<readonly [string, (session: Server.ServerSession) => Effect.Effect<unknown>]> = [
    [
      "containerd",
      (session) => Effect.andThen(session.status(Server.internalError(containerd)), session.goodbye())
    ],
    [
      "CRI-O with crun, by stderr and an exit code",
      (session) =>
        Effect.all([
          session.stderr("executable file `sh` not found in $PATH: No such file or directory\n"),
          session.status(Server.exitStatus(255)),
          session.goodbye()
        ])
    ],
    [
      "CRI-O with runc, by stderr and an exit code",
      (session) =>
        Effect.all([
          session.stderr("time=\"2026\" level=error msg=\"exec failed: unable to start container process: exec: "),
          session.stderr("\\\"sh\\\": executable file not found in $PATH\"\n"),
          session.status(Server.exitStatus(255)),
          session.goodbye()
        ])
    ]
  ]
  const run = <A, E>(server: Server.ExecServer, effect: Effect.Effect<A, E, KubeClient>) =>
    Effect.provideService(effect, KubeClient, server.client)
  const echo = (options: ExecOptions = {}, where = target) =>
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Exec.on(where, options)(["echo", "hello"])
      const text = yield* Stream.mkString(Stream.decodeText(handle.stdout))
      return { text, supervised: handle.supervised, code: yield* handle.exitCode, verified: yield* handle.verified }
    }))

  for (const [who, say] of ways) {
    it.effect(`is told by ${who}: required fails before anything ran`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make(without(say))
        const error = yield* Effect.flip(run(server, echo({ supervise: "required" })))
        assert(error._tag === "KubeError" && error.reason._tag === "SupervisorUnavailable")
        assert.include(error.reason.description, "sh")
        assert.notInclude(error.reason.description, "Internal error occurred")
        assert.strictEqual(server.asked.length, 1)
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }))

    it.effect(`is told by ${who}: preferred runs bare, once, and says so`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make(without(say))
        assert.deepStrictEqual(yield* run(server, echo()), {
          text: "hello\n",
          supervised: false,
          code: 0,
          verified: { stdout: false, stderr: false }
        })
        assert.strictEqual(server.asked.length, 2)
        assert.deepStrictEqual(server.asked[1]?.command, ["echo", "hello"])
      }))
  }

  const say = ways[0]![1]

  it.effect("is remembered, per image, and not for others", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      const pod = (name: string, image: string) =>
        Target.fromPod({
          metadata: { name, namespace: "ns", uid: "u", resourceVersion: "1", creationTimestamp: "" },
          spec: { containers: [{ name: "c", image }] }
        })
      yield* run(server, echo({}, pod("a", "distroless")))
      yield* run(server, echo({}, pod("b", "distroless")))
      yield* run(server, echo({}, pod("c", "scratch")))
      yield* run(server, echo({}, pod("c", "scratch")))
      assert.deepStrictEqual(
        server.asked.map(({ command, pod }) => [pod, command[0]]),
        [["a", "sh"], ["a", "echo"], ["b", "echo"], ["c", "sh"], ["c", "echo"], ["c", "echo"]]
      )
    }))

  it.effect("is not remembered for ever: a pod of the same name may have another image by then", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      yield* run(server, echo())
      yield* TestClock.adjust("9 minutes")
      yield* run(server, echo())
      assert.strictEqual(server.asked.length, 3)
      yield* TestClock.adjust("2 minutes")
      yield* run(server, echo())
      assert.deepStrictEqual(server.asked.map(({ command }) => command[0]), ["sh", "echo", "echo", "sh", "echo"])
    }))

  it.effect("is remembered per client only", () =>
    Effect.gen(function*() {
      const one = yield* Server.make(without(say))
      const two = yield* Server.make(without(say))
      yield* run(one, echo())
      yield* run(two, echo())
      assert.strictEqual(two.asked.length, 2)
    }))

  it.effect("is remembered for an hour, because its tag may be pushed again with a shell", () =>
    Effect.gen(function*() {
      let withShell = false
      const server = yield* Server.make({
        script: (session) =>
          withShell ? Programs.serve(Programs.basic)(session) : without(say).script?.(session) ?? Effect.void
      })
      const where = { ...target, image: "distroless" }
      const supervised = () => run(server, Effect.map(echo({}, where), (result) => result.supervised))
      assert.isFalse(yield* supervised())
      withShell = true
      yield* TestClock.adjust(60 * 60 * 1000 - 1)
      assert.isFalse(yield* supervised())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* supervised())
      assert.deepStrictEqual(server.asked.map(({ command }) => command[0]), ["sh", "echo", "echo", "sh"])
    }))

  it.effect("is forgotten when it has expired", () =>
    Effect.gen(function*() {
      const { client } = yield* Server.make()
      const remember = (image: string | undefined) =>
        ShellLess.remember(client, { namespace: "ns", pod: "p", container: "c", image })
      yield* remember("a")
      yield* TestClock.adjust("50 minutes")
      yield* remember("b")
      yield* remember(undefined)
      yield* TestClock.adjust("10 minutes")
      yield* remember("c")
      const known = Context.get(yield* Ref.get(client.memory), ShellLess.Known)
      assert.deepStrictEqual(Array.from(known.keys()), ["b", "c"])
    }))

  it.effect("is asked again when supervision is required", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(without(say))
      yield* run(server, echo())
      const error = yield* Effect.flip(run(server, echo({ supervise: "required" })))
      assert(error._tag === "KubeError")
      assert.strictEqual(error.reason._tag, "SupervisorUnavailable")
    }))

  it.effect("cannot set variables or a directory: that fails instead of running without them", () =>
    Effect.gen(function*() {
      for (const options of [{ env: { A: "1" } }, { cwd: "/" }]) {
        const server = yield* Server.make(without(say))
        for (let i = 0; i < 2; i++) {
          const error = yield* Effect.flip(run(server, echo(options)))
          assert(error._tag === "KubeError")
          assert.strictEqual(error.reason._tag, "SupervisorUnavailable")
        }
        assert.isTrue(server.asked.every(({ command }) => command[0] === "sh"))
      }
    }))

  it.effect("is not what another program that is missing means", () =>
    Effect.gen(function*() {
      const text = "exec: \"/bin/other\": stat /bin/other: no such file or directory"
      const server = yield* Server.make(
        without((session) => Effect.andThen(session.status(Server.internalError(text)), session.goodbye()))
      )
      const error = yield* Effect.flip(run(server, echo()))
      assert(error._tag === "KubeError")
      assert.notStrictEqual(error.reason._tag, "SupervisorUnavailable")
      assert.strictEqual(server.asked.length, 1)
    }))

  it.effect("is not what a container means that is not there", () =>
    Effect.gen(function*() {
      const server = yield* Server.make(
        without((session) =>
          Effect.andThen(session.status(Server.internalError("container not found (\"c\")")), session.goodbye())
        )
      )
      const error = yield* Effect.flip(run(server, echo()))
      assert(error._tag === "KubeError" && error.reason._tag === "ServerFailure")
      assert.include(error.message, "container not found")
      assert.strictEqual(server.asked.length, 1)
    }))
})

describe("a target without a container", () => {
  const pod = (annotations: Record<string, string> = {}) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", annotations },
    spec: {
      containers: [{ name: "first", image: "i1" }, { name: "second", image: "i2" }],
      initContainers: [{ name: "init", image: "i0" }]
    }
  })
  const containerOf = Effect.fnUntraced(function*(annotations: Record<string, string>) {
    const server = yield* Server.make({
      pod: () => Response.json(pod(annotations)),
      script: Programs.serve(Programs.basic)
    })
    yield* Effect.provideService(Exec.exitCode(Exec.on(Target.pod("p"))(["exit", "0"])), KubeClient, server.client)
    assert.deepStrictEqual(server.reads, ["GET /api/v1/namespaces/ns/pods/p"])
    return server.asked[0]?.container
  })

  it.effect("is the first, or the one that the annotation names, if it is there", () =>
    Effect.gen(function*() {
      const key = "kubectl.kubernetes.io/default-container"
      assert.strictEqual(yield* containerOf({}), "first")
      assert.strictEqual(yield* containerOf({ [key]: "second" }), "second")
      assert.strictEqual(yield* containerOf({ [key]: "init" }), "init")
      assert.strictEqual(yield* containerOf({ [key]: "gone" }), "first")
    }))

  it.effect("that was read is not read again", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve(Programs.basic) })
      const where = Target.fromPod({
        metadata: { name: "p", namespace: "other", uid: "u", resourceVersion: "1", creationTimestamp: "" },
        spec: { containers: [{ name: "first" }] }
      })
      yield* Effect.provideService(Exec.exitCode(Exec.on(where)(["exit", "0"])), KubeClient, server.client)
      assert.deepStrictEqual(server.reads, [])
      assert.deepStrictEqual([server.asked[0]?.namespace, server.asked[0]?.container], ["other", "first"])
    }))

  it.effect("fails with NotFound when there is no such pod", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ pod: () => Response.json(status(404, "NotFound"), { status: 404 }) })
      const error = yield* Effect.flip(
        Effect.provideService(Exec.on(Target.pod("p"))(["a"]), KubeClient, server.client)
      )
      assert.strictEqual(error.reason._tag, "NotFound")
      assert.strictEqual(server.asked.length, 0)
    }))

  it.effect("fails with ContainerNotFound when the pod has none", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        pod: () => Response.json({ ...pod(), spec: { containers: [] } })
      })
      const error = yield* Effect.flip(
        Effect.provideService(Exec.on(Target.pod("p"))(["a"]), KubeClient, server.client)
      )
      assert.strictEqual(error.reason._tag, "ContainerNotFound")
    }))
})
