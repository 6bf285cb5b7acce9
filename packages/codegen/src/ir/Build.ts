/**
 * From definitions and resources to modules: which types are needed, where they go, what they are called.
 */
import { by } from "../internal/order.ts"
import type { Discovery } from "../load/Discovery.ts"
import { resourceKey } from "../load/Discovery.ts"
import { answeredByStatus } from "../normalise/Known.ts"
import type { Api } from "../normalise/Normalise.ts"
import type { Resource } from "../normalise/Resources.ts"
import type { Definition, GroupVersionKind, Property, Schema } from "../normalise/Schema.ts"
import type { Difference } from "./Apply.ts"
import * as Apply from "./Apply.ts"
import type * as Ir from "./Ir.ts"
import { localise, needed } from "./Localise.ts"
import type { Target } from "./Modules.ts"
import * as Modules from "./Modules.ts"
import * as Names from "./Names.ts"

/** A kind that is emitted. */
interface KindPlan {
  readonly definition: Definition
  readonly kind: GroupVersionKind
  readonly resource: Resource | undefined
  readonly stored: boolean
  readonly patched: boolean
}

/** The modules and facts of an API. */
export const build = (api: Api, discovery: Discovery): Ir.Ir => {
  const kinds = planKinds(api)
  const structs = new Map([...api.definitions].filter(([name]) => !kinds.has(name)))
  const types = needed(
    structs,
    [...kinds.values()].flatMap(({ definition }) => own(definition).map(({ schema }) => schema))
  )
  const applied = new Map(
    [...kinds].filter(([, { patched }]) => patched).map(([name, { definition }]) =>
      [
        name,
        own(definition).map((property) => ({ property, schema: Apply.applySchema(structs, property.schema) }))
      ] as const
    )
  )
  const differences = Apply.differences(structs, [...applied.values()].flat().map(({ schema }) => schema))

  const targets = Modules.targets(api.definitions.values())
  const targetOf = (name: string): Target =>
    targets.get(Modules.packageOf(name)) ?? { path: name, apiVersion: undefined, reference: undefined }
  const paths = new Map<string, Target>()
  for (const name of [...kinds.keys(), ...types.keys()]) paths.set(targetOf(name).path, targetOf(name))

  // Symbols: a definition's name, with `#input`, `#row` or a form for what is derived from it.
  const homes = new Map<string, { readonly module: string; readonly name: string }>()
  const names = new Map([...paths.keys()].map((path) => [path, Names.make()]))
  const name = (symbol: string, definition: string, ...candidates: readonly [string, ...ReadonlyArray<string>]) => {
    const module = targetOf(definition).path
    homes.set(symbol, { module, name: names.get(module)?.take(...candidates) ?? candidates[0] })
  }
  for (const [symbol, { kind: { kind }, patched, resource }] of sorted(kinds)) {
    name(symbol, symbol, kind)
    name(`${symbol}#input`, symbol, `${kind}Input`)
    if (patched) name(`${symbol}#apply`, symbol, `${kind}Apply`)
    if (resource !== undefined) name(`${symbol}#row`, symbol, `${kind}Resource`)
  }
  for (const [symbol] of sorted(types)) name(symbol, symbol, simple(symbol), `${simple(symbol)}Type`)
  for (const [symbol, { form: { definition } }] of sorted(differences)) {
    name(symbol, definition, `${simple(definition)}Apply`, `${simple(definition)}ItemApply`)
  }

  const modules = [...paths.values()].map((target): Ir.Module => {
    const { imports, reference } = scope(target.path, homes, names.get(target.path) ?? Names.make())
    const symbolOf = (ref: string): string => {
      if (kinds.has(ref)) return `${ref}#input`
      // A form that equals its struct is the struct.
      return homes.has(ref) ? ref : Apply.parseRef(ref)?.definition ?? ref
    }
    const at = (schema: Schema) => localise(schema, (ref) => reference(symbolOf(ref)))
    const here = (definition: string) => targetOf(definition).path === target.path
    const property = ({ deprecated, name, required, schema }: Property): Ir.Property => ({
      name,
      schema: at(schema),
      optional: !required,
      deprecated
    })

    const kindOf = (symbol: string, plan: KindPlan): Ir.Kind => {
      const { definition, kind, resource, stored } = plan
      const properties = own(definition)
      const apply = applied.get(symbol)
      return {
        name: reference(symbol),
        kind: kind.kind,
        apiVersion: Modules.apiVersion(kind),
        stored,
        read: properties.map((one) => ({
          ...property(one),
          optional: !one.required && !(one.present && (one.name === "spec" || one.name === "status"))
        })),
        input: { name: reference(`${symbol}#input`), properties: properties.map(property) },
        apply: apply === undefined ? undefined : {
          name: reference(`${symbol}#apply`),
          properties: apply.map(({ property: one, schema }) => ({
            ...property({ ...one, schema }),
            optional: true
          }))
        },
        row: resource === undefined ? undefined : {
          name: reference(`${symbol}#row`),
          resource,
          object: answer(kind) ?? reference(symbol),
          subresources: resource.subresources.map((sub): Ir.Subresource => {
            const other = definitionOf(api, sub.kind)
            if (sub.body === "text" && sub.name === "log") return { _tag: "Log", name: sub.name }
            return sub.body !== "object" || other === undefined ? { _tag: "Connect", name: sub.name } : {
              _tag: "Sub",
              name: sub.name,
              out: answer(sub.kind) ?? reference(other.name),
              in: reference(`${other.name}#input`),
              verbs: sub.verbs
            }
          })
        }
      }
    }

    const typeOf = (symbol: string, definition: Definition): Ir.NamedType => ({
      name: reference(symbol),
      body: definition.properties === undefined
        ? { _tag: "Alias", schema: at(definition.alias ?? {}) }
        : { _tag: "Struct", properties: definition.properties.map(property) },
      apply: sorted(differences).filter(([, { form }]) => form.definition === symbol).map(([ref, difference]) =>
        applyType(reference(ref), reference(symbol), difference)
      )
    })

    const applyType = (name: string, base: string, { overridden, partial }: Difference): Ir.ApplyType => ({
      name,
      base,
      partial,
      properties: overridden.map(({ optional, property: one, schema }) => ({
        ...property({ ...one, schema }),
        optional
      }))
    })

    const kindsHere = sorted(kinds).filter(([symbol]) => here(symbol)).map(([symbol, plan]) => kindOf(symbol, plan))
    const typesHere = sorted(types).filter(([symbol]) => here(symbol)).map(([symbol, type]) => typeOf(symbol, type))
    return {
      ...target,
      kinds: kindsHere.toSorted(by(({ name }) => name)),
      types: typesHere.toSorted(by(({ name }) => name)),
      imports: imports()
    }
  })
  return { modules: modules.sort(by(({ path }) => path)), resources: facts(api.resources, discovery) }
}

/** The kinds of resources and of their subresources, by the name of their definition. */
const planKinds = (api: Api): ReadonlyMap<string, KindPlan> => {
  const plans = new Map<string, KindPlan>()
  for (const resource of api.resources) {
    const definition = definitionOf(api, resource)
    if (definition === undefined) continue
    plans.set(definition.name, {
      definition,
      kind: resource,
      resource,
      // What can be listed but not watched has no version: it is computed.
      stored: resource.verbs.includes("get") && (resource.verbs.includes("watch") || !resource.verbs.includes("list")),
      patched: resource.verbs.includes("patch")
    })
  }
  for (const { kind, verbs } of api.resources.flatMap(({ subresources }) => subresources)) {
    const definition = definitionOf(api, kind)
    if (definition === undefined || plans.has(definition.name)) continue
    plans.set(definition.name, { definition, kind, resource: undefined, stored: verbs.includes("get"), patched: false })
  }
  return plans
}

const definitionOf = (api: Api, { group, kind, version }: GroupVersionKind): Definition | undefined =>
  [...api.definitions.values()].find(({ kinds: [only, second] }) =>
    second === undefined && only !== undefined && only.group === group && only.version === version && only.kind === kind
  )

/** The properties that a kind does not have from the runtime. */
const own = ({ properties = [] }: Definition): ReadonlyArray<Property> =>
  properties.filter(({ name }) => name !== "apiVersion" && name !== "kind" && name !== "metadata")

const answer = ({ group, kind }: GroupVersionKind): string | undefined =>
  answeredByStatus.has(`${group}/${kind}`) ? `${Names.runtime}.Success` : undefined

const simple = (name: string): string => name.slice(name.lastIndexOf(".") + 1)

const sorted = <A>(map: ReadonlyMap<string, A>): ReadonlyArray<readonly [string, A]> =>
  [...map].toSorted(by(([key]) => key))

/** Names as one module writes them; what comes from other modules is collected. */
const scope = (
  path: string,
  homes: ReadonlyMap<string, { readonly module: string; readonly name: string }>,
  names: Names.Names
) => {
  const imported = new Map<string, Ir.Import>()
  return {
    reference: (symbol: string): string => {
      // Editors still offer the values that it stands beside.
      if (symbol === "#OtherString") return "(string & {})"
      if (symbol.startsWith("#")) return `${Names.runtime}.${symbol.slice(1)}`
      const home = homes.get(symbol)
      // A reference to nothing: the document is not closed.
      if (home === undefined) return "unknown"
      if (home.module === path) return home.name
      const known = imported.get(symbol)
      if (known !== undefined) return known.as
      const as = names.take(home.name, `${Names.pascal(home.module)}${home.name}`)
      imported.set(symbol, { ...home, as })
      return as
    },
    imports: () => [...imported.values()].sort(by(({ name }) => name)).sort(by(({ module }) => module))
  }
}

const facts = (resources: ReadonlyArray<Resource>, discovery: Discovery): ReadonlyArray<Ir.ResourceFacts> =>
  resources.map((resource) => {
    const known = discovery.get(resourceKey(Modules.apiVersion(resource), resource.plural))
    return {
      ...resource,
      singular: known?.singular ?? resource.kind.toLowerCase(),
      shortNames: known?.shortNames ?? [],
      categories: known?.categories ?? []
    }
  })
