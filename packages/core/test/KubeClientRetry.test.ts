import * as Credentials from "@effect-k8s/core/Credentials"
import { TransportError, Unreachable } from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { ask, get, ok, request } from "./podRequests.ts"
import { type Answer, clientOf, failure, json, lost, serve } from "./scriptedServer.ts"

describe("a request is sent again", () => {
  for (const code of [429, 500, 502, 503, 504]) {
    it.effect(`after ${code} with Retry-After, when the server says`, () =>
      Effect.gen(function*() {
        const scripted = serve((_, n) => n === 0 ? json(failure(code, undefined), code, { "retry-after": "3" }) : ok())
        const client = yield* clientOf(scripted)
        const fiber = yield* Effect.forkChild(client.json(request("POST")))
        yield* TestClock.adjust("2999 millis")
        assert.strictEqual(scripted.seen.length, 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(scripted.seen.length, 2)
        assert.deepStrictEqual(yield* Fiber.join(fiber), { kind: "Pod" })
      }))

    it.effect(`not after ${code} without it`, () =>
      Effect.gen(function*() {
        const scripted = serve(() => json(failure(code, undefined), code))
        const result = yield* ask(scripted)
        assert.strictEqual(result._tag, "Failure")
        assert.strictEqual(scripted.seen.length, 1)
      }))
  }

  for (const code of [400, 403, 404, 409, 410, 422]) {
    it.effect(`not after ${code}, even with Retry-After`, () =>
      Effect.gen(function*() {
        const scripted = serve(() => json(failure(code, undefined), code, { "retry-after": "1" }))
        assert.strictEqual((yield* ask(scripted))._tag, "Failure")
        assert.strictEqual(scripted.seen.length, 1)
      }))
  }

  it.effect("at the moment of a Retry-After that is a date", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1, 12, 0, 0))
      const scripted = serve((_, n) =>
        n === 0 ? json(failure(503, undefined), 503, { "retry-after": "Thu, 01 Jan 2026 12:00:07 GMT" }) : ok()
      )
      const client = yield* clientOf(scripted)
      const fiber = yield* Effect.forkChild(client.json(get))
      yield* TestClock.adjust("6999 millis")
      assert.strictEqual(scripted.seen.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.seen.length, 2)
      yield* Fiber.join(fiber)
    }))

  it.effect("at once when that date is past", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 0, 1, 12, 0, 0))
      const scripted = serve((_, n) =>
        n === 0 ? json(failure(503, undefined), 503, { "retry-after": "Thu, 01 Jan 2026 11:00:00 GMT" }) : ok()
      )
      const client = yield* clientOf(scripted)
      const fiber = yield* Effect.forkChild(client.json(get))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { kind: "Pod" })
    }))

  it.effect("not when Retry-After makes no sense", () =>
    Effect.gen(function*() {
      const scripted = serve(() => json(failure(503, undefined), 503, { "retry-after": "soon" }))
      assert.strictEqual((yield* ask(scripted))._tag, "Failure")
      assert.strictEqual(scripted.seen.length, 1)
    }))

  it.effect("ten times at most, and then the last answer counts", () =>
    Effect.gen(function*() {
      const scripted = serve(() => json(failure(429, "TooManyRequests"), 429, { "retry-after": "2" }))
      const result = yield* ask(scripted)
      assert(result._tag === "Failure" && result.failure.reason._tag === "TooManyRequests")
      assert.strictEqual(result.failure.reason.retryAfterMillis, 2000)
      assert.strictEqual(scripted.seen.length, 11)
    }))

  it.effect("after a lost connection when it only reads, ten times at most", () =>
    Effect.gen(function*() {
      const scripted = serve(() => Effect.fail(lost))
      const result = yield* ask(scripted)
      assert(result._tag === "Failure" && result.failure.reason._tag === "Transport")
      assert.strictEqual(result.failure.reason.error.reason._tag, "ConnectionLost")
      assert.strictEqual(scripted.seen.length, 11)
    }))

  it.effect("after a lost connection with growing pauses", () =>
    Effect.gen(function*() {
      const scripted = serve(() => Effect.fail(lost))
      const client = yield* clientOf(scripted)
      yield* Effect.forkChild(Effect.exit(client.json(get)))
      yield* TestClock.adjust(0)
      const counts: Array<number> = []
      for (const millis of [49, 1, 99, 1, 199, 1, 399, 1, 799, 1, 999, 1, 999, 1]) {
        yield* TestClock.adjust(millis)
        counts.push(scripted.seen.length)
      }
      assert.deepStrictEqual(counts, [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8])
    }))

  for (const method of ["POST", "PUT", "PATCH", "DELETE"] as const) {
    it.effect(`not after a lost connection when it is a ${method}: the change may have been made`, () =>
      Effect.gen(function*() {
        const scripted = serve(() => Effect.fail(lost))
        assert.strictEqual((yield* ask(scripted, request(method)))._tag, "Failure")
        assert.strictEqual(scripted.seen.length, 1)
      }))
  }

  it.effect("not when no connection could be made", () =>
    Effect.gen(function*() {
      const error = new TransportError({ reason: new Unreachable({ address: { host: "api.test", port: 443 } }) })
      const scripted = serve(() => Effect.fail(error))
      const result = yield* ask(scripted)
      assert(result._tag === "Failure" && result.failure.reason._tag === "Transport")
      assert.strictEqual(result.failure.reason.error, error)
      assert.strictEqual(scripted.seen.length, 1)
    }))

  it.effect("with its body and its headers", () =>
    Effect.gen(function*() {
      const scripted = serve((_, n) => n === 0 ? json(failure(503, undefined), 503, { "retry-after": "1" }) : ok())
      yield* ask(
        scripted,
        request("PATCH", { body: { contentType: "application/merge-patch+json", text: "{\"a\":1}" } })
      )
      assert.strictEqual(scripted.seen.length, 2)
      const [first, second] = scripted.seen
      assert.strictEqual(first?.body, "{\"a\":1}")
      assert.strictEqual(second?.body, first?.body)
      assert.strictEqual(second?.url, first?.url)
      assert.strictEqual(second?.headers["content-type"], "application/merge-patch+json")
    }))

  it.effect("also when its answer is a stream", () =>
    Effect.gen(function*() {
      const scripted = serve((_, n) =>
        n === 0 ? json(failure(429, undefined), 429, { "retry-after": "1" }) : new Response("log")
      )
      const client = yield* clientOf(scripted)
      const fiber = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(client.stream(get))))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "log")
    }))
})

describe("after a 401", () => {
  const rotating = (renews: boolean) => {
    let token = 0
    let invalidations = 0
    return {
      invalidations: () => invalidations,
      credentials: Credentials.Credentials.of({
        authorize: (asked) => Effect.succeed(HttpClientRequest.bearerToken(asked, Redacted.make(`token-${token}`))),
        invalidate: Effect.sync(() => {
          token++
          invalidations++
          return renews
        }),
        identity: Effect.succeed({ generation: 0 })
      })
    }
  }
  const accepts = (token: string): Answer => ({ headers }) =>
    headers["authorization"] === `Bearer ${token}` ? ok() : json(failure(401, "Unauthorized"), 401)

  it.effect("a request is sent once more with renewed credentials", () =>
    Effect.gen(function*() {
      const { credentials } = rotating(true)
      const scripted = serve(accepts("token-1"))
      const result = yield* ask(scripted, request("POST"), { credentials })
      assert.strictEqual(result._tag, "Success")
      assert.deepStrictEqual(scripted.seen.map(({ headers }) => headers["authorization"]), [
        "Bearer token-0",
        "Bearer token-1"
      ])
    }))

  it.effect("it fails with Unauthorized when the renewed ones are not accepted either", () =>
    Effect.gen(function*() {
      const { credentials, invalidations } = rotating(true)
      const scripted = serve(accepts("none"))
      const result = yield* ask(scripted, get, { credentials })
      assert(result._tag === "Failure" && result.failure.reason._tag === "Unauthorized")
      assert.strictEqual(scripted.seen.length, 2)
      assert.strictEqual(invalidations(), 1)
    }))

  it.effect("it fails at once when there are no others", () =>
    Effect.gen(function*() {
      const { credentials, invalidations } = rotating(false)
      const scripted = serve(accepts("none"))
      const result = yield* ask(scripted, get, { credentials })
      assert(result._tag === "Failure" && result.failure.reason._tag === "Unauthorized")
      assert.strictEqual(scripted.seen.length, 1)
      assert.strictEqual(invalidations(), 1)
    }))

  it.effect("a channel is asked for once more, and then the refusal is the channel's to judge", () =>
    Effect.gen(function*() {
      const { credentials } = rotating(true)
      const tokens: Array<string | undefined> = []
      const scripted = serve(ok, (asked) => {
        tokens.push(asked.headers["authorization"])
        return Effect.succeed({
          _tag: "Refused",
          status: 401,
          headers: Headers.empty,
          body: new Uint8Array(0)
        })
      })
      const client = yield* clientOf(scripted, { credentials })
      const answer = yield* client.upgrade(get)
      assert(answer._tag === "Refused")
      assert.strictEqual(answer.status, 401)
      assert.deepStrictEqual(tokens, ["Bearer token-0", "Bearer token-1"])
    }))

  it.effect("credentials that cannot be had are a failure of their own", () =>
    Effect.gen(function*() {
      const error = new Credentials.CredentialsError({ description: "the plugin is not installed" })
      const scripted = serve(ok)
      const result = yield* ask(scripted, get, {
        credentials: Credentials.Credentials.of({
          authorize: () => Effect.fail(error),
          invalidate: Effect.succeed(true),
          identity: Effect.succeed({ generation: 0 })
        })
      })
      assert(result._tag === "Failure" && result.failure.reason._tag === "Credentials")
      assert.strictEqual(result.failure.reason.error, error)
      assert.strictEqual(scripted.seen.length, 0)
    }))
})
