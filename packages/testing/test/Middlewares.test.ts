import * as Faults from "@effect-k8s/testing/Faults"
import * as RequestLog from "@effect-k8s/testing/RequestLog"
import * as Authentication from "@effect-k8s/testing/server/Authentication"
import type { Handler, Middleware, ServerResponse } from "@effect-k8s/testing/server/Exchange"
import * as HttpFrontend from "@effect-k8s/testing/server/HttpFrontend"
import * as Middlewares from "@effect-k8s/testing/server/Middlewares"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import { gunzipSync } from "node:zlib"

const large = "x".repeat(200_000)

/** Echoes an upgraded connection; anything else is a large text. */
const inner: Handler = (request) =>
  Effect.succeed<ServerResponse>(
    request.headers.has("upgrade")
      ? {
        _tag: "Upgrade",
        headers: { Upgrade: "echo", Connection: "Upgrade" },
        serve: (connection) => Effect.ignore(Effect.flatMap(connection.pull, (chunks) => connection.write(chunks)))
      }
      : { _tag: "Body", status: 200, headers: { "Content-Type": "text/plain" }, body: large }
  )

const permutations = <A>(items: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  items.length === 0
    ? [[]]
    : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]))

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

const ask = (url: URL, headers: Record<string, string>): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const request = Http.request(url, { agent: false, headers })
    const answer = (response: Http.IncomingMessage, body: Buffer): void =>
      resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body }))
    request.on("upgrade", (response, socket) => {
      socket.once("data", (echoed: Buffer) => {
        socket.destroy()
        answer(response, echoed)
      })
      socket.write("ping")
    })
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("end", () => answer(response, Buffer.concat(chunks)))
    })
    request.on("error", (cause) => resume(Effect.fail(cause)))
    request.end()
  })

describe("the middlewares of the server", () => {
  it.live("let an upgrade through in every order, and do their work", () =>
    Effect.gen(function*() {
      const { identify } = Authentication.make(new Map([["the-token", { name: "admin", groups: [] }]]))
      const guarded: Middleware = (next) => (request) =>
        identify(request) === undefined ? Effect.succeed(Authentication.refused) : next(request)
      const log = RequestLog.make(identify)
      const { middleware: faulty } = Faults.make(identify)
      const all = [guarded, log.middleware, faulty, Middlewares.recovered, Middlewares.audited, Middlewares.compressed]
      let handler = inner
      const { url } = yield* HttpFrontend.make({ handler: (request) => handler(request) })
      const known = { Authorization: "Bearer the-token" }
      const upgrade = { Connection: "Upgrade", Upgrade: "echo" }
      const orders = permutations(all)
      for (const order of orders) {
        handler = order.reduce((next, middleware) => middleware(next), inner)
        const upgraded = yield* ask(url, { ...known, ...upgrade })
        assert.strictEqual(upgraded.status, 101)
        assert.strictEqual(upgraded.body.toString(), "ping")
        assert.strictEqual((yield* ask(url, upgrade)).status, 401)
      }
      const answer = yield* ask(url, { ...known, "Accept-Encoding": "gzip" })
      assert.strictEqual(answer.headers["content-encoding"], "gzip")
      assert.isString(answer.headers["audit-id"])
      assert.strictEqual(gunzipSync(answer.body).toString(), large)
      assert.strictEqual(yield* log.log.count({}), orders.length * 2 + 1 - unloggedRefusals(all, orders, guarded, log))
    }))

  it.live("leave bodies as they are for clients that do not take gzip", () =>
    Effect.gen(function*() {
      const { url } = yield* HttpFrontend.make({ handler: Middlewares.compressed(inner) })
      for (const accepts of [undefined, "identity", "br", "gzip;q=0"]) {
        const answer = yield* ask(url, accepts === undefined ? {} : { "Accept-Encoding": accepts })
        assert.isUndefined(answer.headers["content-encoding"])
        assert.strictEqual(answer.body.toString(), large)
      }
    }))
})

/** A guard outside the log refuses before it is written. */
const unloggedRefusals = (
  all: ReadonlyArray<Middleware>,
  orders: ReadonlyArray<ReadonlyArray<Middleware>>,
  guarded: Middleware,
  { middleware }: { readonly middleware: Middleware }
): number => {
  assert.include(all, middleware)
  return orders.filter((order) => order.indexOf(guarded) > order.indexOf(middleware)).length
}
