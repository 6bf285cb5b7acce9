import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as ExecFault from "@effect-k8s/testing/pods/ExecFault"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const { v5 } = ExecClient

const command = ["sh", "-c", "echo out; exit 3"]
const status3 =
  "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code: command " +
  "terminated with exit code 3\",\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"3\"}]}}"

const withFault = (cluster: TestCluster.Service, fault: ExecFault.ExecFault, options: ExecClient.Options = {}) =>
  Effect.gen(function*() {
    const injected = yield* cluster.pods.inject({}, fault)
    const client = yield* ExecClient.open(cluster, command, { protocols: v5, ...options })
    assert.strictEqual(yield* injected.hits, 1)
    return client
  })

const exitCode = (client: ExecClient.ExecClient) => {
  const outcome = client.outcome()
  return outcome._tag === "Exited" ? outcome.code : outcome._tag
}

const seen = (client: ExecClient.ExecClient) =>
  client.messages.map(([opcode, channel, size]) => [opcode, channel, size])

const violation = (client: ExecClient.ExecClient): string => {
  const event = client.events.find(({ _tag }) => _tag === "Violation")
  return event?._tag === "Violation" ? event.error.message : "none"
}

describe("a fault instead of the 101", () => {
  it.live("answers in place of the server, and starts nothing", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const answers: ReadonlyArray<readonly [ExecFault.ExecFault, string]> = [
        [ExecFault.refuse(503, "no upstream", { "Retry-After": "1" }), "no upstream"],
        [ExecFault.refuseSubprotocol, ""],
        [ExecFault.raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"), "no"]
      ]
      for (const [fault, body] of answers) {
        const client = yield* withFault(cluster, fault)
        yield* eventually(Effect.sync(client.body), (text) => assert.strictEqual(text, body))
      }
      const garbled = yield* withFault(cluster, ExecFault.garbledAnswer)
      assert.strictEqual(garbled.body(), "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
      const closed = yield* withFault(cluster, ExecFault.closeBeforeAnswer)
      assert.deepStrictEqual([closed.head, closed.end()], ["", "fin"])
      const reset = yield* withFault(cluster, ExecFault.raw("", "reset"))
      assert.deepStrictEqual([reset.head, reset.end()], ["", "ECONNRESET"])
      assert.strictEqual(yield* cluster.pods.starts(), 0)
    }))

  it.live("changes the handshake", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const wrongAccept = yield* withFault(cluster, ExecFault.wrongAccept)
      assert.include(wrongAccept.head, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n")
      const wrongProtocol = yield* withFault(cluster, ExecFault.wrongSubprotocol())
      assert.include(wrongProtocol.head, "Sec-WebSocket-Protocol: v3.channel.k8s.io\r\n")
      const without = yield* withFault(cluster, ExecFault.headers({ "Sec-WebSocket-Protocol": undefined }))
      assert.notInclude(without.head, "Sec-WebSocket-Protocol")
    }))

  it.live("never answers, and ends with the client", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* cluster.pods.inject({}, ExecFault.hang)
      const outcome = yield* Effect.scoped(ExecClient.open(cluster, command, { protocols: v5 })).pipe(
        Effect.timeoutOption("100 millis")
      )
      assert.strictEqual(outcome._tag, "None")
      yield* eventually(cluster.stats, (stats) =>
        assert.deepStrictEqual([stats.openSockets, stats.openExchanges], [0, 0]))
    }))

  it.live("loses the answer after the command was started", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* withFault(cluster, ExecFault.loseAnswer)
      assert.deepStrictEqual([client.head, client.end()], ["", "ECONNRESET"])
      yield* eventually(
        cluster.pods.execs(),
        ([exec]) => assert.deepStrictEqual([exec?.starts, exec?.exitCode], [1, 3])
      )
    }))
})

describe("a fault on the connection", () => {
  const rows: ReadonlyArray<readonly [string, ExecFault.ExecFault, (client: ExecClient.ExecClient) => void]> = [
    ["ends without a Status", ExecFault.withoutStatus, (client) => {
      assert.deepStrictEqual(seen(client), [[2, 1, 0], [2, 1, 4]])
      assert.deepStrictEqual([client.closeCode(), client.end()], [1000, "fin"])
    }],
    ["closes with 1011", ExecFault.closeCode(1011), (client) => {
      assert.deepStrictEqual([exitCode(client), client.closeCode(), client.end()], [3, 1011, "fin"])
    }],
    ["closes without a code", ExecFault.closeCode(undefined), (client) => {
      assert.deepStrictEqual([client.events.map(({ _tag }) => _tag), client.closeCode()], [["Close"], undefined])
    }],
    ["ends with a FIN alone", ExecFault.withoutClose(), (client) => {
      assert.deepStrictEqual([exitCode(client), client.events, client.end()], [3, [], "fin"])
    }],
    [
      "ends with a FIN alone and no Status",
      ExecFault.all(ExecFault.withoutStatus, ExecFault.withoutClose()),
      (client) => {
        assert.deepStrictEqual([exitCode(client), client.events, client.end()], ["Missing", [], "fin"])
      }
    ],
    ["ends with a reset", ExecFault.withoutClose("reset"), (client) => assert.strictEqual(client.end(), "ECONNRESET")],
    ["cuts after some output, by FIN", ExecFault.cut(2, "fin"), (client) => {
      assert.deepStrictEqual([client.channel(1).toString(), client.events, client.end()], ["ou", [], "fin"])
    }],
    ["cuts before any output, by RST", ExecFault.cut(0), (client) => assert.strictEqual(client.end(), "ECONNRESET")],
    ["loses its backend, and the translator says Success", ExecFault.loseBackend(2), (client) => {
      assert.deepStrictEqual([client.channel(1).toString(), exitCode(client)], ["ou", 0])
      assert.deepStrictEqual([client.closeCode(), client.end()], [1000, "fin"])
    }],
    ["loses its backend before any output", ExecFault.loseBackend(0), (client) => {
      assert.deepStrictEqual([client.channel(1).toString(), exitCode(client), client.closeCode()], ["", 0, 1000])
    }],
    ["sends the Status early", ExecFault.earlyStatus(status3), (client) => {
      assert.deepStrictEqual(seen(client), [[2, 1, 0], [2, 3, status3.length], [2, 1, 4]])
    }],
    ["sends garbage for a Status", ExecFault.replaceStatus("not JSON"), (client) => {
      assert.strictEqual(client.channel(3).toString(), "not JSON")
    }],
    ["splits the Status", ExecFault.splitStatus(100), (client) => {
      assert.deepStrictEqual(seen(client).slice(2), [[2, 3, 100], [2, 3, 100], [2, 3, status3.length - 200]])
      assert.strictEqual(exitCode(client), 3)
    }],
    [
      "repeats the Status",
      ExecFault.repeatStatus,
      (client) => assert.strictEqual(client.channel(3).toString(), status3 + status3)
    ],
    ["sends output after the Status", ExecFault.outputAfterStatus("late", 2), (client) => {
      assert.deepStrictEqual(seen(client).slice(2), [[2, 3, status3.length], [2, 2, 4]])
    }],
    ["sends a text message", ExecFault.textMessage, (client) => assert.deepStrictEqual(seen(client)[1], [1, 1, 5])],
    ["sends an empty message", ExecFault.emptyMessage, (client) => assert.deepStrictEqual(seen(client)[1], [2, -1, 0])],
    [
      "sends on an unknown channel",
      ExecFault.unknownChannel,
      (client) => assert.deepStrictEqual(seen(client)[1], [2, 7, 25])
    ],
    [
      "sends a close signal",
      ExecFault.closeSignal(1),
      (client) => assert.deepStrictEqual([...client.channel(255)], [1])
    ],
    ["masks a frame", ExecFault.maskedFrame, (client) => assert.include(violation(client), "masked frame")],
    ["sets a reserved bit", ExecFault.reservedBits, (client) => assert.include(violation(client), "reserved bits")],
    ["fragments its output, pings between", ExecFault.fragmentOutput(2, true), (client) => {
      assert.deepStrictEqual(seen(client)[1], [2, 1, 4])
      assert.strictEqual(client.channel(1).toString(), "out\n")
      assert.deepStrictEqual(client.events.map(({ _tag }) => _tag), ["Ping", "Ping", "Close"])
    }],
    ["fails in given words", ExecFault.failStart("no space left"), (client) => {
      assert.include(client.channel(3).toString(), "\"message\":\"Internal error occurred: no space left\"")
    }]
  ]
  for (const [name, fault, check] of rows) {
    it.live(name, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* withFault(cluster, fault)
        yield* client.ended
        check(client)
        // The next exec is unharmed.
        const next = yield* ExecClient.run(cluster, command)
        assert.deepStrictEqual([exitCode(next), next.channel(1).toString(), next.closeCode()], [3, "out\n", 1000])
      }))
  }

  it.live("loses its backend, and where nothing translates the connection ends without a word", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* withFault(cluster, ExecFault.loseBackend(2), { protocols: ExecClient.v4 })
      yield* client.ended
      assert.strictEqual(client.channel(1).toString(), "ou")
      assert.deepStrictEqual([client.channel(3).length, client.events, client.end()], [0, [], "fin"])
    }))

  const silent: ReadonlyArray<readonly [string, ExecFault.ExecFault, number, number]> = [
    ["withholds the Status, and answers pings", ExecFault.withholdStatus, 4, 1],
    ["stands still after some output", ExecFault.cut(2, "stall"), 2, 1],
    ["is gone after some output", ExecFault.stall(2), 2, 0],
    ["answers no ping", ExecFault.all(ExecFault.withholdPongs, ExecFault.withholdStatus), 4, 0],
    ["does not read", ExecFault.all(ExecFault.neverRead, ExecFault.withholdStatus), 4, 0]
  ]
  for (const [name, fault, output, pongs] of silent) {
    it.live(name, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* withFault(cluster, fault)
        yield* eventually(Effect.sync(() => client.channel(1).length), (length) => assert.strictEqual(length, output))
        client.ping("hello")
        yield* eventually(Effect.sync(() => client.events.length), (count) => assert.isAtLeast(count, pongs))
        yield* Effect.sleep("100 millis")
        assert.strictEqual(client.events.length, pongs)
        assert.deepStrictEqual([client.channel(3).length, client.end()], [0, "none"])
      }))
  }

  it.live("answers pings with something else", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* withFault(cluster, ExecFault.all(ExecFault.wrongPongs, ExecFault.withholdStatus))
      client.ping("hello")
      yield* eventually(Effect.sync(() => client.events), ([event]) =>
        assert.isTrue(event?._tag === "Pong" && Buffer.from(event.payload).toString() === "something else"))
    }))

  it.live("pings the client, and records its pong", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* withFault(
        cluster,
        ExecFault.all(ExecFault.ping("are you there?"), ExecFault.withholdStatus)
      )
      yield* eventually(Effect.sync(() => client.events), ([event]) => assert.strictEqual(event?._tag, "Ping"))
      client.frame({ opcode: WebSocketFrame.Opcode.Pong, payload: Buffer.from("yes") })
      yield* eventually(
        cluster.pods.execs(),
        ([exec]) => assert.deepInclude(exec?.arrivals[0], { kind: "pong", bytes: 3 })
      )
    }))

  it.live("starts the command late: the first message comes before", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const latch = yield* Latch.make()
      const client = yield* withFault(cluster, ExecFault.startAfter(latch))
      yield* eventually(Effect.sync(() => seen(client)), (messages) => assert.deepStrictEqual(messages, [[2, 1, 0]]))
      assert.strictEqual(yield* cluster.pods.starts(), 0)
      yield* latch.open
      yield* client.ended
      assert.strictEqual(exitCode(client), 3)
    }))
})

describe("a script", () => {
  it.live("serves the connection in place of the server, and sees what comes", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* withFault(
        cluster,
        ExecFault.script(Effect.fnUntraced(function*(peer) {
          yield* peer.ready(1)
          const stdin = yield* peer.receive
          assert(stdin._tag === "Part")
          yield* peer.say(2, `${peer.subprotocol} ${peer.call.command[0]} ${Buffer.from(stdin.bytes).toString()}`)
          const ping = yield* peer.receiveUntil((received) => received._tag === "Ping")
          yield* peer.pong(ping.payload)
          yield* peer.finish(9)
        })),
        { streams: "ioe" }
      )
      client.send(0, "abc")
      client.send(255, Uint8Array.of(0))
      client.ping("p")
      yield* client.ended
      assert.strictEqual(client.channel(2).toString(), "v5.channel.k8s.io sh abc")
      assert.deepStrictEqual(client.events.map(({ _tag }) => _tag), ["Pong", "Close"])
      assert.strictEqual(exitCode(client), 9)
      assert.deepStrictEqual([yield* cluster.pods.starts(), yield* cluster.pods.openExecs], [0, 0])
    }))

  it.live("may run a function in place of the command", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* cluster.pods.inject(
        { command: "upper" },
        ExecFault.program(Effect.fnUntraced(function*({ stderr, stdin, stdout }) {
          let size = 0
          for (let bytes = yield* stdin; bytes !== undefined; bytes = yield* stdin) {
            size += bytes.length
            yield* stdout(Buffer.from(bytes).toString().toUpperCase())
          }
          yield* stderr(`${size} bytes`)
          return 5
        }))
      )
      const client = yield* ExecClient.open(cluster, ["upper"], { protocols: v5, streams: "ioe" })
      client.send(0, "abc")
      client.send(0, "def")
      client.send(255, Uint8Array.of(0))
      yield* client.ended
      assert.deepStrictEqual(
        [client.channel(1).toString(), client.channel(2).toString(), exitCode(client)],
        ["ABCDEF", "6 bytes", 5]
      )
    }))
})

describe("faults", () => {
  it.live("are on those execs that they match, from the n-th on, so many times", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const refuse = (status: number) => ExecFault.refuse(status)
      yield* cluster.pods.inject({ command: /^echo/ }, refuse(500), { skip: 1, times: 2 })
      yield* cluster.pods.inject({ command: "date" }, refuse(501), { times: Infinity })
      const byFunction = yield* cluster.pods.inject({
        pod: "p",
        container: "main",
        namespace: "default",
        command: ([word]) => word === "id"
      }, refuse(502))
      yield* cluster.pods.inject({ pod: "other" }, refuse(599), { times: Infinity })
      const status = (...command: ReadonlyArray<string>) =>
        Effect.map(ExecClient.open(cluster, command, { protocols: v5 }), (client) => client.status)
      assert.deepStrictEqual(
        yield* Effect.forEach([1, 2, 3, 4], () => status("echo", "hi")),
        [101, 500, 500, 101]
      )
      assert.deepStrictEqual(yield* Effect.forEach([1, 2], () => status("date")), [501, 501])
      assert.strictEqual(yield* status("id"), 502)
      assert.strictEqual(yield* byFunction.hits, 1)
      yield* cluster.pods.clearFaults
      assert.strictEqual(yield* status("date"), 101)
    }))
})
