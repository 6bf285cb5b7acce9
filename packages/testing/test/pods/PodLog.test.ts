import * as Json from "@effect-k8s/testing/store/Json"
import * as TestCluster from "@effect-k8s/testing/TestCluster"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import { awaitPod, container, createPod, isReady, reference, start, status } from "../support/Cluster.ts"
import { eventually } from "../support/Eventually.ts"
import * as ExecClient from "../support/ExecClient.ts"
import * as HttpClient from "../support/HttpClient.ts"

const get = (cluster: TestCluster.Service, query = "", pod = "p", onData?: (text: string) => void) =>
  HttpClient.request(new URL(`/api/v1/namespaces/default/pods/${pod}/log?${query}`, cluster.url), {
    token: Redacted.value(cluster.token),
    onData
  })

const message = (response: HttpClient.Response): Json.Json | undefined => {
  const parsed = Json.parse(response.body)
  return parsed._tag === "Some" ? Json.get(parsed.value, "message") : undefined
}

const sh = (script: string) => ({ containers: [container("main", { command: ["sh", "-c", script] })] })

const over = (script: string) =>
  Effect.gen(function*() {
    const cluster = yield* TestCluster.make({ tls: false })
    yield* createPod(cluster, "p", { restartPolicy: "Never", ...sh(script) })
    yield* awaitPod(cluster, (pod) => assert.include(["Succeeded", "Failed"], status(pod, "phase")))
    return cluster
  })

/** Waits until the log is this: a container is ready before its command has written anything. */
const shows = (cluster: TestCluster.Service, log: string) =>
  eventually(get(cluster), ({ body }) => assert.strictEqual(body, log))

describe("the log of a container", () => {
  it.live("has both outputs, and stays after the end", () =>
    Effect.gen(function*() {
      const cluster = yield* over("echo hi; sleep 0.05; echo err >&2; sleep 0.05; printf partial; exit 3")
      const response = yield* get(cluster)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers["content-type"], "text/plain")
      assert.strictEqual(response.body, "hi\nerr\npartial")
    }))

  it.live("is given in parts: the last lines, the first bytes, with times, since a time", () =>
    Effect.gen(function*() {
      const cluster = yield* over("echo one; echo two; echo three")
      const body = (query: string) => Effect.map(get(cluster, query), (response) => response.body)
      assert.strictEqual(yield* body("tailLines=1"), "three\n")
      assert.strictEqual(yield* body("tailLines=0"), "")
      assert.strictEqual(yield* body("limitBytes=5"), "one\nt")
      assert.strictEqual(yield* body("tailLines=2&limitBytes=3"), "two")
      assert.match(yield* body("timestamps=true&tailLines=1"), /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z three\n$/)
      assert.strictEqual(yield* body("sinceSeconds=3600"), "one\ntwo\nthree\n")
      assert.strictEqual(yield* body("sinceTime=2099-01-01T00:00:00Z"), "")
    }))

  it.live("is followed line by line, until the container ends", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, {
        restartPolicy: "Never",
        ...sh("echo first; while [ ! -e go ]; do sleep 0.02; done; echo second; [ -e ok ]")
      })
      const first = yield* Deferred.make<void>()
      const following = yield* Effect.forkChild(get(cluster, "follow=true", "p", (text) => {
        if (text === "first\n") Deferred.doneUnsafe(first, Effect.void)
      }))
      yield* Deferred.await(first)
      yield* ExecClient.run(cluster, ["touch", "go", "ok"])
      assert.strictEqual((yield* Fiber.join(following)).body, "first\nsecond\n")
    }))

  it.live("is followed from where it was asked to begin, up to its limit", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, sh("echo 1; echo 2; while :; do echo more; sleep 0.02; done"))
      yield* eventually(get(cluster), ({ body }) => assert.include(body, "more"))
      const response = yield* get(cluster, "follow=true&tailLines=1&limitBytes=12")
      assert.strictEqual(response.body, "more\nmore\nmo")
    }))

  it.live("ends for its followers with the pod, and lets go of those who leave", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, sh("echo on; exec sleep 1000"))
      yield* shows(cluster, "on\n")
      yield* eventually(cluster.stats, ({ openExchanges }) => assert.strictEqual(openExchanges, 0))
      const leaving = yield* Effect.forkChild(get(cluster, "follow=true"))
      yield* eventually(cluster.stats, ({ openExchanges }) => assert.strictEqual(openExchanges, 1))
      yield* Fiber.interrupt(leaving)
      yield* eventually(cluster.stats, ({ openExchanges }) => assert.strictEqual(openExchanges, 0))
      const following = yield* Effect.forkChild(get(cluster, "follow=true"))
      yield* eventually(cluster.stats, ({ openExchanges }) => assert.strictEqual(openExchanges, 1))
      yield* Effect.orDie(cluster.registry.remove(reference(cluster), { gracePeriodSeconds: 0 }))
      assert.strictEqual((yield* Fiber.join(following)).body, "on\n")
    }))

  it.live("is that of the present run, or of the one before", () =>
    Effect.gen(function*() {
      const cluster = yield* start({ pods: { restartMillis: 100_000 } }, sh("echo run; exec sleep 0.1"))
      yield* awaitPod(cluster, (pod) =>
        assert.strictEqual(Json.get(Json.array(status(pod, "containerStatuses"))[0], "restartCount"), 1))
      yield* eventually(get(cluster, "previous=true"), ({ body }) =>
        assert.strictEqual(body, "run\n"))
      yield* eventually(get(cluster), ({ body }) => assert.strictEqual(body, "run\n"))
    }))

  it.live("is bounded: the oldest is dropped", () =>
    Effect.gen(function*() {
      const cluster = yield* start({ pods: { logBytes: 10_000 } }, sh("seq 100000; sleep 1000"))
      yield* eventually(get(cluster), ({ body }) => assert.match(body, /\n100000\n$/))
      const { body } = yield* get(cluster)
      assert.isAtLeast(body.length, 10_000)
      assert.isBelow(body.length, 200_000)
    }))

  it.live("is refused in the server's words", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, { containers: [container("a"), container("b")] })
      yield* createPod(cluster, "q", { initContainers: [container("i")] })
      yield* awaitPod(cluster, (pod) => assert.isDefined(status(pod, "startTime")), "q")
      yield* createPod(cluster, "unscheduled", { schedulerName: "nobody" })
      const refused = (query: string, pod = "p") =>
        Effect.map(get(cluster, query, pod), (response) => [response.status, message(response)])
      assert.deepStrictEqual(yield* refused(""), [
        400,
        "a container name must be specified for pod p, choose one of: [a b]"
      ])
      assert.deepStrictEqual(yield* refused("container=x"), [400, "container x is not valid for pod p"])
      assert.deepStrictEqual(yield* refused("", "none"), [404, "pods \"none\" not found"])
      assert.deepStrictEqual(yield* refused("container=a&previous=true"), [
        400,
        "previous terminated container \"a\" in pod \"p\" not found"
      ])
      assert.deepStrictEqual(yield* refused("container=main", "q"), [
        400,
        "container \"main\" in pod \"q\" is waiting to start: ContainerCreating"
      ])
      assert.strictEqual((yield* get(cluster, "", "unscheduled")).status, 204)
      const invalid = (why: string) => [422, `PodLogOptions "p" is invalid: ${why}`]
      assert.deepStrictEqual(
        yield* refused("container=a&tailLines=-1"),
        invalid("tailLines: Invalid value: -1: must be greater than or equal to 0")
      )
      assert.deepStrictEqual(
        yield* refused("container=a&limitBytes=0"),
        invalid("limitBytes: Invalid value: 0: must be greater than 0")
      )
      assert.deepStrictEqual(
        yield* refused("container=a&sinceSeconds=0"),
        invalid("sinceSeconds: Invalid value: 0: must be greater than 0")
      )
      assert.deepStrictEqual(
        yield* refused("container=a&sinceSeconds=1&sinceTime=2020-01-01T00:00:00Z"),
        invalid("[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified")
      )
      assert.deepStrictEqual(yield* refused("container=a&sinceSeconds=abc"), [
        400,
        "strconv.ParseInt: parsing \"abc\": invalid syntax"
      ])
    }))

  it.live("is given while the pod is ready and after the exec of others", () =>
    Effect.gen(function*() {
      const cluster = yield* start({}, sh("echo on; exec sleep 1000"))
      yield* ExecClient.run(cluster, ["echo", "not in the log"])
      yield* awaitPod(cluster, isReady)
      yield* shows(cluster, "on\n")
    }))
})
