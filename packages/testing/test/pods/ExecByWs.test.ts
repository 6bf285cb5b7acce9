/**
 * Another's WebSocket client, which checks what ours may have got wrong on both sides.
 */
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createHash, randomBytes } from "node:crypto"
import { WebSocket } from "ws"
import { start } from "../support/Cluster.ts"
import * as ExecClient from "../support/ExecClient.ts"

interface Result {
  readonly protocol: string
  readonly channels: ReadonlyMap<number, Buffer>
  readonly code: number
  readonly refused?: { readonly status: number; readonly body: string } | undefined
}

const run = (
  cluster: TestCluster.Service,
  command: ReadonlyArray<string>,
  protocols: Array<string>,
  stdin?: Buffer
): Effect.Effect<Result> =>
  Effect.callback((resume) => {
    const path = ExecClient.pathOf(command, { streams: stdin === undefined ? "oe" : "ioe" })
    const socket = new WebSocket(new URL(path, cluster.url), protocols, {
      headers: { Authorization: `Bearer ${Redacted.value(cluster.token)}` },
      ca: cluster.ca
    })
    const parts = new Map<number, Array<Buffer>>()
    let refused: Result["refused"]
    socket.on("message", (data: Buffer) => {
      const channel = data[0] ?? -1
      parts.set(channel, [...parts.get(channel) ?? [], data.subarray(1)])
    })
    socket.on("open", () => {
      if (stdin === undefined) return
      for (let i = 0; i < stdin.length; i += 32_768) {
        socket.send(Buffer.concat([Uint8Array.of(0), stdin.subarray(i, i + 32_768)]))
      }
      socket.send(Uint8Array.of(255, 0))
    })
    socket.on("unexpected-response", (_request, response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () => {
        refused = { status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }
        socket.terminate()
        finish(1006)
      })
    })
    socket.on("error", () => {})
    const finish = (code: number): void => {
      const channels = new Map([...parts].map(([channel, chunks]) => [channel, Buffer.concat(chunks)]))
      resume(Effect.succeed({ protocol: socket.protocol, channels, code, refused }))
    }
    socket.on("close", (code) => refused === undefined && finish(code))
    return Effect.sync(() => socket.terminate())
  })

describe("ws", () => {
  for (const tls of [false, true]) {
    it.live(`runs commands, ${tls ? "over TLS" : "without TLS"}`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ tls })
        for (const protocol of [ExecClient.v5, ExecClient.v4]) {
          const result = yield* run(cluster, ["sh", "-c", "echo out; echo err >&2; exit 3"], [protocol])
          assert.deepStrictEqual([result.protocol, result.code], [protocol, 1000])
          assert.strictEqual(result.channels.get(1)?.toString(), "out\n")
          assert.strictEqual(result.channels.get(2)?.toString(), "err\n")
          assert.include(result.channels.get(3)?.toString(), "\"reason\":\"ExitCode\",\"message\":\"3\"")
        }
      }))

    it.live(`gets what it sent, ${tls ? "over TLS" : "without TLS"}`, () =>
      Effect.gen(function*() {
        const cluster = yield* start({ tls })
        const data = randomBytes(5_000_000)
        const { channels } = yield* run(cluster, ["cat"], [ExecClient.v5], data)
        const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex")
        assert.strictEqual(hash(channels.get(1) ?? Buffer.alloc(0)), hash(data))
      }))
  }

  it.live("is refused with the server's reason", () =>
    Effect.gen(function*() {
      const cluster = yield* start()
      const bare = yield* run(cluster, ["true"], ["v3.channel.k8s.io"])
      assert.deepStrictEqual(bare.refused, { status: 403, body: "" })
    }))

  it.live("loses the tail that a late ping resets, over TLS", () =>
    Effect.gen(function*() {
      const cluster = yield* start({ tls: true })
      const client = yield* ExecClient.open(cluster, ["head", "-c", "400000", "/dev/zero"], {
        protocols: ExecClient.v4,
        paused: true
      })
      while ((yield* cluster.pods.openExecs) > 0) yield* Effect.sleep("10 millis")
      client.ping()
      yield* Effect.sleep("50 millis")
      client.ping()
      client.resume()
      yield* client.ended
      assert.include(["ECONNRESET", "EPIPE"], client.end())
      assert.strictEqual(client.outcome()._tag, "Missing")
    }))
})
