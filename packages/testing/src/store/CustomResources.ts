/**
 * Custom resource definitions: the resources they bring, from the moment they are written.
 *
 * Objects are kept as they come: only server-side apply goes by the schema of the definition, and versions are not
 * converted.
 */
import * as Result from "effect/Result"
import * as Json from "./Json.ts"
import * as KubeObject from "./KubeObject.ts"
import * as ResourceRow from "./ResourceRow.ts"
import type { Store } from "./Store.ts"
import * as Writes from "./Writes.ts"

/** Where definitions are kept. */
export const collection = "apiextensions.k8s.io/customresourcedefinitions"

const verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
const subresourceVerbs = ["get", "patch", "update"]

/** The rows that a definition brings: one for each version that is served. */
export const rows = (definition: Json.JsonObject): ReadonlyArray<ResourceRow.ResourceRow> => {
  const spec = definition["spec"]
  const names = Json.get(spec, "names")
  const group = Json.string(Json.get(spec, "group")) ?? ""
  const kind = Json.string(Json.get(names, "kind")) ?? ""
  return Json.array(Json.get(spec, "versions"))
    .filter((version) => Json.get(version, "served") === true)
    .map((version) => ({
      group,
      version: Json.string(Json.get(version, "name")) ?? "",
      kind,
      plural: Json.string(Json.get(names, "plural")) ?? "",
      singular: Json.string(Json.get(names, "singular")) ?? kind.toLowerCase(),
      scope: Json.get(spec, "scope") === "Namespaced" ? "Namespaced" : "Cluster",
      verbs,
      shortNames: Json.strings(Json.get(names, "shortNames")),
      categories: Json.strings(Json.get(names, "categories")),
      subresources: [
        ...(Json.get(version, "subresources", "status") === undefined ? [] : [
          { name: "status", kind, verbs: subresourceVerbs }
        ]),
        ...(Json.get(version, "subresources", "scale") === undefined ? [] : [
          { name: "scale", group: "autoscaling", version: "v1", kind: "Scale", verbs: subresourceVerbs }
        ])
      ]
    }))
}

const condition = (type: string, reason: string, message: string, now: number): Json.JsonObject => ({
  type,
  status: "True",
  lastTransitionTime: Writes.time(now),
  reason,
  message
})

const established = (definition: KubeObject.StoredObject, now: number): Json.JsonObject => ({
  conditions: [
    condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
    condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now)
  ],
  acceptedNames: Json.get(definition, "spec", "names") ?? {},
  storedVersions: Json.array(Json.get(definition, "spec", "versions"))
    .filter((version) => Json.get(version, "storage") === true)
    .flatMap((version) => Json.string(Json.get(version, "name")) ?? [])
})

/** Does what the write of a definition entails: serves its resources, says so in its status, or takes all of it away. */
export const follow = (
  store: Store,
  catalogue: ResourceRow.Catalogue,
  definition: KubeObject.StoredObject,
  now: number
): void => {
  const [group = "", plural = ""] = [
    Json.string(Json.get(definition, "spec", "group")),
    Json.string(Json.get(definition, "spec", "names", "plural"))
  ]
  const own = ResourceRow.collection({ group, plural })
  const current = store.get(collection, KubeObject.keyOf(definition))
  if (current === undefined) {
    const left = Result.getOrElse(store.list({ collection: own }), () => ({ items: [] })).items
    for (const object of left) store.remove(own, object)
    catalogue.set(own, [])
    return
  }
  catalogue.set(own, rows(definition))
  if (Json.array(Json.get(definition, "status", "conditions")).length > 0) return
  store.put(collection, { ...current, status: established(current, now) })
}
