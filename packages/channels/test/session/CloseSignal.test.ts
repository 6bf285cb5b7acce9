/**
 * The close signal of stdin, `FF 00`: sent under v5 alone, and once, whoever ends stdin and how often (protocol reference
 * 2.7 and 11).
 */
import * as Exec from "@effect-k8s/channels/Exec"
import { type Subprotocol, v4, v5 } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as Frame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { toHex } from "../protocol/bytes.ts"
import * as Server from "../support/execServer.ts"
import * as Programs from "../support/programs.ts"
import * as Sessions from "../support/sessions.ts"
import * as Wire from "../support/wire.ts"

/** Everything that a client sends from now on, until it has waited. */
const rest = Effect.fnUntraced(function*({ connection }: Server.ServerSession) {
  const chunks: Array<Uint8Array> = []
  const reading = yield* Effect.forkChild(Effect.ignore(Effect.forever(Effect.map(connection.pull, (more) => {
    chunks.push(...more)
  }))))
  yield* Server.settle
  yield* Fiber.interrupt(reading)
  return Buffer.concat(chunks)
})

const target = Target.pod("p", { namespace: "ns", container: "c" })

/** The messages that a client has sent, in hex. */
const messages = (sent: Uint8Array): ReadonlyArray<string> =>
  Array.from(Frame.makeDecoder({ role: "server" }).decode(sent)).flatMap((event) =>
    event._tag === "Data" ? [toHex(event.payload)] : []
  )

interface Case {
  readonly protocol: Subprotocol
  readonly stdin: boolean
}

/** Runs a supervised command, ends its stdin again and again, and gives what was sent. */
const session = ({ protocol, stdin }: Case) =>
  Effect.gen(function*() {
    const server = yield* Server.make({ protocols: [protocol], script: Programs.serve(Programs.basic) })
    const { client, tapes } = Wire.client(server.client, [{ _tag: "Whole" }])
    const run = Effect.gen(function*() {
      const command = Exec.on(target, { protocols: [protocol], stdin: stdin ? "pipe" : "ignore" })
      const handle = yield* command(["cat"])
      const end = Stream.run(Stream.empty, handle.stdin)
      if (stdin) yield* Effect.andThen(end, end)
      assert.strictEqual(yield* handle.exitCode, 0)
      if (stdin) yield* end
      // Whoever leaves before the server does may be quicker than the signal.
      yield* Effect.ignore(handle.status)
    }).pipe(Effect.orDie, Effect.scoped, Effect.provideService(KubeClient, client))
    return { run: Effect.map(run, () => tapes.map((tape) => messages(tape.up()))), open: server.open }
  })

describe("the close signal of stdin", () => {
  const cases: ReadonlyArray<readonly [Case, ReadonlyArray<string>]> = [
    [{ protocol: v5, stdin: true }, ["ff00"]],
    // Its client acknowledges by the end of stdin; on v4 it closes instead.
    [{ protocol: v5, stdin: false }, ["ff00"]],
    [{ protocol: v4, stdin: false }, []]
  ]
  for (const [one, expected] of cases) {
    const name = `${one.protocol}, ${one.stdin ? "stdin ended three times" : "no stdin"}`
    it.effect(`is sent ${expected.length === 0 ? "never" : "once"}: ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* Sessions.runOne(one, session, () => name), [expected])
      }))
  }

  it.effect("is sent when the end of stdin was interrupted while it waited behind a write", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({ reads: false })
      const command = Exec.on(target, { stdin: "pipe", supervise: "never", transport: "websocket" })(["cat"])
      const starting = yield* Effect.forkScoped(Effect.provideService(command, KubeClient, server.client))
      const session = yield* server.accepted
      const handle = yield* Fiber.join(starting)
      yield* Server.timePasses
      for (const input of [Stream.make(new Uint8Array(1_000_000)), Stream.empty]) {
        const writing = yield* Effect.forkChild(Stream.run(input, handle.stdin))
        yield* Server.settle
        yield* TestClock.adjust("1 second")
        assert.isUndefined(writing.pollUnsafe(), "it did not wait")
        yield* Fiber.interrupt(writing)
      }
      const sent = messages(yield* rest(session))
      const stdin = sent.filter((message) => message.startsWith("00"))
      assert.strictEqual(stdin.reduce((size, message) => size + message.length / 2 - 1, 0), 1_000_000)
      assert.deepStrictEqual(sent.filter((message) => message.startsWith("ff")), ["ff00"])
      assert.strictEqual(sent.at(-1), "ff00")
    }))
})
