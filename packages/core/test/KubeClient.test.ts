import * as Credentials from "@effect-k8s/core/Credentials"
import type * as Endpoint from "@effect-k8s/core/Endpoint"
import type * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Transport from "@effect-k8s/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { ask, get, ok, request } from "./podRequests.ts"
import { body, clientOf, failure, json, lost, type Scripted, serve } from "./scriptedServer.ts"

describe("a request has", () => {
  const sent = (options: Partial<KubeClient.Options>, asked = get) =>
    Effect.gen(function*() {
      const scripted = serve(ok)
      yield* ask(scripted, asked, options)
      assert.strictEqual(scripted.seen.length, 1)
      return scripted.seen[0]!
    })

  it.effect("the bearer token, a user agent, and asks for JSON", () =>
    Effect.gen(function*() {
      const { headers } = yield* sent({ credentials: Credentials.make({ token: Redacted.make("t0") }) })
      assert.strictEqual(headers["authorization"], "Bearer t0")
      assert.strictEqual(headers["user-agent"], "effect-k8s")
      assert.strictEqual(headers["accept"], "application/json")
    }))

  it.effect("basic credentials, and no authorization without any", () =>
    Effect.gen(function*() {
      const basic = yield* sent({
        credentials: Credentials.make({ username: "jane", password: Redacted.make("pässword") })
      })
      assert.strictEqual(
        basic.headers["authorization"],
        `Basic ${Buffer.from("jane:pässword", "utf8").toString("base64")}`
      )
      assert.isUndefined((yield* sent({})).headers["authorization"])
    }))

  it.effect("the token rather than the basic credentials", () =>
    Effect.gen(function*() {
      const credentials = Credentials.make({
        token: Redacted.make("t0"),
        username: "jane",
        password: Redacted.make("pw")
      })
      assert.strictEqual((yield* sent({ credentials })).headers["authorization"], "Bearer t0")
    }))

  it.effect("the impersonation, repeated values as parts of one header", () =>
    Effect.gen(function*() {
      const { headers } = yield* sent({
        credentials: Credentials.make({
          token: Redacted.make("t0"),
          impersonate: {
            user: "system:serviceaccount:shop:bot",
            uid: "42",
            groups: ["dev", "ops"],
            extra: { "example.com/Scopes": ["a", "b"], empty: [] }
          }
        })
      })
      assert.strictEqual(headers["impersonate-user"], "system:serviceaccount:shop:bot")
      assert.strictEqual(headers["impersonate-uid"], "42")
      assert.strictEqual(headers["impersonate-group"], "dev\nops")
      assert.strictEqual(headers["impersonate-extra-example.com%2fscopes"], "a\nb")
      assert.notProperty(headers, "impersonate-extra-empty")
    }))

  it.effect("the headers, the query and the body that were asked for", () =>
    Effect.gen(function*() {
      const seen = yield* sent(
        {},
        request("PATCH", {
          accept: "text/plain",
          headers: { "x-one": "1" },
          query: [["a", "x y&z"], ["a", Redacted.make("2")]],
          body: { contentType: "application/json-patch+json", text: "[]" }
        })
      )
      assert.strictEqual(seen.method, "PATCH")
      assert.deepStrictEqual(seen.query, [["a", "x y&z"], ["a", "2"]])
      assert.strictEqual(seen.headers["accept"], "text/plain")
      assert.strictEqual(seen.headers["x-one"], "1")
      assert.strictEqual(seen.headers["content-type"], "application/json-patch+json")
      assert.strictEqual(seen.body, "[]")
    }))

  for (
    const [base, expected] of [
      ["https://api.test", "https://api.test/api/v1"],
      ["https://api.test/", "https://api.test/api/v1"],
      ["https://api.test:6443/k8s/clusters/c-1", "https://api.test:6443/k8s/clusters/c-1/api/v1"],
      ["https://api.test/k8s/clusters/c-1//", "https://api.test/k8s/clusters/c-1/api/v1"],
      ["http://[::1]:8080/", "http://[::1]:8080/api/v1"],
      ["https://jane:secret@api.test/x", "https://api.test/x/api/v1"]
    ] as const
  ) {
    it.effect(`the path prefix of ${base}, and no user information`, () =>
      Effect.gen(function*() {
        const url = new URL(base)
        const seen = yield* sent({ endpoint: { url } }, { ...get, path: "/api/v1" })
        assert.strictEqual(seen.url, expected)
      }))
  }

  it.effect("the same credentials and prefix when it opens a channel", () =>
    Effect.gen(function*() {
      const asked: Array<HttpClientRequest.HttpClientRequest> = []
      const scripted = serve(ok, (upgrade) => {
        asked.push(upgrade)
        return Effect.succeed({ _tag: "Refused", status: 403, headers: Headers.empty, body: new Uint8Array(0) })
      })
      const client = yield* clientOf(scripted, {
        endpoint: { url: new URL("https://api.test/k8s/clusters/c-1") },
        credentials: Credentials.make({
          token: Redacted.make("t0"),
          impersonate: { user: "jane", groups: ["dev", "ops"] }
        })
      })
      yield* client.upgrade({ ...get, headers: { upgrade: "websocket" } })
      const [upgrade] = asked
      assert(upgrade !== undefined)
      assert.strictEqual(upgrade.url, "https://api.test/k8s/clusters/c-1/api/v1/namespaces/shop/pods/db-0")
      assert.strictEqual(upgrade.headers["authorization"], "Bearer t0")
      assert.strictEqual(upgrade.headers["impersonate-user"], "jane")
      assert.strictEqual(upgrade.headers["impersonate-group"], "dev\nops")
      assert.strictEqual(upgrade.headers["upgrade"], "websocket")
      assert.strictEqual(upgrade.headers["user-agent"], "effect-k8s")
    }))
})

describe("a stream", () => {
  it.effect("gives the bytes as they come, and fails when the connection is lost", () =>
    Effect.gen(function*() {
      const scripted = serve(() => new Response(body(["one", "two"], "fail")))
      const client = yield* clientOf(scripted)
      const got: Array<string> = []
      const exit = yield* Effect.result(
        Stream.runForEach(
          Stream.decodeText(client.stream(get)),
          (text) => Effect.sync(() => got.push(text))
        )
      )
      assert.deepStrictEqual(got, ["one", "two"])
      assert(exit._tag === "Failure" && exit.failure.reason._tag === "Transport")
      assert.strictEqual(exit.failure.reason.error.reason._tag, "ConnectionLost")
    }))

  it.effect("ends the request when its reader stops", () =>
    Effect.gen(function*() {
      const cancelled = yield* Deferred.make<void>()
      const scripted = serve(() =>
        new Response(body(["line\n"], "stay", () => Deferred.doneUnsafe(cancelled, Effect.void)))
      )
      const client = yield* clientOf(scripted)
      yield* Stream.runHead(client.stream(get))
      yield* Deferred.await(cancelled)
    }))

  it.effect("ends the request when its reader is interrupted before the answer", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const released = yield* Deferred.make<void>()
      const scripted = serve(() =>
        Effect.andThen(
          Effect.addFinalizer(() => Deferred.succeed(released, undefined)),
          Effect.andThen(Deferred.succeed(asked, undefined), Effect.never)
        )
      )
      const client = yield* clientOf(scripted)
      const fiber = yield* Effect.forkChild(Stream.runDrain(client.stream(get)))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(released)
    }))

  it.effect("fails with the reason of a refusal", () =>
    Effect.gen(function*() {
      const client = yield* clientOf(serve(() => json(failure(404, "NotFound"), 404)))
      const error = yield* Effect.flip(Stream.runDrain(client.stream(get)))
      assert.strictEqual(error.reason._tag, "NotFound")
    }))
})

describe("the transport", () => {
  const renewable = () => {
    let generation = 0
    const certificate = () => ({ cert: `cert-${generation}`, key: Redacted.make(`key-${generation}`) })
    return {
      renew: () => {
        generation++
      },
      credentials: Credentials.Credentials.of({
        authorize: Effect.succeed,
        invalidate: Effect.succeed(false),
        identity: Effect.sync(() => ({ generation, clientCertificate: certificate() }))
      })
    }
  }

  it.effect("is built when it is first used, and once", () =>
    Effect.gen(function*() {
      const scripted = serve(ok)
      const client = yield* clientOf(scripted)
      assert.strictEqual(scripted.endpoints.length, 0)
      yield* Effect.all([client.json(get), client.json(get), Stream.runDrain(client.stream(get))], {
        concurrency: "unbounded"
      })
      yield* client.json(get)
      assert.strictEqual(scripted.endpoints.length, 1)
    }))

  it.effect("ends with the client's scope, and not before", () =>
    Effect.gen(function*() {
      const scripted = serve(ok)
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf(scripted), scope)
      yield* client.json(get)
      assert.strictEqual(scripted.open(), 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(scripted.open(), 0)
    }))

  it.effect("is built anew for a new generation of credentials", () =>
    Effect.gen(function*() {
      const { credentials, renew } = renewable()
      const scripted = serve(ok)
      const client = yield* clientOf(scripted, {
        endpoint: { url: new URL("https://api.test"), tls: { ca: "ca", serverName: "name" } },
        credentials
      })
      yield* client.json(get)
      yield* client.json(get)
      renew()
      yield* client.json(get)
      assert.deepStrictEqual(scripted.endpoints.map(({ tls }) => tls?.clientCertificate?.cert), ["cert-0", "cert-1"])
      assert.deepStrictEqual(
        scripted.endpoints.map(({ tls }) => [tls?.ca, tls?.serverName]),
        [["ca", "name"], ["ca", "name"]]
      )
      assert.strictEqual(scripted.open(), 1)
    }))

  /** A platform whose transports take ten milliseconds to make, as those of Node, which loads what it needs first. */
  const slowly = ({ platform }: Scripted) =>
    Transport.Platform.of({
      transport: (endpoint) => Effect.andThen(Effect.sleep(10), platform.transport(endpoint))
    })

  it.effect("is of the newest generation, although an older one was still being made when that was asked for", () =>
    Effect.gen(function*() {
      const { credentials, renew } = renewable()
      const scripted = serve(ok)
      const client = yield* clientOf({ ...scripted, platform: slowly(scripted) }, { credentials })
      const first = yield* Effect.forkChild(client.json(get))
      yield* TestClock.adjust(5)
      renew()
      const second = yield* Effect.forkChild(Effect.all([client.json(get), client.json(get)], { concurrency: 2 }))
      yield* TestClock.adjust(5)
      yield* TestClock.adjust(10)
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      yield* client.json(get)
      assert.deepStrictEqual(scripted.endpoints.map(({ tls }) => tls?.clientCertificate?.cert), ["cert-0", "cert-1"])
      assert.strictEqual(scripted.open(), 1)
    }))

  it.effect("is not made again for an identity that was asked for early and comes late", () =>
    Effect.gen(function*() {
      const late = yield* Deferred.make<Credentials.Identity>()
      const identities = [
        Effect.succeed({ generation: 1 }),
        Deferred.await(late),
        Effect.succeed({ generation: 2 }),
        Effect.succeed({ generation: 2 })
      ]
      const scripted = serve(ok)
      const client = yield* clientOf(scripted, {
        credentials: {
          ...Credentials.make(),
          identity: Effect.suspend(() => identities.shift() ?? Effect.die("asked too often"))
        }
      })
      const early = yield* Effect.forkChild(client.json(get), { startImmediately: true })
      yield* client.json(get)
      yield* Deferred.succeed(late, { generation: 1 })
      yield* Fiber.join(early)
      yield* client.json(get)
      assert.strictEqual(scripted.endpoints.length, 1)
    }))

  it.effect("that is replaced stays as long as a stream is read from it", () =>
    Effect.gen(function*() {
      const { credentials, renew } = renewable()
      const chunks = yield* Queue.unbounded<string>()
      const scripted = serve((_, n) =>
        n === 0
          ? Effect.map(
            Stream.toReadableStreamEffect(Stream.encodeText(Stream.fromQueue(chunks))),
            (bytes) => new Response(bytes)
          )
          : ok()
      )
      const client = yield* clientOf(scripted, { credentials })
      const got = yield* Queue.unbounded<string>()
      const reader = yield* Effect.forkChild(
        Stream.runForEach(Stream.decodeText(client.stream(get)), (text) => Queue.offer(got, text))
      )
      yield* Queue.offer(chunks, "one")
      assert.strictEqual(yield* Queue.take(got), "one")
      renew()
      yield* client.json(get)
      assert.strictEqual(scripted.open(), 2)
      yield* Queue.offer(chunks, "two")
      assert.strictEqual(yield* Queue.take(got), "two")
      yield* Fiber.interrupt(reader)
      assert.strictEqual(scripted.open(), 1)
      assert.strictEqual(scripted.endpoints.length, 2)
    }))

  it.effect("that is replaced stays as long as a channel is open on it", () =>
    Effect.gen(function*() {
      const { credentials, renew } = renewable()
      const scripted = serve(ok, () =>
        Effect.succeed({
          _tag: "Accepted",
          headers: Headers.empty,
          serve: (connection) => Effect.ignore(Effect.flatMap(connection.pull, (chunks) => connection.write(chunks)))
        }))
      const client = yield* clientOf(scripted, { credentials })
      const scope = yield* Scope.make()
      const answer = yield* Scope.provide(client.upgrade(get), scope)
      assert(answer._tag === "Upgraded")
      renew()
      yield* client.json(get)
      assert.strictEqual(scripted.open(), 2)
      yield* answer.connection.write([Uint8Array.of(1)])
      assert.deepStrictEqual((yield* answer.connection.pull)[0], Uint8Array.of(1))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(scripted.open(), 1)
    }))

  it.effect("gets the endpoint's proxy, dialler and TLS as they are", () =>
    Effect.gen(function*() {
      const endpoint: Endpoint.Endpoint = {
        url: new URL("https://api.test/x"),
        tls: { ca: "ca", serverName: "name", insecureSkipVerify: false },
        proxy: { url: new URL("http://proxy.test:3128"), username: "u", password: Redacted.make("p") },
        dial: () => Socket.make({ reader: Effect.never, writer: Effect.never })
      }
      const scripted = serve(ok)
      yield* ask(scripted, get, { endpoint })
      const [built] = scripted.endpoints
      assert.strictEqual(built?.url, endpoint.url)
      assert.deepStrictEqual(built?.tls, endpoint.tls)
      assert.strictEqual(built?.proxy, endpoint.proxy)
      assert.strictEqual(built?.dial, endpoint.dial)
    }))

  it.effect("that cannot be built fails the request, and is tried again by the next", () =>
    Effect.gen(function*() {
      const scripted = serve(ok)
      let tries = 0
      const platform = Transport.Platform.of({
        transport: (endpoint) => ++tries === 1 ? Effect.fail(lost) : scripted.platform.transport(endpoint)
      })
      const client = yield* clientOf({ ...scripted, platform })
      const error = yield* Effect.flip(client.json(get))
      assert.strictEqual(error.reason._tag, "Transport")
      assert.deepStrictEqual(yield* client.json(get), { kind: "Pod" })
    }))

  it.effect("is not there before the identity is: a failure of it is Credentials, and the next request asks again", () =>
    Effect.gen(function*() {
      let tries = 0
      const scripted = serve(ok)
      const client = yield* clientOf(scripted, {
        credentials: Credentials.Credentials.of({
          authorize: Effect.succeed,
          invalidate: Effect.succeed(false),
          identity: Effect.suspend(() =>
            ++tries <= 2
              ? Effect.fail(new Credentials.CredentialsError({ description: "not yet" }))
              : Effect.succeed({ generation: 7, clientCertificate: { cert: "cert", key: Redacted.make("key") } })
          )
        })
      })
      const error = yield* Effect.flip(client.json(get))
      assert.strictEqual(error.reason._tag, "Credentials")
      yield* client.json(get)
      assert.deepStrictEqual(scripted.endpoints.map(({ tls }) => tls?.clientCertificate?.cert), ["cert"])
    }))
})

describe("a client", () => {
  it.effect("says which cluster and namespace it is of", () =>
    Effect.gen(function*() {
      const named = yield* clientOf(serve(ok), {
        endpoint: { url: new URL("https://jane:pw@api.test:6443/x/") },
        clusterName: "prod",
        namespace: "shop"
      })
      assert.deepStrictEqual(named.cluster, {
        name: "prod",
        server: "https://api.test:6443/x",
        address: { host: "api.test", port: 6443 }
      })
      assert.strictEqual(named.namespace, "shop")
      const plain = yield* clientOf(serve(ok))
      assert.strictEqual(plain.cluster.name, "api.test")
      assert.strictEqual(plain.namespace, "default")
    }))
})
