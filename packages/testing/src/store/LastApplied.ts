/**
 * The annotation in which `kubectl apply` keeps what it has applied. Servers read it so that kubectl, as the manager
 * `kubectl`, may apply on the server what it has applied itself before. Pure.
 */
import * as Option from "effect/Option"
import * as FieldSet from "./FieldSet.ts"
import * as Json from "./Json.ts"
import type { MergeSchema } from "./MergeSchema.ts"
import * as Typed from "./Typed.ts"

const annotation = "kubectl.kubernetes.io/last-applied-configuration"

/** The manager for which servers do so. */
export const manager = "kubectl"

const text = (object: Json.JsonObject): string =>
  Json.string(Json.get(object, "metadata", "annotations", annotation)) ?? ""

/** The fields that an object still has as kubectl has applied them; none where it has not. */
export const fields = (object: Json.JsonObject, schema: MergeSchema): FieldSet.FieldSet => {
  const applied = Option.getOrUndefined(Json.parse(text(object)))
  if (!Json.isObject(applied)) return FieldSet.empty
  const said = Json.omit(applied, "apiVersion", "kind")
  const { added, modified, removed } = Typed.compare(said, object, schema)
  return [added, modified, removed].reduce(FieldSet.difference, Typed.fieldsOf(said, schema))
}

/** The object with another configuration in its annotation, if it has one. */
export const replaced = (object: Json.JsonObject, configuration: Json.JsonObject): Json.JsonObject => {
  if (text(object) === "") return object
  const metadata = Json.object(object["metadata"])
  const annotations = {
    ...Json.object(metadata["annotations"]),
    [annotation]: `${JSON.stringify(sorted(configuration))}\n`
  }
  return { ...object, metadata: { ...metadata, annotations } }
}

const sorted = (value: Json.Json): Json.Json =>
  Json.isArray(value)
    ? value.map(sorted)
    : Json.isObject(value)
    ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key] ?? null)]))
    : value
