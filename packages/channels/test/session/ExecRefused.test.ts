import * as Exec from "@effect-k8s/channels/Exec"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeErrorReason } from "@effect-k8s/core/KubeError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { lost, refused } from "../support/refusals.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

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
