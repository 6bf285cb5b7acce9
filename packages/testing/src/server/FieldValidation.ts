/**
 * `fieldValidation`: what becomes of fields that a kind does not have.
 *
 * `Strict` refuses them and `Warn`, the default, warns of them. They are kept all the same, where a real server drops
 * them: so an object may carry fields of a later version.
 */
import * as Result from "effect/Result"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import * as Messages from "./Messages.ts"

// Messages whose form in JSON is their own, and a schema whose names protobuf spells in another way.
const opaque = ["runtime.RawExtension", "meta.v1.FieldsV1", "intstr.IntOrString", "resource.Quantity"]
const unknownGroups = ["apiextensions.k8s.io"]

const unknownFields = (value: Json.Json | undefined, message: string, path: string): ReadonlyArray<string> => {
  if (opaque.includes(message) || !Json.isObject(value)) return []
  const members = Messages.members(message)
  if (members.size === 0) return []
  return Object.entries(value).flatMap(([name, member]) => {
    const field = members.get(name)
    const own = path === "" ? name : `${path}.${name}`
    if (field === undefined) return path === "" && (name === "kind" || name === "apiVersion") ? [] : [own]
    switch (field.shape) {
      case "one":
        return unknownFields(member, field.type, own)
      case "list":
        return Json.array(member).flatMap((item, i) => unknownFields(item, field.type, `${own}[${i}]`))
      case "map":
        return Object.entries(Json.object(member)).flatMap(([key, item]) =>
          unknownFields(item, field.type, `${own}[${key}]`)
        )
    }
  })
}

/** The paths of the fields that a kind does not have; none for custom kinds. */
export const unknown = (row: ResourceRow.ResourceRow, object: Json.JsonObject): ReadonlyArray<string> => {
  const message = Messages.ofKind(ResourceRow.apiVersion(row), row.kind)
  return message === undefined || unknownGroups.includes(row.group) || !ResourceRow.isBuiltIn(row)
    ? []
    : unknownFields(object, message, "")
}

/** The headers that warn of unknown fields. Fails with 400 where the query says `Strict`. */
export const check = (
  row: ResourceRow.ResourceRow,
  object: Json.JsonObject,
  query: URLSearchParams
): Result.Result<Readonly<Record<string, string>>, Failure.Failure> => {
  const mode = query.get("fieldValidation") ?? "Warn"
  const found = mode === "Ignore" ? [] : unknown(row, object).map((path) => `unknown field "${path}"`)
  if (found.length === 0) return Result.succeed({})
  return mode === "Strict"
    ? Result.fail(Failure.badRequest(
      `${row.kind} in version "${row.version}" cannot be handled as a ${row.kind}: strict decoding error: ${
        found.join(", ")
      }`
    ))
    : Result.succeed({ Warning: found.map((text) => `299 - ${JSON.stringify(text)}`).join(", ") })
}
