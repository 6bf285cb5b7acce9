/**
 * The same handlers without sockets, on virtual time.
 */
import type { Inbound } from "@effect-k8s/channels/connection/Connection"
import * as SpdyConnection from "@effect-k8s/channels/connection/SpdyConnection"
import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import type { Transport } from "@effect-k8s/core/Transport"
import { isTransportError } from "@effect-k8s/core/TransportError"
import * as ApiServer from "@effect-k8s/testing/ApiServer"
import * as InMemory from "@effect-k8s/testing/InMemory"
import * as ExecFault from "@effect-k8s/testing/pods/ExecFault"
import * as LocalNode from "@effect-k8s/testing/pods/LocalNode"
import * as Json from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as TestClock from "effect/testing/TestClock"
import { eventually } from "../support/Eventually.ts"

const origin = "https://memory"

const start = Effect.fnUntraced(function*(options: LocalNode.Options = {}) {
  const pods = yield* LocalNode.make(options)
  const server = yield* ApiServer.make({
    users: [{ name: "admin", groups: ["system:masters"], token: "t" }],
    node: pods.node
  })
  const transport = yield* InMemory.platform(server.handler).transport({ url: new URL(origin) })
  const row = server.registry.catalogue.find("", "v1", "pods")
  assert(row !== undefined)
  yield* server.registry.create(row, "default", {
    metadata: { name: "p" },
    spec: { containers: [{ name: "main", image: "busybox" }] }
  })
  const get = server.registry.get({ row, namespace: "default", name: "p" })
  yield* eventually(Effect.orDie(get), (pod) => assert.strictEqual(Json.get(pod, "status", "phase"), "Running"))
  return { pods, server, transport }
})

const open = Effect.fnUntraced(
  function*(transport: Transport["Service"], command: ReadonlyArray<string>, streams = "oe") {
    const query = new URLSearchParams([
      ...command.map((word): [string, string] => ["command", word]),
      ...[["i", "stdin"], ["o", "stdout"], ["e", "stderr"]].flatMap((
        [letter = "", name = ""]
      ): Array<[string, string]> => streams.includes(letter) ? [[name, "true"]] : [])
    ])
    const request = HttpClientRequest.get(`${origin}/api/v1/namespaces/default/pods/p/exec?${query}`).pipe(
      HttpClientRequest.bearerToken("t"),
      HttpClientRequest.setHeaders(WebSocketHandshake.requestHeaders("AAAAAAAAAAAAAAAAAAAAAA==", [RemoteCommand.v5]))
    )
    return yield* transport.upgrade(request)
  }
)

/** Reads a connection to its end, slowly if asked. */
const readAll = Effect.fnUntraced(function*(
  connection: Extract<Effect.Success<ReturnType<typeof open>>, { _tag: "Upgraded" }>["connection"],
  delayMillis = 0
) {
  const decoder = WebSocketFrame.makeDecoder({ role: "client" })
  const reader = RemoteCommand.makeClientReader()
  const sizes = new Map<number, number>()
  let status = ""
  let close: number | undefined
  while (true) {
    const chunks = yield* Effect.orElseSucceed(connection.pull, () => undefined)
    if (chunks === undefined) return { stdout: sizes.get(1) ?? 0, outcome: ExitStatus.parse(status), close }
    for (const event of chunks.flatMap((chunk) => decoder.decode(chunk))) {
      if (event._tag === "Close") close = event.code
      if (event._tag !== "Data") continue
      const message = reader.read(event)
      if (message?._tag !== "Part") continue
      sizes.set(message.channel, (sizes.get(message.channel) ?? 0) + message.bytes.length)
      if (message.channel === 3) status += Buffer.from(message.bytes).toString()
    }
    if (delayMillis > 0) yield* Effect.sleep(delayMillis)
  }
})

const code = (outcome: ExitStatus.Outcome) => (outcome._tag === "Exited" ? outcome.code : outcome._tag)

const output = (size: number, exit: number) =>
  ExecFault.program(({ stdout }) => Effect.as(stdout(Buffer.alloc(size)), exit))

describe("an exec in memory", () => {
  it.effect("runs real commands", () =>
    Effect.gen(function*() {
      const { transport } = yield* start()
      const answer = yield* open(transport, ["sh", "-c", "head -c 3000000 /dev/zero; exit 7"])
      assert(answer._tag === "Upgraded")
      const { close, outcome, stdout } = yield* readAll(answer.connection)
      assert.deepStrictEqual([stdout, code(outcome), close], [3_000_000, 7, 1000])
    }))

  it.effect("is refused in the same words", () =>
    Effect.gen(function*() {
      const { transport } = yield* start({ era: "1.28" })
      const answer = yield* open(transport, ["true"])
      assert(answer._tag === "Refused")
      assert.deepStrictEqual([answer.status, answer.body.length, answer.headers["connection"]], [403, 0, "close"])
    }))

  it.effect("loses its tail when five seconds go by, on the clock of the test", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      for (const [seconds, expected] of [[4, [3_000_000, 7]], [6, ["less", 0]]] as const) {
        yield* pods.inject({}, output(3_000_000, 7))
        const answer = yield* open(transport, ["true"])
        assert(answer._tag === "Upgraded")
        yield* eventually(pods.execs(), (all) => assert.isAbove(all.at(-1)?.outputBytes ?? -1, -1))
        yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 50)))
        yield* TestClock.adjust(`${seconds} seconds`)
        const { outcome, stdout } = yield* readAll(answer.connection)
        assert.deepStrictEqual([stdout < 3_000_000 ? "less" : stdout, code(outcome)], [...expected])
      }
    }))

  it.effect("starts when its delay is over, on the clock of the test", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      yield* pods.inject({}, ExecFault.delayStart("1 hour"))
      const answer = yield* open(transport, ["true"])
      assert(answer._tag === "Upgraded")
      const reading = yield* Effect.forkChild(readAll(answer.connection))
      yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 50)))
      assert.strictEqual(yield* pods.starts(), 0)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(code((yield* Fiber.join(reading)).outcome), 0)
      assert.strictEqual(yield* pods.starts(), 1)
    }))

  const silent = ExecFault.program(({ departure }) => Effect.as(departure, 0))

  it.effect("is ended without a word after four hours without data, whatever the pings", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      const { Binary, Ping, Pong } = WebSocketFrame.Opcode
      const empty = new Uint8Array(0)
      const hours = Effect.fnUntraced(function*(opcode: WebSocketFrame.Opcode) {
        yield* pods.inject({}, silent)
        const answer = yield* open(transport, ["true"])
        assert(answer._tag === "Upgraded")
        const reading = yield* Effect.forkChild(readAll(answer.connection))
        let passed = 0
        for (; passed < 10 && reading.pollUnsafe() === undefined; passed++) {
          yield* answer.connection.write([WebSocketFrame.encode({ opcode, payload: empty }, 1)])
          yield* eventually(
            pods.execs(),
            (all) => assert.strictEqual(all.at(-1)?.arrivals.length, passed + 1)
          )
          yield* TestClock.adjust("1 hour")
          yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 10)))
        }
        if (reading.pollUnsafe() === undefined) return passed
        const { close, outcome } = yield* Fiber.join(reading)
        assert.deepStrictEqual([code(outcome), close], ["Missing", undefined])
        return passed
      })
      assert.deepStrictEqual([yield* hours(Ping), yield* hours(Pong)], [4, 4])
      // An empty message is data.
      assert.strictEqual(yield* hours(Binary), 10)
    }))

  it.effect("may be limited to so many bytes a second, each way", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      const seconds = Effect.fnUntraced(function*(count: number) {
        for (let i = 0; i < 20 * count; i++) {
          yield* TestClock.adjust("50 millis")
          yield* Effect.promise(() => new Promise((resume) => setTimeout(resume, 1)))
        }
      })
      const limit = ExecFault.bandwidth(10_000)
      // From what has been read to the end in a second or more, and a slice of it.
      const isAbout = (bytes: number, expected: number) => {
        assert.isAtLeast(bytes, expected - 1_000)
        assert.isAtMost(bytes, expected + 1_000)
      }
      yield* pods.inject({}, ExecFault.all(output(50_000, 3), limit))
      const down = yield* open(transport, ["true"])
      assert(down._tag === "Upgraded")
      let arrived = 0
      const counting = {
        ...down.connection,
        pull: Effect.map(down.connection.pull, (chunks) => {
          arrived += chunks.reduce((sum, { length }) => sum + length, 0)
          return chunks
        })
      }
      const reading = yield* Effect.forkChild(readAll(counting))
      yield* seconds(2)
      isAbout(arrived, 20_000)
      yield* seconds(4)
      const { outcome, stdout } = yield* Fiber.join(reading)
      assert.deepStrictEqual([stdout, code(outcome)], [50_000, 3])

      yield* pods.inject({}, ExecFault.all(silent, limit))
      const up = yield* open(transport, ["true"], "ioe")
      assert(up._tag === "Upgraded")
      const frame = { opcode: WebSocketFrame.Opcode.Binary, prefix: 0, payload: new Uint8Array(1_000) }
      yield* Effect.forkChild(Effect.repeat(up.connection.write([WebSocketFrame.encode(frame, 1)]), { times: 49 }))
      yield* seconds(2)
      isAbout((yield* pods.execs())[1]?.stdinBytes ?? 0, 20_000)
      yield* seconds(4)
      assert.strictEqual((yield* pods.execs())[1]?.stdinBytes, 50_000)
    }))

  it.effect("can be cut and reset by a script", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      yield* pods.inject({}, ExecFault.cut(10, "reset"))
      const answer = yield* open(transport, ["echo", "more than ten bytes"])
      assert(answer._tag === "Upgraded")
      const failure = yield* Effect.flip(Effect.forever(answer.connection.pull))
      assert.isTrue(isTransportError(failure))
    }))
})

describe("an exec over SPDY in memory", () => {
  it.effect("meets the same server: outputs, the Status and the goodbye", () =>
    Effect.gen(function*() {
      const { pods, transport } = yield* start()
      yield* pods.inject(
        {},
        ExecFault.program(({ stdout }) => Effect.as(stdout("out"), 3))
      )
      const request = HttpClientRequest.post(
        `${origin}/api/v1/namespaces/default/pods/p/exec?command=x&stdout=true&stderr=true`
      ).pipe(
        HttpClientRequest.bearerToken("t"),
        HttpClientRequest.setHeaders(SpdyHandshake.requestHeaders([RemoteCommand.v5, RemoteCommand.v4]))
      )
      const answer = yield* transport.upgrade(request)
      assert(answer._tag === "Upgraded")
      const checked = SpdyHandshake.checkResponse(answer.headers, [RemoteCommand.v5, RemoteCommand.v4])
      assert.deepStrictEqual(checked, { _tag: "Accepted", subprotocol: RemoteCommand.v4 })
      const connection = yield* SpdyConnection.make(answer.connection, RemoteCommand.v4, {
        stdin: false,
        stdout: true,
        stderr: true,
        tty: false
      })
      const events: Array<Inbound> = []
      while (events.at(-1)?._tag !== "Closed") events.push(...yield* connection.receive)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Output", "OutputsEnded", "Status", "Closed"])
      const status = events.find((event) => event._tag === "Status")
      const outcome = ExitStatus.parse(new TextDecoder().decode(status?.bytes))
      assert(outcome._tag === "Exited")
      assert.strictEqual(outcome.code, 3)
    }))
})
