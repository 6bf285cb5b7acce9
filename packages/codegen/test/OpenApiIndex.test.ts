import { ClusterFailed, CodegenError } from "@effect-k8s/codegen/CodegenError"
import * as OpenApiIndex from "@effect-k8s/codegen/load/OpenApiIndex"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import { platform, serverOf } from "./support/platform.ts"

const document = { openapi: "3.0.0", paths: {}, components: { schemas: {} } }
const apps = "/openapi/v3/apis/apps/v1?hash=A1"
const core = "/openapi/v3/api/v1?hash=B2"
const bodies = {
  "/openapi/v3": {
    paths: {
      "apis/apps/v1": { serverRelativeURL: apps },
      "apis/apps": { serverRelativeURL: "/openapi/v3/apis/apps?hash=C3" },
      version: { serverRelativeURL: "/openapi/v3/version?hash=D4" },
      "api/v1": { serverRelativeURL: core }
    }
  },
  [apps]: document,
  [core]: { ...document, info: {} }
}

describe("the documents that a server lists", () => {
  it.effect("are those of group-versions, in order", () =>
    Effect.gen(function*() {
      const { asked, server } = serverOf(bodies)
      const { documents } = yield* OpenApiIndex.fetch(server)
      assert.deepStrictEqual(documents.map(({ name }) => name), ["cluster api/v1", "cluster apis/apps/v1"])
      assert.deepStrictEqual(asked.toSorted(), ["/openapi/v3", core, apps].sort())
    }).pipe(Effect.provide(platform())))

  it.effect("are only those that are wanted", () =>
    Effect.gen(function*() {
      const { asked, server } = serverOf(bodies)
      yield* OpenApiIndex.fetch(server, { wanted: (path) => path === "apis/apps/v1" })
      assert.deepStrictEqual(asked, ["/openapi/v3", apps])
    }).pipe(Effect.provide(platform())))

  it.effect("are not fetched again while their hash is the same, whatever is in the way of the cache", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const cache = `${yield* fs.makeTempDirectoryScoped()}/cache`
      const first = serverOf(bodies)
      const before = yield* OpenApiIndex.fetch(first.server, { cache })
      const second = serverOf(bodies)
      const after = yield* OpenApiIndex.fetch(second.server, { cache })
      assert.deepStrictEqual(second.asked, ["/openapi/v3"])
      assert.deepStrictEqual([before.cached, after.cached], [0, 2])
      assert.deepStrictEqual(after.documents, before.documents)
      // A file that was cut short is no document.
      for (const file of yield* fs.readDirectory(cache)) yield* fs.writeFileString(`${cache}/${file}`, "{")
      assert.strictEqual((yield* OpenApiIndex.fetch(serverOf(bodies).server, { cache })).cached, 0)
      // Another hash, and another server, are other documents.
      const other = { ...first.server, address: "https://other.example" }
      assert.strictEqual((yield* OpenApiIndex.fetch(other, { cache })).cached, 0)
      yield* fs.writeFileString(`${cache}-file`, "")
      assert.strictEqual((yield* OpenApiIndex.fetch(first.server, { cache: `${cache}-file` })).documents.length, 2)
    }).pipe(Effect.scoped, Effect.provide(platform())))

  it.effect("are fetched from where they are now when one changes meanwhile; other failures stay", () =>
    Effect.gen(function*() {
      const { server } = serverOf(bodies)
      const refused = new CodegenError({ reason: new ClusterFailed({ context: undefined, cause: "HTTP 301" }) })
      let asked = 0
      // The first index is from before the change, and its hash leads nowhere.
      const changing: OpenApiIndex.Server = {
        ...server,
        get: (path) =>
          path === "/openapi/v3" && asked++ === 0
            ? Effect.sync(() =>
              new TextEncoder().encode(
                JSON.stringify({ paths: { "apis/apps/v1": { serverRelativeURL: "/openapi/v3/apis/apps/v1?hash=A0" } } })
              )
            )
            : path.endsWith("hash=A0")
            ? Effect.fail(refused)
            : server.get(path)
      }
      const { documents } = yield* OpenApiIndex.fetch(changing)
      assert.deepStrictEqual(documents.map(({ name }) => name), ["cluster apis/apps/v1"])
      const broken: OpenApiIndex.Server = {
        ...server,
        get: (path) => path === apps ? Effect.fail(refused) : server.get(path)
      }
      assert.strictEqual(yield* Effect.flip(OpenApiIndex.fetch(broken)), refused)
    }).pipe(Effect.provide(platform())))

  it.effect("are none when the answer is no index", () =>
    Effect.gen(function*() {
      for (
        const body of [{ kind: "Status", code: 404 }, { paths: { "api/v1": { serverRelativeURL: "https://evil" } } }]
      ) {
        const { message } = yield* Effect.flip(OpenApiIndex.fetch(serverOf({ "/openapi/v3": body }).server))
        assert.include(message, "cluster /openapi/v3 is not an index of OpenAPI 3 documents")
      }
    }).pipe(Effect.provide(platform())))
})
