import * as Json from "@effect-k8s/testing/store/Json"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { awaitPod, container, containerStatus, createPod, start } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"

const { v4, v5 } = ExecClient

const sh = (script: string): ReadonlyArray<string> => ["sh", "-c", script]
const runtimeOnly = ["channel.k8s.io", "v4.base64.channel.k8s.io", "base64.channel.k8s.io"] as const

const message = (client: ExecClient.ExecClient): string => {
  const outcome = client.outcome()
  return outcome._tag === "Failed" ? outcome.message : outcome._tag
}

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
        yield* awaitPod(
          cluster,
          (pod) => assert.include(JSON.stringify(containerStatus(pod, "b")["state"]), "exitCode"),
          "over"
        )
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
