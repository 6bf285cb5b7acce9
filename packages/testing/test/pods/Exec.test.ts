import * as Json from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { createHash, randomBytes } from "node:crypto"
import { container, createPod, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const { v4, v5 } = ExecClient

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]
const both = [v5, v4] as const
const runtimeOnly = ["channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io"] as const

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
    }), 20_000)

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

describe("older subprotocols", () => {
  it.live("have no Status for success, and words for failure, in bytes or base64", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const seen = yield* Effect.forEach(["", ...runtimeOnly], (protocols) =>
        Effect.gen(function*() {
          const options = { protocols: protocols === "" ? undefined : protocols, streams: "ioe" }
          const open = (script: string) =>
            Effect.tap(ExecClient.open(cluster, sh(script), options), (client) => client.ended)
          const good = yield* open("echo hi")
          const bad = yield* open("exit 3")
          assert.include(good.head, `Sec-WebSocket-Protocol: ${protocols}\r\n`)
          return [good, bad].map((client) =>
            [...new Set(client.messages.map(([, channel]) => channel))]
              .map((channel) => `${channel}:${client.channel(channel).toString()}`).join(" ")
          )
        }))
      const words = "command terminated with non-zero exit code: error executing command [sh -c exit 3], exit code 3"
      const status = JSON.stringify({
        metadata: {},
        status: "Failure",
        message: words,
        reason: "NonZeroExitCode",
        details: { causes: [{ reason: "ExitCode", message: "3" }] }
      })
      const base64 = (text: string) => Buffer.from(text).toString("base64")
      assert.deepStrictEqual(seen, [
        ["1:hi\n", `1: 3:${words}`],
        ["1:hi\n", `1: 3:${words}`],
        [`49:${base64("hi\n")} 51:${base64("{\"metadata\":{},\"status\":\"Success\"}")}`, `49: 51:${base64(status)}`],
        [`49:${base64("hi\n")}`, `49: 51:${base64(words)}`]
      ])
    }))

  it.live("take stdin in base64", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const client = yield* ExecClient.open(cluster, ["head", "-c", "5"], {
        protocols: "v4.base64.channel.k8s.io",
        streams: "io"
      })
      client.frame({ opcode: 1, payload: Buffer.from(`0${Buffer.from("abcde").toString("base64")}`) })
      yield* client.ended
      assert.strictEqual(client.channel("1".charCodeAt(0)).toString(), Buffer.from("abcde").toString("base64"))
    }))
})

describe("before the 101", () => {
  const body = (client: ExecClient.ExecClient) => {
    const parsed = Json.parse(client.body())
    return Json.object(parsed._tag === "Some" ? parsed.value : undefined)
  }

  it.live("missing pods and containers are refused with a Status", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      yield* createPod(cluster, "many", {
        initContainers: [container("i")],
        containers: [container("a"), container("b")]
      })
      yield* createPod(cluster, "homeless", { schedulerName: "nobody" })
      const cases: ReadonlyArray<readonly [ExecClient.Options, number, string]> = [
        [{ pod: "none" }, 404, "pods \"none\" not found"],
        [{ container: "none" }, 400, "container none is not valid for pod p"],
        [{ pod: "many" }, 400, "a container name must be specified for pod many, choose one of: [i a b]"],
        [{ pod: "homeless" }, 400, "pod homeless does not have a host assigned"],
        [{ headers: {} }, 400, "Upgrade request required"]
      ]
      for (const [options, code, text] of cases) {
        const client = yield* ExecClient.open(cluster, ["true"], { protocols: v5, ...options })
        assert.strictEqual(client.status, code)
        yield* eventually(Effect.sync(() => client.body()), () => assert.strictEqual(body(client)["message"], text))
      }
      assert.strictEqual(yield* cluster.pods.starts(), 0)
    }))

  it.live("an unknown subprotocol is refused with a bare 403", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      for (const protocols of ["v3.channel.k8s.io", "v5.base64.channel.k8s.io"]) {
        const client = yield* ExecClient.run(cluster, ["true"], { protocols })
        assert.strictEqual(client.head + client.body(), "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
        assert.strictEqual(client.end(), "fin")
      }
    }))

  it.live("a handshake that is none is refused as Go's server does", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const direct = yield* ExecClient.run(cluster, ["true"], { method: "POST" })
      assert.strictEqual(direct.head + direct.body(), "HTTP/1.1 405 Method Not Allowed\r\n\r\nbad method")
      const posted = yield* ExecClient.run(cluster, ["true"], { method: "POST", protocols: v4 })
      assert.strictEqual(
        posted.head + posted.body(),
        "HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\nbad method"
      )
      const old = yield* ExecClient.run(cluster, ["true"], {
        protocols: v4,
        headers: {
          "Connection": "Upgrade",
          "Upgrade": "websocket",
          "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
          "Sec-WebSocket-Version": "12"
        }
      })
      assert.strictEqual(
        old.head + old.body(),
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nSec-Websocket-Version: 13\r\n\r\nmissing or bad WebSocket Version"
      )
    }))
})

describe("an era", () => {
  const cases: ReadonlyArray<readonly ["1.28" | "1.34" | "1.36", string, string]> = [
    ["1.28", v5, "403"],
    ["1.28", `${v5}, ${v4}`, v4],
    ["1.28", v4, v4],
    ["1.34", `${v4}, ${v5}`, v5],
    ["1.34", v4, v4],
    ["1.36", `${v5}, ${v4}`, v5]
  ]
  for (const [era, protocols, expected] of cases) {
    it.live(`${era} answers ${protocols} with ${expected}`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ pods: { era } })
        const client = yield* ExecClient.run(cluster, ["true"], { protocols })
        assert.strictEqual(/Sec-WebSocket-Protocol: (.*)\r/.exec(client.head)?.[1] ?? String(client.status), expected)
      }))
  }

  it.live("tells what the kubelet refuses by HTTP, or after the 101 where the API server translates", () =>
    Effect.gen(function*() {
      const noStreams = "you must specify at least 1 of stdin, stdout, stderr"
      const notFound = "container not found (\"b\")"
      for (
        const [era, protocols, isLate] of [["1.34", v5, true], ["1.34", v4, false], ["1.36", v5, false], [
          "1.36",
          v4,
          false
        ]] as const
      ) {
        const cluster = yield* start({ pods: { era } })
        yield* createPod(cluster, "over", {
          restartPolicy: "Never",
          containers: [container("b", { command: ["true"] })]
        })
        const refusals = [
          yield* ExecClient.open(cluster, ["true"], { protocols, streams: "" }),
          yield* ExecClient.open(cluster, ["true"], { protocols, pod: "over" })
        ]
        for (const [i, client] of refusals.entries()) {
          yield* client.ended
          const [status, text] = i === 0 ? [400, noStreams] : [500, notFound]
          if (isLate) {
            assert.strictEqual(message(client), `Internal error occurred: unable to upgrade connection: ${text}`)
          } else assert.deepStrictEqual([client.status, client.body()], [status, text])
        }
      }
    }))

  it.live("1.36 wants the verb create too, and gives no reason", () =>
    Effect.gen(function*() {
      const rules = [{ verbs: ["get"], resources: ["pods", "pods/exec"] }]
      const more = [...rules, { verbs: ["create"], resources: ["pods/exec"] }]
      const users = [{ name: "getter", rules }, { name: "both", rules: more }]
      for (
        const [era, user, status] of [["1.34", "getter", 101], ["1.36", "getter", 403], ["1.36", "both", 101]] as const
      ) {
        const cluster = yield* start({ users, pods: { era } })
        const token = cluster.kubeconfig().users.find(({ name }) => name === user)?.user.token
        const client = yield* ExecClient.open(cluster, ["true"], { protocols: v5, token })
        assert.strictEqual(client.status, status)
        if (status === 403) {
          yield* eventually(Effect.sync(() => client.body()), (text) =>
            assert.include(text, "\"pods \\\"p\\\" is forbidden: \""))
        }
      }
    }))
})
