/**
 * OpenAPI 2 documents, as `/openapi/v2` of a cluster serves them, in the form of version 3.
 *
 * Only what types are made of is brought over. A document of version 2 has no defaults, so it does not tell where
 * servers always write `spec` and `status`.
 */
import { array, isObject, object, text, texts } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"

/** Whether a document says that it is of version 2. */
export const isSwagger = ({ swagger }: JsonObject): boolean => swagger === "2.0"

/** The same as a document of version 3. References need no change: their last part is the name of the definition. */
export const toOpenApi = (swagger: JsonObject): JsonObject => {
  const shared = object(swagger.parameters)
  const parameters = (raw: unknown): ReadonlyArray<unknown> =>
    array(raw).map((one) => shared[text(object(one).$ref).replace(/^#\/parameters\//, "")] ?? one)
  const operation = (raw: JsonObject): JsonObject => ({
    ...raw,
    parameters: parameters(raw.parameters),
    // Version 2 says what a request may hold by its types alone.
    requestBody: { content: Object.fromEntries(texts(raw.consumes).map((type) => [type, {}])) },
    responses: Object.fromEntries(
      Object.entries(object(raw.responses)).map(([status, response]) => [status, {
        content: Object.fromEntries(texts(raw.produces).map((type) => [type, { schema: object(response).schema }]))
      }])
    )
  })
  return {
    openapi: "3.0.0",
    paths: Object.fromEntries(
      Object.entries(object(swagger.paths)).map(([path, item]) => [
        path,
        Object.fromEntries(
          Object.entries(object(item)).map(([member, value]) => [
            member,
            isObject(value) ? operation(value) : parameters(value)
          ])
        )
      ])
    ),
    components: { schemas: object(swagger.definitions) }
  }
}
