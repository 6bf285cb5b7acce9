/**
 * Exec over SPDY as runtimes serve it, byte for byte: what kubectl relies on, and what it does not show.
 */
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as ExecFault from "@effect-k8s/testing/pods/ExecFault"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { mark, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as SpdyClient from "../support/SpdyClient.ts"

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]
const v4 = "v4.channel.k8s.io"
const success = "{\"metadata\":{},\"status\":\"Success\"}"

/** Opens an exec and waits for the end of its connection. */
const run = (...args: Parameters<typeof SpdyClient.open>) => Effect.tap(SpdyClient.open(...args), ({ ended }) => ended)

describe("an exec over SPDY", () => {
  it.live("answers each stream, and ends as containerd does: outputs, Status, resets, goodbye, FIN", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* run(cluster, sh("echo out; echo err >&2; exit 3"))
      assert.strictEqual(
        client.head,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n" +
          "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
      )
      const data = client.events.filter((event) => event === "Data 3" || event === "Data 5")
      assert.deepStrictEqual(client.events, [
        "Replied 1",
        "Replied 3",
        "Replied 5",
        ...data,
        "Ended 3",
        "Ended 5",
        "Data 1",
        "Reset 1",
        "Reset 3",
        "Reset 5",
        "GoAway"
      ])
      assert.strictEqual(client.text("stdout"), "out\n")
      assert.strictEqual(client.text("stderr"), "err\n")
      const status = JSON.parse(client.text("error")) as { readonly message: string; readonly details: unknown }
      assert.strictEqual(
        status.message,
        "command terminated with non-zero exit code: error executing command [sh -c echo out; echo err >&2; exit 3], " +
          "exit code 3"
      )
      assert.strictEqual(client.end(), "fin")
    }))

  it.live("gives the command its stdin, ends it by FIN, and carries bytes unchanged", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* SpdyClient.open(cluster, ["cat"], { streams: "ioe" })
      const data = Buffer.alloc(300_000, "0123456789")
      for (let at = 0; at < data.length; at += 50_000) client.send("stdin", data.subarray(at, at + 50_000))
      client.endStream("stdin")
      yield* client.ended
      assert.strictEqual(client.text("stdout"), data.toString())
      assert.strictEqual(client.text("error"), success)
      const [exec] = yield* cluster.pods.execs()
      assert.deepStrictEqual(
        [exec?.transport, exec?.subprotocol, exec?.starts, exec?.exitCode, exec?.stdinBytes],
        ["spdy", v4, 1, 0, 300_000]
      )
    }))

  it.live("speaks the older versions, which tell failures in words and success not at all", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      for (const protocols of ["v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]) {
        const good = yield* run(cluster, ["echo", "hi"], { protocols })
        assert.include(good.head, `X-Stream-Protocol-Version: ${protocols}\r\n`)
        assert.deepStrictEqual([good.text("stdout"), good.text("error")], ["hi\n", ""])
        const bad = yield* SpdyClient.open(cluster, sh("exit 3"), { protocols })
        yield* bad.ended
        // A v1 server resets the error stream at the start, and still writes to it.
        assert.strictEqual(
          bad.text("error"),
          protocols === "channel.k8s.io"
            ? ""
            : "command terminated with non-zero exit code: error executing command [sh -c exit 3], exit code 3"
        )
        assert.strictEqual(bad.events.indexOf("Reset 1") < bad.events.indexOf("GoAway"), true)
      }
    }))

  it.live("takes the first version of the client's that it knows, listed or repeated", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      for (
        const protocols of [
          "v5.channel.k8s.io, v4.channel.k8s.io",
          "v5.channel.k8s.io\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nX-Stream-Protocol-Version: channel.k8s.io"
        ]
      ) {
        const client = yield* run(cluster, ["true"], { protocols })
        assert.include(client.head, "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n")
      }
    }))

  it.live("is refused before anything starts: no version, none in common, no pod, no stream, by the wrong verb", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const rows: ReadonlyArray<readonly [SpdyClient.Options, number, string]> = [
        [{ protocols: "" }, 400, "X-Stream-Protocol-Version"],
        [
          { protocols: "v9.channel.k8s.io" },
          403,
          "client supports [v9.channel.k8s.io], server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io " +
          "channel.k8s.io]"
        ],
        [{ pod: "missing" }, 404, "pods \\\"missing\\\" not found"],
        [{ streams: "" }, 400, "you must specify at least 1 of stdin, stdout, stderr"],
        [{ headers: { Upgrade: "h2c" } }, 501, "SPDY/3.1"]
      ]
      for (const [options, status, text] of rows) {
        const client = yield* SpdyClient.open(cluster, ["true"], options)
        assert.strictEqual(client.status, status)
        yield* eventually(Effect.sync(client.body), (body) => assert.include(body, text))
      }
      assert.strictEqual(yield* cluster.pods.starts(), 0)
    }))

  it.live("starts nothing, and says nothing, until as many streams are there as the request has said", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* SpdyClient.open(cluster, ["echo", "hi"], { types: ["error", "stdout"] })
      yield* eventually(Effect.sync(() => client.events.length), (count) => assert.strictEqual(count, 2))
      yield* Effect.sleep("100 millis")
      assert.strictEqual(yield* cluster.pods.starts(), 0)
      // It only counts: any type will do.
      client.bytes(client.streams.open([["streamtype", "nonsense"]]).frame)
      yield* client.ended
      assert.strictEqual(client.text("stdout"), "hi\n")
    }))

  it.live("echoes pings, and its command sees the end of stdin when the client says goodbye", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* SpdyClient.open(cluster, sh("cat >/dev/null; sleep 0.1; echo done"), { streams: "ioe" })
      client.bytes(client.streams.ping())
      yield* eventually(Effect.sync(() => client.events), (events) => assert.include(events, "Pong"))
      client.bytes(client.streams.goAway())
      yield* client.ended
      const ended = cluster.pods.execs()
      yield* eventually(ended, ([exec]) => assert.deepStrictEqual([exec?.isOpen, exec?.exitCode], [false, 0]))
      const [exec] = yield* ended
      assert.deepStrictEqual(exec?.arrivals.map(({ kind }) => kind), ["ping", "close"])
    }))

  it.live("ends both outputs of a command that has left its stdin unread, and then says nothing more", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      // It ends when more of its stdin has arrived than its pipe holds: else it is told how it ended.
      const script = "head -c 1 >/dev/null; while [ ! -e go ]; do sleep 0.05; done; exit 3"
      const client = yield* SpdyClient.open(cluster, sh(script), { streams: "ioe" })
      for (let i = 0; i < 32; i++) client.send("stdin", new Uint8Array(32_768))
      yield* eventually(cluster.pods.execs(), ([exec]) => assert.strictEqual(exec?.stdinBytes, 32 * 32_768))
      yield* mark(cluster, "go")
      yield* eventually(Effect.sync(() => client.events), (events) => assert.includeMembers([...events], ["Ended 5"]))
      yield* Effect.sleep("100 millis")
      assert.strictEqual(client.text("error"), "")
      assert.strictEqual(client.end(), "none")
    }))

  it.live("that is reset by its client loses what is reset and nothing else", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* SpdyClient.open(cluster, sh("read x; echo out; echo err >&2"), { streams: "ioe" })
      client.bytes(client.streams.reset(client.ids.get("stdout")!, SpdyFrame.Reset.Cancel)!)
      client.send("stdin", "go\n")
      yield* client.ended
      assert.deepStrictEqual([client.text("stdout"), client.text("stderr")], ["", "err\n"])
      assert.strictEqual(client.text("error"), success)
    }))

  it.live("has the faults of the others: no Status, a cut, a stall, pongs that are not given", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* cluster.pods.inject({}, ExecFault.withoutStatus)
      const silent = yield* run(cluster, ["true"])
      assert.deepStrictEqual([silent.text("error"), silent.events.at(-1)], ["", "GoAway"])
      yield* cluster.pods.inject({}, ExecFault.cut(3, "fin"))
      const cut = yield* run(cluster, ["echo", "hello"])
      assert.deepStrictEqual([cut.text("stdout"), cut.text("error")], ["hel", ""])
      assert.notInclude(cut.events, "GoAway")
      yield* cluster.pods.inject({}, ExecFault.withholdPongs)
      const deaf = yield* SpdyClient.open(cluster, ["cat"], { streams: "io" })
      deaf.bytes(deaf.streams.ping())
      deaf.endStream("stdin")
      yield* deaf.ended
      assert.notInclude(deaf.events, "Pong")
      yield* cluster.pods.inject(
        {},
        ExecFault.script((peer) => Effect.andThen(peer.say(1, "scripted"), peer.finish(7)))
      )
      const scripted = yield* run(cluster, ["true"])
      assert.strictEqual(scripted.text("stdout"), "scripted")
      assert.include(scripted.text("error"), "exit code 7")
    }))
})
