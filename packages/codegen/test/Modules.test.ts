import * as Modules from "@effect-k8s/codegen/ir/Modules"
import * as Schema from "@effect-k8s/codegen/normalise/Schema"
import { assert, describe, it } from "@effect/vitest"

const definition = (name: string, ...groupVersions: ReadonlyArray<string>): Schema.Definition =>
  Schema.definition(name, {
    properties: {},
    "x-kubernetes-group-version-kind": groupVersions.map((groupVersion) => {
      const [group, version] = groupVersion.split("/")
      return { group, version, kind: name }
    })
  })

const pathOf = (name: string, ...definitions: ReadonlyArray<Schema.Definition>) =>
  Modules.targets(definitions).get(Modules.packageOf(name))

describe("the module of a definition", () => {
  it("has the group-version that the kinds of its package vote for", () => {
    const role = "io.k8s.api.rbac.v1.Role"
    const found = pathOf(
      role,
      definition(role, "rbac.authorization.k8s.io/v1"),
      definition("io.k8s.api.rbac.v1.ClusterRole", "rbac.authorization.k8s.io/v1"),
      definition("io.k8s.api.rbac.v1.Odd", "odd.k8s.io/v1"),
      definition("io.k8s.api.rbac.v1.PolicyRule")
    )
    assert.strictEqual(found?.apiVersion, "rbac.authorization.k8s.io/v1")
  })

  it("is no matter of types that several groups register", () => {
    const options = definition("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions", "apps/v1", "batch/v1")
    assert.isUndefined(pathOf(options.name, options)?.apiVersion)
    assert.strictEqual(pathOf(options.name, options)?.path, "meta/v1")
  })

  for (
    const [name, groupVersion, path, reference] of [
      ["io.k8s.api.core.v1.Pod", "/v1", "core/v1", "api/core/v1"],
      ["io.k8s.api.apps.v1.Deployment", "apps/v1", "apps/v1", "api/apps/v1"],
      ["io.k8s.api.rbac.v1.Role", "rbac.authorization.k8s.io/v1", "rbac/v1", "api/rbac/v1"],
      [
        "io.k8s.api.apiserverinternal.v1alpha1.StorageVersion",
        "internal.apiserver.k8s.io/v1alpha1",
        "apiserverinternal/v1alpha1",
        "api/apiserverinternal/v1alpha1"
      ],
      [
        "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
        "apiregistration.k8s.io/v1",
        "apiregistration/v1",
        "kube-aggregator/pkg/apis/apiregistration/v1"
      ],
      ["io.cert-manager.v1.Certificate", "cert-manager.io/v1", "cert-manager.io/v1", undefined],
      [
        "io.k8s.networking.gateway.v1.Gateway",
        "gateway.networking.k8s.io/v1",
        "gateway.networking.k8s.io/v1",
        undefined
      ]
    ] as const
  ) {
    it(`of ${name} is ${path}`, () => {
      const target = pathOf(name, definition(name, groupVersion))
      assert.strictEqual(target?.path, path)
      assert.strictEqual(target?.reference, reference && `https://pkg.go.dev/k8s.io/${reference}`)
    })
  }

  it("is two levels deep even if nothing tells the group", () => {
    for (const [name, path] of [["org.example.v2.Event", "org.example/v2"], ["Event", "types/types"]] as const) {
      assert.strictEqual(pathOf(name, definition(name))?.path, path)
    }
  })

  it("has the group's full name when two groups of Kubernetes would share a path", () => {
    const targets = Modules.targets([
      definition("io.k8s.api.events.v1.Event", "events.k8s.io/v1"),
      definition("io.k8s.other.pkg.apis.events.v1.Event", "events.other.k8s.io/v1"),
      definition("io.k8s.api.core.v1.Event", "/v1"),
      definition("io.k8s.old.pkg.core.v1.Event", "old/v1")
    ])
    assert.deepStrictEqual([...targets.values()].map(({ path }) => path), [
      "events.k8s.io/v1",
      "events.other.k8s.io/v1",
      "core/v1",
      "old/v1"
    ])
  })
})
