import * as Api from "@effect-k8s/core/Api"
import type * as Options from "@effect-k8s/core/ApiOptions"
import { Deployment } from "@effect-k8s/core/apis/apps/v1"
import { SelfSubjectReview } from "@effect-k8s/core/apis/authentication/v1"
import type { Scale } from "@effect-k8s/core/apis/autoscaling/v1"
import {
  Binding,
  ComponentStatus,
  ConfigMap,
  Namespace,
  Node,
  Pod,
  type PodApply,
  type PodInput,
  ServiceAccount
} from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Resource from "@effect-k8s/core/Resource"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import { describe, expect, it } from "tstyche"

type Sent<A> = Effect.Effect<A, KubeError, KubeClient>

interface Widget extends Resource.KubeObject<"example.com/v1", "Widget"> {
  readonly spec: { readonly size?: number | undefined; readonly tags?: ReadonlyArray<string> | undefined }
}
interface WidgetInput extends Resource.KubeInput<"example.com/v1", "Widget"> {
  readonly spec: Widget["spec"]
}
interface WidgetResource extends Resource.ResourceType {
  readonly object: Widget
  readonly input: WidgetInput
  readonly apply: Resource.KubeApply<"example.com/v1", "Widget">
  readonly scope: "Namespaced"
  readonly verbs: Resource.AllVerbs
  readonly strategic: false
  readonly sub: {
    readonly status: Resource.Sub<Widget, WidgetInput, "get" | "patch" | "update", WidgetResource["apply"]>
  }
}
const Widget: Resource.Resource<WidgetResource> = Resource.make(
  "example.com",
  "v1",
  "Widget",
  "widgets",
  "Namespaced",
  255,
  { status: 104 }
)

const pods = Api.make(Pod, { namespace: "shop" })
const widgets = Api.make(Widget)
const pod = null! as Pod

describe("a kind has the methods of its verbs", () => {
  it("all of them", () => {
    expect<keyof typeof widgets>().type.toBe<
      | "get"
      | "getOption"
      | "list"
      | "stream"
      | "watch"
      | "create"
      | "replace"
      | "patch"
      | "apply"
      | "delete"
      | "deleteCollection"
      | "status"
    >()
  })

  it("only create: a binding, a review", () => {
    const bindings = Api.make(Binding)
    expect<keyof typeof bindings>().type.toBe<"create">()
    const reviews = Api.make(SelfSubjectReview)
    expect<keyof typeof reviews>().type.toBe<"create">()
  })

  it("only reading: component statuses", () => {
    const statuses = Api.make(ComponentStatus)
    expect<keyof typeof statuses>().type.toBe<"get" | "getOption" | "list" | "stream">()
  })

  it("all but those of other verbs: no deleteCollection of namespaces", () => {
    expect(Api.make(Namespace)).type.toHaveProperty("delete")
    expect(Api.make(Namespace)).type.not.toHaveProperty("deleteCollection")
  })
})

describe("a kind has the subresources that it has", () => {
  it("those that are objects or logs, and no connections", () => {
    expect<Exclude<keyof typeof pods, keyof typeof widgets>>().type.toBe<
      "binding" | "ephemeralcontainers" | "eviction" | "log" | "resize"
    >()
  })

  it("scale for deployments, and not for pods", () => {
    expect(Api.make(Deployment)).type.toHaveProperty("scale")
    expect(pods).type.not.toHaveProperty("scale")
  })

  it("with the methods of its verbs", () => {
    expect<keyof typeof pods.eviction>().type.toBe<"create">()
    const { scale } = Api.make(Deployment)
    expect<keyof typeof scale>().type.toBe<"get" | "replace" | "patch">()
    const { token } = Api.make(ServiceAccount)
    expect<keyof typeof token>().type.toBe<"create">()
  })

  it("with the types of what goes in and comes out", () => {
    expect(Api.make(Deployment).scale.get("web")).type.toBe<Sent<Scale>>()
    expect(pods.eviction.create("db-0", {})).type.toBe<Sent<Resource.Success>>()
    expect(pods.status.replace("db-0", pod)).type.toBe<Sent<Pod>>()
    expect(pods.log("db-0", { follow: true })).type.toBe<Stream.Stream<Uint8Array, KubeError, KubeClient>>()
  })
})

describe("a subresource", () => {
  it("is applied where it has the kind of the resource", () => {
    expect<keyof typeof pods.status>().type.toBe<"get" | "replace" | "patch" | "apply">()
    expect(pods.status.apply).type.toBeCallableWith({ metadata: { name: "a" }, status: {} }, { fieldManager: "me" })
    expect(pods.status.apply).type.not.toBeCallableWith({ metadata: { name: "a" } }, {})
    expect(Api.make(Deployment).scale).type.not.toHaveProperty("apply")
  })

  it("takes the patches of its resource: no strategic ones for custom resources", () => {
    expect(pods.status.patch).type.toHaveProperty("strategic")
    expect<keyof typeof widgets.status.patch>().type.toBe<"json" | "merge">()
  })
})

describe("all namespaces", () => {
  it("are listed, streamed and watched, and nothing else", () => {
    const everywhere = Api.all(Pod)
    expect<keyof typeof everywhere>().type.toBe<"list" | "stream" | "watch">()
  })

  it("are not for cluster-scoped kinds", () => {
    expect(Api.all).type.toBeCallableWith(Pod)
    expect(Api.all).type.not.toBeCallableWith(Node)
    expect(Api.all).type.not.toBeCallableWith(Namespace)
  })
})

describe("a namespace", () => {
  it("may be given for a namespaced kind", () => {
    expect(Api.make).type.toBeCallableWith(Pod)
    expect(Api.make).type.toBeCallableWith(Pod, {})
    expect(Api.make).type.toBeCallableWith(Pod, { namespace: "shop" })
    expect(Api.make).type.toBeCallableWith(Pod, { namespace: undefined })
    expect(Api.make).type.not.toBeCallableWith(Pod, { namespace: 1 })
  })

  it("may not be given for a cluster-scoped one", () => {
    expect(Api.make).type.toBeCallableWith(Namespace)
    expect(Api.make).type.toBeCallableWith(Namespace, {})
    expect(Api.make).type.not.toBeCallableWith(Namespace, { namespace: "shop" })
  })
})

describe("what a method gives", () => {
  it("is exact in value, error and requirement", () => {
    expect(pods.get("db-0")).type.toBe<Sent<Pod>>()
    expect(pods.getOption("db-0")).type.toBe<Sent<Option.Option<Pod>>>()
    expect(pods.list()).type.toBe<Sent<Resource.List<Pod>>>()
    expect(pods.stream()).type.toBe<Stream.Stream<Pod, KubeError, KubeClient>>()
    expect(pods.watch()).type.toBe<Stream.Stream<Options.WatchEvent<Pod>, KubeError, KubeClient>>()
    expect(pods.create({})).type.toBe<Sent<Pod>>()
    expect(pods.replace("db-0", pod)).type.toBe<Sent<Pod>>()
    expect(pods.patch.json("db-0", [])).type.toBe<Sent<Pod>>()
    expect(pods.apply({ metadata: { name: "db-0" } }, { fieldManager: "me" })).type.toBe<Sent<Pod>>()
    expect(pods.delete("db-0")).type.toBe<Sent<Pod | Options.DeleteStatus>>()
    expect(pods.deleteCollection({})).type.toBe<Sent<Resource.List<Pod> | Options.DeleteStatus>>()
    expect(Api.make(Binding).create({ target: { name: "n" } })).type.toBe<Sent<Resource.Success>>()
  })

  it("tells a Status from an object by its kind", () => {
    const answer = null! as Pod | Options.DeleteStatus
    if (answer.kind === "Pod") expect(answer).type.toBe<Pod>()
    else expect(answer).type.toBe<Options.DeleteStatus>()
  })
})

describe("an object as read", () => {
  it("has what servers always send", () => {
    expect(pod.metadata.name).type.toBe<string>()
    expect(pod.metadata.uid).type.toBe<string>()
    expect(pod.metadata.resourceVersion).type.toBe<string>()
    expect(pod.spec.nodeName).type.toBe<string | undefined>()
    expect(pod.spec.containers[0]?.name).type.toBe<string | undefined>()
    expect(pod.status.phase).type.toBeAssignableTo<string | undefined>()
    expect(pod.apiVersion).type.toBe<"v1">()
    expect(pod.kind).type.toBe<"Pod">()
  })

  it("can be written back, and its parts cannot be assigned", () => {
    expect<Pod>().type.toBeAssignableTo<PodInput>()
    // @ts-expect-error Cannot assign to 'name' because it is a read-only property.
    pod.metadata.name = "x"
  })

  it("has open enumerations", () => {
    expect<"Tomorrow">().type.toBeAssignableTo<NonNullable<Pod["status"]["phase"]>>()
  })
})

describe("an object to write", () => {
  it("needs neither apiVersion nor kind, and no other ones fit", () => {
    expect(pods.create).type.toBeCallableWith({ metadata: { generateName: "x-" } })
    expect(pods.create).type.not.toBeCallableWith({ apiVersion: "apps/v1" })
    expect(pods.create).type.not.toBeCallableWith({ kind: "Service" })
  })

  it("has the fields of the kind, and no others", () => {
    expect(widgets.create).type.toBeCallableWith({ spec: { size: 1 } })
    expect(widgets.create).type.not.toBeCallableWith({ spec: { size: "1" } })
    expect(widgets.create).type.not.toBeCallableWith({})
    expect(widgets.create).type.not.toBeCallableWith({ spec: {}, status: {} })
  })
})

describe("an apply configuration", () => {
  it("needs a name and a field manager", () => {
    expect(pods.apply).type.toBeCallableWith({ metadata: { name: "a" } }, { fieldManager: "me" })
    expect(pods.apply).type.not.toBeCallableWith({ metadata: { name: "a" } })
    expect(pods.apply).type.not.toBeCallableWith({ metadata: { name: "a" } }, {})
    expect(pods.apply).type.not.toBeCallableWith({ metadata: {} }, { fieldManager: "me" })
    expect(pods.apply).type.not.toBeCallableWith({}, { fieldManager: "me" })
  })

  it("has the merge keys of its lists, and nothing else that is required", () => {
    expect<{ metadata: { name: "a" }; spec: { containers: [{ name: "c" }] } }>().type.toBeAssignableTo<PodApply>()
    expect<{ metadata: { name: "a" }; spec: { containers: [{ image: "i" }] } }>().type.not.toBeAssignableTo<PodApply>()
    expect<{ metadata: { name: "a" }; spec: { nodeName: "n" } }>().type.toBeAssignableTo<PodApply>()
  })

  it("is not for kinds that cannot be applied", () => {
    expect<Parameters<Api.Methods<typeof Binding extends Resource.Resource<infer R> ? R : never>["apply"]>[0]>().type
      .toBe<
        never
      >()
  })
})

describe("patches", () => {
  it("are strategic for built-in kinds, and not for others", () => {
    expect(pods.patch).type.toHaveProperty("strategic")
    expect(widgets.patch).type.not.toHaveProperty("strategic")
    expect<keyof typeof widgets.patch>().type.toBe<"json" | "merge">()
  })

  it("take what their content type means", () => {
    expect(pods.patch.json).type.toBeCallableWith("a", [{ op: "remove", path: "/x" }])
    expect(pods.patch.json).type.not.toBeCallableWith("a", { op: "remove", path: "/x" })
    expect(pods.patch.json).type.not.toBeCallableWith("a", [{ op: "remove" }])
    expect(pods.patch.json).type.not.toBeCallableWith("a", [{ op: "move", path: "/x" }])
    expect(pods.patch.merge).type.toBeCallableWith("a", { metadata: { labels: { x: null } } })
    expect(widgets.patch.merge).type.toBeCallableWith("a", { spec: { size: null } })
    expect(widgets.patch.merge).type.toBeCallableWith("a", { spec: { tags: ["x"] } })
    expect(widgets.patch.merge).type.not.toBeCallableWith("a", { spec: { tags: [1] } })
    expect(widgets.patch.merge).type.not.toBeCallableWith("a", { spec: { size: "1" } })
    expect(pods.patch.strategic).type.toBeCallableWith("a", { spec: { containers: [{ name: "c", $patch: "delete" }] } })
    expect(pods.patch.strategic).type.not.toBeCallableWith("a", { spec: { containers: [{ name: "c", $patch: "x" }] } })
  })
})

describe("a strategic patch", () => {
  it("has the directives of the API", () => {
    expect(pods.patch.strategic).type.toBeCallableWith("a", {
      metadata: { "$deleteFromPrimitiveList/finalizers": ["example.com/f"] },
      spec: {
        "$setElementOrder/containers": [{ name: "a" }, { name: "b" }],
        containers: [{ name: "a", $patch: "delete" }],
        volumes: [{ name: "v", $retainKeys: ["name", "emptyDir"], emptyDir: {} }]
      }
    })
    expect(pods.patch.strategic).type.not.toBeCallableWith("a", { spec: { "$setElementOrder/nodeName": [] } })
    expect(pods.patch.strategic).type.toBeCallableWith("a", pod)
  })
})

describe("a kind without types", () => {
  const things = Api.make(Resource.unstructured("example.com", "v1", "Thing", "things", "Namespaced"))

  it("has the methods of a custom resource, and unknown fields", () => {
    expect<keyof typeof things>().type.toBe<keyof typeof widgets>()
    expect(things.get("a")).type.toBe<Sent<Resource.Unstructured>>()
    expect((null! as Resource.Unstructured)["spec"]).type.toBe<unknown>()
    expect((null! as Resource.Unstructured).metadata.name).type.toBe<string>()
    expect(things.create).type.toBeCallableWith({ metadata: { name: "a" }, spec: { size: 1 } })
    expect(things.create).type.not.toBeCallableWith({ metadata: { name: 1 } })
  })

  it("takes a namespace unless it is cluster-scoped", () => {
    const node = Resource.unstructured("example.com", "v1", "Thing", "things", "Cluster")
    expect(Api.make).type.not.toBeCallableWith(node, { namespace: "a" })
    expect(Api.all).type.not.toBeCallableWith(node)
  })
})

describe("options", () => {
  it("are those of the verb", () => {
    expect(pods.get).type.not.toBeCallableWith("a", { labelSelector: "x" })
    expect(pods.stream).type.not.toBeCallableWith({ limit: 5 })
    expect(pods.watch).type.not.toBeCallableWith({ continue: "x" })
    expect(pods.delete).type.not.toBeCallableWith("a", { propagationPolicy: "Sometimes" })
    expect(pods.deleteCollection).type.not.toBeCallableWith()
    expect(pods.create).type.not.toBeCallableWith({}, { force: true })
  })
})

describe("a row", () => {
  it("must have the scope and the subresources of its type", () => {
    expect(Resource.make<WidgetResource>).type.toBeCallableWith("g", "v1", "Widget", "widgets", "Namespaced", 255, {
      status: 104
    })
    expect(Resource.make<WidgetResource>).type.not.toBeCallableWith("g", "v1", "Widget", "widgets", "Cluster", 255, {
      status: 104
    })
    expect(Resource.make<WidgetResource>).type.not.toBeCallableWith(
      "g",
      "v1",
      "Widget",
      "widgets",
      "Namespaced",
      255,
      {}
    )
  })

  it("of one kind is not one of another", () => {
    expect(ConfigMap).type.not.toBeAssignableTo<typeof Pod>()
  })
})
