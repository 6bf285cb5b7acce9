import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createHash, randomBytes } from "node:crypto"
import { container, createPod, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const { v4, v5 } = ExecClient

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]
const both = [v5, v4] as const

const message = (client: ExecClient.ExecClient): string => {
  const outcome = client.outcome()
  return outcome._tag === "Failed" ? outcome.message : outcome._tag
}

describe("an exec", () => {
  for (const protocols of both) {
    it.live(`runs a command: first an empty message, then output, Status, close 1000 and the end (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* ExecClient.run(cluster, ["echo", "hi"], { protocols })
        assert.strictEqual(
          client.head,
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
            `Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nSec-WebSocket-Protocol: ${protocols}\r\n\r\n`
        )
        assert.deepStrictEqual(client.messages, [[2, 1, 0], [2, 1, 3], [2, 3, 34]])
        assert.strictEqual(client.channel(1).toString(), "hi\n")
        assert.strictEqual(client.channel(3).toString(), "{\"metadata\":{},\"status\":\"Success\"}")
        assert.strictEqual(client.closeCode(), 1000)
        assert.strictEqual(client.end(), "fin")
      }))

    it.live(`tells exit codes, and signals as 128 and their number (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        for (
          const [script, code] of [["exit 3", 3], ["exit 255", 255], ["kill -9 $$", 137], [
            "kill -TERM $$",
            143
          ]] as const
        ) {
          const client = yield* ExecClient.run(cluster, sh(script), { protocols })
          const outcome = client.outcome()
          assert(outcome._tag === "Exited")
          assert.strictEqual(outcome.code, code)
          assert.strictEqual(
            outcome.status["message"],
            "command terminated with non-zero exit code: " +
              (protocols === v5
                ? `command terminated with exit code ${code}`
                : `error executing command [sh -c ${script}], exit code ${code}`)
          )
        }
      }))

    it.live(`gives the command its stdin, and keeps outputs apart (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* ExecClient.open(cluster, sh("head -c 6 | tee /dev/stderr; echo >&2"), {
          protocols,
          streams: "ioe"
        })
        client.send(0, "abc")
        client.send(0, "def")
        yield* client.ended
        assert.strictEqual(client.channel(1).toString(), "abcdef")
        assert.strictEqual(client.channel(2).toString(), "abcdef\n")
      }))

    it.live(`says in the runtime's words why a command was not started, and starts nothing (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const doubled = protocols === v5 ? "Internal error occurred: " : ""
        const failure = (why: string) =>
          new RegExp(
            `^Internal error occurred: ${doubled}error executing command in container: failed to exec in container: ` +
              `failed to start exec "[0-9a-f]{64}": OCI runtime exec failed: exec failed: ${why}: unknown$`
          )
        const start_ = "unable to start container process: exec: "
        const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
          [["nonexistent-cmd"], `${start_}"nonexistent-cmd": executable file not found in \\$PATH`],
          [["/no/such"], `${start_}"/no/such": stat /no/such: no such file or directory`],
          [["/etc/passwd"], `${start_}"/etc/passwd": permission denied`],
          [[], "args must not be empty"]
        ]
        for (const [command, why] of cases) {
          const client = yield* ExecClient.run(cluster, command, { protocols })
          assert.match(message(client), failure(why))
          assert.strictEqual(client.closeCode(), 1000)
          const outcome = client.outcome()
          assert(outcome._tag === "Failed")
          assert.deepStrictEqual([outcome.reason, outcome.code], ["InternalError", 500])
        }
        assert.strictEqual(yield* cluster.pods.starts(), 0)
      }))

    it.live(`carries bytes unchanged in both directions, in messages of limited size (${protocols})`, () =>
      Effect.gen(function*() {
        const size = 1 << 20
        const data = randomBytes(size)
        for (const messageBytes of [1024, 4096, 65_536, 131_072]) {
          const cluster = yield* start({ pods: { messageBytes } })
          const client = yield* ExecClient.open(cluster, ["head", "-c", String(size)], { protocols, streams: "ioe" })
          for (let i = 0; i < size; i += 30_000) client.send(0, data.subarray(i, i + 30_000))
          yield* client.ended
          const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
          assert.strictEqual(hash(client.channel(1)), hash(data))
          const largest = Math.max(...client.messages.map(([, , size]) => size))
          assert.isAtMost(largest, messageBytes)
          assert.isAbove(largest, Math.min(messageBytes, 32_768) / 2)
        }
      }))

    it.live(`answers a client's close with close 1000 (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* ExecClient.open(cluster, ["sleep", "1000"], { protocols })
        client.close()
        yield* client.ended
        assert.strictEqual(client.closeCode(), 1000)
        assert.strictEqual(client.channel(3).length, 0)
      }))

    it.live(`answers pings with their payload, also while output waits (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const size = 16 << 20
        const client = yield* ExecClient.open(cluster, sh(`head -c ${size} /dev/zero; read x`), {
          protocols,
          streams: "ioe",
          paused: true
        })
        for (let i = 0; i < 25; i++) client.ping(`ping ${i}`)
        yield* eventually(cluster.pods.execs(), ([exec]) => {
          assert.isAbove(exec?.outputBytes ?? 0, 0)
        })
        client.resume()
        yield* eventually(Effect.sync(() => client.events.length), (count) => assert.strictEqual(count, 25))
        client.send(0, "go\n")
        yield* client.ended
        assert.deepStrictEqual(
          client.events.slice(0, 25).map((event) => event._tag === "Pong" && Buffer.from(event.payload).toString()),
          Array.from({ length: 25 }, (_, i) => `ping ${i}`)
        )
        assert.strictEqual(client.channel(1).length, size)
        assert.deepStrictEqual(client.outcome()._tag, "Exited")
      }))

    it.live(`reads on only when the command has read: no pong meanwhile, and no loss (${protocols})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ pods: { backendBufferBytes: 65_536 } })
        const size = 8 << 20
        yield* ExecClient.run(cluster, ["mkfifo", "fifo"], { protocols })
        const client = yield* ExecClient.open(cluster, sh(`read x < fifo; head -c ${size} | wc -c`), {
          protocols,
          streams: "ioe"
        })
        yield* Effect.forkChild(client.feed(size))
        const received = () => Effect.map(cluster.pods.execs({ command: /^sh/ }), ([exec]) => exec?.stdinBytes ?? 0)
        yield* eventually(received(), (bytes) => assert.isAbove(bytes, 65_536))
        client.ping("anybody?")
        yield* Effect.sleep("100 millis")
        assert.isBelow(yield* received(), size)
        assert.strictEqual(client.events.length, 0)
        yield* ExecClient.run(cluster, sh("echo go > fifo"), { protocols })
        yield* client.ended
        assert.strictEqual(client.channel(1).toString().trim(), String(size))
        assert.strictEqual(client.events.filter(({ _tag }) => _tag === "Pong").length, 1)
      }).pipe(Effect.scoped))
  }

  it.live("ends the command's stdin at FF 00 in v5, and not in v4", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const open = (protocols: string) => ExecClient.open(cluster, ["cat"], { protocols, streams: "ioe" })
      const fifth = yield* open(v5)
      fifth.send(0, "abc")
      fifth.send(255, Uint8Array.of(0))
      yield* fifth.ended
      assert.strictEqual(fifth.channel(1).toString(), "abc")
      assert.deepStrictEqual(fifth.outcome()._tag, "Exited")

      const fourth = yield* open(v4)
      fourth.send(255, Uint8Array.of(0))
      fourth.send(0, "still here")
      yield* eventually(
        Effect.sync(() => fourth.channel(1).toString()),
        (text) => assert.strictEqual(text, "still here")
      )
      assert.strictEqual(fourth.end(), "none")
    }))

  it.live("ignores empty messages, unknown channels, sizes of no terminal, and the close of an output; takes text for bytes", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, ["cat"], { protocols: v5, streams: "ioe" })
      client.frame({ opcode: 2, payload: new Uint8Array(0) })
      client.send(0, "")
      client.send(7, "nobody")
      client.send(4, "{\"Width\":77,\"Height\":33}")
      client.send(255, Uint8Array.of(1))
      client.frame({ opcode: 1, prefix: 0, payload: Buffer.from("text") })
      client.send(255, Uint8Array.of(0))
      yield* client.ended
      assert.strictEqual(client.channel(1).toString(), "text")
    }))

  it.live("ends without a Status at a close signal that makes no sense", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      for (const bytes of [[], [0, 0], [5]]) {
        const client = yield* ExecClient.open(cluster, ["cat"], { protocols: v5, streams: "ioe" })
        client.send(255, Uint8Array.from(bytes))
        yield* client.ended
        assert.strictEqual(client.closeCode(), 1000)
        assert.strictEqual(client.channel(3).length, 0)
      }
    }))

  it.live("refuses an unmasked frame with 1002", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, ["cat"], { protocols: v5, streams: "ioe" })
      client.bytes(Uint8Array.of(0x82, 0x02, 0x00, 0x61))
      yield* client.ended
      assert.strictEqual(client.closeCode(), 1002)
    }))

  it.live("takes a message of 32 MiB, and ends at one of a byte more", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const limit = 32 << 20
      const whole = yield* ExecClient.open(cluster, ["wc", "-c"], { protocols: v5, streams: "ioe" })
      whole.send(0, Buffer.alloc(limit - 1))
      whole.send(255, Uint8Array.of(0))
      yield* whole.ended
      assert.strictEqual(whole.channel(1).toString().trim(), String(limit - 1))
      const more = yield* ExecClient.open(cluster, ["wc", "-c"], { protocols: v5, streams: "ioe" })
      more.send(0, Buffer.alloc(limit))
      yield* more.ended
      assert.strictEqual(more.channel(3).length, 0)
    }))

  it.live("misreads fragments as real servers do, unless it is told not to", () =>
    Effect.gen(function*() {
      for (const [harm, expected] of [[{}, "abc"], [{ misreadsFragments: false }, "abcdef"]] as const) {
        const cluster = yield* start({ pods: { harm } })
        const client = yield* ExecClient.open(cluster, ["cat"], { protocols: v5, streams: "ioe" })
        client.frame({ opcode: 2, fin: false, prefix: 0, payload: Buffer.from("abc") })
        client.frame({ opcode: 0, payload: Buffer.from("def") })
        client.send(255, Uint8Array.of(0))
        yield* client.ended
        assert.strictEqual(client.channel(1).toString(), expected)
      }
    }))

  it.live("lets the runtime's helper say what the kernel will not run", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* ExecClient.run(cluster, sh("echo echo hi > a; echo '#!/no/such' > b; chmod +x a b"))
      for (const [name, why] of [["a", "exec format error"], ["b", "no such file or directory"]] as const) {
        const client = yield* ExecClient.run(cluster, [`./${name}`])
        assert.strictEqual(client.channel(2).toString(), `exec ./${name}: ${why}\n`)
        const outcome = client.outcome()
        assert(outcome._tag === "Exited")
        assert.strictEqual(outcome.code, 1)
      }
    }))

  it.live("may open its standard streams by name, stdin after its end too", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(
        cluster,
        sh("sleep 0.2; cat /dev/stdin > /dev/stdout; echo err > /dev/stderr"),
        {
          protocols: v5,
          streams: "ioe"
        }
      )
      client.send(0, "all of it")
      client.send(255, Uint8Array.of(0))
      yield* client.ended
      assert.deepStrictEqual([client.channel(1).toString(), client.channel(2).toString()], ["all of it", "err\n"])
    }))

  it.live("has a process group of its own, real pipes, and the container's environment alone", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, { containers: [container("main", { env: [{ name: "A", value: "b" }] })] })
      const client = yield* ExecClient.open(
        cluster,
        sh("env | sed 's/=.*//' | sort; echo $HOME $PWD; cat /dev/stdin; exec ps -o pid=,pgid=,sid= -p $$"),
        { streams: "ioe", protocols: v5 }
      )
      client.send(0, "from stdin\n")
      client.send(255, Uint8Array.of(0))
      yield* client.ended
      const lines = client.channel(1).toString().trim().split("\n")
      assert.deepStrictEqual(lines.slice(0, 7), [
        "A",
        "HOME",
        "HOSTNAME",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "PATH",
        "PWD"
      ])
      const directory = yield* cluster.pods.directory({ namespace: "default", pod: "p", container: "main" })
      assert.strictEqual(lines[7], `${directory} ${directory}`)
      assert.strictEqual(lines[8], "from stdin")
      const [pid, group, session] = (lines[9] ?? "").trim().split(/ +/)
      assert.deepStrictEqual([group, session], [pid, pid])
    }))
})

describe("the first message", () => {
  for (const [streams, channel] of [["oe", 1], ["e", 2], ["i", 3]] as const) {
    it.live(`is empty, on the lowest output (${streams})`, () =>
      Effect.gen(function*() {
        const cluster = yield* start()
        const client = yield* ExecClient.run(cluster, ["true"], { streams })
        assert.deepStrictEqual(client.messages[0], [2, channel, 0])
      }))
  }
})

describe("an image with a list of programs", () => {
  it.live("has no others: not for an exec, and not for what it starts", () =>
    Effect.gen(function*() {
      const cluster = yield* start({
        pods: { images: { busybox: { programs: ["sh", "sleep"] }, bare: { programs: ["sleep"] } } }
      })
      yield* createPod(cluster, "q", { containers: [container("main", { image: "bare" })] })
      const inside = yield* ExecClient.run(cluster, sh("cat; echo $?"))
      assert.strictEqual(inside.channel(1).toString(), "127\n")
      assert.match(inside.channel(2).toString(), /cat.*not found/)
      assert.match(message(yield* ExecClient.run(cluster, ["cat"])), /exec: "cat": executable file not found in \$PATH/)
      yield* eventually(
        Effect.scoped(Effect.map(ExecClient.run(cluster, ["sh", "-c", "true"], { pod: "q" }), message)),
        (text) => assert.match(text, /exec: "sh": executable file not found in \$PATH/)
      )
      const byPath = yield* ExecClient.run(cluster, ["/bin/sh", "-c", "true"], { pod: "q" })
      assert.match(message(byPath), /exec: "\/bin\/sh": stat \/bin\/sh: no such file or directory/)
    }))
})
