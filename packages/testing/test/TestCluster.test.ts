import * as Faults from "@effect-k8s/testing/Faults"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Https from "node:https"
import { eventually } from "./support/Eventually.ts"
import * as HttpClient from "./support/HttpClient.ts"

const configmaps = "/api/v1/namespaces/default/configmaps"

const ask = (cluster: TestCluster.Service, path: string, options: HttpClient.Options = {}) =>
  HttpClient.request(new URL(path, cluster.url), {
    ca: cluster.ca,
    ...options,
    token: Redacted.value(cluster.token)
  })

const post = (cluster: TestCluster.Service, path: string, body: object) =>
  ask(cluster, path, { method: "POST", body: JSON.stringify(body) })

describe("a test cluster", () => {
  it.effect("listens on the loopback, and knows its token and its certificate and nobody else", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make()
      assert.strictEqual(cluster.url.hostname, "127.0.0.1")
      assert.strictEqual((yield* ask(cluster, "/version")).status, 200)
      const status = (options: HttpClient.Options) =>
        Effect.map(
          HttpClient.request(new URL("/version", cluster.url), { ca: cluster.ca, ...options }),
          (answer) => answer.status
        )
      const certificate = ({ cert, key }: TestCluster.Service["clientCertificate"]) => ({
        cert,
        key: Redacted.value(key)
      })
      assert.strictEqual(yield* status({}), 401)
      assert.strictEqual(yield* status({ headers: { authorization: "Bearer guess" } }), 401)
      assert.strictEqual(yield* status(certificate(cluster.clientCertificate)), 200)
      const other = yield* TestCluster.make()
      assert.strictEqual(yield* status(certificate(other.clientCertificate)), 401)
    }))

  it.effect("takes the user of a certificate from its name", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({
        users: [{ name: "jane", rules: [{ verbs: ["list"], resources: ["pods"] }] }]
      })
      const { cert, key } = yield* cluster.issueCertificate("jane", ["dev"])
      const get = (path: string) =>
        HttpClient.request(new URL(path, cluster.url), { ca: cluster.ca, cert, key: Redacted.value(key) })
      assert.strictEqual((yield* get("/api/v1/pods")).status, 200)
      assert.include((yield* get(configmaps)).body, "User \\\"jane\\\" cannot list")
    }))

  it.effect("gives a user another token, knows the former one no more, and goes on with what was opened by it", () =>
    Effect.gen(function*() {
      const rules = [{ verbs: ["list", "watch"], resources: ["configmaps"] }]
      const cluster = yield* TestCluster.make({ users: [{ name: "jane", rules }, { name: "joe", rules }] })
      const tokenOf = (name: string) => {
        const token = cluster.kubeconfig().users.find((user) => user.name === name)?.user.token
        assert(token !== undefined)
        return token
      }
      const status = (token: string) =>
        Effect.map(
          HttpClient.request(new URL(configmaps, cluster.url), { ca: cluster.ca, token }),
          (answer) => answer.status
        )
      for (const [user, context] of [["jane", "jane"], [undefined, "admin-token"]] as const) {
        const former = tokenOf(context)
        let text = ""
        const watch = yield* Effect.forkScoped(
          HttpClient.request(new URL(`${configmaps}?watch=1`, cluster.url), {
            ca: cluster.ca,
            token: former,
            onData: (soFar) => (text = soFar)
          })
        )
        yield* eventually(cluster.watches.count, (count) => assert.strictEqual(count, 1))

        const token = Redacted.value(yield* cluster.rotateToken(user))
        assert.notStrictEqual(token, former)
        assert.strictEqual(tokenOf(context), token)
        assert.deepStrictEqual([yield* status(former), yield* status(token)], [401, 200])

        yield* post(cluster, configmaps, { metadata: { name: context } })
        yield* eventually(Effect.sync(() => text), (got) => assert.include(got, `"name":"${context}"`))
        yield* cluster.watches.end
        assert.strictEqual((yield* Fiber.join(watch)).status, 200)
      }
      assert.strictEqual(Redacted.value(cluster.token), tokenOf("admin-token"))
      assert.strictEqual(yield* status(tokenOf("joe")), 200)
      const certificate = { cert: cluster.clientCertificate.cert, key: Redacted.value(cluster.clientCertificate.key) }
      const byCertificate = HttpClient.request(new URL("/version", cluster.url), { ca: cluster.ca, ...certificate })
      assert.strictEqual((yield* byCertificate).status, 200)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(cluster.rotateToken("nobody"))))
    }))

  it.effect("gives a kubeconfig with a context for each way in", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ users: [{ name: "jane", rules: [] }] })
      const config = cluster.kubeconfig()
      assert.deepStrictEqual(config.contexts.map((context) => context.name), ["admin", "admin-token", "jane"])
      assert.strictEqual(config["current-context"], "admin")
      assert.strictEqual(config.clusters[0]?.cluster.server, cluster.url.origin)
      assert.deepStrictEqual(JSON.parse(cluster.kubeconfigText()), config)
      const names = config.contexts.map((context) => context.context.user)
      assert.deepStrictEqual(config.users.map((user) => user.name), names)
      assert.strictEqual(config.users[1]?.user.token, Redacted.value(cluster.token))
    }))

  it.effect("speaks plain HTTP where that is chosen", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make({ tls: false, host: "::1" })
      assert.strictEqual(cluster.url.origin, `http://[::1]:${cluster.url.port}`)
      assert.strictEqual((yield* ask(cluster, "/version")).status, 200)
    }))

  it.effect("sends each event of a watch when it happens", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make()
      let text = ""
      const watch = yield* Effect.forkScoped(
        ask(cluster, `${configmaps}?watch=1`, { onData: (soFar) => (text = soFar) })
      )
      yield* eventually(cluster.watches.count, (count) => assert.strictEqual(count, 1))
      for (const name of ["a", "b"]) {
        yield* post(cluster, configmaps, { metadata: { name } })
        yield* eventually(Effect.sync(() => text), (got) => assert.match(got, new RegExp(`"name":"${name}".*\n$`)))
      }
      yield* cluster.watches.end
      assert.strictEqual((yield* Fiber.join(watch)).status, 200)
    }))

  it.effect("ends a watch whose client has left", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make()
      const watch = yield* Effect.forkScoped(ask(cluster, `${configmaps}?watch=1`))
      yield* eventually(cluster.watches.count, (count) => assert.strictEqual(count, 1))
      yield* Fiber.interrupt(watch)
      yield* eventually(cluster.watches.count, (count) => assert.strictEqual(count, 0))
      yield* eventually(cluster.stats, (stats) =>
        assert.deepStrictEqual([stats.openSockets, stats.openExchanges], [0, 0]))
    }))

  it.effect("keeps connections for further requests, and counts both", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make()
      const agent = yield* Effect.acquireRelease(
        Effect.sync(() => new Https.Agent({ keepAlive: true, maxSockets: 1, ca: cluster.ca })),
        (agent) => Effect.sync(() => agent.destroy())
      )
      for (const path of ["/version", "/api", configmaps]) yield* ask(cluster, path, { agent })
      assert.strictEqual((yield* cluster.stats).connections, 1)
      assert.strictEqual(yield* cluster.requests.count(), 3)
      yield* cluster.disconnect
      yield* eventually(cluster.stats, (stats) => assert.strictEqual(stats.openSockets, 0))
      yield* ask(cluster, "/version")
      assert.strictEqual((yield* cluster.stats).connections, 2)
    }))

  it.effect("allows neither HEAD nor OPTIONS, as a real server", () =>
    Effect.gen(function*() {
      const cluster = yield* TestCluster.make()
      for (const method of ["HEAD", "OPTIONS"]) {
        assert.strictEqual((yield* ask(cluster, "/api/v1/pods", { method })).status, 405)
      }
    }))

  for (const [end, code] of [["fin", "ECONNRESET"], ["reset", "ECONNRESET"]] as const) {
    it.effect(`cuts an answer with a ${end} where a fault says so`, () =>
      Effect.gen(function*() {
        const cluster = yield* TestCluster.make()
        yield* cluster.faults.inject({ verb: "list" }, Faults.cut(20, end))
        let got = ""
        const error = yield* Effect.flip(ask(cluster, configmaps, { onData: (text) => (got = text) }))
        assert.strictEqual((error as NodeJS.ErrnoException).code, code)
        assert.strictEqual(got, "{\"kind\":\"ConfigMapLi")
      }))
  }

  it.effect("leaves nothing behind: twenty come and go, with watches and idle connections open", () =>
    Effect.gen(function*() {
      // Timers of the test runner come and go: no kind of resource may have become more.
      const active = Effect.sync(() => Object.groupBy(process.getActiveResourcesInfo(), (kind) => kind))
      const before = yield* active
      for (let i = 0; i < 20; i++) {
        const scope = yield* Scope.make()
        const cluster = yield* Scope.provide(TestCluster.make(), scope)
        const ended = yield* Deferred.make<void>()
        const agent = new Https.Agent({ keepAlive: true, ca: cluster.ca })
        yield* ask(cluster, "/version", { agent })
        yield* Effect.forkChild(
          Effect.ensuring(Effect.exit(ask(cluster, `${configmaps}?watch=1`)), Deferred.succeed(ended, undefined))
        )
        yield* eventually(cluster.watches.count, (count) => assert.strictEqual(count, 1))
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* Effect.map(cluster.stats, (stats) => [stats.openSockets, stats.openExchanges]), [
          0,
          0
        ])
        yield* Deferred.await(ended)
        agent.destroy()
      }
      yield* eventually(active, (now) => {
        for (const [kind, found = []] of Object.entries(now)) {
          assert.isAtMost(found.length, before[kind]?.length ?? 0, kind)
        }
      })
    }))
})
