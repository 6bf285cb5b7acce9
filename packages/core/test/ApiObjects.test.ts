import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { failed, list, parsed, pod, pods, status, withServer } from "./apiFixtures.ts"
import { failure, json } from "./scriptedServer.ts"

describe("an object", () => {
  it.effect("keeps what this version does not know when it is read and written back", () =>
    Effect.gen(function*() {
      const metadata = { name: "db-0", resourceVersion: "5", futureMeta: [] }
      const future = pod("db-0", {
        metadata,
        spec: {
          containers: [{ name: "a", image: "i", fieldOfTomorrow: { deep: [1, null, "x"] } }],
          futureField: null
        },
        futureTop: { a: 1 }
      })
      const { seen } = yield* withServer(
        ({ method, body }) => json(method === "GET" ? future : JSON.parse(body ?? "")),
        Effect.flatMap(pods.get("db-0"), (object) =>
          pods.replace("db-0", { ...object, metadata: { ...object.metadata, labels: { a: "b" } } }))
      )
      assert.deepStrictEqual(parsed(seen[1]), { ...future, metadata: { ...metadata, labels: { a: "b" } } })
    }))

  it.effect("that is not there is nothing for getOption, and NotFound for get", () =>
    Effect.gen(function*() {
      const notFound = () => json(failure(404, "NotFound"), 404)
      assert.isTrue(Option.isNone((yield* withServer(notFound, pods.getOption("x"))).value))
      const error = yield* failed(withServer(notFound, pods.get("x")))
      assert.strictEqual(error.reason._tag, "NotFound")
    }))

  it.effect("that may not be read is not nothing", () =>
    Effect.gen(function*() {
      const error = yield* failed(withServer(() => json(failure(403, "Forbidden"), 403), pods.getOption("x")))
      assert.strictEqual(error.reason._tag, "Forbidden")
    }))

  it.effect("where the URL leads to no API server is not nothing", () =>
    Effect.gen(function*() {
      const error = yield* failed(withServer(() => new Response("404", { status: 404 }), pods.getOption("x")))
      assert.strictEqual(error.reason._tag, "UnexpectedStatus")
    }))

  for (
    const [what, answer] of [
      ["another kind", { kind: "Service", apiVersion: "v1" }],
      ["a list", list([])],
      ["a Status", status],
      ["something without a kind", { metadata: {} }],
      ["an array", [1]],
      ["null", null],
      ["a number", 4],
      ["a kind that is no text", { kind: 4 }]
    ] as const
  ) {
    it.effect(`is not ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* failed(withServer(() => json(answer), pods.get("db-0")))
        assert.strictEqual(error.reason._tag, "Decode")
        assert.include(error.message, "not a Pod but")
      }))
  }

  it.effect("that is being deleted is told from a Status by its kind", () =>
    Effect.gen(function*() {
      const pending = yield* withServer(() => json(pod()), pods.delete("db-0"))
      assert(pending.value.kind === "Pod")
      assert.strictEqual(pending.value.metadata.name, "db-0")
      const gone = yield* withServer(() => json(status), pods.delete("db-0"))
      assert(gone.value.kind === "Status")
      assert.strictEqual(gone.value.details?.uid, "u")
    }))

  it.effect("collections are deleted with a list or a Status for an answer", () =>
    Effect.gen(function*() {
      const some = yield* withServer(() => json(list([pod()])), pods.deleteCollection({}))
      assert.strictEqual(some.value.kind, "PodList")
      const none = yield* withServer(() => json(status), pods.deleteCollection({}))
      assert.strictEqual(none.value.kind, "Status")
    }))

  it.effect("without a name cannot be applied", () =>
    Effect.gen(function*() {
      const error = yield* failed(
        withServer(() => json(pod()), pods.apply({ metadata: { name: "" } }, { fieldManager: "m" }))
      )
      assert.strictEqual(error.reason._tag, "Encode")
    }))
})
