/**
 * The custom resource of these tests.
 */

/** Where definitions are. */
export const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

/** Where widgets are. */
export const widgets = "/apis/example.com/v1/namespaces/default/widgets"

/** The definition of widgets, with these versions. */
export const definition = (versions: ReadonlyArray<object> = [{ name: "v1", served: true, storage: true }]) => ({
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "widgets.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { kind: "Widget", plural: "widgets", shortNames: ["wd"] },
    versions
  }
})
