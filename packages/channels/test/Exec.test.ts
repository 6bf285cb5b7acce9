import * as Command from "@effect-k8s/channels/Command"
import * as Exec from "@effect-k8s/channels/Exec"
import { ExitedNonZero } from "@effect-k8s/channels/ExitedNonZero"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChildProcess from "effect/process/ChildProcess"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import * as Server from "./support/execServer.ts"
import * as Programs from "./support/programs.ts"

const target = Target.pod("p", { namespace: "ns", container: "c" })
const on = Exec.on(target)
const make = (settings: Server.Settings = {}) => Server.make({ script: Programs.serve(Programs.basic), ...settings })
const provide = (server: Server.ExecServer) => Effect.provideService(KubeClient, server.client)

/** Everything that a program could print of a value. */
const shown = (value: unknown): string => `${String(value)}${JSON.stringify(value)}${inspect(value, { depth: 9 })}`

describe("a command", () => {
  it("takes its words as they are", () => {
    assert.deepStrictEqual(on(["sh", "-c", "ls | wc -l", "", "*"]).argv, ["sh", "-c", "ls | wc -l", "", "*"])
  })

  it("takes a template: quotes group, a value is one word, an array several", () => {
    const name = "a b; rm -rf /"
    const files = ["x y", "$HOME", ""]
    assert.deepStrictEqual(on`psql -c ${"select 1"} "in one" 'and "so"' --name=${name} ${files} ${7} ${true}`.argv, [
      "psql",
      "-c",
      "select 1",
      "in one",
      "and \"so\"",
      "--name=a b; rm -rf /",
      "x y",
      "$HOME",
      "",
      "7",
      "true"
    ])
  })

  it("throws at once at shell syntax in a template", () => {
    assert.throws(() => on`ls | wc`, /needs a shell/)
    assert.throws(() => on`ls > file`, /needs a shell/)
    assert.throws(() => on`echo $HOME`, /needs a shell/)
    assert.throws(() => on`ls *`, /needs a shell/)
    assert.throws(() => on`a && b`, /needs a shell/)
    assert.throws(() => on`a ; b`, /needs a shell/)
    assert.throws(() => on`echo "not closed`)
  })

  it("prints what it is and where it runs", () => {
    assert.strictEqual(String(on`pg_dump ${"a b"}`), "Command(pg_dump 'a b' @ ns/p/c)")
    assert.strictEqual(inspect(on`ls`), "Command(ls @ ns/p/c)")
    assert.deepStrictEqual(JSON.parse(JSON.stringify(on`ls -l`)), {
      _id: "Command",
      target: "ns/p/c",
      command: "ls -l"
    })
    assert.strictEqual(String(Exec.on(Target.pod("p"))`ls`), "Command(ls @ p)")
  })

  it("hides redacted words and variables wherever it is printed", () => {
    const secret = Redacted.make("S3CRET")
    const command = Exec.on(target, { env: { TOKEN: secret } })`login ${secret}`
    const pipeline = Exec.pipeTo(command, ChildProcess.make("tee", [secret]))
    for (const value of [command, Exec.check(command), pipeline]) {
      assert.notInclude(shown(value), "S3CRET")
      assert.include(shown(value), "<redacted>")
    }
  })

  it.effect("does nothing until it is run, and runs each time that it is", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const command = on(["echo", "x"])
      assert.isTrue(Effect.isEffect(command))
      assert.isTrue(Command.isCommand(command))
      assert.isFalse(Command.isCommand(Effect.void))
      yield* Server.settle
      assert.strictEqual(server.asked.length, 0)
      yield* provide(server)(Effect.all([Exec.string(command), Exec.string(command)]))
      assert.strictEqual(server.asked.length, 2)
    }))

  it.effect("is an effect of its handle, in the current scope", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const code = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* on(["exit", "5"])
        return yield* handle.exitCode
      })).pipe(provide(server))
      assert.strictEqual(code, 5)
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
    }))

  it.effect("sends redacted words to the server", () =>
    Effect.gen(function*() {
      const server = yield* make()
      assert.strictEqual(yield* provide(server)(Exec.string(on`echo ${Redacted.make("S3CRET")}`)), "S3CRET\n")
    }))

  it.effect("has the variables and the directory that it is told", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const env = { A: "1", B: Redacted.make("two\n'quoted'") }
      const text = yield* provide(server)(Exec.string(Exec.on(target, { env, cwd: "/data" })`env`))
      assert.deepStrictEqual(JSON.parse(text), { env: { A: "1", B: "two\n'quoted'" }, cwd: "/data" })
    }))
})

describe("the helpers", () => {
  const run = <A, E>(effect: Effect.Effect<A, E, KubeClient>, programs: Programs.Programs = {}) =>
    Effect.gen(function*() {
      const server = yield* Server.make({ script: Programs.serve({ ...Programs.basic, ...programs }) })
      const result = yield* Effect.result(provide(server)(effect))
      yield* Server.settle
      assert.strictEqual(server.open(), 0)
      return yield* Effect.fromResult(result)
    })

  it.effect("give the output as text, lines, bytes and decoded parts", () =>
    Effect.gen(function*() {
      const lines: Programs.Programs = {
        lines: ({ stdout }) =>
          Effect.as(
            Effect.forEach(
              ["one\r\ntw", "o\n", Buffer.from("dr\xc3", "latin1"), Buffer.from("\xbc\n", "latin1")],
              stdout
            ),
            0
          )
      }
      assert.strictEqual(yield* run(Exec.string(on`lines`), lines), "one\r\ntwo\ndrü\n")
      assert.deepStrictEqual(yield* run(Exec.lines(on`lines`), lines), ["one", "two", "drü"])
      assert.strictEqual(yield* run(Stream.mkString(Exec.streamString(on`lines`)), lines), "one\r\ntwo\ndrü\n")
      assert.deepStrictEqual(yield* run(Stream.runCollect(Exec.streamLines(on`lines`)), lines), ["one", "two", "drü"])
      const bytes = yield* run(Stream.runCollect(Exec.stream(on`lines`)), lines)
      assert.strictEqual(Buffer.concat(bytes).toString(), "one\r\ntwo\ndrü\n")
    }))

  it.effect("give the exit code, and do not mind what is written meanwhile", () =>
    Effect.gen(function*() {
      const noisy: Programs.Programs = {
        noisy: ({ stderr, stdout }) =>
          Effect.as(
            Effect.all([
              Effect.forEach(Array.from({ length: 100 }), () => stdout(new Uint8Array(30_000))),
              Effect.forEach(Array.from({ length: 100 }), () => stderr(new Uint8Array(30_000)))
            ]),
            9
          )
      }
      assert.strictEqual(yield* run(Exec.exitCode(on`noisy`), noisy), 9)
      assert.strictEqual((yield* run(Exec.string(on`noisy`), noisy)).length, 3_000_000)
    }))

  it.effect("do not take an exit code for a failure, unless it is checked", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* run(Exec.string(on`fail 3`)), "")
      assert.strictEqual(yield* run(Exec.exitCode(on`fail 3`)), 3)
    }))

  it.effect("fail after the output when it cannot be trusted", () =>
    Effect.gen(function*() {
      const cut: Server.Script = (session) =>
        Effect.all([
          session.stdout(`${Programs.parseSupervised(session.asked.command)?.record}@1\n`),
          session.stdout("half"),
          session.status(Server.exitStatus(0)),
          session.goodbye()
        ])
      const server = yield* Server.make({ script: cut })
      const got: Array<string> = []
      const error = yield* Effect.flip(
        provide(server)(Stream.runForEach(Exec.streamString(on`a`), (text) => Effect.sync(() => got.push(text))))
      )
      assert(error._tag === "ChannelError")
      assert.strictEqual(error.reason._tag, "OutcomeUnknown")
      assert.deepStrictEqual(got, ["half"])
      assert.strictEqual((yield* Effect.flip(provide(server)(Exec.string(on`a`))))._tag, "ChannelError")
      assert.strictEqual((yield* Effect.flip(provide(server)(Exec.exitCode(on`a`))))._tag, "ChannelError")
    }))
})

describe("check", () => {
  it.effect("makes a failure of an exit code other than 0, with the end of stderr", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const command = Exec.check(on`fail 3 ${"no such table\n"}`)
      const runs: ReadonlyArray<Effect.Effect<unknown, unknown, KubeClient>> = [
        Exec.string(command),
        Exec.exitCode(command),
        Exec.lines(command)
      ]
      for (const run of runs) {
        const error = yield* Effect.flip(provide(server)(run))
        assert(error instanceof ExitedNonZero)
        assert.strictEqual(error.exitCode, 3)
        assert.strictEqual(error.stderrTail, "no such table\n")
        assert.strictEqual(error.target, "ns/p/c")
        assert.include(error.message, "ended with exit code 3: no such table")
      }
    }))

  it.effect("has the end of stderr also when everything came at once", () =>
    Effect.gen(function*() {
      const frame = (channel: number, text: string): Uint8Array =>
        Frame.encode({ opcode: Frame.Opcode.Binary, payload: Server.bytesOf(text), prefix: channel }, undefined)
      const atOnce: Server.Script = (session) => {
        const record = Programs.parseSupervised(session.asked.command)?.record
        const frames = [
          frame(1, `${record}@1\n`),
          frame(2, "no such table\n"),
          frame(1, `${record}:3\n`),
          frame(2, `${record}:3\n`)
        ]
        return Effect.andThen(session.raw(Buffer.concat(frames)), session.left)
      }
      const server = yield* Server.make({ script: atOnce })
      yield* Server.timePasses
      const runs: ReadonlyArray<Effect.Effect<unknown, unknown, KubeClient>> = [
        Exec.string(Exec.check(on`a`)),
        Exec.exitCode(Exec.check(on`a`))
      ]
      for (const run of runs) {
        const running = yield* Effect.forkChild(Effect.flip(provide(server)(run)))
        yield* server.accepted
        const error = yield* Server.joined(running)
        assert(error instanceof ExitedNonZero)
        assert.strictEqual(error.stderrTail, "no such table\n")
      }
    }))

  it.effect("lets 0 pass", () =>
    Effect.gen(function*() {
      const server = yield* make()
      assert.strictEqual(yield* provide(server)(Exec.string(Exec.check(on`echo x`))), "x\n")
      assert.strictEqual(yield* provide(server)(Exec.exitCode(Exec.check(on`echo x`))), 0)
    }))

  it.effect("gives the whole output before the failure", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        script: Programs.serve({
          half: ({ stdout }) => Effect.as(Effect.forEach([1, 2, 3], () => stdout(new Uint8Array(100_000))), 2)
        })
      })
      let size = 0
      const error = yield* Effect.flip(
        provide(server)(
          Stream.runForEach(Exec.stream(Exec.check(on`half`)), (bytes) => Effect.sync(() => size += bytes.length))
        )
      )
      assert.strictEqual(error._tag, "ExitedNonZero")
      assert.strictEqual(size, 300_000)
    }))

  it.effect("is in the exit code of the handle", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const error = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Exec.check(on`fail 3`)
        return yield* Effect.flip(handle.exitCode)
      })).pipe(provide(server))
      assert.strictEqual(error._tag, "ExitedNonZero")
    }))

  it.effect("keeps only the end of a long stderr", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const command = Exec.check(on(["fail", "1", `${"x".repeat(20_000)}the end`]))
      const error = yield* Effect.flip(provide(server)(Exec.string(command)))
      assert(error._tag === "ExitedNonZero")
      assert.isAtMost(error.stderrTail.length, 8192)
      assert.isTrue(error.stderrTail.endsWith("the end"))
    }))
})

describe("feed", () => {
  it.effect("is the command's stdin", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const input = Stream.encodeText(Stream.make("one ", "two"))
      assert.strictEqual(yield* provide(server)(Exec.string(Exec.feed(on`cat`, input))), "one two")
      assert.strictEqual(yield* provide(server)(Exec.string(on`cat`.pipe(Exec.feed(input)))), "one two")
      assert.strictEqual(yield* provide(server)(Exec.exitCode(Exec.feed(on`cat`, input))), 0)
    }))

  it.effect("may be more than the command reads", () =>
    Effect.gen(function*() {
      const server = yield* make()
      // Yields as a socket would, because all of this runs in memory.
      const endless = Stream.forever(Stream.make(new Uint8Array(10_000))).pipe(Stream.tap(() => Server.settle))
      assert.strictEqual((yield* provide(server)(Exec.string(Exec.feed(on`head 100`, endless)))).length, 100)
    }))

  const broken = Stream.concat(Stream.encodeText(Stream.make("half")), Stream.fail("broken" as const))
  const fed = Exec.feed(on`count`, broken)
  const runs: ReadonlyArray<readonly [name: string, run: Effect.Effect<unknown, unknown, KubeClient>]> = [
    ["string", Exec.string(fed)],
    ["lines", Exec.lines(fed)],
    ["exitCode", Exec.exitCode(fed)],
    ["stream", Stream.runDrain(Exec.stream(fed))]
  ]
  for (const [name, run] of runs) {
    it.effect(`that fails is the failure of the command (${name}), which waits for more stdin`, () =>
      Effect.gen(function*() {
        const server = yield* make()
        const running = yield* Effect.forkChild(
          Effect.flip(provide(server)(run))
        )
        yield* server.accepted
        assert.strictEqual(yield* Server.joined(running), "broken")
        yield* Server.settle
        assert.strictEqual(server.open(), 0)
      }))
  }

  it.effect("that is a checked command fails with that command's exit code and stderr", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const failing = Exec.check(on`fail 3 ${"no such table\n"}`)
      const fed = Exec.check(Exec.feed(on`count`, Exec.stream(failing)))
      const running = yield* Effect.forkChild(Effect.flip(provide(server)(Exec.string(fed))))
      const error = yield* Server.joined(running)
      assert(error._tag === "ExitedNonZero")
      assert.deepStrictEqual([error.exitCode, error.stderrTail], [3, "no such table\n"])
    }))

  it.effect("has its needs and its failures from the context of the run", () =>
    Effect.gen(function*() {
      class Source extends Context.Service<Source, { readonly text: string }>()("Source") {}
      const server = yield* make()
      const input = Stream.unwrap(Effect.map(Source, ({ text }) => Stream.encodeText(Stream.make(text))))
      const text = yield* Exec.string(Exec.feed(on`cat`, input)).pipe(
        provide(server),
        Effect.provideService(Source, { text: "from a service" })
      )
      assert.strictEqual(text, "from a service")
    }))

  it.effect("ends with the command", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const ended = yield* Deferred.make<void>()
      const input = Stream.concat(Stream.make(new Uint8Array(1)), Stream.never).pipe(
        Stream.ensuring(Deferred.succeed(ended, undefined))
      )
      yield* provide(server)(Exec.string(Exec.feed(on`head 1`, input)))
      yield* Deferred.await(ended)
    }))
})

describe("provide", () => {
  /** A client as a layer, and how often it was built and released. */
  const layerOf = (server: Server.ExecServer) => {
    const counts = { built: 0, released: 0 }
    return {
      counts,
      layer: Layer.effect(
        KubeClient,
        Effect.acquireRelease(
          Effect.sync(() => {
            counts.built++
            return server.client
          }),
          () => Effect.sync(() => counts.released++)
        )
      )
    }
  }

  it.effect("binds a command to a cluster by a context", () =>
    Effect.gen(function*() {
      const server = yield* make()
      const context = Context.make(KubeClient, server.client)
      assert.strictEqual(yield* Exec.string(Exec.provide(on`echo x`, context)), "x\n")
      assert.strictEqual(yield* Exec.string(on`echo x`.pipe(Exec.provide(context))), "x\n")
    }))

  it.effect("builds a layer in the scope of the run", () =>
    Effect.gen(function*() {
      const { counts, layer } = layerOf(yield* make())
      const command = Exec.provide(on`echo x`, layer)
      assert.deepStrictEqual(counts, { built: 0, released: 0 })
      yield* Exec.string(command)
      yield* Exec.string(command)
      assert.deepStrictEqual(counts, { built: 2, released: 2 })
    }))

  it.effect("builds a layer once for all commands of a pipeline that are bound to it", () =>
    Effect.gen(function*() {
      const { counts, layer } = layerOf(yield* make())
      yield* Exec.run(
        Exec.pipeTo(Exec.provide(on`echo x`, layer), Exec.provide(on`cat`, layer)).pipe(
          Exec.pipeTo(Exec.provide(on`cat`, layer))
        )
      )
      assert.deepStrictEqual(counts, { built: 1, released: 1 })
    }))

  it.effect("wins over the context of the run", () =>
    Effect.gen(function*() {
      const here = yield* make()
      const there = yield* make({})
      const { layer } = layerOf(there)
      yield* provide(here)(Exec.string(Exec.provide(on`echo x`, layer)))
      assert.deepStrictEqual([here.asked.length, there.asked.length], [0, 1])
    }))

  it.effect("may need what a later one provides", () =>
    Effect.gen(function*() {
      class Name extends Context.Service<Name, { readonly name: string }>()("Name") {}
      const server = yield* make()
      const seen: Array<string> = []
      const layer = Layer.effect(
        KubeClient,
        Effect.map(Name, ({ name }) => {
          seen.push(name)
          return server.client
        })
      )
      const command = on`echo x`.pipe(Exec.provide(layer), Exec.provide(Layer.succeed(Name, { name: "outer" })))
      assert.strictEqual(yield* Exec.string(command), "x\n")
      const inherited = Exec.string(Exec.provide(on`echo x`, layer))
      assert.strictEqual(yield* Effect.provideService(inherited, Name, { name: "run" }), "x\n")
      assert.deepStrictEqual(seen, ["outer", "run"])
    }))

  it.effect("fails the start with the layer's own error", () =>
    Effect.gen(function*() {
      const layer = Layer.effect(KubeClient, Effect.fail("no cluster" as const))
      assert.strictEqual(yield* Effect.flip(Exec.string(Exec.provide(on`echo x`, layer))), "no cluster")
      const pipeline = Exec.pipeTo(Exec.provide(on`echo x`, layer), Exec.through((input) => input))
      assert.strictEqual(yield* Effect.flip(Exec.run(pipeline)), "no cluster")
    }))

  it.effect("provides for what feeds the command, too", () =>
    Effect.gen(function*() {
      class Source extends Context.Service<Source, { readonly text: string }>()("Source") {}
      const server = yield* make()
      const input = Stream.unwrap(Effect.map(Source, ({ text }) => Stream.encodeText(Stream.make(text))))
      const command = on`cat`.pipe(Exec.feed(input), Exec.provide(Layer.succeed(Source, { text: "bound" })))
      assert.strictEqual(yield* provide(server)(Exec.string(command)), "bound")
      const results = yield* provide(server)(Exec.run(command))
      assert.strictEqual(results.at(-1)?.bytesIn, 5)
    }))
})
