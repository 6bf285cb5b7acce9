/**
 * What is emitted: which kinds, which types they are made of, which forms of them differ in server-side apply.
 */
import { by } from "../internal/order.ts"
import type { Api } from "../normalise/Normalise.ts"
import type { Resource } from "../normalise/Resources.ts"
import { gvk } from "../normalise/Schema.ts"
import type { Definition, GroupVersionKind, Property, Schema } from "../normalise/Schema.ts"
import type { Difference } from "./Apply.ts"
import * as Apply from "./Apply.ts"
import { needed } from "./Localise.ts"

/** What is emitted, before anything has a name. All maps are in the order of their keys. */
export interface Plan {
  /** By the name of the definition. */
  readonly kinds: ReadonlyMap<string, KindPlan>
  /** By name. */
  readonly types: ReadonlyMap<string, Definition>
  /** By `Apply.formRef`. */
  readonly differences: ReadonlyMap<string, Difference>
}

/** A kind that is emitted. */
export interface KindPlan {
  readonly definition: Definition
  readonly kind: GroupVersionKind
  readonly resource: Resource | undefined
  readonly stored: boolean
  /** Without those that the runtime gives every kind. */
  readonly properties: ReadonlyArray<Property>
  /** The metadata, if whoever writes the object must give it: the runtime leaves it optional. */
  readonly metadata: ReadonlyArray<Property>
  /** The same in apply; undefined for a kind that cannot be patched. */
  readonly apply: ReadonlyArray<Property> | undefined
}

/** Makes the plan of an API. */
export const make = (api: Api): Plan => {
  const found = findKinds(api)
  const structs = new Map([...api.definitions].filter(([name]) => !found.has(name)))
  const kinds = new Map([...found].map(([name, { definition, patched, ...kind }]): [string, KindPlan] => {
    const properties = (definition.properties ?? []).filter(({ name }) => !ofRuntime.has(name))
    const applied = properties.map((property) => ({
      ...property,
      required: false,
      schema: Apply.applySchema(structs, property.schema)
    }))
    const metadata = (definition.properties ?? []).filter(({ name, required }) => name === "metadata" && required)
      .map(({ doc: _doc, ...property }) => ({ ...property, schema: { $ref: "#ObjectMetaInput" } }))
    return [name, { ...kind, definition, properties, metadata, apply: patched ? applied : undefined }]
  }))
  const schemas = (f: (kind: KindPlan) => ReadonlyArray<Property> | undefined): ReadonlyArray<Schema> =>
    [...kinds.values()].flatMap((kind) => f(kind) ?? []).map(({ schema }) => schema)
  return {
    kinds: sorted(kinds),
    types: sorted(needed(structs, schemas(({ properties }) => properties))),
    differences: sorted(Apply.differences(structs, schemas(({ apply }) => apply)))
  }
}

/** Whether servers always write a property of a kind, whatever a client must. */
export const isPresent = ({ name, present }: Property): boolean => present && (name === "spec" || name === "status")

const ofRuntime: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata"])

interface FoundKind extends Pick<KindPlan, "definition" | "kind" | "resource" | "stored"> {
  readonly patched: boolean
}

/** The kinds of resources and of their subresources, by the name of their definition. */
const findKinds = (api: Api): ReadonlyMap<string, FoundKind> => {
  const found = new Map<string, FoundKind>()
  const add = (kind: GroupVersionKind, rest: Omit<FoundKind, "definition" | "kind">): void => {
    const definition = api.kinds.get(gvk(kind))
    if (definition !== undefined && !found.has(definition.name)) {
      found.set(definition.name, { definition, kind, ...rest })
    }
  }
  for (const resource of api.resources) {
    const has = (verb: Resource["verbs"][number]) => resource.verbs.includes(verb)
    // What can be listed but not watched has no version: it is computed.
    const stored = has("get") && (has("watch") || !has("list"))
    add(resource, { resource, stored, patched: has("patch") })
  }
  for (const { kind, verbs } of api.resources.flatMap(({ subresources }) => subresources)) {
    add(kind, { resource: undefined, stored: verbs.includes("get"), patched: false })
  }
  return found
}

const sorted = <A>(map: ReadonlyMap<string, A>): ReadonlyMap<string, A> =>
  new Map([...map].toSorted(by(([key]) => key)))
