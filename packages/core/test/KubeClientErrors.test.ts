import * as Credentials from "@effect-k8s/core/Credentials"
import type * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as MemoryTransport from "@effect-k8s/core/MemoryTransport"
import * as Transport from "@effect-k8s/core/Transport"
import type { TransportError } from "@effect-k8s/core/TransportError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import { errorOf, get, ok, request } from "./podRequests.ts"
import { type Answer, body, clientOf, failure, json, lost, serve } from "./scriptedServer.ts"

const failing = HttpClient.make((asked) =>
  Effect.fail(new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request: asked }) }))
)

describe("an answer fails the request with", () => {
  const rows: ReadonlyArray<
    readonly [name: string, answer: () => Response, tag: KubeError.KubeErrorReason["_tag"], message: string]
  > = [
    ["NotFound", () => json(failure(404, "NotFound"), 404), "NotFound", "check the name"],
    ["AlreadyExists", () => json(failure(409, "AlreadyExists"), 409), "AlreadyExists", "use replace, patch or apply"],
    ["Conflict", () => json(failure(409, "Conflict"), 409), "Conflict", "read the object again"],
    [
      "Conflict over fields",
      () => json({ ...failure(409, "Conflict"), details: { causes: [{ reason: "FieldManagerConflict" }] } }, 409),
      "Conflict",
      "or take them with force"
    ],
    ["Forbidden", () => json(failure(403, "Forbidden"), 403), "Forbidden", "ask for a role"],
    ["Unauthorized", () => json(failure(401, "Unauthorized"), 401), "Unauthorized", "log in again"],
    ["Invalid", () => json(failure(422, "Invalid"), 422), "Invalid", "correct the fields"],
    ["BadRequest", () => json(failure(400, "BadRequest"), 400), "BadRequest", "the server says BadRequest"],
    ["Expired", () => json(failure(410, "Expired"), 410), "Expired", "list again"],
    ["Gone", () => json(failure(410, "Gone"), 410), "Expired", "list again"],
    ["Timeout", () => json(failure(504, "Timeout"), 504), "Timeout", "may have been made"],
    ["ServerTimeout", () => json(failure(500, "ServerTimeout"), 500), "Timeout", "may have been made"],
    ["TooManyRequests", () => json(failure(429, "TooManyRequests"), 429), "TooManyRequests", "try again later"],
    ["InternalError", () => json(failure(500, "InternalError"), 500), "ServerFailure", "failed with 500"],
    ["ServiceUnavailable", () => json(failure(503, "ServiceUnavailable"), 503), "ServerFailure", "failed with 503"],
    [
      "MethodNotAllowed",
      () => json(failure(405, "MethodNotAllowed"), 405),
      "UnexpectedStatus",
      "HTTP 405: the server says MethodNotAllowed"
    ],
    ["a Status without a reason and 400", () => json(failure(400, undefined), 400), "BadRequest", ""],
    ["a Status without a reason and 401", () => json(failure(401, undefined), 401), "Unauthorized", ""],
    ["a Status without a reason and 403", () => json(failure(403, undefined), 403), "Forbidden", ""],
    ["a Status without a reason and 404", () => json(failure(404, undefined), 404), "NotFound", ""],
    ["a Status without a reason and 408", () => json(failure(408, undefined), 408), "Timeout", ""],
    ["a Status without a reason and 409", () => json(failure(409, undefined), 409), "Conflict", ""],
    ["a Status without a reason and 410", () => json(failure(410, undefined), 410), "Expired", ""],
    ["a Status without a reason and 422", () => json(failure(422, undefined), 422), "Invalid", ""],
    ["a Status without a reason and 429", () => json(failure(429, undefined), 429), "TooManyRequests", ""],
    ["a Status without a reason and 504", () => json(failure(504, undefined), 504), "Timeout", ""],
    [
      "a Status without a code",
      () => json({ kind: "Status", status: "Failure", message: "no" }, 409),
      "Conflict",
      "no;"
    ],
    [
      "HTML and 502",
      () => new Response("<html>\n  <h1>502 Bad Gateway</h1>\n</html>", { status: 502 }),
      "UnexpectedStatus",
      "HTTP 502 without a Kubernetes Status (<html> <h1>502 Bad Gateway</h1> </html>)"
    ],
    ["nothing and 403", () => new Response(null, { status: 403 }), "UnexpectedStatus", "no body"],
    ["nothing and 404", () => new Response(null, { status: 404 }), "UnexpectedStatus", "no body"],
    ["text and 401", () => new Response("Unauthorized\n", { status: 401 }), "Unauthorized", "(Unauthorized)"],
    ["nothing and 401", () => new Response(null, { status: 401 }), "Unauthorized", "(Unauthorized)"],
    ["a redirect", () => new Response(null, { status: 302 }), "UnexpectedStatus", "HTTP 302"],
    ["other JSON and 500", () => json({ error: "x" }, 500), "UnexpectedStatus", "{\"error\":\"x\"}"],
    [
      "broken JSON and 500",
      () => new Response("{\"kind\":\"Status\"", { status: 500 }),
      "UnexpectedStatus",
      "HTTP 500 without"
    ],
    [
      "HTML and 200",
      () => new Response("<html>Sign in</html>", { headers: { "content-type": "text/html" } }),
      "Decode",
      "the answer is not JSON but text/html"
    ],
    ["nothing and 200", () => new Response(null), "Decode", "the answer is not JSON"],
    ["a body that is cut short", () => new Response(body(["{\"kind\":\"Po"], "fail")), "Transport", "was lost"]
  ]
  for (const [name, answer, tag, message] of rows) {
    it.effect(`${tag}: ${name}`, () =>
      Effect.gen(function*() {
        const error = yield* errorOf(answer)
        assert.strictEqual(error._tag, "KubeError")
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, message)
        assert.include(error.message, "Could not get pods \"db-0\" in namespace \"shop\" at https://api.test: ")
      }))
  }

  it.effect("the causes and the details of the Status", () =>
    Effect.gen(function*() {
      const causes = [
        { reason: "FieldValueRequired", message: "Required value", field: "spec.containers[0].image" },
        { reason: "FieldValueInvalid", message: "Invalid value", field: "spec.x" }
      ]
      const status = failure(422, "Invalid", { details: { name: "db-0", kind: "Pod", causes } })
      const error = yield* errorOf(() => json(status, 422))
      assert(error.reason._tag === "Invalid")
      assert.deepStrictEqual(error.reason.causes, causes)
      assert.strictEqual(error.reason.status.details?.name, "db-0")
      assert.strictEqual(error.reason.code, 422)
    }))

  it.effect("no causes where the server wrote null", () =>
    Effect.gen(function*() {
      const error = yield* errorOf(() => json(failure(422, "Invalid", { details: { causes: null } }), 422))
      assert(error.reason._tag === "Invalid")
      assert.deepStrictEqual(error.reason.causes, [])
    }))

  it.effect("the delay that only the Status tells", () =>
    Effect.gen(function*() {
      const status = failure(429, "TooManyRequests", { details: { retryAfterSeconds: 4 } })
      const error = yield* errorOf(() => json(status, 429))
      assert(error.reason._tag === "TooManyRequests")
      assert.strictEqual(error.reason.retryAfterMillis, 4000)
      assert.include(error.message, "try again in 4000 ms")
    }))

  it.effect("TooManyRequests where the server answers 429 in plain text, as its own queue does", () =>
    Effect.gen(function*() {
      const error = yield* errorOf(
        () =>
          new Response("Too many requests, please try again later.\n", {
            status: 429,
            headers: { "retry-after": "1" }
          }),
        request("POST")
      )
      assert(error.reason._tag === "TooManyRequests")
      assert.strictEqual(error.reason.retryAfterMillis, 1000)
      assert.include(error.message, "Too many requests, please try again later.")
    }))

  it.effect("the code of the Status rather than that of HTTP", () =>
    Effect.gen(function*() {
      const error = yield* errorOf(() => json(failure(404, undefined), 500))
      assert(error.reason._tag === "NotFound")
      assert.strictEqual(error.reason.code, 404)
    }))
})

describe("the body of a failed answer", () => {
  it.effect("is read to 64 KiB, and then left", () =>
    Effect.gen(function*() {
      let pulled = 0
      let cancelled = false
      const endless = new ReadableStream<Uint8Array>({
        pull(controller) {
          pulled++
          controller.enqueue(new Uint8Array(1024).fill(0x78))
        },
        cancel() {
          cancelled = true
        }
      }, { highWaterMark: 0 })
      const error = yield* errorOf(() => new Response(endless, { status: 500 }))
      assert(error.reason._tag === "UnexpectedStatus")
      assert.strictEqual(error.reason.body, `${"x".repeat(200)}...`)
      assert.isAtMost(pulled, 66)
      assert.isTrue(cancelled)
    }))

  it.effect("may be cut short: what came of it counts", () =>
    Effect.gen(function*() {
      const error = yield* errorOf(() => new Response(body(["upstream "], "fail"), { status: 503 }))
      assert(error.reason._tag === "UnexpectedStatus")
      assert.strictEqual(error.reason.code, 503)
    }))

  it.effect("may be a Status of many parts", () =>
    Effect.gen(function*() {
      const text = JSON.stringify(failure(403, "Forbidden", { message: "pods is forbidden: ü" }))
      const bytes = new TextEncoder().encode(text)
      const chunks = Array.from(bytes, (byte) => Uint8Array.of(byte))
      const error = yield* errorOf(() => new Response(body(chunks), { status: 403 }))
      assert(error.reason._tag === "Forbidden")
      assert.strictEqual(error.reason.status.message, "pods is forbidden: ü")
    }))
})

describe("no secret", () => {
  /** Everything that a program could print of a value. */
  const shown = (value: unknown): string => {
    const error = value instanceof Error ? `${value.message}${value.stack}${shown(value.cause)}` : ""
    return `${String(value)}${JSON.stringify(value)}${inspect(value, { depth: 20, showHidden: true })}${error}`
  }

  const refuse = (scripted: (seen: unknown) => Response | Effect.Effect<Response, TransportError>): Answer => scripted
  const answers: ReadonlyArray<Answer> = [
    refuse(() => json(failure(403, "Forbidden"), 403)),
    refuse(() => new Response("<html>", { status: 502 })),
    refuse(() => new Response("<html>")),
    refuse(() => Effect.fail(lost)),
    refuse(() => new Response(body(["{"], "fail"))),
    refuse(() => new Response(body(["{"], "fail"), { status: 500 }))
  ]

  it.effect.prop(
    "can be seen in an error: token, password, key, header, query value or body",
    { digits: Schema.Int.check(Schema.isBetween({ minimum: 10_000_000, maximum: 99_999_999 })), basic: Schema.Boolean },
    ({ basic, digits }) =>
      Effect.gen(function*() {
        const secret = Redacted.make(`S3CRET${digits}`)
        const options: Partial<KubeClient.Options> = {
          endpoint: {
            url: new URL(`https://jane:S3CRET${digits}@api.test`),
            proxy: { url: new URL("http://proxy.test"), username: "u", password: secret }
          },
          credentials: Credentials.make({
            ...(basic ? { username: "jane", password: secret } : { token: secret }),
            clientCertificate: { cert: "cert", key: secret }
          })
        }
        const asked = request("POST", {
          headers: { "x-secret": `S3CRET${digits}` },
          query: [["command", secret]],
          body: { contentType: "application/json", text: `{"data":"S3CRET${digits}"}` }
        })
        const hidden = basic ? Buffer.from(`jane:S3CRET${digits}`).toString("base64") : `S3CRET${digits}`
        for (const answer of answers) {
          const scripted = serve(answer)
          const client = yield* clientOf(scripted, options)
          for (const failed of [client.json(asked), Stream.runDrain(client.stream(asked))]) {
            const exit = yield* Effect.exit(failed)
            const text = shown(exit)
            assert.notInclude(text, `S3CRET${digits}`)
            assert.notInclude(text, hidden)
          }
          // The server did get them.
          assert.strictEqual(scripted.seen[0]?.query[0]?.[1], `S3CRET${digits}`)
          assert.include(scripted.seen[0]?.headers["authorization"], hidden)
        }
      }),
    { arbitrary: { runs: 30 } }
  )

  it.effect("can be seen in the error of an upgrade", () =>
    Effect.gen(function*() {
      const scripted = serve(ok, () => Effect.fail(lost))
      const client = yield* clientOf(scripted, { credentials: Credentials.make({ token: Redacted.make("S3CRET") }) })
      const error = yield* Effect.flip(client.upgrade({ ...get, query: [["command", Redacted.make("S3CRET")]] }))
      assert.strictEqual(error.reason._tag, "Transport")
      assert.notInclude(shown(error), "S3CRET")
    }))

  it.effect("can be seen in the error of a transport that cannot say more than that it failed", () =>
    Effect.gen(function*() {
      // An adapter's error without a cause: what is left is the request.
      const scripted = serve(ok)
      const platform = Transport.Platform.of({
        transport: (endpoint) =>
          Effect.map(
            MemoryTransport.make(endpoint, {
              request: () => Effect.never,
              upgrade: () => Effect.never
            }),
            (transport) =>
              Transport.Transport.of({
                ...transport,
                http: failing,
                streaming: failing
              })
          )
      })
      const client = yield* clientOf({ ...scripted, platform }, {
        credentials: Credentials.make({ token: Redacted.make("S3CRET") })
      })
      const error = yield* Effect.flip(client.json(request("POST", {
        query: [["command", Redacted.make("S3CRET")]],
        headers: { "x-secret": "S3CRET" },
        body: { contentType: "application/json", text: "S3CRET" }
      })))
      assert.strictEqual(error.reason._tag, "Transport")
      assert.notInclude(shown(error), "S3CRET")
    }))

  it.effect("can be seen in the error of a request that HTTP has no form for, which is Encode, at once, on every channel", () =>
    Effect.gen(function*() {
      const client = yield* clientOf(serve(() => lost))
      for (const headers of [{ "x-secret": "S3CRET \u0142" }, { "x-secret": "S3CRET\r" }, { "x-\u00e4": "S3CRET" }]) {
        const asked = request("GET", { headers })
        const { execute } = client
        const effects: ReadonlyArray<Effect.Effect<unknown, KubeError.KubeError>> = [
          client.json(asked),
          Stream.runDrain(client.stream(asked)),
          execute(HttpClientRequest.get("/x", { headers }), asked.info),
          Effect.scoped(client.upgrade(asked))
        ]
        for (const effect of effects) {
          // The clock of the test stands still: what waits to be tried again never fails.
          const error = yield* Effect.flip(effect)
          assert.strictEqual(error.reason._tag, "Encode")
          assert.include(error.message, "the request cannot be sent")
          assert.notInclude(shown(error), "S3CRET")
        }
      }
    }))
})
