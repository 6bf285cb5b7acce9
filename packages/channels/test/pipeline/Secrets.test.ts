import * as Exec from "@effect-k8s/channels/Exec"
import * as JsonObject from "@effect-k8s/channels/protocol/JsonObject"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import { ConnectionLost, TransportError } from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import * as Server from "../support/execServer.ts"
import { inTime, make, type Stage, target } from "../support/pipelines.ts"
import { collecting } from "../support/spans.ts"

const secret = "S3CRET-VALUE"
const word = Redacted.make(secret)
const on = Exec.on(target, { env: { TOKEN: word } })

/** Everything that a program could print of a value. */
const shown = (value: unknown): string =>
  inspect(value, { depth: 20, showHidden: true, maxArrayLength: null, maxStringLength: null })

/** Every form in which it could leak, as it is and encoded. */
const assertHidden = (text: string, what: string): void => {
  for (const form of [secret, btoa(secret), encodeURIComponent(secret), [...Buffer.from(secret)].join(", ")]) {
    assert.notInclude(text, form, what)
  }
}

describe("a secret word or variable is in no result, error, message or span", () => {
  const runs: ReadonlyArray<readonly [string, Stage, Server.Settings?]> = [
    ["of a pipeline that completes", on(["echo", word]).pipe(Exec.pipeTo(ChildProcess.make("cat", [word])))],
    ["of a command that fails", Exec.check(on(["fail", "3", "", word]))],
    ["of a local process that fails", ChildProcess.make("fail", ["3", "", word])],
    ["of a local program that is not there", ChildProcess.make("no-such-program", [word])],
    ["of a program that is not there", on(["no-such-program", word])],
    ["of a command that ends early", on(["yes", word]).pipe(Exec.pipeTo(on(["head", "1", word])))],
    ["of a command that is fed", Exec.feed(on(["count", word]), Stream.make(new Uint8Array(1)))],
    ["of a command that is wrong", on(["echo", Redacted.make(`${secret}\0`)])],
    ["of an upgrade that is refused", on(["echo", word]), { refuse: () => ({ status: 503, body: "no" }) }],
    ["of a command that is forbidden", on(["echo", word]), {
      refuse: () => ({
        status: 403,
        body: { kind: "Status", status: "Failure", reason: "Forbidden", message: "no", code: 403 }
      })
    }],
    ["of a handshake that is not answered", on(["echo", word]), { refuse: () => ({ never: true }) }],
    ["of a connection that is lost during the handshake", on(["echo", word]), {
      refuse: () => ({
        error: new TransportError({ reason: new ConnectionLost({ address: { host: "h", port: 1 }, cause: undefined }) })
      })
    }],
    ["of a session that is lost", on(["echo", word]), { script: (session) => session.connection.reset }],
    ["of an image without a shell", on(["echo", word]), {
      script: (session) =>
        Effect.andThen(
          session.status(Server.internalError("exec: \"sh\": executable file not found in $PATH")),
          session.goodbye()
        )
    }]
  ]
  for (const [what, stage, settings] of runs) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { spans, tracer } = collecting()
        const place = yield* make({}, settings)
        const exit = yield* inTime(
          Effect.exit(place.provide(Exec.run(stage))).pipe(Effect.withTracer(tracer))
        )
        assertHidden(shown(exit), "the exit")
        assertHidden(JSON.stringify(exit), "the exit as JSON")
        if (Exit.isFailure(exit)) assertHidden(String(exit.cause), "the cause as text")
        assert.isAbove(spans.length, 0)
        for (const span of spans) {
          assertHidden(shown([span.name, [...span.attributes], span.events, span.status]), `the span ${span.name}`)
        }
        assertHidden(shown(stage), "the command")
        const asked = place.server.asked.map(({ command }) => command.join(" ")).join()
        // The server gets the word, or the test would prove nothing. The variable is none of its words.
        if (what.startsWith("of an upgrade")) assert.include(asked, secret)
        assert.notInclude(asked, "TOKEN=")
      }))
  }

  it.effect("of a command whose output is read", () =>
    Effect.gen(function*() {
      const { spans, tracer } = collecting()
      const place = yield* make()
      const text = yield* place.provide(Exec.string(on(["echo", word]))).pipe(Effect.withTracer(tracer))
      assert.strictEqual(text, `${secret}\n`)
      assert.isAbove(spans.length, 0)
      for (const span of spans) assertHidden(shown([span.name, [...span.attributes], span.events]), span.name)
    }))
})

describe("a secret that a server quotes is in no error", () => {
  // What quoting changes is in it; the first part of it betrays it in every form.
  const betrayed = "s3cr3t"
  const quoted = `${betrayed} "<&>" \\ +/ü`
  const login = Redacted.make(quoted)
  const quote = `error executing command [login ${quoted}], no such thing`
  const withQuote = (session: Server.ServerSession) =>
    Effect.andThen(session.status(Server.internalError(quote)), session.goodbye())
  const asGo = (session: Server.ServerSession) =>
    Effect.andThen(
      session.status(JsonObject.stringify({ status: "Failure", reason: "InternalError", message: quote, code: 500 })),
      session.goodbye()
    )
  const refuse = (body: string | object, status = 400): Server.Settings => ({ refuse: () => ({ status, body }) })
  const status = { kind: "Status", status: "Failure", reason: "BadRequest", message: quote, code: 400 }
  const servers: ReadonlyArray<readonly [string, Server.Settings]> = [
    ["in its Status", { script: withQuote }],
    ["in its Status, as Go writes it", { script: asGo }],
    ["in a Status that cannot be read", {
      script: (session) => Effect.andThen(session.status(`no JSON: ${quote}`), session.goodbye())
    }],
    ["in a Status that cannot be read, where what is told of it ends", {
      script: (session) =>
        Effect.andThen(
          session.status(`no JSON: ${"x".repeat(2_048 - "no JSON: ".length - 10)}${quoted}`),
          session.goodbye()
        )
    }],
    ["in a Status that breaks off in it", {
      script: (session) =>
        Effect.andThen(
          session.status(`{"status":"Failure","message":"${JSON.stringify(quote).slice(1, quote.indexOf("<") + 3)}`),
          session.goodbye()
        )
    }],
    ["on stderr, when it cannot start the command and has more to say than is looked at", {
      script: (session) =>
        Effect.gen(function*() {
          yield* session.stderr(`exec: "sh": executable file not found in $PATH: ${quote.slice(0, quote.indexOf("<"))}`)
          yield* session.stderr(`${quote.slice(quote.indexOf("<"))}${"x".repeat(8 * 1024)}`)
          yield* session.status(Server.exitStatus(255))
          yield* session.goodbye()
        })
    }],
    ["on stderr, when it cannot start the command", {
      script: (session) =>
        Effect.gen(function*() {
          yield* session.stderr(`exec: "sh": executable file not found in $PATH: ${quote}`)
          yield* session.status(Server.exitStatus(255))
          yield* session.goodbye()
        })
    }],
    ["in a refusal with a Status", refuse(status)],
    ["in a refusal without", refuse(`no such page: /exec?command=login&command=${encodeURIComponent(quoted)}`, 404)],
    ["in a refusal that has the query as forms do", refuse(`${new URLSearchParams({ command: quoted })}`, 502)]
  ]
  for (const supervise of ["required", "preferred", "never"] as const) {
    for (const [what, settings] of servers) {
      // What a command without the supervisor writes to stderr is its own.
      if (what.startsWith("on stderr") && supervise !== "required") continue
      it.effect(`${what} (${supervise})`, () =>
        Effect.gen(function*() {
          const place = yield* make({}, settings)
          const command = Exec.on(target, { supervise })(["login", login])
          const handle = Effect.scoped(Effect.gen(function*() {
            const { exitCode, status } = yield* command
            return yield* Effect.all([Effect.exit(exitCode), Effect.exit(status)])
          }))
          for (const run of [Exec.exitCode(command), Exec.run(command), handle]) {
            const exit: Exit.Exit<unknown, unknown> = yield* inTime(
              Effect.exit(place.provide<unknown, unknown, KubeClient>(run))
            )
            const texts = [shown(exit), JSON.stringify(exit), Exit.isFailure(exit) ? String(exit.cause) : ""]
            for (const text of texts) assert.notInclude(text, betrayed)
          }
        }))
    }
  }

  it.effect("in a variable, too", () =>
    Effect.gen(function*() {
      const place = yield* make({}, { script: withQuote })
      const run = Exec.string(Exec.on(target, { env: { TOKEN: login } })(["login"]))
      const error = yield* Effect.flip(inTime(place.provide(run)))
      assert.notInclude(shown(error), betrayed)
      assert.include(error.message, "error executing command [login <redacted>], no such thing")
    }))
})

describe("the span of a run", () => {
  it.effect("tells the stages, and those of its commands tell where and over what they ran", () =>
    Effect.gen(function*() {
      const pipeline = on(["echo", word]).pipe(Exec.pipeTo(ChildProcess.make`cat`))
      const runs: ReadonlyArray<
        readonly [string, Effect.Effect<unknown, unknown, KubeClient | ChildProcessSpawner>]
      > = [["Exec.run", Exec.run(pipeline)], ["Exec.stream", Exec.string(pipeline)]]
      for (const [name, effect] of runs) {
        const { spans, tracer } = collecting()
        const place = yield* make()
        yield* place.provide(effect).pipe(Effect.withTracer(tracer))
        const run = spans.find((span) => span.name === name)
        assert(run !== undefined)
        assert.strictEqual(run.attributes.get("k8s.pipeline"), "echo <redacted> | cat")
        assert.strictEqual(run.status._tag, "Ended")
        const start = spans.find((span) => span.name === "Exec.start")
        assert.deepStrictEqual(
          ["k8s.pod", "k8s.namespace", "k8s.container", "k8s.protocol", "k8s.supervised"].map((key) =>
            start?.attributes.get(key)
          ),
          ["p", "ns", "c", "websocket v5.channel.k8s.io", true]
        )
        assert(start?.parent._tag === "Some")
        assert.strictEqual(start.parent.value.spanId, run.spanId)
      }
    }))
})
