/**
 * What a file holds, told by its content: OpenAPI 3, OpenAPI 2, or definitions of custom resources.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CodegenError } from "../CodegenError.ts"
import { object, text } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import * as CustomResource from "./CustomResource.ts"
import type { Document } from "./Document.ts"
import { invalid } from "./Document.ts"
import * as Manifest from "./Manifest.ts"
import * as Swagger from "./Swagger.ts"

/**
 * The OpenAPI 3 document that a file holds or stands for; undefined when there is nothing in it to generate from. Other
 * objects beside definitions of custom resources are passed over.
 *
 * Fails with `InvalidDocument`, which names the file, the document in it, and the place in a schema.
 */
export const read: (
  name: string,
  bytes: Uint8Array
) => Effect.Effect<Document | undefined, CodegenError, Digest.Digest> = Effect.fnUntraced(function*(name, bytes) {
  const digest = yield* Digest.Digest
  const manifests = yield* Effect.mapError(
    Effect.fromResult(Manifest.parse(new TextDecoder().decode(bytes))),
    ({ number, path, problem }) => invalid(name, problem, { number, path })
  )
  const documents: Array<JsonObject> = []
  for (const { json, number, path: item } of manifests) {
    if (text(json.openapi).startsWith("3.")) documents.push(json)
    else if (Swagger.isSwagger(json)) documents.push(Swagger.toOpenApi(json))
    else if (CustomResource.isDefinition(json)) {
      const made = CustomResource.toOpenApi(json)
      if (Result.isFailure(made)) {
        const { path, problem } = made.failure
        return yield* invalid(name, problem, { number, path: item === undefined ? path : `${item}.${path}` })
      }
      documents.push(made.success)
    }
  }
  if (documents.length === 0) return undefined
  const twice = firstTwice(documents.flatMap((json) => Object.keys(object(json.paths))))
  if (twice !== undefined) return yield* invalid(name, `defines ${twice} twice`)
  return { name, sha256: yield* digest.digestHex(Digest.sha256, bytes), json: join(documents) }
})

/** The error of a source that has nothing to generate from. */
export const nothing = (name: string): CodegenError =>
  invalid(name, "has neither an OpenAPI document nor a definition of a custom resource")

const join = (documents: ReadonlyArray<JsonObject>): JsonObject => {
  const [first] = documents
  return documents.length === 1 && first !== undefined ? first : {
    openapi: "3.0.0",
    paths: Object.fromEntries(documents.flatMap(({ paths }) => Object.entries(object(paths)))),
    components: {
      schemas: Object.fromEntries(
        documents.flatMap(({ components }) => Object.entries(object(object(components).schemas)))
      )
    }
  }
}

const firstTwice = (paths: ReadonlyArray<string>): string | undefined => {
  const seen = new Set<string>()
  return paths.find((path) => seen.size === seen.add(path).size)
}
