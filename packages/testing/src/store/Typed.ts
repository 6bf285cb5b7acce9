/**
 * Values with their schema, as server-side apply sees them: which fields a value has, how two differ, how one is laid
 * over another, and what is left without some fields. Pure.
 *
 * The rules are those of structured-merge-diff. Inside of an atomic list or map there are no fields.
 */
import * as FieldSet from "./FieldSet.ts"
import * as Json from "./Json.ts"
import * as MergeSchema from "./MergeSchema.ts"

type Schema = MergeSchema.MergeSchema
type Value = Json.Json | undefined

/** What a value is for its schema: it decides where the schema does not. */
type Atom = "list" | "map" | "scalar"

const atomOf = (schema: Schema, ...values: ReadonlyArray<Value>): Atom => {
  switch (MergeSchema.typeOf(schema)) {
    case "object":
      return "map"
    case "array":
      return "list"
    case "any": {
      const value = values.find((one) => one !== undefined && one !== null)
      return Json.isArray(value) ? "list" : Json.isObject(value) ? "map" : "scalar"
    }
    default:
      return "scalar"
  }
}

const isAtomicList = (schema: Schema): boolean => MergeSchema.listRelation(schema)._tag === "Atomic"

const members = (value: Value): ReadonlyArray<readonly [string, Json.Json]> =>
  Object.entries(Json.object(value)).flatMap(([name, inner]) => inner === undefined ? [] : [[name, inner] as const])

/** The schema of a member. What is not declared is refused before it comes here; live objects may have it still. */
const memberOf = (schema: Schema, name: string): Schema => MergeSchema.member(schema, name) ?? MergeSchema.untyped

/** The path element of an item; nothing when it has none of the keys. */
export const elementOf = (list: Schema, item: Json.Json): string | undefined => {
  const relation = MergeSchema.listRelation(list)
  if (relation._tag !== "Map") return FieldSet.valued(item)
  const inner = MergeSchema.items(list)
  const keys: Record<string, Json.Json> = {}
  for (const key of relation.keys) {
    const value = Json.object(item)[key] ?? MergeSchema.defaultOf(memberOf(inner, key))
    if (value !== undefined) keys[key] = value
  }
  return Object.keys(keys).length === 0 ? undefined : FieldSet.keyed(keys)
}

interface Item {
  /** Nothing for an element without any of the keys: no apply can speak of it. */
  readonly element: string | undefined
  readonly value: Json.Json
}

const itemsOf = (list: Schema, value: Value): ReadonlyArray<Item> =>
  Json.array(value).map((item) => ({ element: elementOf(list, item), value: item }))

/** The items of a list by their elements. Live lists may have several of one, as environment variables of one name. */
const byElement = (items: ReadonlyArray<Item>): ReadonlyMap<string, ReadonlyArray<Json.Json>> => {
  const found = new Map<string, Array<Json.Json>>()
  for (const { element, value } of items) {
    if (element === undefined) continue
    const known = found.get(element) ?? []
    found.set(element, known)
    known.push(value)
  }
  return found
}

/** The fields of a value. */
export const fieldsOf = (value: Json.Json, schema: Schema): FieldSet.FieldSet => {
  switch (atomOf(schema, value)) {
    case "scalar":
      return FieldSet.leaf
    case "list": {
      if (isAtomicList(schema)) return FieldSet.leaf
      const inner = MergeSchema.items(schema)
      return FieldSet.make(
        false,
        Array.from(byElement(itemsOf(schema, value)), ([element, [item = null, second]]) => [
          element,
          second === undefined ? owned(fieldsOf(item, inner)) : FieldSet.leaf
        ])
      )
    }
    case "map":
      if (MergeSchema.isAtomic(schema)) return FieldSet.leaf
      return FieldSet.make(
        false,
        members(value).map(([name, inner]) => {
          const fields = fieldsOf(inner, memberOf(schema, name))
          const isOwned = inner === null || Json.isObject(inner) && members(inner).length === 0 ||
            !MergeSchema.declares(schema, name)
          return [FieldSet.member(name), isOwned ? owned(fields) : fields]
        })
      )
  }
}

const owned = (fields: FieldSet.FieldSet): FieldSet.FieldSet => ({ ...fields, self: true })

/** How one value differs from another. */
export interface Comparison {
  readonly added: FieldSet.FieldSet
  readonly modified: FieldSet.FieldSet
  readonly removed: FieldSet.FieldSet
}

const same: Comparison = { added: FieldSet.empty, modified: FieldSet.empty, removed: FieldSet.empty }

/** The fields that a second value has beside those of the first, has with another value, or lacks. */
export const compare = (before: Value, after: Value, schema: Schema): Comparison => {
  if (before === undefined && after === undefined) return same
  const atoms = new Set([
    ...(before === undefined ? [] : [atomOf(schema, before, after)]),
    ...(after === undefined ? [] : [atomOf(schema, after, before)])
  ])
  const parts = Array.from(atoms, (atom) => compareAs(atom, before, after, schema))
  const [first = same, second] = parts
  return second === undefined ? first : {
    added: FieldSet.union(first.added, second.added),
    modified: FieldSet.union(first.modified, second.modified),
    removed: FieldSet.union(first.removed, second.removed)
  }
}

const compareAs = (atom: Atom, before: Value, after: Value, schema: Schema): Comparison => {
  const isLeaf = atom === "scalar" || isBlank(before) && isBlank(after) ||
    (atom === "list" ? isAtomicList(schema) : MergeSchema.isAtomic(schema))
  if (isLeaf) {
    return before === undefined
      ? { ...same, added: FieldSet.leaf }
      : after === undefined
      ? { ...same, removed: FieldSet.leaf }
      : Json.equals(before, after)
      ? same
      : { ...same, modified: FieldSet.leaf }
  }
  const parts = atom === "list" ? compareItems(before, after, schema) : compareMembers(before, after, schema)
  const gather = (part: keyof Comparison, self: boolean): FieldSet.FieldSet =>
    FieldSet.make(self, parts.map(([element, comparison]) => [element, comparison[part]]))
  return {
    added: gather("added", before === undefined),
    modified: gather("modified", false),
    removed: gather("removed", after === undefined)
  }
}

/** Whether there is nothing in it: what is empty and what is null differ, as leaves do. */
const isBlank = (value: Value): boolean =>
  value === undefined || value === null ||
  (Json.isArray(value) ? value.length === 0 : Json.isObject(value) && members(value).length === 0)

type Compared = ReadonlyArray<readonly [element: string, comparison: Comparison]>

const compareMembers = (before: Value, after: Value, schema: Schema): Compared => {
  const [a, b] = [Json.object(before), Json.object(after)]
  return Array.from(new Set([...Object.keys(a), ...Object.keys(b)]), (name) => [
    FieldSet.member(name),
    compare(a[name], b[name], memberOf(schema, name))
  ])
}

const compareItems = (before: Value, after: Value, schema: Schema): Compared => {
  const inner = MergeSchema.items(schema)
  const [a, b] = [byElement(itemsOf(schema, before)), byElement(itemsOf(schema, after))]
  return Array.from(new Set([...a.keys(), ...b.keys()]), (element) => {
    const [left = [], right = []] = [a.get(element), b.get(element)]
    const isPlain = left.length <= 1 && right.length <= 1
    const several = Json.equals(left, right) ? same : { ...same, modified: FieldSet.leaf }
    return [element, isPlain ? compare(left[0], right[0], inner) : several]
  })
}

/**
 * A value laid over another: its fields win, those of the other stay, and elements of lists keep the order of the value
 * on top as far as it tells one.
 */
export const merge = (live: Value, applied: Value, schema: Schema): Value => {
  const atom = atomOf(schema, applied, live)
  const top = applied === undefined ? live : applied
  if (atom === "scalar" || isBlank(live) && isBlank(applied)) return top
  if (atom === "map") {
    if (MergeSchema.isAtomic(schema)) return top
    const [a, b] = [Json.object(live), Json.object(applied)]
    const names = Array.from(new Set([...Object.keys(a), ...Object.keys(b)]))
    return Object.fromEntries(names.map((name) => [name, merge(a[name], b[name], memberOf(schema, name))]))
  }
  return isAtomicList(schema) ? top : mergeItems(live, applied, schema)
}

const mergeItems = (live: Value, applied: Value, schema: Schema): ReadonlyArray<Json.Json> => {
  const inner = MergeSchema.items(schema)
  const [left, right] = [itemsOf(schema, live), itemsOf(schema, applied)]
  const [leftValues, rightValues] = [byElement(left), byElement(right)]
  const shared = Array.from(rightValues.keys()).filter((element) => leftValues.has(element))
  const merged: Array<Json.Json> = []
  const taken = new Set<string>()
  const take = (element: string): void => {
    taken.add(element)
    if (shared[0] === element) shared.shift()
    const [below, second] = leftValues.get(element) ?? []
    // Of several nobody knows which is meant: all give way to the one on top.
    const value = merge(second === undefined ? below : undefined, rightValues.get(element)?.[0], inner)
    if (value !== undefined) merged.push(value)
  }
  let [l, r] = [0, 0]
  while (l < left.length || r < right.length) {
    const [item, there] = [left[l], right[r]?.element]
    const here = item?.element
    const isShared = here !== undefined && rightValues.has(here)
    if (item === undefined) {
      if (there !== undefined && !taken.has(there)) take(there)
      r++
    } else if (!isShared) {
      merged.push(item.value)
      l++
    } else if (taken.has(here)) {
      l++
    } else if (here === there) {
      take(here)
      l++
      r++
    } else if (there === undefined || shared[0] !== here) {
      // In both, but another one that is in both comes first: its place is where the value on top has it.
      l++
    } else {
      take(there)
      r++
    }
  }
  return merged
}

/** A value without some fields. What is left of an object or list that had nothing else is `null`. */
export const remove = (value: Json.Json, fields: FieldSet.FieldSet, schema: Schema): Json.Json => {
  switch (atomOf(schema, value)) {
    case "scalar":
      return value
    case "list": {
      if (isAtomicList(schema)) return null
      const inner = MergeSchema.items(schema)
      const left = Json.array(value).flatMap((item): ReadonlyArray<Json.Json> => {
        const part = fields.below.get(elementOf(schema, item) ?? "")
        return part === undefined ? [item] : part.self ? [] : [remove(item, part, inner)]
      })
      return left.length === 0 ? null : left
    }
    case "map": {
      if (MergeSchema.isAtomic(schema)) return null
      const left = members(value).flatMap(([name, inner]): ReadonlyArray<readonly [string, Json.Json]> => {
        const part = fields.below.get(FieldSet.member(name))
        return part === undefined
          ? [[name, inner]]
          : part.self
          ? []
          : [[name, remove(inner, part, memberOf(schema, name))]]
      })
      return left.length === 0 ? null : Object.fromEntries(left)
    }
  }
}

/** A value without members that are null and declared, unless they may be: Go drops them. */
export const withoutNulls = (value: Json.Json, schema: Schema): Json.Json => {
  if (Json.isArray(value)) {
    const inner = MergeSchema.items(schema)
    return value.map((item) => withoutNulls(item, inner))
  }
  if (!Json.isObject(value)) return value
  return Object.fromEntries(
    members(value).flatMap(([name, inner]) => {
      const own = MergeSchema.declares(schema, name) ? memberOf(schema, name) : undefined
      return inner === null && own !== undefined && own.raw["nullable"] !== true
        ? []
        : [[name, own === undefined ? inner : withoutNulls(inner, own)] as const]
    })
  )
}

/** The set with the structs that hold its fields: members that the schema declares. */
export const withStructs = (fields: FieldSet.FieldSet, schema: Schema): FieldSet.FieldSet =>
  FieldSet.make(
    fields.self,
    Array.from(fields.below, ([element, part]) => {
      const name = element.slice(2)
      const isMember = element.startsWith("f:")
      const inner = isMember ? memberOf(schema, name) : MergeSchema.items(schema)
      const below = withStructs(part, inner)
      const isStruct = isMember && part.below.size > 0 && MergeSchema.declares(schema, name)
      return [element, isStruct ? owned(below) : below]
    })
  )

/** What is wrong with a value for its schema, as a real server says it; the path begins each. */
export const violations = (value: Json.Json, schema: Schema, path = ""): ReadonlyArray<string> => {
  if (value === null) return []
  const wrong = (why: string): ReadonlyArray<string> => [`${path}: ${why}`]
  const type = MergeSchema.typeOf(schema)
  switch (type) {
    case "string":
    case "boolean":
      if (typeof value === type) return []
      return wrong(`expected ${type}, got ${type === "string" ? goValue(value) : `&{${goText(value)}}`}`)
    case "number":
      return typeof value === "number" ? [] : wrong(`expected numeric (int or float), got ${goType(value)}`)
    case "scalar":
      // One value, whatever it is made of.
      return []
    default:
      break
  }
  const atom = atomOf(schema, value)
  if (atom === "map") {
    if (!Json.isObject(value)) return wrong(`expected map, got &{${goText(value)}}`)
    // A real server tells of one only.
    const undeclared = members(value).find(([name]) => MergeSchema.member(schema, name) === undefined)
    if (undeclared !== undefined) return [`${path}.${undeclared[0]}: field not declared in schema`]
    return members(value).flatMap(([name, inner]) => violations(inner, memberOf(schema, name), `${path}.${name}`))
  }
  if (atom === "list") {
    if (!Json.isArray(value)) return wrong(`expected list, got &{${goText(value)}}`)
    return listViolations(value, schema, path)
  }
  return []
}

const listViolations = (value: ReadonlyArray<Json.Json>, schema: Schema, path: string): ReadonlyArray<string> => {
  const relation = MergeSchema.listRelation(schema)
  const inner = MergeSchema.items(schema)
  const seen = new Set<string>()
  return value.flatMap((item, i): ReadonlyArray<string> => {
    if (relation._tag === "Atomic") return violations(item, inner, `${path}[${i}]`)
    const element = elementOf(schema, item)
    if (element === undefined && relation._tag === "Map") {
      const keys = relation.keys.map((key) => JSON.stringify(key)).join(" ")
      return [
        `${path}: element ${i}: associative list with keys has an element that omits all key fields [${keys}] (and doesn't have default values for any key fields)`
      ]
    }
    const at = `${path}${FieldSet.shown(element ?? `i:${i}`)}`
    if (element !== undefined && seen.has(element)) {
      return [`${path}: duplicate entries for key ${FieldSet.shown(element)}`]
    }
    seen.add(element ?? "")
    return violations(item, inner, at)
  })
}

const goText = (value: Json.Json): string =>
  Json.isArray(value)
    ? `[${value.map(goText).join(" ")}]`
    : Json.isObject(value)
    ? `map[${members(value).map(([key, inner]) => `${key}:${goText(inner)}`).join(" ")}]`
    : String(value)

const goValue = (value: Json.Json): string =>
  `&value.valueUnstructured{Value:${typeof value === "string" ? JSON.stringify(value) : goText(value)}}`

const goType = (value: Json.Json): string =>
  Json.isArray(value)
    ? "[]interface {}"
    : typeof value === "object"
    ? "map[string]interface {}"
    : typeof value === "boolean"
    ? "bool"
    : typeof value
