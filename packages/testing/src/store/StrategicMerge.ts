/**
 * Strategic merge patch: a merge patch in which some lists are merged by the value of a key.
 *
 * Which lists these are is told by the names of a field and of the field that holds it, not by the Go type as on a real
 * server. For the built-in kinds both come to the same, lists inside of volumes and of custom types aside: those are
 * replaced.
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as Json from "./Json.ts"

type Value = Json.Json

const inContainers = { env: "name", ports: "containerPort", volumeDevices: "devicePath", volumeMounts: "mountPath" }

// By the field that holds the list, then by the list. An empty key marks a list of texts, merged as a set.
const mergeKeys: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "": { secrets: "name", webhooks: "name" },
  metadata: { finalizers: "", ownerReferences: "uid" },
  spec: {
    containers: "name",
    ephemeralContainers: "name",
    hostAliases: "ip",
    imagePullSecrets: "name",
    initContainers: "name",
    podCIDRs: "",
    ports: "port",
    resourceClaims: "name",
    schedulingGates: "name",
    topologySpreadConstraints: "topologyKey",
    volumes: "name"
  },
  status: { addresses: "type", conditions: "type", hostIPs: "ip", podIPs: "ip", resourceClaimStatuses: "name" },
  containers: inContainers,
  ephemeralContainers: inContainers,
  initContainers: inContainers
}

const orderPrefix = "$setElementOrder/"
const deletePrefix = "$deleteFromPrimitiveList/"

/** Applies a strategic merge patch. Fails with 500, as a real server, when an element lacks its merge key. */
export const apply = (
  document: Json.JsonObject,
  patch: Json.JsonObject
): Result.Result<Json.JsonObject, Failure.Failure> => mergeObject(document, patch, "")

const mergeObject = (
  original: Json.JsonObject,
  patch: Json.JsonObject,
  field: string
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
      if (value === null) delete merged[key]
      else if (Json.isObject(value)) merged[key] = yield* mergeObject(Json.object(present), value, key)
      else if (Json.isArray(value) && mergeKeys[field]?.[key] !== undefined) {
        merged[key] = yield* mergeList(Json.array(present), value, key, mergeKeys[field][key])
      } else merged[key] = value
    }
    // The order may also be told for lists that are not changed themselves.
    for (const [directiveKey, order] of Object.entries(patch)) {
      if (!directiveKey.startsWith(orderPrefix)) continue
      const key = directiveKey.slice(orderPrefix.length)
      const mergeKey = mergeKeys[field]?.[key]
      if (mergeKey === undefined || merged[key] === undefined) continue
      merged[key] = arrange(Json.array(merged[key]), Json.array(order), Json.array(original[key]), mergeKey)
    }
    return merged
  })

const keyValue = (item: Value, mergeKey: string): Value | undefined =>
  mergeKey === "" ? item : Json.object(item)[mergeKey]

const mergeList = (
  original: ReadonlyArray<Value>,
  patch: ReadonlyArray<Value>,
  field: string,
  mergeKey: string
): Result.Result<ReadonlyArray<Value>, Failure.Failure> =>
  Result.gen(function*() {
    const replaced = patch.some((item) => Json.get(item, "$patch") === "replace")
    let merged = replaced ? [] : [...original]
    const wanted: Array<Value> = []
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
      if (mergeKey === "") {
        if (at < 0) merged.push(item)
        continue
      }
      const element = yield* mergeObject(Json.object(merged[at]), Json.omit(Json.object(item), "$patch"), field)
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
  mergeKey: string
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
