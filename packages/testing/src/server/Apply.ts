/**
 * The configuration in the body of a server-side apply.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { ServerRequest } from "./Exchange.ts"
import * as RequestBody from "./RequestBody.ts"

/** The media type, whether the body is YAML or JSON. */
export const mediaType = "application/apply-patch+yaml"

/** The configuration, which must be whole: of the kind expected, and without managers. Fails with 400. */
export const read = Effect.fnUntraced(function*(
  request: ServerRequest,
  expected: RequestBody.Expected
): Effect.fn.Return<Json.JsonObject, Failure.Failure> {
  const parsed = RequestBody.parseYaml(new TextDecoder().decode(yield* request.body))
  if (Option.isNone(parsed)) return yield* Failure.badRequest("error decoding YAML: it is neither YAML nor JSON")
  const configuration = Json.object(parsed.value)
  const apiVersion = Json.string(configuration["apiVersion"]) ?? ""
  const kind = Json.string(configuration["kind"]) ?? ""
  if (apiVersion !== ResourceRow.apiVersion(expected) || kind !== expected.kind) {
    const groupVersion = apiVersion.includes("/") ? apiVersion : `/${apiVersion}`
    return yield* Failure.badRequest(`invalid object type: ${groupVersion}, Kind=${kind}`)
  }
  const managers = Json.get(configuration, "metadata", "managedFields")
  return managers === undefined || managers === null
    ? configuration
    : yield* Failure.badRequest("metadata.managedFields must be nil")
})
