import { isTransportError } from "@effect-k8s/core/TransportError"
import * as ApiServer from "@effect-k8s/testing/ApiServer"
import * as Faults from "@effect-k8s/testing/Faults"
import * as InMemory from "@effect-k8s/testing/InMemory"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

const origin = "https://memory"
const configmaps = `${origin}/api/v1/namespaces/default/configmaps`

const start = Effect.fnUntraced(function*(options: ApiServer.Options = {}) {
  const server = yield* ApiServer.make({
    users: [{ name: "admin", groups: ["system:masters"], token: "t" }],
    ...options
  })
  const transport = yield* InMemory.platform(server.handler).transport({ url: new URL(origin) })
  return { server, transport }
})

const authorized = HttpClientRequest.bearerToken("t")

describe("a server in memory", () => {
  it.effect("answers requests, with bodies and repeated headers", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* start()
      const post = HttpClientRequest.post(configmaps).pipe(
        authorized,
        HttpClientRequest.setHeaders({ "impersonate-user": "bob", "impersonate-group": "system:masters\nb" }),
        HttpClientRequest.setBody(HttpBody.text(JSON.stringify({ metadata: { name: "a" } }), "application/json"))
      )
      const response = yield* transport.http.execute(post)
      assert.strictEqual(response.status, 201)
      assert.include(yield* response.text, "\"name\":\"a\"")
      const [record] = yield* server.requests.records
      assert.deepStrictEqual(record?.headers.get("impersonate-group"), ["system:masters", "b"])
      assert.deepStrictEqual(record?.headers.get("content-type"), ["application/json"])
    }))

  it.effect("streams a watch, on virtual time", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* start()
      const response = yield* transport.streaming.execute(
        authorized(HttpClientRequest.get(`${configmaps}?watch=1&timeoutSeconds=3600&allowWatchBookmarks=true`))
      )
      const lines = yield* Effect.forkScoped(
        response.stream.pipe(Stream.decodeText, Stream.splitLines, Stream.take(1), Stream.runCollect)
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust("1 minute")
      assert.include(Array.from(yield* Fiber.join(lines))[0], "BOOKMARK")
      assert.strictEqual(yield* server.watches.count, 0)
    }))

  it.effect("upgrades, and refuses with its reason", () =>
    Effect.gen(function*() {
      const { transport } = yield* start({
        node: () =>
          Effect.succeed({
            subresources: new Map([["pods/exec", () =>
              Effect.succeed({
                _tag: "Upgrade",
                headers: { Upgrade: "websocket", Connection: "Upgrade" },
                serve: (connection) =>
                  Effect.ignore(Effect.flatMap(connection.pull, (chunks) => connection.write(chunks)))
              })]])
          })
      })
      const ask = (path: string) =>
        transport.upgrade(
          HttpClientRequest.get(origin + path).pipe(authorized, HttpClientRequest.setHeader("upgrade", "websocket"))
        )
      const upgraded = yield* ask("/api/v1/namespaces/default/pods/p/exec")
      if (upgraded._tag !== "Upgraded") return assert.fail("it was refused")
      assert.strictEqual(upgraded.headers["upgrade"], "websocket")
      yield* upgraded.connection.write([new TextEncoder().encode("ping")])
      const [echo] = yield* upgraded.connection.pull
      assert.strictEqual(new TextDecoder().decode(echo), "ping")
      const refused = yield* ask("/api/v1/namespaces/default/pods/p/attach")
      if (refused._tag !== "Refused") return assert.fail("it was upgraded")
      assert.strictEqual(refused.status, 501)
      assert.include(new TextDecoder().decode(refused.body), "\"kind\":\"Status\"")
    }))

  const faults: ReadonlyArray<readonly [string, Faults.Fault, string]> = [
    ["a reset", Faults.reset, "ConnectionLost"],
    ["a closed connection", Faults.close, "ConnectionLost"],
    ["garbled bytes", Faults.raw("SSH-2.0-OpenSSH\r\n\r\n"), "NotHttp"]
  ]
  for (const [name, fault, reason] of faults) {
    it.effect(`fails like a socket after ${name}`, () =>
      Effect.gen(function*() {
        const { server, transport } = yield* start()
        yield* server.faults.inject({}, fault)
        const error = yield* Effect.flip(transport.http.execute(authorized(HttpClientRequest.get(configmaps))))
        const cause = error.reason.cause
        assert.strictEqual(isTransportError(cause) ? cause.reason._tag : "none", reason)
      }))
  }

  it.effect("reads raw bytes that are an answer, such as a bare 403", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* start()
      yield* server.faults.inject({}, Faults.raw("HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n"))
      const answer = yield* transport.upgrade(authorized(HttpClientRequest.get(configmaps)))
      assert.deepStrictEqual(answer._tag === "Refused" ? [answer.status, answer.body.length] : [], [403, 0])
    }))

  it.effect("cuts a body where a fault says so", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* start()
      yield* server.faults.inject({}, Faults.cut(10))
      const response = yield* transport.http.execute(authorized(HttpClientRequest.get(configmaps)))
      const exit = yield* Effect.exit(response.text)
      assert.strictEqual(exit._tag, "Failure")
    }))
})
