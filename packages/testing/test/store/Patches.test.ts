import * as Merging from "@effect-k8s/testing/server/Merging"
import type { Kind } from "@effect-k8s/testing/server/OpenApiSchemas"
import type { Json, JsonObject } from "@effect-k8s/testing/store/Json"
import * as JsonPatch from "@effect-k8s/testing/store/JsonPatch"
import * as StrategicMerge from "@effect-k8s/testing/store/StrategicMerge"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"

describe("a JSON patch", () => {
  const rows: ReadonlyArray<readonly [string, Json, ReadonlyArray<JsonObject>, Json | undefined]> = [
    ["adds a member", { a: 1 }, [{ op: "add", path: "/b", value: 2 }], { a: 1, b: 2 }],
    ["replaces a member by adding it", { a: 1 }, [{ op: "add", path: "/a", value: 2 }], { a: 2 }],
    ["inserts into a list", { a: [1, 3] }, [{ op: "add", path: "/a/1", value: 2 }], { a: [1, 2, 3] }],
    ["appends to a list", { a: [1] }, [{ op: "add", path: "/a/-", value: 2 }], { a: [1, 2] }],
    ["does not add below what is not there", {}, [{ op: "add", path: "/a/b", value: 2 }], undefined],
    ["does not insert past the end", { a: [] }, [{ op: "add", path: "/a/1", value: 2 }], undefined],
    ["removes a member", { a: 1, b: 2 }, [{ op: "remove", path: "/a" }], { b: 2 }],
    ["removes from a list", { a: [1, 2] }, [{ op: "remove", path: "/a/0" }], { a: [2] }],
    ["does not remove what is not there", {}, [{ op: "remove", path: "/a" }], undefined],
    ["replaces in a list", { a: [1, 2] }, [{ op: "replace", path: "/a/1", value: 3 }], { a: [1, 3] }],
    ["does not replace what is not there", {}, [{ op: "replace", path: "/a", value: 1 }], undefined],
    ["moves", { a: { b: 1 } }, [{ op: "move", from: "/a/b", path: "/c" }], { a: {}, c: 1 }],
    ["copies", { a: [1] }, [{ op: "copy", from: "/a", path: "/b" }], { a: [1], b: [1] }],
    ["passes a test that holds", { a: { b: [1] } }, [{ op: "test", path: "/a", value: { b: [1] } }], { a: { b: [1] } }],
    ["fails with a test that does not", { a: 1 }, [{ op: "test", path: "/a", value: 2 }], undefined],
    ["reads escapes in paths", { "a/b": 1, "m~n": 2 }, [{ op: "remove", path: "/a~1b" }, {
      op: "remove",
      path: "/m~0n"
    }], {}],
    ["reads ~01 as ~1", { "~1": 1 }, [{ op: "remove", path: "/~01" }], {}],
    ["takes no index with a zero in front", { a: [1, 2] }, [{ op: "remove", path: "/a/01" }], undefined],
    ["replaces the whole document", { a: 1 }, [{ op: "replace", path: "", value: { b: 1 } }], { b: 1 }],
    ["refuses an unknown operation", {}, [{ op: "frob", path: "/a" }], undefined],
    [
      "does all or nothing",
      { a: 1 },
      [{ op: "add", path: "/b", value: 1 }, { op: "test", path: "/a", value: 9 }],
      undefined
    ]
  ]
  for (const [name, document, patch, expected] of rows) {
    it(name, () => {
      const result = JsonPatch.apply(document, patch)
      if (expected === undefined) {
        assert.strictEqual(Result.getOrThrow(Result.flip(result)).status.code, 422)
      } else assert.deepStrictEqual(Result.getOrThrow(result), expected)
    })
  }

  it("that is no list is a bad request", () => {
    assert.strictEqual(Result.getOrThrow(Result.flip(JsonPatch.apply({}, { x: 1 }))).status.code, 400)
  })
})

describe("a merge patch", () => {
  // The examples of RFC 7386, appendix A.
  const rows: ReadonlyArray<readonly [Json, Json, Json]> = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [["a", "b"], ["c", "d"], ["c", "d"]],
    [{ a: "b" }, ["c"], ["c"]],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }]
  ]
  for (const [document, patch, expected] of rows) {
    it(`${JSON.stringify(patch)} makes ${JSON.stringify(expected)} of ${JSON.stringify(document)}`, () => {
      assert.deepStrictEqual(JsonPatch.merge(document, patch), expected)
    })
  }
})

const container = (name: string, more: JsonObject = {}): JsonObject => ({ name, image: name, ...more })

const pod: Kind = { group: "", version: "v1", kind: "Pod" }
const service: Kind = { group: "", version: "v1", kind: "Service" }
const deployment: Kind = { group: "apps", version: "v1", kind: "Deployment" }

describe("a strategic merge patch", () => {
  const rows: ReadonlyArray<readonly [string, JsonObject, JsonObject, JsonObject, kind?: Kind]> = [
    ["removes members that are null", { metadata: { labels: { a: "1", b: "2" } } }, {
      metadata: { labels: { a: null } }
    }, {
      metadata: { labels: { b: "2" } }
    }],
    [
      "merges containers by name and puts a new one first",
      { spec: { containers: [container("a"), container("b")] } },
      { spec: { containers: [{ name: "b", image: "new" }, container("c")] } },
      { spec: { containers: [container("a"), { name: "b", image: "new" }, container("c")] } }
    ],
    [
      "merges lists inside of merged elements",
      { spec: { containers: [container("a", { env: [{ name: "x", value: "1" }] })] } },
      { spec: { containers: [{ name: "a", env: [{ name: "y", value: "2" }] }] } },
      { spec: { containers: [container("a", { env: [{ name: "y", value: "2" }, { name: "x", value: "1" }] })] } }
    ],
    [
      "merges the ports of containers by number",
      { spec: { containers: [container("a", { ports: [{ containerPort: 80 }] })] } },
      { spec: { containers: [{ name: "a", ports: [{ containerPort: 80, name: "http" }] }] } },
      { spec: { containers: [container("a", { ports: [{ containerPort: 80, name: "http" }] })] } }
    ],
    [
      "merges the ports of services by number",
      { spec: { ports: [{ port: 80, name: "x" }] } },
      { spec: { ports: [{ port: 80, targetPort: 1 }] } },
      { spec: { ports: [{ port: 80, name: "x", targetPort: 1 }] } },
      service
    ],
    [
      "replaces the source of a volume, which keeps none but its own",
      { spec: { volumes: [{ name: "v", emptyDir: {} }, { name: "w", emptyDir: {} }] } },
      {
        spec: { volumes: [{ name: "v", $retainKeys: ["name", "secret"], emptyDir: null, secret: { secretName: "s" } }] }
      },
      { spec: { volumes: [{ name: "v", secret: { secretName: "s" } }, { name: "w", emptyDir: {} }] } }
    ],
    [
      "replaces the items inside of a volume",
      { spec: { volumes: [{ name: "v", secret: { items: [{ key: "a", path: "a" }] } }] } },
      { spec: { volumes: [{ name: "v", secret: { items: [{ key: "b", path: "b" }] } }] } },
      { spec: { volumes: [{ name: "v", secret: { items: [{ key: "b", path: "b" }] } }] } }
    ],
    [
      "merges topology constraints by their key, and tolerations not at all",
      { spec: { topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 1 }], tolerations: [{ key: "a" }] } },
      { spec: { topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 2 }], tolerations: [] } },
      { spec: { topologySpreadConstraints: [{ topologyKey: "zone", maxSkew: 2 }], tolerations: [] } }
    ],
    [
      "merges what a template holds",
      { spec: { template: { spec: { containers: [container("a")] } } } },
      { spec: { template: { spec: { containers: [{ name: "a", image: "new" }, container("b")] } } } },
      { spec: { template: { spec: { containers: [{ name: "a", image: "new" }, container("b")] } } } },
      deployment
    ],
    [
      "replaces the selector of a budget, which is never merged",
      { spec: { selector: { matchLabels: { a: "1" } } } },
      { spec: { selector: { matchLabels: { b: "2" } } } },
      { spec: { selector: { matchLabels: { b: "2" } } } },
      { group: "policy", version: "v1", kind: "PodDisruptionBudget" }
    ],
    [
      "replaces a list of a kind that merges none of that name",
      { spec: { ports: [{ port: 80 }] } },
      { spec: { ports: [{ port: 81 }] } },
      { spec: { ports: [{ port: 81 }] } },
      { group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy" }
    ],
    [
      "deletes elements by $patch",
      { spec: { containers: [container("a"), container("b")] } },
      { spec: { containers: [{ name: "a", $patch: "delete" }] } },
      { spec: { containers: [container("b")] } }
    ],
    [
      "replaces a list by $patch",
      { spec: { containers: [container("a"), container("b")] } },
      { spec: { containers: [{ $patch: "replace" }, container("c")] } },
      { spec: { containers: [container("c")] } }
    ],
    [
      "replaces an object by $patch",
      { metadata: { labels: { a: "1" } } },
      { metadata: { labels: { $patch: "replace", b: "2" } } },
      { metadata: { labels: { b: "2" } } }
    ],
    // As seen on a real server.
    [
      "replaces nothing where nothing is",
      { metadata: {} },
      { metadata: { labels: { $patch: "replace", b: "2" } } },
      { metadata: {} }
    ],
    [
      "keeps only $retainKeys",
      { spec: { strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1 } } } },
      { spec: { strategy: { type: "Recreate", $retainKeys: ["type"] } } },
      { spec: { strategy: { type: "Recreate" } } },
      deployment
    ],
    [
      "orders elements by $setElementOrder",
      { spec: { containers: [container("a"), container("b")] } },
      { spec: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }], containers: [container("b")] } },
      { spec: { containers: [container("b"), container("a")] } }
    ],
    // As seen on a real server: what is new comes first.
    ["adds to lists of texts", { metadata: { finalizers: ["x/a"] } }, { metadata: { finalizers: ["x/b"] } }, {
      metadata: { finalizers: ["x/b", "x/a"] }
    }],
    [
      "deletes from lists of texts",
      { metadata: { finalizers: ["x/a", "x/b"] } },
      { metadata: { "$deleteFromPrimitiveList/finalizers": ["x/a"] } },
      { metadata: { finalizers: ["x/b"] } }
    ],
    [
      "merges conditions by type",
      { status: { conditions: [{ type: "Ready", status: "True" }] } },
      { status: { conditions: [{ type: "Ready", status: "False" }, { type: "New", status: "True" }] } },
      { status: { conditions: [{ type: "Ready", status: "False" }, { type: "New", status: "True" }] } }
    ],
    [
      "replaces lists that have no key",
      { spec: { containers: [container("a", { args: ["1"] })], tolerations: [{ key: "a" }] } },
      { spec: { containers: [{ name: "a", args: ["2"] }], tolerations: [{ key: "b" }] } },
      { spec: { containers: [container("a", { args: ["2"] })], tolerations: [{ key: "b" }] } }
    ]
  ]
  const apply = (document: JsonObject, patch: JsonObject, kind = pod) =>
    Effect.map(Merging.ofKind(kind), (schema) => {
      assert.isDefined(schema)
      return StrategicMerge.apply(document, patch, schema)
    })

  for (const [name, document, patch, expected, kind] of rows) {
    it.effect(
      name,
      () =>
        Effect.map(
          apply(document, patch, kind),
          (result) => assert.deepStrictEqual(Result.getOrThrow(result), expected)
        )
    )
  }

  it.effect("whose element lacks the merge key fails as a real server does", () =>
    Effect.gen(function*() {
      const result = yield* apply({ spec: {} }, { spec: { containers: [{ env: [{ name: "x", value: "1" }] }] } })
      const failure = Result.getOrThrow(Result.flip(result))
      const why = "map: map[env:[map[name:x value:1]]] does not contain declared merge key: name"
      assert.deepStrictEqual([failure.message, failure.status.code], [why, 500])
    }))
})
