/**
 * Whether a schema of a custom resource is one that a server would take, as far as types depend on it.
 */
import * as Result from "effect/Result"
import { isObject } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"

/** What is wrong with a definition, and where in it. */
export interface Failure {
  /** `spec.versions[0].schema.openAPIV3Schema.properties.size`. */
  readonly path: string
  readonly problem: string
}

// Deeper ones are no schemas: the deepest of those in use has 30 levels.
const maxDepth = 200

/** The schema, if it is the schema of an object. */
export const check = (path: string, value: unknown): Result.Result<JsonObject, Failure> => {
  if (value === undefined) return fail(path, "is missing: every served version needs a schema")
  const failure = violation(path, value, 0)
  if (failure !== undefined) return Result.fail(failure)
  return isObject(value) && value.type === "object"
    ? Result.succeed(value)
    : fail(`${path}.type`, "must be object")
}

/** The failure of a place. */
export const fail = (path: string, problem: string): Result.Result<never, Failure> => Result.fail({ path, problem })

const types: ReadonlyArray<unknown> = [undefined, "array", "boolean", "integer", "number", "object", "string"]

const violation = (path: string, value: unknown, depth: number): Failure | undefined => {
  if (!isObject(value)) return { path, problem: "must be a schema, which is an object" }
  if (depth > maxDepth) return { path, problem: `is more than ${maxDepth} levels deep` }
  const wrong = (keyword: string, problem: string): Failure => ({ path: `${path}.${keyword}`, problem })
  const inner = (keyword: string, schema: unknown) => violation(`${path}.${keyword}`, schema, depth + 1)
  const { additionalProperties, enum: values, items, properties, required, type } = value
  if (value.$ref !== undefined) return wrong("$ref", "is not allowed in custom resources; write the schema out")
  if (!types.includes(type)) return wrong("type", `must be one of ${types.slice(1).join(", ")}`)
  if (values !== undefined && !Array.isArray(values)) return wrong("enum", "must be a list of values")
  if (required !== undefined && !(Array.isArray(required) && required.every((one) => typeof one === "string"))) {
    return wrong("required", "must be a list of names of properties")
  }
  if (properties !== undefined) {
    if (!isObject(properties)) return wrong("properties", "must be an object of schemas")
    for (const [name, schema] of Object.entries(properties)) {
      const failure = inner(`properties${member(name)}`, schema)
      if (failure !== undefined) return failure
    }
  }
  const keys = value["x-kubernetes-list-map-keys"]
  if (keys !== undefined && !(Array.isArray(keys) && keys.every((key) => typeof key === "string"))) {
    return wrong("x-kubernetes-list-map-keys", "must be a list of names of properties")
  }
  return (items === undefined ? undefined : inner("items", items)) ??
    (additionalProperties === undefined || typeof additionalProperties === "boolean"
      ? undefined
      : inner("additionalProperties", additionalProperties))
}

const member = (name: string): string => /^[\w$-]+$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
