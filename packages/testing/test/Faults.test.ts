import * as Faults from "@effect-k8s/testing/Faults"
import { Cut } from "@effect-k8s/testing/server/Cut"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, start, token } from "./support/Server.ts"

describe("a fault", () => {
  it.effect("hits the requests that match, after those it skips, as often as it was told", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const fault = yield* server.faults.inject({ verb: "list", resource: "configmaps" }, Faults.status(503), {
        skip: 1,
        times: 2
      })
      const statuses = yield* Effect.forEach(
        [configmaps, configmaps, "/api/v1/pods", configmaps, configmaps],
        (path) => Effect.map(client.get(path), (answer) => answer.status)
      )
      assert.deepStrictEqual(statuses, [200, 503, 200, 503, 200])
      assert.strictEqual(yield* fault.hits, 2)
    }))

  it.effect("can be taken away", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const fault = yield* server.faults.inject({}, Faults.status(503), { times: Infinity })
      assert.strictEqual((yield* client.get(configmaps)).status, 503)
      yield* fault.remove
      assert.strictEqual((yield* client.get(configmaps)).status, 200)
      yield* server.faults.inject({}, Faults.status(503), { times: Infinity })
      yield* server.faults.clear
      assert.strictEqual((yield* client.get(configmaps)).status, 200)
    }))

  it.effect("can be on a user, a path or a method", () =>
    Effect.gen(function*() {
      const { as, client, server } = yield* start()
      yield* server.faults.inject({ user: "bob" }, Faults.unauthorized)
      yield* server.faults.inject({ path: /limit=1$/ }, Faults.status(502))
      yield* server.faults.inject({ method: "DELETE" }, Faults.status(504))
      assert.strictEqual((yield* client.get(configmaps)).status, 200)
      assert.strictEqual((yield* as("b").get(configmaps)).status, 401)
      assert.strictEqual((yield* as("b").get(configmaps)).status, 200)
      assert.strictEqual((yield* client.get(`${configmaps}?limit=1`)).status, 502)
      assert.strictEqual((yield* client.remove(`${configmaps}/a`)).status, 504)
    }))

  const answers: ReadonlyArray<readonly [string, Faults.Fault, (answer: HandlerClient.Answer) => void]> = [
    ["tooManyRequests", Faults.tooManyRequests(3), (answer) => {
      assert.deepStrictEqual([answer.status, answer.at("reason"), answer.headers["Retry-After"]], [
        429,
        "TooManyRequests",
        "3"
      ])
    }],
    ["unauthorized", Faults.unauthorized, (answer) => assert.strictEqual(answer.status, 401)],
    ["expired", Faults.expired, (answer) => {
      assert.deepStrictEqual([answer.status, answer.at("reason")], [410, "Expired"])
    }],
    ["failure", Faults.failure(500, "InternalError", "no"), (answer) => {
      assert.deepStrictEqual([answer.status, answer.at("message")], [500, "no"])
    }],
    ["garbage", Faults.garbage, (answer) => assert.deepStrictEqual([answer.status, answer.json], [200, {}])],
    ["nullItems", Faults.nullItems, (answer) => {
      assert.deepStrictEqual([answer.status, answer.at("kind"), answer.at("items")], [200, "ConfigMapList", null])
    }]
  ]
  for (const [name, fault, check] of answers) {
    it.effect(`${name} answers so`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* start()
        yield* server.faults.inject({}, fault)
        check(yield* client.get(configmaps))
      }))
  }

  it.effect("raw, reset and close are exact bytes and an end", () =>
    Effect.gen(function*() {
      const { server } = yield* start()
      const ask = HandlerClient.send(server.handler, configmaps, { headers: { Authorization: `Bearer ${token}` } })
      for (const fault of [Faults.raw("HTTP/1.1 999 X\r\n\r\n", "hold"), Faults.reset, Faults.close]) {
        yield* server.faults.inject({}, fault)
      }
      const got = [yield* ask, yield* ask, yield* ask].map((response) =>
        response._tag === "Raw" ? [new TextDecoder().decode(response.bytes), response.end] : response._tag
      )
      assert.deepStrictEqual(got, [["HTTP/1.1 999 X\r\n\r\n", "hold"], ["", "reset"], ["", "fin"]])
    }))

  it.effect("delay answers later, and hang never", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      yield* server.faults.inject({}, Faults.delay("5 seconds"))
      yield* server.faults.inject({}, Faults.hang)
      const delayed = yield* Effect.forkScoped(client.get(configmaps))
      yield* Effect.yieldNow
      const hung = yield* Effect.forkScoped(client.get(configmaps))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(delayed.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(delayed)).status, 200)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(hung.pollUnsafe())
    }))

  it.effect("loseAnswer does what was asked and tells nobody", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      yield* server.faults.inject({ verb: "create" }, Faults.loseAnswer)
      assert.strictEqual((yield* client.post(configmaps, configmap("a"))).status, 0)
      assert.strictEqual((yield* client.get(`${configmaps}/a`)).status, 200)
    }))

  it.effect("cut gives so many bytes of the body and then breaks off", () =>
    Effect.gen(function*() {
      const { server } = yield* start()
      yield* server.faults.inject({}, Faults.cut(10, "reset"))
      const response = yield* HandlerClient.send(server.handler, configmaps, {
        headers: { Authorization: `Bearer ${token}` }
      })
      if (response._tag !== "Stream") return assert.fail("it is not a stream")
      let got = ""
      const exit = yield* Effect.exit(
        Stream.runForEach(response.body, (chunk) => Effect.sync(() => (got += new TextDecoder().decode(chunk))))
      )
      assert.strictEqual(got, "{\"kind\":\"C")
      assert.isTrue(Number(response.headers["Content-Length"]) > 10)
      const defect = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.isTrue(defect instanceof Cut && defect.end === "reset")
    }))

  it.effect("withoutBookmarks leaves bookmarks out, and nothing else", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const query = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
      const types = Effect.map(
        Stream.runCollect(client.watch(`${configmaps}?${query}&timeoutSeconds=0`)),
        (events) => Array.from(events, (event) => event.type)
      )
      assert.include(yield* types, "BOOKMARK")
      yield* server.faults.inject({ verb: "watch" }, Faults.withoutBookmarks)
      assert.deepStrictEqual(yield* types, ["ADDED"])
    }))

  it.effect("split sends the same bytes in other pieces", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      for (const name of ["a", "b"]) yield* client.post(configmaps, configmap(name))
      yield* server.faults.inject({ verb: "watch" }, Faults.split(7))
      const events = yield* Stream.runCollect(client.watch(`${configmaps}?watch=1&timeoutSeconds=0`))
      assert.deepStrictEqual(Array.from(events, (event) => event.at("metadata", "name")), ["a", "b"])
    }))
})

describe("the log of requests", () => {
  it.effect("tells verb, resource, user, status and headers, and no token", () =>
    Effect.gen(function*() {
      const { as, client, server } = yield* start()
      yield* client.get(`${configmaps}?limit=1`, { "User-Agent": "test/1", "Impersonate-User": "bob" })
      yield* as("b").get("/api/v1/namespaces/default/pods/p/log")
      yield* as("secret").get("/version")
      const [list, log, version] = yield* server.requests.records
      assert.deepStrictEqual(
        [list, log, version].map((
          record
        ) => [record?.verb, record?.resource, record?.name, record?.user, record?.status]),
        [
          ["list", "configmaps", undefined, "admin", 200],
          ["get", "pods/log", "p", "bob", 403],
          ["get", undefined, undefined, undefined, 401]
        ]
      )
      assert.deepStrictEqual(list?.headers.get("user-agent"), ["test/1"])
      assert.deepStrictEqual(list?.headers.get("impersonate-user"), ["bob"])
      assert.deepStrictEqual(version?.headers.get("authorization"), ["Bearer <redacted>"])
      assert.strictEqual(yield* server.requests.count({ user: "admin", verb: "list" }), 1)
      yield* server.requests.clear
      assert.strictEqual(yield* server.requests.count(), 0)
    }))
})
