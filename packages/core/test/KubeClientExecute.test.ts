import * as Credentials from "@effect-k8s/core/Credentials"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Scripted from "./scriptedServer.ts"

const info = { verb: "proxy", resource: "pods/proxy", namespace: "ns", name: "web" }
const request = HttpClientRequest.get("/api/v1/namespaces/ns/pods/web/proxy/page?a=1")
const post = (body: HttpBody.HttpBody) =>
  HttpClientRequest.post("/api/v1/namespaces/ns/pods/web/proxy/", { body, headers: { "x-own": "yes" } })

/** JSON with its length, as API servers send it. */
const sized = (value: unknown, code: number, more: Readonly<Record<string, string>> = {}): Response =>
  Scripted.json(value, code, { "content-length": String(JSON.stringify(value).length), ...more })

const refusal = (code: number, reason: string, more: Readonly<Record<string, string>> = {}): Response =>
  sized(Scripted.failure(code, reason), code, more)

describe("any request", () => {
  it.effect("is sent below the endpoint with credentials, and its answer is given whatever it is", () =>
    Effect.gen(function*() {
      const scripted = Scripted.serve(() => new Response("no such page", { status: 404 }))
      const client = yield* Scripted.clientOf(scripted, {
        endpoint: { url: new URL("https://api.test/k8s/clusters/x") },
        credentials: Credentials.make({ token: Redacted.make("secret") })
      })
      const { refusal, response } = yield* client.execute(request, info)
      assert.isUndefined(refusal)
      assert.deepStrictEqual([response.status, yield* response.text], [404, "no such page"])
      const [seen] = scripted.seen
      assert(seen !== undefined)
      assert.strictEqual(seen.path, "/k8s/clusters/x/api/v1/namespaces/ns/pods/web/proxy/page")
      assert.strictEqual(seen.headers["authorization"], "Bearer secret")
      // What is shown of a response holds no credentials.
      assert.isUndefined(response.request.headers["authorization"])
      assert.notInclude(JSON.stringify(response), "secret")
    }))

  it.effect("that the API server refuses by a Status is told apart, and the answer can still be read", () =>
    Effect.gen(function*() {
      const scripted = Scripted.serve(() => refusal(403, "Forbidden"))
      const client = yield* Scripted.clientOf(scripted)
      const { refusal: refused, response } = yield* client.execute(request, info)
      assert(refused?.reason._tag === "Forbidden")
      assert.include(refused.message, "proxy pods/proxy")
      assert.strictEqual(response.status, 403)
      assert.include(yield* response.text, "Forbidden")
    }))

  const tooLong = 1024 * 1024
  const others: ReadonlyArray<readonly [name: string, answer: () => Response]> = [
    ["an error of another kind", () => sized({ error: "no" }, 500)],
    [
      "a Status of another API",
      () => sized({ ...Scripted.failure(503, "Unavailable"), apiVersion: "example.org/v1" }, 503)
    ],
    ["a Status of success", () => sized({ kind: "Status", apiVersion: "v1", status: "Success" }, 400)],
    ["a Status where nothing failed", () => sized(Scripted.failure(403, "Forbidden"), 200)],
    ["a Status without a length", () => Scripted.json(Scripted.failure(403, "Forbidden"), 403)],
    [
      "a Status that is longer than any",
      () => sized(Scripted.failure(403, "Forbidden", { more: "x".repeat(tooLong) }), 403)
    ],
    ["text that looks like one", () => refusal(403, "Forbidden", { "content-type": "text/plain" })]
  ]
  for (const [name, answer] of others) {
    it.effect(`that is answered with ${name} is answered by what is behind the API server`, () =>
      Effect.gen(function*() {
        const scripted = Scripted.serve(answer)
        const client = yield* Scripted.clientOf(scripted)
        const { refusal: refused, response } = yield* client.execute(request, info)
        assert.isUndefined(refused)
        assert.strictEqual(yield* response.text, yield* Effect.promise(() => answer().text()))
        assert.strictEqual(scripted.seen.length, 1)
      }))
  }

  it.effect("that is answered with a status that HTTP does not know has that answer", () =>
    Effect.gen(function*() {
      for (const status of [600, 999]) {
        const value = Scripted.failure(503, "Unavailable")
        // `Response` does not take it; what comes from a socket may have it.
        const answer = Object.defineProperty(sized(value, 500), "status", { value: status })
        const client = yield* Scripted.clientOf(Scripted.serve(() => answer))
        const { refusal: refused, response } = yield* client.execute(request, info)
        assert.isUndefined(refused)
        assert.deepStrictEqual([response.status, yield* response.json], [status, value])
      }
    }))

  it.effect("is repeated where the API server says when, and only with a body that can be sent again", () =>
    Effect.gen(function*() {
      const busy = () =>
        Scripted.serve((_, n) => n === 0 ? refusal(429, "TooManyRequests", { "retry-after": "2" }) : new Response("ok"))
      for (const asked of [request, post(HttpBody.text("again"))]) {
        const scripted = busy()
        const client = yield* Scripted.clientOf(scripted)
        const fiber = yield* Effect.forkChild(client.execute(asked, info))
        yield* TestClock.adjust("2 seconds")
        const { response } = yield* Fiber.join(fiber)
        assert.strictEqual(yield* response.text, "ok")
        assert.strictEqual(scripted.seen.length, 2)
      }
      const once = busy()
      const client = yield* Scripted.clientOf(once)
      const stream = HttpBody.stream(Stream.make(new Uint8Array(3)))
      const { refusal: refused } = yield* client.execute(post(stream), info)
      assert.strictEqual(refused?.reason._tag, "TooManyRequests")
      assert.strictEqual(once.seen.length, 1)
    }))

  it.effect("is sent again with renewed credentials after a 401 of the API server, not of what is behind it", () =>
    Effect.gen(function*() {
      let renewals = 0
      const credentials = {
        ...Credentials.make(),
        invalidate: Effect.sync(() => {
          renewals++
          return true
        })
      }
      const own = Scripted.serve((_, n) => n === 0 ? refusal(401, "Unauthorized") : new Response("ok"))
      const first = yield* Scripted.clientOf(own, { credentials })
      assert.strictEqual(yield* Effect.flatMap(first.execute(request, info), ({ response }) => response.text), "ok")
      assert.deepStrictEqual([own.seen.length, renewals], [2, 1])
      const behind = Scripted.serve(() => new Response("who are you", { status: 401 }))
      const second = yield* Scripted.clientOf(behind, { credentials })
      assert.strictEqual((yield* second.execute(request, info)).response.status, 401)
      assert.deepStrictEqual([behind.seen.length, renewals], [1, 1])
    }))

  it.effect("whose connection is lost is repeated when it is a read, and fails otherwise", () =>
    Effect.gen(function*() {
      const scripted = Scripted.serve((_, n) => n === 0 ? Effect.fail(Scripted.lost) : new Response("ok"))
      const client = yield* Scripted.clientOf(scripted)
      const fiber = yield* Effect.forkChild(client.execute(request, info))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).response.status, 200)
      const always = Scripted.serve(() => Effect.fail(Scripted.lost))
      const other = yield* Scripted.clientOf(always)
      const error = yield* Effect.flip(other.execute(post(HttpBody.text("x")), info))
      assert.strictEqual(error.reason._tag, "Transport")
      assert.strictEqual(always.seen.length, 1)
    }))

  it.effect("keeps its transport while its answer is read, although the credentials have changed", () =>
    Effect.gen(function*() {
      let generation = 0
      const credentials = {
        ...Credentials.make(),
        identity: Effect.sync(() => ({ generation, clientCertificate: undefined }))
      }
      const scripted = Scripted.serve(() => new Response(Scripted.body(["one", "two"])))
      const client = yield* Scripted.clientOf(scripted, { credentials })
      const { response } = yield* client.execute(request, info)
      assert.strictEqual(scripted.open(), 1)
      generation++
      const other = yield* client.execute(request, info)
      assert.strictEqual(scripted.open(), 2)
      assert.strictEqual(yield* response.text, "onetwo")
      assert.strictEqual(scripted.open(), 1)
      assert.strictEqual(yield* Stream.mkString(Stream.decodeText(other.response.stream)), "onetwo")
    }))
})
