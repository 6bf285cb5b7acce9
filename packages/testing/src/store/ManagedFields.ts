/**
 * Who owns which field of an object: `metadata.managedFields`, and what writes make of it. Pure.
 *
 * Each write has a manager. An apply owns what its configuration says, and nothing else; any other write owns what it
 * changed. What an apply no longer says goes away, unless somebody else owns it.
 */
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import * as FieldSet from "./FieldSet.ts"
import * as Json from "./Json.ts"
import * as LastApplied from "./LastApplied.ts"
import type { MergeSchema } from "./MergeSchema.ts"
import * as Schemas from "./MergeSchema.ts"
import * as Typed from "./Typed.ts"

/** An entry of `metadata.managedFields`. */
export interface Entry {
  readonly manager: string
  readonly operation: "Apply" | "Update"
  readonly apiVersion: string
  /** Empty where the object itself was written. */
  readonly subresource: string
  /** RFC 3339; nothing for what was never written by the manager. */
  readonly time: string | undefined
  readonly fields: FieldSet.FieldSet
}

/** Who writes, how, and by which schema. */
export interface Writer {
  readonly manager: string
  readonly apiVersion: string
  /** Empty where the object itself is written. */
  readonly subresource: string
  /** RFC 3339; nothing for writes that leave no time. */
  readonly time: string | undefined
  readonly schema: MergeSchema
  /** Fields that the write leaves as they are, whatever it says: the status, or all but the status. */
  readonly reset: FieldSet.FieldSet
}

/** The entries of an object; nothing when they cannot be read. */
export const parse = (value: Json.Json | undefined): ReadonlyArray<Entry> | undefined => {
  const entries: Array<Entry> = []
  for (const raw of Json.array(value)) {
    const operation = Json.get(raw, "operation")
    const fields = FieldSet.fromJson(Json.get(raw, "fieldsV1") ?? {})
    if (operation !== "Apply" && operation !== "Update" || fields === undefined) return undefined
    entries.push({
      manager: Json.string(Json.get(raw, "manager")) ?? "",
      operation,
      apiVersion: Json.string(Json.get(raw, "apiVersion")) ?? "",
      subresource: Json.string(Json.get(raw, "subresource")) ?? "",
      time: Json.string(Json.get(raw, "time")),
      fields
    })
  }
  return entries
}

/** Entries as objects have them: applies first, then by time and name. */
export const toJson = (entries: ReadonlyArray<Entry>): ReadonlyArray<Json.JsonObject> =>
  entries.toSorted((a, b) =>
    compareTexts(a.operation, b.operation) || compareTexts(a.time ?? "", b.time ?? "") ||
    compareTexts(a.manager, b.manager) || compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource, b.subresource)
  ).map(({ apiVersion, fields, manager, operation, subresource, time }) => ({
    manager,
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1: FieldSet.toJson(fields),
    ...(subresource === "" ? {} : { subresource })
  }))

const compareTexts = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Whether a request asks to forget all managers: one entry without content. */
export const isReset = (value: Json.Json | undefined): boolean =>
  Json.isArray(value) && value.length === 1 && Object.keys(Json.compact(Json.object(value[0]))).length === 0

/**
 * The entries that a write starts from: those of the request, if it may set them and has readable ones, else those of the
 * object as it is.
 */
export const base = (
  live: Json.Json | undefined,
  sent: Json.Json | undefined,
  subresource: string
): ReadonlyArray<Entry> => {
  const own = parse(live) ?? []
  if (subresource !== "") return own
  if (isReset(sent)) return []
  const asked = parse(sent) ?? []
  return asked.length === 0 ? own : asked
}

// What the server decides is nobody's.
const serverMetadata = [
  "creationTimestamp",
  "generation",
  "managedFields",
  "name",
  "namespace",
  "resourceVersion",
  "selfLink",
  "uid"
]
const serverFields = [
  FieldSet.path("f:apiVersion"),
  FieldSet.path("f:kind"),
  FieldSet.path("f:metadata"),
  ...serverMetadata.map((name) => FieldSet.path("f:metadata", FieldSet.member(name)))
].reduce(FieldSet.union)

// The same manager under another version of the API owns what it applied there; what it updated is told apart.
const isOf = (entry: Entry, operation: Entry["operation"], writer: Writer): boolean =>
  entry.manager === writer.manager && entry.operation === operation && entry.subresource === writer.subresource &&
  (operation === "Apply" || entry.apiVersion === writer.apiVersion)

const entryOf = (
  writer: Writer,
  operation: Entry["operation"],
  fields: FieldSet.FieldSet,
  time: string | undefined
): Entry => ({
  manager: writer.manager,
  operation,
  apiVersion: writer.apiVersion,
  subresource: writer.subresource,
  time,
  fields
})

const held = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> =>
  entries.filter(({ fields }) => !FieldSet.isEmpty(fields))

// More updates than this many are not kept apart: the oldest become one, for each version of the API.
const maxUpdates = 10

const ancient = "ancient-changes"

const capped = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  const updates = entries.filter(({ operation }) => operation === "Update")
    .toSorted((a, b) => compareTexts(a.time ?? "", b.time ?? "") || compareTexts(a.manager, b.manager))
  const buckets = new Map<string, Entry>()
  const gone = new Set<Entry>()
  let left = updates.length
  for (const entry of updates) {
    if (left <= maxUpdates) break
    const bucket = buckets.get(entry.apiVersion)
    if (bucket !== undefined) left--
    gone.add(entry)
    buckets.set(
      entry.apiVersion,
      bucket === undefined ? entry : {
        ...entry,
        manager: ancient,
        subresource: "",
        fields: FieldSet.union(bucket.fields, entry.fields)
      }
    )
  }
  return [...entries.filter((entry) => !gone.has(entry)), ...buckets.values()]
}

/**
 * The entries after a write that is no apply: the manager owns what it changed, others lose what it changed or removed.
 */
export const update = (
  entries: ReadonlyArray<Entry>,
  before: Json.JsonObject,
  after: Json.JsonObject,
  writer: Writer
): ReadonlyArray<Entry> => {
  const { added, modified, removed } = compare(before, after, writer)
  const changed = FieldSet.union(added, modified)
  const lost = FieldSet.union(changed, removed)
  const others = entries.map((entry) => ({ ...entry, fields: FieldSet.difference(entry.fields, lost) }))
  const taken = FieldSet.difference(changed, serverFields)
  const previous = others.find((entry) => isOf(entry, "Update", writer))
  if (FieldSet.isEmpty(taken)) return held(others)
  const own = entryOf(writer, "Update", FieldSet.union(previous?.fields ?? FieldSet.empty, taken), writer.time)
  return capped(held([...others.filter((entry) => entry !== previous), own]))
}

/** The entries that an apply starts from: of an object that nobody is known to have written, one for all of it. */
const known = (
  entries: ReadonlyArray<Entry>,
  live: Json.JsonObject,
  writer: Writer
): ReadonlyArray<Entry> =>
  entries.length > 0 || Object.keys(live).length === 0
    ? entries
    : update([], {}, live, { ...writer, manager: "before-first-apply" })

const compare = (before: Json.JsonObject, after: Json.JsonObject, { reset, schema }: Writer): Typed.Comparison => {
  const { added, modified, removed } = Typed.compare(
    Schemas.asGo(withoutManagers(before), schema),
    Schemas.asGo(withoutManagers(after), schema),
    schema
  )
  return {
    added: FieldSet.without(added, reset),
    modified: FieldSet.without(modified, reset),
    removed: FieldSet.without(removed, reset)
  }
}

const withoutManagers = (object: Json.JsonObject): Json.JsonObject => ({
  ...object,
  metadata: Json.omit(Json.object(object["metadata"]), "managedFields")
})

/** What an apply makes of an object. */
export interface Applied {
  readonly object: Json.JsonObject
  readonly entries: ReadonlyArray<Entry>
}

/**
 * A configuration applied to an object; to an empty one, where there is none yet.
 *
 * Fails with 409 when others own fields that it would change, unless forced, and with 500, as a real server, when the
 * configuration does not fit the schema.
 */
export const apply = (
  recorded: ReadonlyArray<Entry>,
  live: Json.JsonObject,
  configuration: Json.JsonObject,
  writer: Writer,
  force: boolean
): Result.Result<Applied, Failure.Failure> => {
  const { schema } = writer
  const wrong = Typed.violations(configuration, schema)
  if (wrong.length > 0) return Result.fail(untypable(configuration, wrong))
  const bare = withoutManagers(live)
  const entries = known(recorded, live, writer)
  const said = Json.omit(configuration, "apiVersion", "kind")
  const merged = Typed.merge(bare, said, schema) ?? {}
  const last = entries.find((entry) => isOf(entry, "Apply", writer))
  const fields = FieldSet.without(Typed.fieldsOf(said, schema), writer.reset)
  const own = entryOf(writer, "Apply", fields, last?.time)
  const others = entries.filter((entry) => entry !== last)
  const wanted = Json.object(pruned(merged, last, [...others, own], schema))
  const { added, modified, removed } = compare(bare, wanted, writer)
  const changed = FieldSet.union(added, modified)
  const conflicts = others.flatMap((entry) => {
    const fields = FieldSet.intersection(entry.fields, changed)
    return FieldSet.isEmpty(fields) ? [] : [{ entry, fields }]
  })
  const byKubectl = writer.manager === LastApplied.manager
  if (!force && conflicts.length > 0) {
    const allowed = byKubectl ? LastApplied.fields(bare, schema) : FieldSet.empty
    const left = conflicts.map(({ entry, fields }) => ({ entry, fields: FieldSet.difference(fields, allowed) }))
      .filter(({ fields }) => !FieldSet.isEmpty(fields))
    if (left.length > 0) return Result.fail(conflict(left))
  }
  const lost = FieldSet.union(changed, removed)
  const isSame = Json.equals(Schemas.asGo(bare, schema), Schemas.asGo(wanted, schema))
  const object = isSame ? bare : Json.object(Typed.withoutNulls(wanted, schema))
  return Result.succeed({
    object: byKubectl ? LastApplied.replaced(object, configuration) : object,
    entries: held([
      ...others.map((entry) => ({ ...entry, fields: FieldSet.difference(entry.fields, lost) })),
      {
        ...own,
        fields: FieldSet.difference(fields, serverFields),
        // As real servers do: who adds nothing to the object has no time, if the manager is new.
        time: isSame ? last?.time : writer.time
      }
    ])
  })
}

/** The object without what the manager applied before and does not any more, as far as nobody else owns it. */
const pruned = (
  merged: Json.Json,
  last: Entry | undefined,
  entries: ReadonlyArray<Entry>,
  schema: MergeSchema
): Json.Json => {
  if (last === undefined || FieldSet.isEmpty(last.fields)) return merged
  const structs = (fields: FieldSet.FieldSet) => Typed.withStructs(fields, schema)
  const all = structs(Typed.fieldsOf(merged, schema))
  const owned = structs(entries.map(({ fields }) => fields).reduce(FieldSet.union, FieldSet.empty))
  const dropped = structs(last.fields)
  // Others may own what is inside of a field that goes away.
  const left = structs(Typed.fieldsOf(Typed.remove(merged, dropped, schema), schema))
  const kept = Typed.remove(merged, FieldSet.difference(all, FieldSet.union(left, owned)), schema)
  // And what nobody owns is not the manager's to remove.
  const gone = FieldSet.difference(all, structs(Typed.fieldsOf(kept, schema)))
  return Typed.remove(merged, FieldSet.intersection(gone, dropped), schema)
}

const untypable = (configuration: Json.JsonObject, wrong: ReadonlyArray<string>): Failure.Failure => {
  const { apiVersion, kind, metadata } = configuration
  const text = (value: Json.Json | undefined): string => Json.string(value) ?? ""
  const groupVersion = text(apiVersion).includes("/") ? text(apiVersion) : `/${text(apiVersion)}`
  const name = `${text(Json.get(metadata, "namespace"))}/${text(Json.get(metadata, "name"))}`
  const why = wrong.length === 1 ? wrong.join("") : ["errors:", ...wrong.map((one) => `  ${one}`)].join("\n")
  return Failure.internal(
    `failed to create typed patch object (${name}; ${groupVersion}, Kind=${text(kind)}): ${why}`
  )
}

interface Conflict {
  readonly entry: Entry
  readonly fields: FieldSet.FieldSet
}

const conflict = (conflicts: ReadonlyArray<Conflict>): Failure.Failure => {
  const all = conflicts.map(({ entry, fields }) => ({ with: shown(entry), paths: FieldSet.paths(fields) }))
    .sort((a, b) => compareTexts(a.with, b.with))
  const causes = all.flatMap((one) => one.paths.map((path) => ({ path, message: `conflict with ${one.with}` })))
  const [first] = causes
  const words = causes.length === 1 && first !== undefined
    ? `${first.message}: ${first.path}`
    : all.flatMap((one) => [`conflicts with ${one.with}:`, ...one.paths.map((path) => `- ${path}`)]).join("\n")
  return Failure.fieldConflict(
    `Apply failed with ${causes.length} conflict${causes.length === 1 ? "" : "s"}: ${words}`,
    causes.map(({ message, path }) => ({ reason: "FieldManagerConflict", message, field: path }))
  )
}

const shown = ({ apiVersion, manager, operation, subresource }: Entry): string =>
  JSON.stringify(manager) + (subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`) +
  (operation === "Update" ? ` using ${apiVersion}` : "")
