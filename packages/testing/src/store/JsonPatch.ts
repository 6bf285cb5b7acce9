/**
 * JSON patch (RFC 6902) and JSON merge patch (RFC 7386).
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as Json from "./Json.ts"

type Value = Json.Json

const rejected = Result.fail(Failure.patchRejected)

// `~1` first: `~01` is `~1` and not `/` (RFC 6901 4).
const pointer = (path: string): Result.Result<ReadonlyArray<string>, Failure.Failure> =>
  path === ""
    ? Result.succeed([])
    : path.startsWith("/")
    ? Result.succeed(path.slice(1).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~")))
    : rejected

const indexOf = (list: ReadonlyArray<Value>, key: string, extra: 0 | 1): number | undefined => {
  if (key === "-") return extra === 1 ? list.length : undefined
  if (!/^(0|[1-9]\d*)$/.test(key)) return undefined
  const index = Number(key)
  return index < list.length + extra ? index : undefined
}

const read = (document: Value, path: ReadonlyArray<string>): Result.Result<Value, Failure.Failure> => {
  let current: Value | undefined = document
  for (const key of path) {
    if (Json.isArray(current)) {
      const index = indexOf(current, key, 0)
      current = index === undefined ? undefined : current[index]
    } else current = Json.object(current)[key]
    if (current === undefined) return rejected
  }
  return Result.succeed(current)
}

type Edit = (parent: Value, key: string) => Result.Result<Value, Failure.Failure>

const at = (document: Value, path: ReadonlyArray<string>, edit: Edit): Result.Result<Value, Failure.Failure> => {
  const [key, ...rest] = path
  if (key === undefined) return rejected
  if (rest.length === 0) return edit(document, key)
  return Result.gen(function*() {
    const child = yield* at(yield* read(document, [key]), rest, edit)
    if (!Json.isArray(document)) return { ...Json.object(document), [key]: child }
    return document.map((item, i) => (i === Number(key) ? child : item))
  })
}

const add = (value: Value): Edit => (parent, key) => {
  if (Json.isObject(parent)) return Result.succeed({ ...parent, [key]: value })
  if (!Json.isArray(parent)) return rejected
  const index = indexOf(parent, key, 1)
  return index === undefined ? rejected : Result.succeed(parent.toSpliced(index, 0, value))
}

const remove: Edit = (parent, key) => {
  if (Json.isObject(parent)) return parent[key] === undefined ? rejected : Result.succeed(Json.omit(parent, key))
  if (!Json.isArray(parent)) return rejected
  const index = indexOf(parent, key, 0)
  return index === undefined ? rejected : Result.succeed(parent.toSpliced(index, 1))
}

const step = (document: Value, operation: Json.JsonObject): Result.Result<Value, Failure.Failure> =>
  Result.gen(function*() {
    const path = yield* pointer(Json.string(operation["path"]) ?? "?")
    const from = pointer(Json.string(operation["from"]) ?? "?")
    const put = (target: Value, value: Value) =>
      path.length === 0 ? Result.succeed(value) : at(target, path, add(value))
    switch (operation["op"]) {
      case "add":
        return operation["value"] === undefined ? yield* rejected : yield* put(document, operation["value"])
      case "remove":
        return yield* at(document, path, remove)
      case "replace": {
        if (operation["value"] === undefined) return yield* rejected
        yield* read(document, path)
        return path.length === 0
          ? operation["value"]
          : yield* put(yield* at(document, path, remove), operation["value"])
      }
      case "move": {
        const source = yield* from
        return yield* put(yield* at(document, source, remove), yield* read(document, source))
      }
      case "copy":
        return yield* put(document, yield* read(document, yield* from))
      case "test":
        return Json.equals(yield* read(document, path), operation["value"]) ? document : yield* rejected
      default:
        return yield* rejected
    }
  })

/** Applies a JSON patch. Fails with 400 when it is no list of operations, with 422 when one does not apply. */
export const apply = (document: Value, patch: Value): Result.Result<Value, Failure.Failure> =>
  Result.gen(function*() {
    if (!Json.isArray(patch)) {
      return yield* Result.fail(
        Failure.badRequest(
          "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
      )
    }
    let current = document
    for (const operation of patch) current = yield* step(current, Json.object(operation))
    return current
  })

/** Applies a merge patch: members that are null are removed, objects are merged, everything else is replaced. */
export const merge = (document: Value | undefined, patch: Value): Value => {
  if (!Json.isObject(patch)) return patch
  const merged: Record<string, Value | undefined> = { ...Json.object(document) }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue
    if (value === null) delete merged[key]
    else merged[key] = merge(merged[key], value)
  }
  return merged
}
