import * as Attach from "@effect-k8s/channels/Attach"
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import { v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Server from "../support/execServer.ts"
import { lost } from "../support/refusals.ts"
import { runningPod } from "../support/runningPod.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })

const offered = (asked: ReadonlyArray<Server.Asked>): ReadonlyArray<string> =>
  asked.map(({ subprotocols, transport }) => `${transport} ${subprotocols.join(", ")}`)
const spdy = `spdy ${v5}, ${v4}`
const interactive = `websocket ${v5}, ${v4}`

const succeed: Server.Script = (session) =>
  session.stdout("done").pipe(
    Effect.andThen(session.status(Server.exitStatus(0))),
    Effect.andThen(session.goodbye())
  )

/** A command that asks for a terminal, so that nothing but the protocol is tried twice. */
const started = (server: Server.ExecServer, options: ExecOptions = {}) =>
  Effect.provideService(Exec.on(target, { tty: true, ...options })(["psql"]), KubeClient, server.client)

const unavailable = { kind: "Status", status: "Failure", reason: "ServiceUnavailable", message: "no node", code: 503 }

/** Answers behind which a command may run. */
const doubtful: ReadonlyArray<readonly [name: string, answer: Server.Answer]> = [
  ["a 502", { status: 502, body: "bad gateway" }],
  ["a 503 without a body", { status: 503 }],
  ["a 504", { status: 504, body: "upstream timed out" }],
  ["a 503 with a Status", { status: 503, body: JSON.stringify(unavailable) }],
  ["a 200", { status: 200, body: "<html>" }],
  ["a connection that is lost", { error: lost }],
  ["a 101 that answers another handshake", { upgradeWith: { "sec-websocket-accept": "AAAA", upgrade: "h2c" } }]
]

describe("after an answer behind which the command may run", () => {
  for (const [name, answer] of doubtful) {
    it.effect(`${name} is final for a command, unless the caller allows to go on`, () =>
      Effect.gen(function*() {
        const settings: Server.Settings = {
          spdy: true,
          script: succeed,
          refuse: (_, n) => n === 0 ? answer : undefined
        }
        const safe = yield* Server.make(settings)
        yield* Effect.flip(started(safe))
        assert.deepStrictEqual(offered(safe.asked), [interactive])

        const server = yield* Server.make(settings)
        const handle = yield* started(server, { fallback: "always" })
        assert.deepStrictEqual(offered(server.asked), [interactive, spdy])
        assert.deepStrictEqual([handle.transport, handle.attempts.length], ["spdy", 1])
        assert.strictEqual(yield* handle.exitCode, 0)
      }))

    it.effect(`${name} is followed by the other transport when attaching, which starts nothing`, () =>
      Effect.gen(function*() {
        const server = yield* Server.make({
          spdy: true,
          script: succeed,
          refuse: (_, n) => n === 0 ? answer : undefined,
          pod: () => Response.json(runningPod)
        })
        const handle = yield* Effect.provideService(Attach.attach(target), KubeClient, server.client)
        assert.deepStrictEqual(offered(server.asked), [`websocket ${v4}`, spdy])
        assert.strictEqual(handle.transport, "spdy")
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "done")
      }))
  }

  it.effect("no answer within the deadline is such a one too", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        spdy: true,
        script: succeed,
        refuse: (_, n) => n === 0 ? { never: true } : undefined
      })
      const starting = yield* Effect.forkChild(started(server, { fallback: "always" }))
      yield* Server.settle
      yield* TestClock.adjust("30 seconds")
      const handle = yield* Server.joined(starting)
      assert.strictEqual(handle.transport, "spdy")
      assert.deepStrictEqual(handle.attempts.map(({ code }) => code), [undefined])
    }))

  it.effect("what was tried is told when nothing worked, and by a Status if there was one", () =>
    Effect.gen(function*() {
      const last = yield* Server.make({ refuse: (_, n) => n === 0 ? { error: lost } : { status: 501, body: "no" } })
      const error = yield* Effect.flip(started(last, { fallback: "always" }))
      assert(error.reason._tag === "UpgradeRefused")
      assert.deepStrictEqual(error.reason.attempts.map(({ code }) => code), [undefined, 501])
      assert.include(error.message, `${interactive}: no answer`)
      assert.include(error.message, "may have been started")
      const broken = yield* Server.make({ refuse: () => ({ error: lost }) })
      assert.strictEqual((yield* Effect.flip(started(broken, { fallback: "always" }))).reason._tag, "Transport")
      assert.strictEqual(broken.asked.length, 2)
    }))
})

describe("what was tried before", () => {
  const forbidsWebSocket: Server.Settings = {
    spdy: true,
    refuse: ({ transport }) => transport === "websocket" ? { status: 501, body: "no upgrades" } : undefined
  }

  it.effect("is told by the error of a channel that came to be and was lost", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ ...forbidsWebSocket, script: (session) => session.connection.reset })
      const handle = yield* started(server)
      const error = yield* Effect.flip(handle.exitCode)
      assert.strictEqual(error.reason._tag, "ConnectionLost")
      assert.deepStrictEqual(error.channel.attempts, [{ protocol: interactive, code: 501, body: "no upgrades" }])
      assert.include(error.message, `(spdy ${v4}, after ${interactive}: HTTP 501)`)
    }))

  it.effect("is told by an error that the last answer explains, and where there was one answer there is nothing to tell", () =>
    Effect.gen(function*() {
      const notFound = JSON.stringify({
        kind: "Status",
        status: "Failure",
        reason: "NotFound",
        code: 404,
        message: "gone"
      })
      const refuse: Server.Settings["refuse"] = ({ transport }) =>
        transport === "websocket" ? { status: 501 } : { status: 404, body: notFound }
      const error = yield* Effect.flip(started(yield* Server.make({ refuse })))
      assert.strictEqual(error.reason._tag, "NotFound")
      assert.deepStrictEqual(error.attempts?.map(({ code, protocol }) => [code, protocol]), [
        [501, interactive],
        [404, spdy]
      ])
      assert.include(error.message, `(tried ${interactive}: HTTP 501; ${spdy}: HTTP 404)`)
      const alone = yield* Effect.flip(started(yield* Server.make({ refuse: () => ({ status: 404, body: notFound }) })))
      assert.isUndefined(alone.attempts)
      assert.notInclude(alone.message, "tried")
    }))
})

const neverOpened = Server.internalError(
  "error sending request: Post \"//[::]:33733/cri/exec/p09n54Wf\": http: server gave HTTP response to HTTPS client"
)

describe("a server that upgrades and never gets through to the runtime", () => {
  /** Says so over WebSocket, and works over SPDY. */
  const server = (settings: Server.Settings & { readonly before?: Server.Script } = {}) =>
    Server.make({
      spdy: true,
      script: (session) =>
        session.asked.transport === "spdy"
          ? succeed(session)
          : Effect.andThen(
            settings.before?.(session) ?? Effect.void,
            Effect.andThen(session.status(neverOpened), session.goodbye())
          ),
      ...settings
    })

  it.effect("is asked once more over SPDY, which takes another way: the command runs once", () =>
    Effect.gen(function*() {
      const { asked, client, sessions } = yield* server()
      for (const options of [{ tty: true }, { stdin: "pipe", supervise: "never" }] as const) {
        const before = asked.length
        const handle = yield* Effect.provideService(Exec.on(target, options)(["psql"]), KubeClient, client)
        assert.strictEqual(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "done")
        assert.strictEqual(yield* handle.exitCode, 0)
        assert.deepStrictEqual(asked.slice(before).map(({ transport }) => transport), ["websocket", "spdy"])
        assert.deepStrictEqual([handle.transport, handle.protocol, handle.info.protocol], ["spdy", v4, `spdy ${v4}`])
        assert.deepStrictEqual(handle.attempts.map(({ code }) => code), [101])
      }
      assert.strictEqual(sessions.length, 4)
    }))

  it.effect("has the terminal sized again", () =>
    Effect.gen(function*() {
      const { accepted, client } = yield* server({
        script: (session) =>
          session.asked.transport === "spdy"
            ? Effect.andThen(session.nextOf("Resize"), succeed(session))
            : session.nextOf("Resize").pipe(
              Effect.andThen(session.status(neverOpened)),
              Effect.andThen(session.goodbye())
            )
      })
      const handle = yield* Effect.provideService(
        Exec.on(target, { tty: true, size: { width: 80, height: 24 } })(["psql"]),
        KubeClient,
        client
      )
      yield* accepted
      assert.strictEqual(yield* handle.exitCode, 0)
    }))

  it.effect("tells so by a Status that is cut anywhere", () =>
    Effect.gen(function*() {
      const bytes = Server.bytesOf(JSON.stringify(neverOpened))
      for (const cut of [1, 20, bytes.length - 1]) {
        const { asked, client } = yield* server({
          script: (session) =>
            session.asked.transport === "spdy"
              ? succeed(session)
              : session.status(bytes.subarray(0, cut)).pipe(
                Effect.andThen(Server.settle),
                Effect.andThen(session.status(bytes.subarray(cut))),
                Effect.andThen(session.left)
              )
        })
        const handle = yield* Effect.provideService(Exec.on(target, { tty: true })(["psql"]), KubeClient, client)
        assert.strictEqual(yield* handle.exitCode, 0)
        assert.strictEqual(asked.length, 2)
      }
    }))

  it.effect("is believed when there was output, or stdin was sent: the command fails, and is not started again", () =>
    Effect.gen(function*() {
      const withOutput = yield* server({ before: (session) => session.stdout("x") })
      const first = yield* started(withOutput)
      assert.strictEqual((yield* Effect.flip(first.exitCode)).reason._tag, "RemoteFailure")
      assert.strictEqual(withOutput.asked.length, 1)

      const withStdin = yield* server({ before: (session) => session.nextOf("Stdin") })
      const second = yield* started(withStdin, { tty: false, stdin: "pipe", supervise: "never" })
      yield* Effect.forkChild(Stream.run(Stream.concat(Stream.make(Uint8Array.of(1)), Stream.never), second.stdin))
      const ended = yield* Effect.forkChild(Effect.flip(second.exitCode))
      assert.strictEqual((yield* Server.joined(ended)).reason._tag, "RemoteFailure")
      assert.strictEqual(withStdin.asked.length, 1)
    }))

  it.effect("is believed when it says something else, when SPDY is refused, or the caller wants WebSocket", () =>
    Effect.gen(function*() {
      const otherwise = yield* server({
        script: (session) =>
          Effect.andThen(session.status(Server.internalError("unable to upgrade connection: no")), session.goodbye())
      })
      const first = yield* started(otherwise)
      assert.strictEqual((yield* Effect.flip(first.exitCode)).reason._tag, "RemoteFailure")
      assert.strictEqual(otherwise.asked.length, 1)

      const without = yield* server({ spdy: false })
      const second = yield* started(without)
      const error = yield* Effect.flip(second.exitCode)
      assert.strictEqual(error.reason._tag, "RemoteFailure")
      assert.include(error.message, "error sending request")
      assert.deepStrictEqual(second.attempts.map(({ code }) => code), [101, 403])

      const only = yield* server()
      const third = yield* started(only, { transport: "websocket" })
      assert.strictEqual((yield* Effect.flip(third.exitCode)).reason._tag, "RemoteFailure")
      assert.strictEqual(only.asked.length, 1)
    }))
})
