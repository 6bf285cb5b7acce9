import * as Resources from "@effect-k8s/codegen/normalise/Resources"
import { assert, describe, it } from "@effect/vitest"
import { customResource, pathItem } from "./support/documents.ts"

const pod = { group: "", version: "v1", kind: "Pod" }
const binding = { group: "", version: "v1", kind: "Binding" }
const namespace = { group: "", version: "v1", kind: "Namespace" }
const status = { group: "", version: "v1", kind: "ComponentStatus" }
const eviction = { group: "policy", version: "v1", kind: "Eviction" }
const widget = { group: "example.com", version: "v1", kind: "Widget" }

const pods = "/api/v1/namespaces/{namespace}/pods"

const paths = {
  "/api/v1/": { get: { responses: {} } },
  "/version/": { get: { responses: {} } },
  "/api/v1/pods": pathItem(pod, ["list"], "a.PodList", { watchParameter: true }),
  [pods]: pathItem(pod, ["list", "post", "deletecollection"], "a.PodList"),
  [`${pods}/{name}`]: pathItem(pod, ["get", "put", "patch", "delete"], "a.Pod", { strategic: true }),
  [`${pods}/{name}/status`]: pathItem(pod, ["get", "put", "patch"], "a.Pod", { strategic: true }),
  [`${pods}/{name}/eviction`]: pathItem(eviction, ["post"], "a.Eviction"),
  [`${pods}/{name}/log`]: pathItem(pod, ["get"], undefined),
  // The kind of a connection differs between patch releases, and never has a schema.
  [`${pods}/{name}/exec`]: pathItem({ ...pod, kind: "PodExecOptions" }, ["connect"], undefined),
  [`${pods}/{name}/proxy`]: pathItem(pod, ["connect"], undefined),
  [`${pods}/{name}/proxy/{path}`]: pathItem(pod, ["connect"], undefined),
  "/api/v1/watch/pods": { get: { "x-kubernetes-action": "watchlist", "x-kubernetes-group-version-kind": pod } },
  "/api/v1/watch/namespaces/{namespace}/pods/{name}": {
    get: { "x-kubernetes-action": "watch", "x-kubernetes-group-version-kind": pod }
  },
  "/api/v1/namespaces/{namespace}/bindings": pathItem(binding, ["post"], "a.Binding"),
  "/api/v1/namespaces": pathItem(namespace, ["list", "post"], "a.NamespaceList"),
  "/api/v1/namespaces/{name}": pathItem(namespace, ["get", "put", "patch", "delete"], "a.Namespace"),
  "/api/v1/namespaces/{name}/finalize": pathItem(namespace, ["put"], "a.Namespace"),
  "/api/v1/watch/namespaces": {
    get: { "x-kubernetes-action": "watchlist", "x-kubernetes-group-version-kind": namespace }
  },
  // It has the parameter, and yet it cannot be watched.
  "/api/v1/componentstatuses": pathItem(status, ["list"], "a.ComponentStatusList", { watchParameter: true }),
  "/api/v1/componentstatuses/{name}": pathItem(status, ["get"], "a.ComponentStatus"),
  ...customResource(widget, "widgets", "a.Widget")
}

const byPlural = new Map(Resources.fromPaths(paths).map((resource) => [resource.plural, resource]))

describe("the resources of paths", () => {
  it("are ordered by group, version and plural name; paths without action are none", () => {
    assert.deepStrictEqual([...byPlural.keys()], ["bindings", "componentstatuses", "namespaces", "pods", "widgets"])
  })

  it("have the verbs of their operations", () => {
    assert.deepStrictEqual(byPlural.get("pods")?.verbs, Resources.verbs)
    assert.deepStrictEqual(byPlural.get("bindings")?.verbs, ["create"])
    assert.deepStrictEqual(byPlural.get("namespaces")?.verbs, [
      "create",
      "delete",
      "get",
      "list",
      "patch",
      "update",
      "watch"
    ])
  })

  it("can be watched if there is a watch path, and where a group has none by the parameter of the list", () => {
    assert.deepStrictEqual(byPlural.get("componentstatuses")?.verbs, ["get", "list"])
    assert.include(byPlural.get("widgets")?.verbs ?? [], "watch")
  })

  it("are namespaced if a path says so; namespaces themselves are not", () => {
    assert.deepStrictEqual([...byPlural.values()].map(({ scope }) => scope), [
      "Namespaced",
      "Cluster",
      "Cluster",
      "Namespaced",
      "Namespaced"
    ])
  })

  it("take strategic patches if the request says so: custom resources do not", () => {
    assert.isTrue(byPlural.get("pods")?.strategic)
    assert.isFalse(byPlural.get("widgets")?.strategic)
  })

  it("have subresources of their own kind, of another kind, and without a body", () => {
    assert.deepStrictEqual(byPlural.get("pods")?.subresources, [
      { name: "eviction", kind: eviction, verbs: ["create"], body: "object" },
      { name: "exec", kind: { ...pod, kind: "PodExecOptions" }, verbs: ["get"], body: "connect" },
      { name: "log", kind: pod, verbs: ["get"], body: "text" },
      { name: "proxy", kind: pod, verbs: ["get"], body: "connect" },
      { name: "status", kind: pod, verbs: ["get", "patch", "update"], body: "object" }
    ])
    assert.deepStrictEqual(byPlural.get("namespaces")?.subresources.map(({ name }) => name), ["finalize"])
  })

  it("have the kind of what a subresource answers, where documents say another", () => {
    const scale = { group: "autoscaling", version: "v1", kind: "Scale" }
    const base = "/apis/example.com/v1/namespaces/{namespace}/widgets"
    const [resource] = Resources.fromPaths({
      ...customResource(widget, "widgets", "a.Widget"),
      // As servers publish the scale of a custom resource.
      [`${base}/{name}/scale`]: pathItem(widget, ["get", "put", "patch"], "io.k8s.api.autoscaling.v1.Scale")
    }, (definition) => definition === "io.k8s.api.autoscaling.v1.Scale" ? scale : undefined)
    assert.deepStrictEqual(resource?.subresources.map(({ kind }) => kind), [scale])
  })

  it("have the list kind that the list answers with", () => {
    const odd = pathItem(widget, ["list"], "a.b.WidgetCollection")
    assert.deepStrictEqual(
      Resources.fromPaths({ "/apis/example.com/v1/widgets": odd })[0]?.listKind,
      "WidgetCollection"
    )
    assert.strictEqual(byPlural.get("bindings")?.listKind, "BindingList")
  })
})
