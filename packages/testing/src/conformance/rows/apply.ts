/**
 * Server-side apply, and lists that are merged by keys: who owns a field, and what becomes of one that its owner drops.
 *
 * The objects are of kinds that no controller of a real cluster writes to.
 */
import * as Api from "@effect-k8s/core/Api"
import { ConfigMap, PodTemplate } from "@effect-k8s/core/apis/core/v1"
import type { PodTemplateSpecApply } from "@effect-k8s/core/apis/core/v1"
import type { ManagedFieldsEntry } from "@effect-k8s/core/Resource"
import * as Effect from "effect/Effect"
import { Lab } from "../Lab.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"

interface Managed {
  readonly metadata: { readonly managedFields?: ReadonlyArray<ManagedFieldsEntry> | undefined }
}

/** The fields of a manager, `undefined` where it has none. */
const fieldsOf = ({ metadata }: Managed, manager: string) =>
  metadata.managedFields?.find((entry) => entry.manager === manager)?.fieldsV1

const data = (...names: ReadonlyArray<string>) => ({
  "f:data": Object.fromEntries(names.map((name) => [`f:${name}`, {}]))
})

// Rows run on two paths, in one namespace.
const named = Effect.fnUntraced(function*(name: string) {
  const { namespace, path } = yield* Lab
  return { namespace, name: `${name}-${path}` }
})

const configMaps = Effect.fnUntraced(function*(name: string) {
  const own = yield* named(name)
  const api = Api.make(ConfigMap, { namespace: own.namespace })
  return {
    name: own.name,
    api,
    apply: (fieldManager: string, data: Readonly<Record<string, string>>, force?: boolean) =>
      api.apply({ metadata: { name: own.name }, data }, { fieldManager, force })
  }
})

const podTemplates = Effect.fnUntraced(function*(name: string) {
  const own = yield* named(name)
  const api = Api.make(PodTemplate, { namespace: own.namespace })
  const apply = (fieldManager: string, ...containers: NonNullable<PodTemplateSpecApply["spec"]>["containers"] & {}) =>
    api.apply({ metadata: { name: own.name }, template: { spec: { containers } } }, { fieldManager })
  return { name: own.name, api, apply }
})

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("S1", "An apply makes what is not there, and its manager owns what it says", function*() {
    const { apply } = yield* configMaps("s1")
    const made = yield* apply("one", { a: "1", b: "2" })
    yield* same(fieldsOf(made, "one"), data("a", "b"), "fields of the one who applied")
    const again = yield* apply("one", { a: "1", b: "2" })
    yield* same(again.metadata.resourceVersion, made.metadata.resourceVersion, "version after the same apply")
    const shared = yield* apply("two", { a: "1" })
    yield* same(fieldsOf(shared, "two"), data("a"), "fields of another who says the same")
    yield* same(fieldsOf(shared, "one"), data("a", "b"), "fields of the first then")
  }),

  row("S2", "What others own is refused with their names, and taken when forced", function*() {
    const { api, apply, name } = yield* configMaps("s2")
    yield* apply("one", { a: "1", b: "2" })
    const single = yield* failureOf(apply("two", { a: "2" }))
    yield* same(single.reason._tag, "Conflict", "reason")
    yield* check(
      single.message.includes("Apply failed with 1 conflict: conflict with \"one\": .data.a"),
      `words of a conflict: ${single.message}`
    )
    const several = yield* failureOf(apply("two", { a: "2", b: "3" }))
    yield* check(
      several.message.includes("Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b"),
      `words of conflicts: ${several.message}`
    )
    yield* same((yield* api.get(name)).data, { a: "1", b: "2" }, "data after refusals")
    const taken = yield* apply("two", { a: "2" }, true)
    yield* same(taken.data, { a: "2", b: "2" }, "data after a forced apply")
    yield* same([fieldsOf(taken, "one"), fieldsOf(taken, "two")], [data("b"), data("a")], "fields after a forced apply")
  }),

  row("S3", "What a manager no longer says goes away, unless others own it", function*() {
    const { api, apply, name } = yield* configMaps("s3")
    yield* apply("one", { mine: "1", shared: "1" })
    yield* apply("two", { shared: "1" })
    yield* api.patch.merge(name, { data: { theirs: "1" } }, { fieldManager: "editor" })
    const left = yield* apply("one", {})
    yield* same(left.data, { shared: "1", theirs: "1" }, "data")
    yield* same(fieldsOf(left, "editor"), data("theirs"), "fields of the one who patched")
  }),

  row("S4", "An apply merges lists by the keys of their elements", function*() {
    const { apply } = yield* podTemplates("s4")
    yield* apply("one", { name: "app", image: "a:1", ports: [{ containerPort: 80 }], env: [{ name: "A", value: "1" }] })
    const both = yield* apply("two", { name: "side", image: "s:1" })
    yield* same(both.template?.spec?.containers.map(({ name }) => name), ["app", "side"], "containers")
    const conflict = yield* failureOf(apply("two", { name: "app", image: "a:2" }))
    yield* check(
      conflict.message.includes("conflict with \"one\": .template.spec.containers[name=\"app\"].image"),
      `words of a conflict: ${conflict.message}`
    )
    const dropped = yield* apply("one", { name: "app", image: "a:2" })
    yield* same(
      dropped.template?.spec?.containers.map(({ env, image, name, ports }) => ({ name, image, env, ports })),
      [
        { name: "app", image: "a:2", env: undefined, ports: undefined },
        { name: "side", image: "s:1", env: undefined, ports: undefined }
      ],
      "containers of which one has dropped fields"
    )
    yield* same(
      fieldsOf(dropped, "one"),
      {
        "f:template": {
          "f:spec": { "f:containers": { "k:{\"name\":\"app\"}": { ".": {}, "f:image": {}, "f:name": {} } } }
        }
      },
      "fields of the one who dropped some"
    )
  }),

  row("S5", "A strategic merge patch merges lists by the keys of their elements, and replaces the others", function*() {
    const { api, apply, name } = yield* podTemplates("s5")
    yield* apply("one", { name: "app", image: "a:1", args: ["1", "2"], env: [{ name: "A", value: "1" }] })
    const patched = yield* api.patch.strategic(name, {
      template: {
        spec: {
          containers: [{ name: "app", args: ["3"], env: [{ name: "B", value: "2" }] }],
          volumes: [{ name: "v", emptyDir: {} }]
        }
      }
    })
    const container = patched.template?.spec?.containers[0]
    yield* same(container?.args, ["3"], "a list without keys")
    yield* same(container?.env?.map(({ name }) => name).toSorted(), ["A", "B"], "a list with a key")
    const other = yield* api.patch.strategic(name, {
      template: { spec: { volumes: [{ name: "v", $retainKeys: ["name", "hostPath"], hostPath: { path: "/x" } }] } }
    })
    const volume = other.template?.spec?.volumes?.[0]
    yield* same([volume?.emptyDir, volume?.hostPath?.path], [undefined, "/x"], "a volume of another kind")
  })
]
