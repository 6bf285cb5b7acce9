/**
 * Strategic merge patch: a merge patch in which some lists are merged by the value of a key. The schema of the kind tells
 * which (`x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`).
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as Json from "./Json.ts"
import * as MergeSchema from "./MergeSchema.ts"

type Value = Json.Json
type Schema = MergeSchema.MergeSchema | undefined

/** The rule for a member of an object. What the schema does not know is merged by member, or replaced. */
const ruleOf = (schema: Schema, name: string): MergeSchema.PatchRule & { readonly schema: Schema } => {
  const own = schema === undefined ? undefined : MergeSchema.member(schema, name)
  return own === undefined
    ? { schema: undefined, merges: false, mergeKey: undefined, replaces: false }
    : { schema: own, ...MergeSchema.patchRule(own) }
}

const orderPrefix = "$setElementOrder/"
const deletePrefix = "$deleteFromPrimitiveList/"

/** Applies a strategic merge patch. Fails with 500, as a real server, when an element lacks its merge key. */
export const apply = (
  document: Json.JsonObject,
  patch: Json.JsonObject,
  schema: MergeSchema.MergeSchema
): Result.Result<Json.JsonObject, Failure.Failure> => mergeObject(document, patch, schema)

const mergeObject = (
  original: Json.JsonObject,
  patch: Json.JsonObject,
  schema: Schema
): Result.Result<Json.JsonObject, Failure.Failure> =>
  Result.gen(function*() {
    const directive = patch["$patch"]
    if (directive === "replace") return Json.omit(patch, "$patch")
    if (directive === "delete") return Json.empty

    const retained = patch["$retainKeys"] === undefined ? undefined : Json.strings(patch["$retainKeys"])
    const merged: Record<string, Value | undefined> = retained === undefined
      ? { ...original }
      : Object.fromEntries(Object.entries(original).filter(([key]) => retained.includes(key)))

    for (const [key, value] of Object.entries(patch)) {
      if (value === undefined || key === "$patch" || key === "$retainKeys" || key.startsWith(orderPrefix)) continue
      if (key.startsWith(deletePrefix)) {
        const list = key.slice(deletePrefix.length)
        const gone = Json.array(value)
        if (merged[list] !== undefined) merged[list] = Json.array(merged[list]).filter((item) => !gone.includes(item))
        continue
      }
      const present = merged[key]
      // A directive for what is not there has nothing to act on, and takes the rest of its object with it.
      if (present === undefined && Json.isObject(value) && value["$patch"] !== undefined) continue
      const rule = ruleOf(schema, key)
      if (value === null) delete merged[key]
      else if (Json.isObject(value) && !rule.replaces) {
        merged[key] = yield* mergeObject(Json.object(present), value, rule.schema)
      } else if (Json.isArray(value) && rule.merges) {
        merged[key] = yield* mergeList(Json.array(present), value, rule.mergeKey, rule.schema)
      } else merged[key] = value
    }
    // The order may also be told for lists that are not changed themselves.
    for (const [directiveKey, order] of Object.entries(patch)) {
      if (!directiveKey.startsWith(orderPrefix)) continue
      const key = directiveKey.slice(orderPrefix.length)
      const { mergeKey, merges } = ruleOf(schema, key)
      if (!merges || merged[key] === undefined) continue
      merged[key] = arrange(Json.array(merged[key]), Json.array(order), Json.array(original[key]), mergeKey)
    }
    return merged
  })

// A list without a key is one of plain values.
const keyValue = (item: Value, mergeKey: string | undefined): Value | undefined =>
  mergeKey === undefined ? item : Json.object(item)[mergeKey]

const mergeList = (
  original: ReadonlyArray<Value>,
  patch: ReadonlyArray<Value>,
  mergeKey: string | undefined,
  list: Schema
): Result.Result<ReadonlyArray<Value>, Failure.Failure> =>
  Result.gen(function*() {
    const replaced = patch.some((item) => Json.get(item, "$patch") === "replace")
    let merged = replaced ? [] : [...original]
    const wanted: Array<Value> = []
    const inner = list === undefined ? undefined : MergeSchema.items(list)
    for (const item of patch) {
      const directive = Json.get(item, "$patch")
      const id = keyValue(item, mergeKey)
      if (id === undefined) {
        if (directive === "replace") continue
        return yield* Result.fail(
          Failure.internal(`map: ${goText(item)} does not contain declared merge key: ${mergeKey}`)
        )
      }
      const at = merged.findIndex((candidate) => Json.equals(keyValue(candidate, mergeKey), id))
      if (directive === "delete") {
        merged = merged.filter((candidate) => !Json.equals(keyValue(candidate, mergeKey), id))
        continue
      }
      wanted.push(item)
      if (mergeKey === undefined) {
        if (at < 0) merged.push(item)
        continue
      }
      const element = yield* mergeObject(Json.object(merged[at]), Json.omit(Json.object(item), "$patch"), inner)
      if (at < 0) merged.push(element)
      else merged[at] = element
    }
    return arrange(merged, wanted, original, mergeKey)
  })

/**
 * Orders a merged list: what the patch names keeps the patch's order, what only the server has keeps the server's, and
 * a server's element goes before the first of the patch that followed it on the server.
 */
const arrange = (
  merged: ReadonlyArray<Value>,
  order: ReadonlyArray<Value>,
  original: ReadonlyArray<Value>,
  mergeKey: string | undefined
): ReadonlyArray<Value> => {
  const place = (list: ReadonlyArray<Value>, item: Value): number =>
    list.findIndex((candidate) => Json.equals(keyValue(candidate, mergeKey), keyValue(item, mergeKey)))
  const named = merged.filter((item) => place(order, item) >= 0)
    .sort((a, b) => place(order, a) - place(order, b))
  const others = merged.filter((item) => place(order, item) < 0)
  const arranged: Array<Value> = []
  for (const item of named) {
    const here = place(original, item)
    const precedes = (other: Value): boolean => {
      const there = place(original, other)
      return there >= 0 && there < here
    }
    while (others[0] !== undefined && precedes(others[0])) arranged.push(...others.splice(0, 1))
    arranged.push(item)
  }
  return [...arranged, ...others]
}

// Go's `%v` of a decoded JSON value, for the one message that shows it.
const goText = (value: Value): string => {
  if (Json.isArray(value)) return `[${value.map(goText).join(" ")}]`
  if (!Json.isObject(value)) return value === null ? "<nil>" : String(value)
  const members = Object.keys(value).sort().map((key) => `${key}:${goText(value[key] ?? null)}`)
  return `map[${members.join(" ")}]`
}
