/**
 * Schemas without their words: all that a server goes by when it reads, merges and publishes objects, in the form of
 * OpenAPI. Nothing else is changed, unlike in `Schema.ts`, which keeps what decides a type.
 */
import { array, isObject, object } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"
import { by } from "../internal/order.ts"
import type { Document } from "../load/Document.ts"

const keywords: ReadonlySet<string> = new Set([
  "$ref",
  "default",
  "enum",
  "format",
  "nullable",
  "required",
  "type",
  "x-kubernetes-embedded-resource",
  "x-kubernetes-int-or-string",
  "x-kubernetes-list-map-keys",
  "x-kubernetes-list-type",
  "x-kubernetes-map-type",
  "x-kubernetes-patch-merge-key",
  "x-kubernetes-patch-strategy",
  "x-kubernetes-preserve-unknown-fields",
  "x-kubernetes-unions"
])

const kinds = "x-kubernetes-group-version-kind"

/**
 * A schema without its words.
 *
 * Only the positions that hold schemas are visited: properties of JSONSchemaProps are called like keywords. What several
 * groups register is no kind of any: documents differ in the kinds of `DeleteOptions` and `WatchEvent`.
 */
export const facts = (raw: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(raw).flatMap(([keyword, value]): ReadonlyArray<readonly [string, unknown]> => {
      switch (keyword) {
        case "properties":
          return [[
            keyword,
            Object.fromEntries(Object.entries(object(value)).map(([name, inner]) => [name, facts(object(inner))]))
          ]]
        case "additionalProperties":
        case "items":
          return [[keyword, isObject(value) ? facts(value) : value]]
        case "allOf":
        case "anyOf":
        case "oneOf":
          return [[keyword, array(value).map((inner) => facts(object(inner)))]]
        case kinds:
          return array(value).length === 1 ? [[keyword, value]] : []
        default:
          return keywords.has(keyword) ? [[keyword, value]] : []
      }
    })
  )

/** The schemas of all documents without their words, by full name; the first counts where several have one. */
export const fromDocuments = (documents: ReadonlyArray<Document>): ReadonlyMap<string, JsonObject> => {
  const found = new Map<string, JsonObject>()
  for (const { json } of documents) {
    for (const [name, raw] of Object.entries(object(object(json.components).schemas))) {
      if (!found.has(name)) found.set(name, facts(object(raw)))
    }
  }
  return new Map([...found].toSorted(by(([name]) => name)))
}
