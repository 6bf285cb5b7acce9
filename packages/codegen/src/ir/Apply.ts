/**
 * The form of types in server-side apply: what a manager may leave out, and what it must say.
 *
 * A struct is merged field by field, so all its fields are optional. An element of a list that is merged by keys must
 * have its keys. An atomic struct, map or list is replaced as a whole, so it must be complete.
 */
import type { Definition, Property, Schema } from "../normalise/Schema.ts"

/** A struct in one of its forms. */
export interface Form {
  /** The name of the definition. */
  readonly definition: string
  /** The merge keys of an element of a list; empty for a struct in any other place. */
  readonly keys: ReadonlyArray<string>
}

/** How a form differs from its struct. */
export interface Difference {
  readonly form: Form
  /** What becomes of the properties that are not overridden: they become optional, they stay, or there are none. */
  readonly rest: "partial" | "same" | "none"
  readonly overridden: ReadonlyArray<
    { readonly property: Property; readonly schema: Schema; readonly optional: boolean }
  >
}

/** The reference to a form in a schema: the definition's name, `#apply`, and the keys. */
export const formRef = ({ definition, keys }: Form): string =>
  keys.length === 0 ? `${definition}#apply` : `${definition}#apply:${keys.join(",")}`

/** What a schema is in apply: the same, with references to forms. */
export const applySchema = (definitions: ReadonlyMap<string, Definition>, schema: Schema): Schema => {
  const isStruct = (ref: string | undefined): ref is string => structOf(definitions, ref) !== undefined
  if (isStruct(schema.$ref)) {
    const mapType = schema.mapType ?? definitions.get(schema.$ref)?.mapType
    return mapType === "atomic" ? schema : { ...schema, $ref: formRef({ definition: schema.$ref, keys: [] }) }
  }
  if (schema.listKeys !== undefined && isStruct(schema.items?.$ref)) {
    const ref = formRef({ definition: schema.items.$ref, keys: schema.listKeys })
    return { ...schema, items: { ...schema.items, $ref: ref } }
  }
  if (schema.additionalProperties !== undefined && schema.mapType !== "atomic") {
    return { ...schema, additionalProperties: applySchema(definitions, schema.additionalProperties) }
  }
  return schema
}

/** The forms that a schema refers to directly. */
export const formsIn = (schema: Schema): ReadonlyArray<Form> => {
  const inner = [schema.items, schema.additionalProperties].filter((inner) => inner !== undefined).flatMap(formsIn)
  const form = schema.$ref === undefined ? undefined : parseRef(schema.$ref)
  return form === undefined ? inner : [form, ...inner]
}

/** The form of a reference, undefined for a reference to a definition itself. */
export const parseRef = (ref: string): Form | undefined => {
  const [definition = "", keys] = ref.split("#apply")
  return keys === undefined ? undefined : { definition, keys: keys === "" ? [] : keys.slice(1).split(",") }
}

/**
 * The forms that are needed for some schemas (as `applySchema` makes them), and that differ from their struct; by
 * `formRef`. A needed form that is not there equals its struct.
 */
export const differences = (
  definitions: ReadonlyMap<string, Definition>,
  roots: Iterable<Schema>
): ReadonlyMap<string, Difference> => {
  const forms = new Map<string, { readonly form: Form; readonly schemas: ReadonlyMap<string, Schema> }>()
  const queue = [...roots].flatMap(formsIn)
  for (let form = queue.pop(); form !== undefined; form = queue.pop()) {
    if (forms.has(formRef(form))) continue
    const definition = definitions.get(form.definition)
    // An atomic element is complete: only its keys matter.
    const inside = isAtomicElement(definition, form)
      ? (schema: Schema) => schema
      : (schema: Schema) => applySchema(definitions, schema)
    const schemas = new Map(definition?.properties?.map(({ name, schema }) => [name, inside(schema)]))
    forms.set(formRef(form), { form, schemas })
    queue.push(...[...schemas.values()].flatMap(formsIn))
  }
  // A form differs if a form inside it does, and forms can contain themselves: repeat until nothing changes.
  const found = new Map<string, Difference>()
  for (let before = -1; before !== found.size;) {
    before = found.size
    for (const [ref, { form, schemas }] of forms) {
      const definition = definitions.get(form.definition)
      const difference = definition === undefined ? undefined : differenceOf(definition, form, schemas, found)
      if (difference !== undefined) found.set(ref, difference)
    }
  }
  return found
}

const differenceOf = (
  definition: Definition,
  form: Form,
  schemas: ReadonlyMap<string, Schema>,
  found: ReadonlyMap<string, Difference>
): Difference | undefined => {
  const partial = !isAtomicElement(definition, form)
  const whole = partial && definition.open === true
  const properties = definition.properties ?? []
  const overridden = properties.flatMap((property) => {
    const schema = schemas.get(property.name) ?? property.schema
    const changed = formsIn(schema).some((inner) => found.has(formRef(inner)))
    const isKey = form.keys.includes(property.name)
    // A key that may be missing has a default or counts as null, unless it is the only one.
    const must = isKey && (property.required || form.keys.length === 1)
    // Types that leave out names of an open struct lose all of them, so all are written out.
    const redeclared = whole || changed || (must && (partial || !property.required))
    const optional = partial ? !must : !must && !property.required
    return redeclared ? [{ property, schema: changed ? schema : property.schema, optional }] : []
  })
  // The keys that the struct itself requires are the same in the form, if nothing else makes it differ.
  const same =
    overridden.every(({ optional, property, schema }) =>
      schema === property.schema && optional === !property.required
    ) && properties.every(({ name, required }) => !required || !partial || form.keys.includes(name))
  return same ? undefined : { form, rest: whole ? "none" : partial ? "partial" : "same", overridden }
}

const isAtomicElement = (definition: Definition | undefined, { keys }: Form): boolean =>
  keys.length > 0 && definition?.mapType === "atomic"

const structOf = (definitions: ReadonlyMap<string, Definition>, ref: string | undefined): Definition | undefined => {
  const definition = ref === undefined ? undefined : definitions.get(ref)
  return definition?.properties === undefined ? undefined : definition
}
