/**
 * Reads the object in a request body: JSON, YAML or Kubernetes protobuf.
 */
import * as Effect from "effect/Effect"
import * as Yaml from "effect/encoding/Yaml"
import * as Option from "effect/Option"
import * as Failure from "../store/Failure.ts"
import * as Json from "../store/Json.ts"
import * as ResourceRow from "../store/ResourceRow.ts"
import type { ServerRequest } from "./Exchange.ts"
import * as Protobuf from "./Protobuf.ts"

/** The media type of the body, without parameters. Absent means JSON, as for a real server. */
export const mediaType = (request: ServerRequest): string => {
  const type = request.headers.get("content-type")?.[0]?.split(";")[0]?.trim().toLowerCase() ?? ""
  return type === "" ? "application/json" : type
}

/** The kind that a body must be of. */
export interface Expected {
  readonly group: string
  readonly version: string
  readonly kind: string
}

const shown = (text: string): string => (text === "" ? "<empty>" : text.length > 30 ? `${text.slice(0, 30)} ...` : text)

const unrecognized = (kind: string, why: string, text: string): Failure.Failure =>
  Failure.badRequest(
    `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${why} (${
      shown(text)
    })`
  )

/** A YAML document, or JSON, which is YAML. `Yaml.parse` makes nothing but JSON values. */
export const parseYaml = Option.liftThrowable((text: string) => Yaml.parse(text) as Json.Json)

const readDocument = Effect.fnUntraced(function*(
  request: ServerRequest,
  kind: string
): Effect.fn.Return<Json.JsonObject, Failure.Failure> {
  const type = mediaType(request)
  if (type === Protobuf.mediaType) {
    const decoded = Protobuf.decode(yield* request.body)
    return Option.isSome(decoded) ? decoded.value : yield* unrecognized(kind, "malformed protobuf", "binary")
  }
  if (type !== "application/json" && type !== "application/yaml") {
    return yield* Failure.unknownFormat
  }
  const text = new TextDecoder().decode(yield* request.body)
  const parsed = type === "application/json" ? Json.parse(text) : parseYaml(text)
  if (Option.isNone(parsed)) return yield* unrecognized(kind, "unexpected end of JSON input", text)
  if (Json.isObject(parsed.value)) return parsed.value
  const found = Json.isArray(parsed.value) ? "array" : parsed.value === null ? "null" : typeof parsed.value
  return yield* unrecognized(kind, `json: cannot unmarshal ${found} into Go value`, text)
})

/** The object in the body, of the kind expected. Fails with 400 and 415. */
export const read = Effect.fnUntraced(function*(
  request: ServerRequest,
  expected: Expected
): Effect.fn.Return<Json.JsonObject, Failure.Failure> {
  const object = yield* readDocument(request, expected.kind)
  yield* checkType(object, expected)
  return object
})

/** The options that a delete may carry in its body; none when the body is empty. Fails with 400 and 415. */
export const readDeleteOptions = Effect.fnUntraced(function*(
  request: ServerRequest
): Effect.fn.Return<Json.JsonObject, Failure.Failure> {
  const bytes = yield* request.body
  return bytes.length === 0 ? Json.empty : yield* readDocument(request, "DeleteOptions")
})

/** A patch, which may be any JSON value. Fails with 400. */
export const readPatch = Effect.fnUntraced(function*(
  request: ServerRequest
): Effect.fn.Return<Json.Json, Failure.Failure> {
  const parsed = Json.parse(new TextDecoder().decode(yield* request.body))
  return Option.isSome(parsed) ? parsed.value : yield* Failure.badRequest("error decoding patch: invalid JSON")
})

// A body may leave its type off; what it says must be what the URL says.
const checkType = (object: Json.JsonObject, expected: Expected): Effect.Effect<void, Failure.Failure> => {
  const kind = Json.string(object["kind"]) ?? ""
  const apiVersion = Json.string(object["apiVersion"]) ?? ""
  const wanted = ResourceRow.apiVersion(expected)
  if ((kind === "" || kind === expected.kind) && (apiVersion === "" || apiVersion === wanted)) return Effect.void
  const version = apiVersion === "" ? wanted : apiVersion
  const why = version === wanted
    ? `converting (${version}.${kind}) to (${
      expected.group === "" ? "core" : expected.group
    }.${expected.kind}): unknown conversion`
    : `no kind "${kind}" is registered for version "${version}" in scheme "pkg/runtime/scheme.go:110"`
  return Effect.fail(
    Failure.badRequest(`${kind} in version "${version}" cannot be handled as a ${expected.kind}: ${why}`)
  )
}
