import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, pod, pods, start } from "./support/Server.ts"

type Event = HandlerClient.WatchEvent

const brief = (event: Event): string => `${event.type} ${event.textAt("metadata", "name")}${event.textAt("code")}`

/** Starts a watch and gives a way to take its next events. */
const watch = Effect.fnUntraced(function*(
  client: HandlerClient.Client,
  path: string,
  headers?: Readonly<Record<string, string>>
) {
  const queue = yield* Queue.unbounded<Event>()
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(client.watch(path, headers), (event) => Queue.offer(queue, event))
  )
  // The watch is open, and has told what there was, before the row goes on.
  yield* Effect.yieldNow
  return {
    next: (count: number) => Queue.takeN(queue, count),
    /** What has come, and was not taken. */
    rest: Effect.andThen(Effect.yieldNow, Queue.clear(queue)),
    end: Fiber.join(fiber),
    stop: Fiber.interrupt(fiber)
  }
})

const versionOf = (answer: HandlerClient.Answer): string => answer.textAt("metadata", "resourceVersion")

describe("a watch", () => {
  it.effect("without a version begins with what there is", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("b"))
      yield* client.post(configmaps, configmap("a"))
      for (const query of ["watch=1", "watch=true&resourceVersion=0"]) {
        const events = yield* watch(client, `${configmaps}?${query}`)
        assert.deepStrictEqual((yield* events.next(2)).map(brief), ["ADDED a", "ADDED b"])
      }
    }))

  it.effect("from a version tells what came after it, and goes on", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const version = versionOf(yield* client.post(configmaps, configmap("a")))
      yield* client.post(configmaps, configmap("b"))
      const events = yield* watch(client, `${configmaps}?watch=1&resourceVersion=${version}`)
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED b"])
      const changed = yield* client.put(`${configmaps}/a`, configmap("a", { data: { k: "1" } }))
      yield* client.remove(`${configmaps}/b`)
      const [modified, deleted] = yield* events.next(2)
      assert.deepStrictEqual([modified, deleted].map((event) => event && brief(event)), ["MODIFIED a", "DELETED b"])
      assert.strictEqual(modified?.at("metadata", "resourceVersion"), changed.at("metadata", "resourceVersion"))
      assert.isTrue(Number(deleted?.at("metadata", "resourceVersion")) > Number(versionOf(changed)))
      assert.deepStrictEqual([modified?.at("kind"), modified?.at("apiVersion")], ["ConfigMap", "v1"])
    }))

  it.effect("sees its own namespace and resource, and nothing else", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const events = yield* watch(client, `${configmaps}?watch=1`)
      yield* client.post("/api/v1/namespaces/kube-system/configmaps", configmap("elsewhere"))
      yield* client.post(pods, pod("p"))
      yield* client.post(configmaps, configmap("here"))
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED here"])
    }))

  it.effect("through a selector tells what enters and what leaves", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const events = yield* watch(client, `${pods}?watch=1&fieldSelector=status.phase%3DRunning`)
      const set = (phase: string) => client.patch(`${pods}/p/status`, "merge-patch+json", { status: { phase } })
      yield* client.post(pods, pod("p"))
      yield* set("Running")
      yield* client.patch(`${pods}/p`, "merge-patch+json", { metadata: { labels: { x: "1" } } })
      yield* set("Succeeded")
      const seen = yield* events.next(3)
      assert.deepStrictEqual(seen.map(brief), ["ADDED p", "MODIFIED p", "DELETED p"])
      assert.strictEqual(seen[2]?.at("status", "phase"), "Running")
    }))

  it.effect("from a version of the future waits for it", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const future = server.registry.store.revision() + 2
      const events = yield* watch(client, `${configmaps}?watch=1&resourceVersion=${future}`)
      for (const name of ["a", "b", "c"]) yield* client.post(configmaps, configmap(name))
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED c"])
    }))

  it.effect("from a version that is forgotten is told 410 by an event, or by the status where that is chosen", () =>
    Effect.gen(function*() {
      const old = yield* start()
      const version = old.server.registry.store.revision()
      yield* old.client.post(configmaps, configmap("a"))
      yield* old.server.expireVersions
      const events = yield* watch(old.client, `${configmaps}?watch=1&resourceVersion=${version}`)
      const [error] = yield* events.next(1)
      assert.deepStrictEqual([error?.type, error?.at("code"), error?.at("reason")], ["ERROR", 410, "Expired"])
      yield* events.end

      const other = yield* start({ expiredWatch: "status" })
      yield* other.client.post(configmaps, configmap("a"))
      yield* other.server.expireVersions
      assert.strictEqual((yield* other.client.get(`${configmaps}?watch=1&resourceVersion=2`)).status, 410)
    }))

  it.effect("that is open goes on when the past is forgotten, unless it is told to end", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const events = yield* watch(client, `${configmaps}?watch=1`)
      yield* events.rest
      yield* server.expireVersions
      yield* client.post(configmaps, configmap("a"))
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED a"])
      yield* server.watches.expire
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ERROR 410"])
      yield* events.end

      const second = yield* watch(client, `${configmaps}?watch=1`)
      assert.deepStrictEqual((yield* second.next(1)).map(brief), ["ADDED a"])
      yield* server.watches.end
      yield* second.end
      assert.deepStrictEqual(yield* second.rest, [])
    }))

  it.effect("whose reader is slower than the history is told 410, and costs nothing meanwhile", () =>
    Effect.gen(function*() {
      const { client } = yield* start({ history: 10 })
      const seen: Array<string> = []
      let wrote = false
      yield* Stream.runForEach(
        client.watch(`${configmaps}?watch=1&resourceVersion=5`),
        (event) =>
          Effect.gen(function*() {
            seen.push(brief(event))
            if (wrote) return
            wrote = true
            for (const i of Arr.range(1, 50)) yield* client.post(configmaps, configmap(`late-${i}`))
          })
      ).pipe(
        Effect.raceFirst(Effect.andThen(client.post(configmaps, configmap("first")), Effect.never))
      )
      assert.deepStrictEqual(seen, ["ADDED first", "ERROR 410"])
    }))

  it.effect("obeys every command, also those that came while its reader was busy", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      yield* Stream.runForEach(client.watch(`${configmaps}?watch=1`), () =>
        Effect.andThen(server.watches.sendBookmarks, server.watches.end))
    }))

  it.effect("ends when its time is up", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const events = yield* watch(client, `${configmaps}?watch=1&timeoutSeconds=7`)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* server.watches.count, 1)
      yield* TestClock.adjust("1 second")
      yield* events.end
      assert.strictEqual(yield* server.watches.count, 0)
    }))

  it.effect("lets go of the store when it is interrupted", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const events = yield* watch(client, `${configmaps}?watch=1`)
      yield* events.rest
      assert.strictEqual(yield* server.watches.count, 1)
      yield* events.stop
      assert.strictEqual(yield* server.watches.count, 0)
    }))
})

describe("bookmarks", () => {
  const bookmarks = "watch=1&allowWatchBookmarks=true"

  it.effect("come each interval, and once more before the time is up, with the version of the store", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start({ bookmarkIntervalMillis: 10_000 })
      const events = yield* watch(client, `${configmaps}?${bookmarks}&timeoutSeconds=25`)
      yield* events.rest
      yield* client.post(pods, pod("p"))
      yield* TestClock.adjust("10 seconds")
      const [first] = yield* events.next(1)
      assert.strictEqual(first?.type, "BOOKMARK")
      assert.strictEqual(first?.at("metadata", "resourceVersion"), String(server.registry.store.revision()))
      assert.deepStrictEqual([first?.at("kind"), first?.at("metadata", "annotations")], ["ConfigMap", undefined])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* events.next(1)).map((event) => event.type), ["BOOKMARK"])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual((yield* events.next(1)).map((event) => event.type), ["BOOKMARK"])
      yield* TestClock.adjust("2 seconds")
      yield* events.end
      assert.deepStrictEqual(yield* events.rest, [])
    }))

  it.effect("come two seconds before the time is up, where the interval is longer", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const events = yield* watch(client, `${configmaps}?${bookmarks}&timeoutSeconds=10`)
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual(yield* events.rest, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* events.next(1)).map((event) => event.type), ["BOOKMARK"])
    }))

  it.effect("are not sent to those who did not ask", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start({ bookmarkIntervalMillis: 10_000 })
      const events = yield* watch(client, `${configmaps}?watch=1`)
      yield* TestClock.adjust("30 seconds")
      yield* server.watches.sendBookmarks
      yield* client.post(configmaps, configmap("a"))
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED a"])
    }))

  it.effect("can be sent at once", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const events = yield* watch(client, `${configmaps}?${bookmarks}&resourceVersion=5`)
      yield* events.rest
      yield* server.watches.sendBookmarks
      assert.deepStrictEqual((yield* events.next(1)).map((event) => event.type), ["BOOKMARK"])
    }))

  it.effect("mark the end of the initial state for a client that asks for it", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const query = `${bookmarks}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`
      const events = yield* watch(client, `${configmaps}?${query}`)
      const [added, end] = yield* events.next(2)
      assert.deepStrictEqual([added, end].map((event) => event?.type), ["ADDED", "BOOKMARK"])
      assert.deepStrictEqual(end?.at("metadata", "annotations"), { "k8s.io/initial-events-end": "true" })
    }))

  it.effect("and initial state are left out where the client wants neither", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const events = yield* watch(
        client,
        `${configmaps}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan`
      )
      yield* client.post(configmaps, configmap("b"))
      assert.deepStrictEqual((yield* events.next(1)).map(brief), ["ADDED b"])
    }))
})

describe("a table watch", () => {
  it.effect("defines its columns once", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(pods, pod("a"))
      yield* client.post(pods, pod("b"))
      const events = yield* watch(client, `${pods}?watch=1`, {
        Accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
      })
      const [first, second] = yield* events.next(2)
      assert.deepStrictEqual([first?.at("kind"), second?.at("kind")], ["Table", "Table"])
      assert.strictEqual(first?.at("columnDefinitions", 0, "name"), "Name")
      assert.strictEqual(second?.at("columnDefinitions"), null)
      assert.strictEqual(second?.at("rows", 0, "cells", 0), "b")
      assert.strictEqual(second?.at("rows", 0, "object", "kind"), "PartialObjectMetadata")
    }))
})
