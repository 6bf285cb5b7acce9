import { CustomResourceDefinition } from "@effect-k8s/core/apis/apiextensions/v1"
import { Deployment, StatefulSet } from "@effect-k8s/core/apis/apps/v1"
import { TokenReview } from "@effect-k8s/core/apis/authentication/v1"
import { ConfigMap, Event, Pod } from "@effect-k8s/core/apis/core/v1"
import * as Resource from "@effect-k8s/core/Resource"
import * as SchemaOf from "@effect-k8s/core/SchemaOf"
import { schemas } from "@effect-k8s/core/schemas"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { globSync } from "node:fs"

const metadata = { name: "a", uid: "u", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" }

/** What is wrong with an object of a kind. */
const problem = <R extends Resource.ResourceType>(row: Resource.Resource<R>, value: unknown) =>
  Effect.flatMap(SchemaOf.schemaOf(row), (schema) =>
    Schema.decodeUnknownEffect(schema)(value, { errors: "all" }).pipe(
      Effect.match({
        onFailure: (error) => error.message,
        onSuccess: (kept) => assert.deepStrictEqual<unknown>(kept, value)
      })
    ))

const pod = (spec: unknown, more = {}) => ({ apiVersion: "v1", kind: "Pod", metadata, spec, status: {}, ...more })

describe("the schema of a kind", () => {
  it.effect("takes what servers send, and keeps it as it is", () =>
    Effect.gen(function*() {
      const containers = [{ name: "a", resources: { limits: { cpu: "1", memory: 5 } }, ports: [{ containerPort: 80 }] }]
      assert.isUndefined(yield* problem(Pod, pod({ containers })))
      // Empty lists and maps of Go, enumerations of the next version, and fields of a later one.
      assert.isUndefined(
        yield* problem(Pod, pod({ containers: null, nodeSelector: null, dnsPolicy: "New", later: {} }, { more: 1 }))
      )
      assert.isUndefined(
        yield* problem(Pod, pod({ containers, runtime: 1 }, { metadata: { ...metadata, labels: null, later: 1 } }))
      )
      const event = { involvedObject: {}, eventTime: null, firstTimestamp: null, metadata }
      assert.isUndefined(yield* problem(Event, { apiVersion: "v1", kind: "Event", ...event }))
      const probe = { httpGet: { port: "http" } }
      assert.isUndefined(yield* problem(Pod, pod({ containers: [{ name: "a", livenessProbe: probe }] })))
    }))

  it.effect("finds what is wrong, and says where", () =>
    Effect.gen(function*() {
      const missing = yield* problem(Pod, { apiVersion: "v1", kind: "Pod", metadata: { name: "a" } })
      for (const key of ["uid", "resourceVersion", "spec", "status"]) assert.include(missing, `"${key}"`)
      assert.include(yield* problem(Pod, pod({ containers: [{ name: 1 }] })), `["spec"]["containers"][0]["name"]`)
      assert.include(yield* problem(Pod, pod({ containers: [{}] })), `["spec"]["containers"][0]["name"]`)
      assert.include(yield* problem(ConfigMap, { apiVersion: "v1", kind: "Secret", metadata }), `["kind"]`)
      assert.include(
        yield* problem(Deployment, {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata,
          spec: { replicas: 1.5 },
          status: {}
        }),
        `["replicas"]`
      )
    }))

  it.effect("reaches kinds inside of others, other groups, and itself", () =>
    Effect.gen(function*() {
      const set = (claim: unknown) => ({
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        metadata,
        spec: { selector: {}, template: { spec: { containers: [] } }, volumeClaimTemplates: [claim] },
        status: { replicas: 1 }
      })
      assert.isUndefined(
        yield* problem(StatefulSet, set({ metadata: { name: "data", creationTimestamp: null }, spec: {} }))
      )
      assert.include(yield* problem(StatefulSet, set({ spec: { storageClassName: 1 } })), `["storageClassName"]`)
      const definition = (schema: unknown) => ({
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata,
        spec: {
          group: "g",
          names: { kind: "K", plural: "k" },
          scope: "Cluster",
          versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }]
        },
        status: {}
      })
      assert.isUndefined(
        yield* problem(CustomResourceDefinition, definition({ properties: { $ref: { items: { type: "string" } } } }))
      )
      assert.include(
        yield* problem(CustomResourceDefinition, definition({ properties: { a: { properties: { b: { type: 1 } } } } })),
        `["properties"]["a"]["properties"]["b"]["type"]`
      )
    }))

  it.effect("asks for no metadata that what is not stored does not have", () =>
    Effect.gen(function*() {
      const review = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        metadata: {},
        spec: { token: "t" },
        status: {}
      }
      assert.isUndefined(yield* problem(TokenReview, review))
    }))

  it.effect("is there for every built-in kind", () =>
    Effect.gen(function*() {
      const files = globSync("*/*.ts", { cwd: `${import.meta.dirname}/../src/apis` })
      const modules = yield* Effect.forEach(files, (file): Effect.Effect<object> =>
        Effect.promise(() => import(`../src/apis/${file}`)))
      const rows = modules.flatMap((module) =>
        Object.values(module)
      ).filter((row): row is Resource.Resource => Predicate.hasProperty(row, "plural"))
      assert.strictEqual(rows.length, 95)
      yield* Effect.forEach(rows, (row) =>
        SchemaOf.schemaOf(row), { discard: true })
    }))

  it.effect("is refused when there is none, or it cannot be loaded", () =>
    Effect.gen(function*() {
      const unknown = Resource.unstructured("example.com", "v1", "Thing", "things", "Namespaced")
      const { message } = yield* Effect.flip(SchemaOf.schemaOf(unknown))
      assert.strictEqual(
        message,
        "there is no schema of Thing in example.com/v1; for a custom resource, generate with schemas and pass their table"
      )
      for (const kind of ["constructor", "__proto__", "PodSpec2"]) {
        yield* Effect.flip(SchemaOf.schemaOf(Resource.unstructured("", "v1", kind, "x", "Cluster")))
      }
      const offline = { ...schemas, modules: { "core/v1": () => Promise.reject(new Error("offline")) } }
      assert.include((yield* Effect.flip(SchemaOf.schemaOf(Pod, offline))).message, "could not be loaded: offline")
    }))
})
