import * as Api from "@effect-k8s/core/Api"
import type { ListOptions, StreamOptions, WatchEvent, WatchOptions } from "@effect-k8s/core/ApiOptions"
import { Namespace, Pod } from "@effect-k8s/core/apis/core/v1"
import type * as KubeError from "@effect-k8s/core/KubeError"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { base, failed, list, pod, pods, withServer } from "./apiFixtures.ts"
import { type Answer, body, failure, json } from "./scriptedServer.ts"

describe("a list", () => {
  it.effect("is empty where the server wrote null, and has metadata where it wrote none", () =>
    Effect.gen(function*() {
      const { value } = yield* withServer(() => json({ kind: "PodList", metadata: null, items: null }), pods.list())
      assert.deepStrictEqual(value, { apiVersion: "v1", kind: "PodList", metadata: {}, items: [] })
      const bare = yield* withServer(() => json({ kind: "PodList" }), pods.list())
      assert.deepStrictEqual(bare.value, { apiVersion: "v1", kind: "PodList", metadata: {}, items: [] })
    }))

  it.effect("gives its items their apiVersion and kind, and keeps those they have", () =>
    Effect.gen(function*() {
      const item = { metadata: { name: "a" } }
      const other = { apiVersion: "v9", kind: "Pod", metadata: { name: "b" } }
      const { value } = yield* withServer(() => json(list([item, other])), pods.list())
      assert.deepStrictEqual<ReadonlyArray<unknown>>(value.items, [{ apiVersion: "v1", kind: "Pod", ...item }, other])
      assert.strictEqual(value.metadata.resourceVersion, "9")
    }))

  it.effect("is not a list of another kind", () =>
    Effect.gen(function*() {
      const error = yield* failed(withServer(() => json({ kind: "ServiceList", items: [] }), pods.list()))
      assert.strictEqual(error.reason._tag, "Decode")
    }))
})

describe("a list as a stream", () => {
  const paged = (pages: number): Answer => ({ query }) => {
    const page = Number(new Map(query).get("continue") ?? "0")
    return json(list(
      [pod(`a-${page}`), pod(`b-${page}`)],
      page + 1 < pages ? { resourceVersion: "9", continue: String(page + 1) } : { resourceVersion: "9", continue: "" }
    ))
  }
  const names = (options?: StreamOptions) =>
    Stream.runCollect(Stream.map(pods.stream(options), ({ metadata }) => metadata.name))

  it.effect("goes through the pages in order", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(paged(3), names({ pageSize: 2, labelSelector: "app=web" }))
      assert.deepStrictEqual(value, ["a-0", "b-0", "a-1", "b-1", "a-2", "b-2"])
      assert.deepStrictEqual(seen.map(({ query }) => Object.fromEntries(query)), [
        { labelSelector: "app=web", limit: "2" },
        { labelSelector: "app=web", limit: "2", continue: "1" },
        { labelSelector: "app=web", limit: "2", continue: "2" }
      ])
    }))

  it.effect("asks for pages of 500 unless told, and for no more than are read", () =>
    Effect.gen(function*() {
      const { seen, value } = yield* withServer(
        paged(3),
        Stream.runCollect(Stream.take(Api.make(Pod).stream(), 2))
      )
      assert.strictEqual(value.length, 2)
      assert.deepStrictEqual(seen.map(({ query }) => query), [[["limit", "500"]]])
    }))

  it.effect("goes on behind an empty page", () =>
    Effect.gen(function*() {
      const { value } = yield* withServer(
        (_, n) => json(n === 0 ? list([], { continue: "x" }) : list([pod("last")])),
        names()
      )
      assert.deepStrictEqual(value, ["last"])
    }))

  it.effect("fails with Expired behind what it gave when its token expires midway", () =>
    Effect.gen(function*() {
      const got: Array<string> = []
      const answer: Answer = (seen, n) => n === 0 ? paged(2)(seen, n) : json(failure(410, "Expired"), 410)
      const error = yield* failed(withServer(
        answer,
        Stream.runForEach(pods.stream(), ({ metadata }) => Effect.sync(() => got.push(metadata.name)))
      ))
      assert.strictEqual(error.reason._tag, "Expired")
      assert.deepStrictEqual(got, ["a-0", "b-0"])
    }))

  it.effect("spans all namespaces", () =>
    Effect.gen(function*() {
      const { seen } = yield* withServer(paged(2), Stream.runDrain(Api.all(Pod).stream()))
      assert.deepStrictEqual(seen.map(({ path }) => path), ["/api/v1/pods", "/api/v1/pods"])
    }))
})

describe("a watch", () => {
  const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`
  const bookmark = { kind: "Pod", apiVersion: "v1", metadata: { resourceVersion: "42", creationTimestamp: null } }
  const text = event("ADDED", pod("ü")) + event("MODIFIED", pod("b")) + event("BOOKMARK", bookmark) +
    event("DELETED", pod("b"))
  const tags = (events: ReadonlyArray<WatchEvent<{ readonly metadata: { readonly name: string } }>>) =>
    events.map((
      { object, type }
    ) => [type, type === "BOOKMARK" ? object.metadata.resourceVersion : object.metadata.name])
  const expected = [["ADDED", "ü"], ["MODIFIED", "b"], ["BOOKMARK", "42"], ["DELETED", "b"]]
  const watch = (chunks: ReadonlyArray<string | Uint8Array>, then?: "end" | "fail", options?: WatchOptions) =>
    withServer(() => new Response(body(chunks, then)), Stream.runCollect(pods.watch(options)))

  it.effect("asks with its options", () =>
    Effect.gen(function*() {
      const { seen } = yield* watch([], "end", {
        labelSelector: "app=web",
        resourceVersion: "5",
        allowWatchBookmarks: true,
        sendInitialEvents: true,
        resourceVersionMatch: "NotOlderThan",
        timeoutSeconds: 30
      })
      assert.strictEqual(seen[0]?.path, base)
      assert.deepStrictEqual(Object.fromEntries(seen[0]?.query ?? []), {
        labelSelector: "app=web",
        resourceVersion: "5",
        allowWatchBookmarks: "true",
        sendInitialEvents: "true",
        resourceVersionMatch: "NotOlderThan",
        timeoutSeconds: "30",
        watch: "true"
      })
    }))

  it.effect("says that it wants no initial events, where servers would send them unasked", () =>
    Effect.gen(function*() {
      const { seen } = yield* watch([], "end", {
        resourceVersion: "0",
        resourceVersionMatch: "NotOlderThan",
        sendInitialEvents: false,
        allowWatchBookmarks: undefined
      })
      assert.deepStrictEqual(Object.fromEntries(seen[0]?.query ?? []), {
        resourceVersion: "0",
        resourceVersionMatch: "NotOlderThan",
        sendInitialEvents: "false",
        watch: "true"
      })
    }))

  it.effect("spans all namespaces, and cluster-scoped kinds", () =>
    Effect.gen(function*() {
      const { seen } = yield* withServer(
        () => new Response(body([])),
        Effect.all([Stream.runDrain(Api.all(Pod).watch()), Stream.runDrain(Api.make(Namespace).watch())])
      )
      assert.deepStrictEqual(seen.map(({ path }) => path), ["/api/v1/pods", "/api/v1/namespaces"])
    }))

  it.effect("gives the events and ends when the server ends it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(tags((yield* watch([text])).value), expected)
    }))

  it.effect("gives each event although the lines are cut at any byte", () =>
    Effect.gen(function*() {
      const bytes = new TextEncoder().encode(text)
      for (let at = 1; at < bytes.length; at++) {
        const { value } = yield* watch([bytes.subarray(0, at), bytes.subarray(at)])
        assert.deepStrictEqual(tags(value), expected, `cut at ${at}`)
      }
      const { value } = yield* watch(Array.from(bytes, (byte) => Uint8Array.of(byte)))
      assert.deepStrictEqual(tags(value), expected)
    }))

  it.effect.prop(
    "gives any object as it was",
    { name: Schema.String, value: Schema.Json },
    ({ name, value }) =>
      Effect.gen(function*() {
        const object = pod(name, { extra: value })
        const { value: events } = yield* watch([event("ADDED", object)])
        assert.deepStrictEqual<unknown>(events[0]?.object, JSON.parse(JSON.stringify(object)))
      }),
    { arbitrary: { runs: 50 } }
  )

  it.effect("gives an event as soon as its line is there", () =>
    Effect.gen(function*() {
      const { value } = yield* withServer(
        () => new Response(body([event("ADDED", pod("a"))], "stay")),
        Stream.runHead(pods.watch())
      )
      assert.strictEqual(Option.getOrThrow(value).type, "ADDED")
    }))

  it.effect("fails when the connection is lost, behind the events that came", () =>
    Effect.gen(function*() {
      const got: Array<string> = []
      const error = yield* failed(withServer(
        () => new Response(body([event("ADDED", pod("a")), event("ADDED", pod("b"))], "fail")),
        Stream.runForEach(pods.watch(), ({ type }) => Effect.sync(() => got.push(type)))
      ))
      assert.strictEqual(error.reason._tag, "Transport")
      assert.deepStrictEqual(got, ["ADDED", "ADDED"])
    }))

  const errors: ReadonlyArray<readonly [string, unknown, KubeError.KubeErrorReason["_tag"]]> = [
    ["an expired version", failure(410, "Expired"), "Expired"],
    ["Gone", failure(410, "Gone"), "Expired"],
    ["a 410 without a reason", failure(410, undefined), "Expired"],
    ["an internal error", failure(500, "InternalError"), "ServerFailure"],
    ["a timeout", failure(504, "Timeout"), "Timeout"],
    ["too many requests", failure(429, "TooManyRequests"), "TooManyRequests"],
    ["no Status", { kind: "Pod", metadata: {} }, "Decode"]
  ]
  for (const [what, object, tag] of errors) {
    it.effect(`fails with ${tag} when the server sends an error: ${what}`, () =>
      Effect.gen(function*() {
        const got: Array<string> = []
        const error = yield* failed(withServer(
          () => new Response(body([event("ADDED", pod("a")) + event("ERROR", object) + event("ADDED", pod("b"))])),
          Stream.runForEach(pods.watch(), ({ type }) => Effect.sync(() => got.push(type)))
        ))
        assert.strictEqual(error.reason._tag, tag)
        assert.include(error.message, "Could not watch pods in namespace \"shop\"")
        assert.deepStrictEqual(got, ["ADDED"])
      }))
  }

  for (
    const [what, line] of [
      ["no JSON", "oops\n"],
      ["HTML", "<html>\n"],
      ["a line that is cut short", "{\"type\":\"ADDED\",\"object\":{"],
      ["an event without an object", "{\"type\":\"ADDED\"}\n"],
      ["an event with null for an object", "{\"type\":\"ADDED\",\"object\":null}\n"],
      ["an event without a type", "{\"object\":{}}\n"],
      ["an array", "[]\n"]
    ] as const
  ) {
    it.effect(`fails with Decode at ${what}`, () =>
      Effect.gen(function*() {
        const got: Array<string> = []
        const error = yield* failed(withServer(
          () => new Response(body([event("ADDED", pod("a")) + line])),
          Stream.runForEach(pods.watch(), ({ type }) => Effect.sync(() => got.push(type)))
        ))
        assert.strictEqual(error.reason._tag, "Decode")
        assert.deepStrictEqual(got, ["ADDED"])
      }))
  }

  it.effect("that is refused fails with the reason", () =>
    Effect.gen(function*() {
      const error = yield* failed(withServer(() => json(failure(410, "Expired"), 410), Stream.runDrain(pods.watch())))
      assert.strictEqual(error.reason._tag, "Expired")
    }))
})

describe("the options of a list", () => {
  const bounded: ListOptions = { limit: 0, resourceVersion: "" }
  it.effect("are sent as they are, even when they are zero or empty", () =>
    Effect.gen(function*() {
      const { seen } = yield* withServer(() => json(list([])), pods.list(bounded))
      assert.deepStrictEqual(seen[0]?.query, [["limit", "0"], ["resourceVersion", ""]])
    }))
})
