import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, pods, start, token } from "./support/Server.ts"

describe("who is asking", () => {
  it.effect("must be known", () =>
    Effect.gen(function*() {
      const { as, server } = yield* start()
      const nobody = yield* as("wrong").get(pods)
      assert.deepStrictEqual([nobody.status, nobody.at("message"), nobody.at("reason")], [
        401,
        "Unauthorized",
        "Unauthorized"
      ])
      const response = yield* HandlerClient.send(server.handler, pods)
      assert.strictEqual(response._tag === "Body" ? response.status : 0, 401)
    }))

  const refusals: ReadonlyArray<readonly [string, string, string, string]> = [
    [
      "g",
      "GET",
      pods,
      "pods is forbidden: User \"getter\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    ],
    [
      "g",
      "POST",
      `${pods}/t/exec`,
      "pods \"t\" is forbidden: User \"getter\" cannot create resource \"pods/exec\" in API group \"\" in the namespace \"default\""
    ],
    [
      "g",
      "GET",
      "/apis/apps/v1/deployments",
      "deployments.apps is forbidden: User \"getter\" cannot list resource \"deployments\" in API group \"apps\" at the cluster scope"
    ],
    ["g", "GET", "/metrics", "forbidden: User \"getter\" cannot get path \"/metrics\""],
    [
      "b",
      "GET",
      "/api/v1/configmaps",
      "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \"\" at the cluster scope"
    ]
  ]
  for (const [token, method, path, message] of refusals) {
    it.effect(`may not ${method} ${path} as ${token}`, () =>
      Effect.gen(function*() {
        const { as } = yield* start()
        const answer = yield* as(token).request(path, { method })
        assert.deepStrictEqual([answer.status, answer.at("reason"), answer.at("message")], [403, "Forbidden", message])
        assert.strictEqual(answer.headers["X-Content-Type-Options"], "nosniff")
      }))
  }

  it.effect("may do what the rules say, and discover", () =>
    Effect.gen(function*() {
      const { as } = yield* start()
      assert.strictEqual((yield* as("b").get(configmaps)).status, 200)
      assert.strictEqual((yield* as("b").get("/apis")).status, 200)
      assert.strictEqual((yield* as("g").get(`${pods}/none`)).status, 404)
    }))

  it.effect("may act as others where allowed, and is then only what they are", () =>
    Effect.gen(function*() {
      const { as } = yield* start()
      const acting = (headers: Record<string, string>, path = configmaps) => as("a").get(path, headers)
      assert.strictEqual((yield* acting({ "Impersonate-User": "bob" })).status, 200)
      assert.include((yield* acting({ "Impersonate-User": "bob" }, pods)).textAt("message"), "User \"bob\"")
      const refused = yield* acting({ "Impersonate-User": "root" })
      assert.strictEqual(
        refused.at("message"),
        "users \"root\" is forbidden: User \"actor\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope"
      )
      assert.strictEqual((yield* acting({ "Impersonate-User": "bob", "Impersonate-Group": "dev\nops" })).status, 403)
      const nobody = yield* acting({ "Impersonate-Group": "dev" })
      assert.strictEqual(nobody.status, 500)
      assert.include(nobody.text, "without impersonating a user")
    }))

  it.effect("is told so by a review", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const answer = yield* client.request("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        method: "POST",
        body: {},
        headers: {
          "Impersonate-User": "bob",
          "Impersonate-Group": "g1",
          "Impersonate-Extra-Foo%2fBar": "z",
          "Impersonate-Uid": "7"
        }
      })
      assert.deepStrictEqual(answer.at("status", "userInfo"), {
        username: "bob",
        uid: "7",
        groups: ["g1", "system:authenticated"],
        extra: { "foo/bar": ["z"] }
      })
    }))

  it.effect("has a name that is UTF-8, whose bytes the frontend gives as characters", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const bytes = (text: string): string => Buffer.from(text, "utf8").toString("latin1")
      const answer = yield* client.request("/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        method: "POST",
        body: {},
        headers: {
          "Impersonate-User": bytes("jürgen"),
          "Impersonate-Group": bytes("développeurs"),
          "Impersonate-Extra-Scopes": bytes("à")
        }
      })
      assert.deepStrictEqual(answer.at("status", "userInfo"), {
        username: "jürgen",
        groups: ["développeurs", "system:authenticated"],
        extra: { scopes: ["à"] }
      })
    }))

  it.effect("can ask what they may do", () =>
    Effect.gen(function*() {
      const { as } = yield* start()
      const may = (token: string, verb: string, subresource?: string) =>
        Effect.map(
          as(token).post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {
            spec: { resourceAttributes: { namespace: "default", verb, resource: "pods", subresource } }
          }),
          (answer) => [answer.status, answer.at("status", "allowed")]
        )
      assert.deepStrictEqual(yield* may("t", "create"), [201, true])
      assert.deepStrictEqual(yield* may("g", "get", "exec"), [201, true])
      assert.deepStrictEqual(yield* may("g", "create", "exec"), [201, false])
    }))

  it.effect("can be a service account, with a token it was given", () =>
    Effect.gen(function*() {
      const { as, client } = yield* start()
      yield* client.post("/api/v1/namespaces/default/serviceaccounts", configmap("robot"))
      const issued = yield* client.post("/api/v1/namespaces/default/serviceaccounts/robot/token", { spec: {} })
      const token = issued.textAt("status", "token")
      const answer = yield* as(token).get(pods)
      assert.include(answer.textAt("message"), "User \"system:serviceaccount:default:robot\"")
    }))

  it.effect("may put the token among the subprotocols of a WebSocket, with another one, and nobody sees it there", () =>
    Effect.gen(function*() {
      let seen: ReadonlyArray<string> | undefined
      const { server } = yield* start({
        node: () =>
          Effect.succeed({
            subresources: new Map([["pods/exec", (context) =>
              Effect.sync(() => {
                seen = context.request.headers.get("sec-websocket-protocol")
                return { _tag: "Raw", bytes: new Uint8Array(0), end: "fin" }
              })]])
          })
      })
      const bearer = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString("base64url")}`
      const ask = (protocols: string) =>
        HandlerClient.send(server.handler, `${pods}/p/exec`, {
          headers: { Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Protocol": protocols }
        })
      assert.strictEqual((yield* ask(`${bearer}, v5.channel.k8s.io`))._tag, "Raw")
      assert.deepStrictEqual(seen, ["v5.channel.k8s.io"])
      for (const protocols of [bearer, `${bearer}, ${bearer}, v5.channel.k8s.io`, `${bearer}x, v5.channel.k8s.io`]) {
        const response = yield* ask(protocols)
        assert.strictEqual(response._tag === "Body" ? response.status : 0, 401)
      }
    }))
})
