import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HandlerClient from "./support/HandlerClient.ts"
import { configmap, configmaps, pod, pods, start } from "./support/Server.ts"

describe("list", () => {
  const names = (answer: HandlerClient.Answer): ReadonlyArray<unknown> => {
    const items = answer.at("items")
    return Array.isArray(items) ? items.map((item) => HandlerClient.at(item, "metadata", "name")) : []
  }

  it.effect("leaves kind and version off the items", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      yield* client.post(configmaps, configmap("a"))
      const answer = yield* client.get(configmaps)
      assert.deepStrictEqual([answer.at("kind"), answer.at("apiVersion")], ["ConfigMapList", "v1"])
      assert.deepStrictEqual(Object.keys(answer.at("items", 0) ?? {}), ["metadata"])
      assert.deepStrictEqual((yield* client.get(`${configmaps}?labelSelector=none`)).at("items"), [])
    }))

  it.effect("goes on from page to page in one version, whatever happens meanwhile", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      for (const name of ["a", "b", "c", "d"]) yield* client.post(configmaps, configmap(name))
      const first = yield* client.get(`${configmaps}?limit=2`)
      assert.deepStrictEqual(names(first), ["a", "b"])
      assert.strictEqual(first.at("metadata", "remainingItemCount"), 2)
      yield* client.remove(`${configmaps}/c`)
      yield* client.post(configmaps, configmap("bb"))
      const token = first.textAt("metadata", "continue")
      const second = yield* client.get(`${configmaps}?limit=2&continue=${token}`)
      assert.deepStrictEqual(names(second), ["c", "d"])
      assert.strictEqual(second.at("metadata", "resourceVersion"), first.at("metadata", "resourceVersion"))
      assert.strictEqual(second.at("metadata", "continue"), undefined)

      yield* server.expireVersions
      const late = yield* client.get(`${configmaps}?limit=2&continue=${token}`)
      assert.deepStrictEqual([late.status, late.at("reason")], [410, "Expired"])
      const inconsistent = yield* client.get(`${configmaps}?limit=9&continue=${late.textAt("metadata", "continue")}`)
      assert.deepStrictEqual(names(inconsistent), ["bb", "d"])
    }))

  it.effect("shows the version that is asked for", () =>
    Effect.gen(function*() {
      const { client, server } = yield* start()
      const created = yield* client.post(configmaps, configmap("a"))
      const version = created.textAt("metadata", "resourceVersion")
      yield* client.post(configmaps, configmap("b"))
      const list = (query: string) =>
        Effect.map(client.get(`${configmaps}?${query}`), (answer) =>
          answer.status === 200 ? names(answer) : answer.status)
      assert.deepStrictEqual(yield* list(`resourceVersion=${version}&resourceVersionMatch=Exact`), ["a"])
      assert.deepStrictEqual(yield* list(`resourceVersion=${version}&limit=9`), ["a"])
      assert.deepStrictEqual(yield* list(`resourceVersion=${version}`), ["a", "b"])
      assert.deepStrictEqual(yield* list(`resourceVersion=${version}&resourceVersionMatch=NotOlderThan`), ["a", "b"])
      assert.deepStrictEqual(yield* list("resourceVersion=0"), ["a", "b"])
      assert.deepStrictEqual(yield* list("resourceVersion=0&limit=1"), ["a"])
      assert.strictEqual(yield* list("resourceVersion=99999"), 504)
      assert.strictEqual(yield* list("resourceVersion=abc"), 400)
      yield* server.expireVersions
      assert.strictEqual(yield* list(`resourceVersion=${version}&resourceVersionMatch=Exact`), 410)
    }))

  const refusals: ReadonlyArray<readonly [string, number, string]> = [
    ["resourceVersionMatch=Exact", 422, "resourceVersionMatch is forbidden unless resourceVersion is provided"],
    ["resourceVersion=0&resourceVersionMatch=Exact", 422, "\"exact\" is forbidden for resourceVersion \"0\""],
    ["resourceVersion=1&resourceVersionMatch=Foo", 422, "supported values: \"Exact\", \"NotOlderThan\", \"\""],
    ["sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"],
    ["limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"],
    ["continue=zzz", 400, "invalid continue token"],
    ["fieldSelector=data.k%3Dv", 400, "is not a known field selector"],
    ["labelSelector=a%20b", 400, "unable to parse requirement"],
    ["watch=1&sendInitialEvents=true", 422, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"],
    ["watch=1&resourceVersionMatch=NotOlderThan", 422, "forbidden for watch unless sendInitialEvents is provided"],
    ["watch=1&resourceVersion=abc", 500, "strconv.ParseUint: parsing \"abc\": invalid syntax"]
  ]
  for (const [query, status, message] of refusals) {
    it.effect(`refuses ?${query}`, () =>
      Effect.gen(function*() {
        const { client } = yield* start()
        const answer = yield* client.get(`${configmaps}?${query}`)
        assert.strictEqual(answer.status, status)
        assert.include(answer.textAt("message"), message)
      }))
  }

  it.effect("selects by labels and fields", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      for (const name of ["a", "b"]) {
        yield* client.post(pods, { ...pod(name), metadata: { name, labels: { is: name } } })
      }
      yield* client.patch(`${pods}/a/status`, "merge-patch+json", { status: { phase: "Running" } })
      assert.deepStrictEqual(names(yield* client.get(`${pods}?labelSelector=is%20notin%20(b)`)), ["a"])
      assert.deepStrictEqual(names(yield* client.get(`${pods}?fieldSelector=status.phase%3DRunning`)), ["a"])
      const paged = yield* client.get(`${pods}?labelSelector=is&limit=1`)
      assert.strictEqual(paged.at("metadata", "remainingItemCount"), undefined)
    }))
})
