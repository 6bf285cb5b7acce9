/**
 * What the server would refuse does not compile, and the compiler says why in words. TSTyche compares the words on
 * TypeScript 5.9 and 6.0, `scripts/messages.test.ts` on 7; the compiler itself, of whatever version, sees to it that each
 * line is an error.
 */
import * as Api from "@effect-k8s/core/Api"
import { Deployment } from "@effect-k8s/core/apis/apps/v1"
import { Binding, Namespace, Node, Pod } from "@effect-k8s/core/apis/core/v1"
import { describe, it } from "tstyche"

const pods = Api.make(Pod, { namespace: "shop" })
const deployments = Api.make(Deployment)
const manager = { fieldManager: "me" }
const metadata = { name: "a" }
// A value that nobody uses is an error to some compilers, and would hide the one that is meant.
declare const keep: (value: unknown) => void

describe("the compiler refuses", () => {
  it("a verb that the kind lacks", () => {
    // @ts-expect-error Property 'get' does not exist on type 'Api<BindingResource>'.
    keep(Api.make(Binding).get)
    // @ts-expect-error Property 'deleteCollection' does not exist on type 'Api<NamespaceResource>'.
    keep(Api.make(Namespace).deleteCollection)
  })

  it("a subresource that the kind lacks", () => {
    // @ts-expect-error Property 'scale' does not exist on type 'Api<PodResource>'.
    keep(pods.scale)
    // @ts-expect-error Property 'eviction' does not exist on type 'Api<DeploymentResource>'.
    keep(deployments.eviction)
  })

  it("a verb that the subresource lacks", () => {
    // @ts-expect-error Property 'get' does not exist on type 'Pick<SubMethods<Success, EvictionInput, never, true>, "create">'.
    keep(pods.eviction.get)
    // @ts-expect-error Property 'apply' does not exist on type
    keep(deployments.scale.apply)
  })

  it("a namespace for a cluster-scoped kind", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'undefined'.
    keep(Api.make(Node, { namespace: "shop" }))
  })

  it("all namespaces of a cluster-scoped kind", () => {
    // @ts-expect-error Argument of type 'Resource<NodeResource>' is not assignable to parameter
    keep(Api.all(Node))
  })

  it("deleteCollection over all namespaces", () => {
    // @ts-expect-error Property 'deleteCollection' does not exist on type 'AllApi<PodResource>'.
    keep(Api.all(Pod).deleteCollection)
  })

  it("a field that is misspelt", () => {
    // @ts-expect-error 'container' does not exist in type 'PodSpec'. Did you mean to write 'containers'?
    keep(pods.create({ metadata, spec: { container: [] } }))
  })

  it("a field of another type", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    keep(deployments.create({ spec: { replicas: "3", selector: {}, template: {} } }))
  })

  it("a patch with another body", () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'.
    keep(deployments.patch.merge("web", { spec: { replicas: "3" } }))
    // @ts-expect-error 'op' does not exist in type 'readonly JsonPatchOperation[]'.
    keep(pods.patch.json("a", { op: "remove", path: "/a" }))
    // @ts-expect-error Type '{ op: "replace"; path: string; }' is not assignable to type 'JsonPatchOperation'.
    keep(pods.patch.json("a", [{ op: "replace", path: "/a" }]))
  })

  it("an element without its merge key", () => {
    // @ts-expect-error Property 'name' is missing in type '{ image: string; }' but required in type 'ContainerApply'.
    keep(pods.apply({ metadata, spec: { containers: [{ image: "a" }] } }, manager))
    // @ts-expect-error Property 'containerPort' is missing in type '{ protocol: string; }' but required in type 'ContainerPort'.
    keep(pods.apply({ metadata, spec: { containers: [{ name: "a", ports: [{ protocol: "UDP" }] }] } }, manager))
  })

  it("an element of an atomic list that is not complete", () => {
    // @ts-expect-error Property 'conditionType' is missing in type '{}' but required in type 'PodReadinessGate'.
    keep(pods.apply({ metadata, spec: { readinessGates: [{}] } }, manager))
  })

  it("an apply without a manager, or without a name", () => {
    // @ts-expect-error Property 'fieldManager' is missing in type '{}' but required in type 'ApplyOptions'.
    keep(pods.apply({ metadata }, {}))
    // @ts-expect-error Property 'metadata' is missing in type '{ spec: {}; }' but required in type 'PodApply'.
    keep(pods.apply({ spec: {} }, manager))
  })
})
