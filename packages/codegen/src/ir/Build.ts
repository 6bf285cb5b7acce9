/**
 * From definitions and resources to modules.
 */
import { by } from "../internal/order.ts"
import type { Discovery } from "../load/Discovery.ts"
import { resourceKey } from "../load/Discovery.ts"
import * as Known from "../normalise/Known.ts"
import type { Api } from "../normalise/Normalise.ts"
import type { Resource } from "../normalise/Resources.ts"
import { gvk } from "../normalise/Schema.ts"
import type { Definition, GroupVersionKind, Property, Schema } from "../normalise/Schema.ts"
import type { Difference } from "./Apply.ts"
import type * as Ir from "./Ir.ts"
import { localise } from "./Localise.ts"
import * as Modules from "./Modules.ts"
import * as Names from "./Names.ts"
import type { KindPlan } from "./Plan.ts"
import * as Plan from "./Plan.ts"
import * as SchemaData from "./SchemaData.ts"
import type { Scope } from "./Scope.ts"
import * as Scopes from "./Scope.ts"

/** The modules and facts of an API. */
export const build = (api: Api, discovery: Discovery): Ir.Ir => {
  const plan = Plan.make(api)
  const targets = Modules.targets(api.definitions.values())
  const targetOf = (definition: string): Modules.Target =>
    targets.get(Modules.packageOf(definition)) ?? { path: definition, apiVersion: undefined, reference: undefined }
  const scopes = Scopes.make(plan, targetOf)
  const paths = new Map(
    [...plan.kinds.keys(), ...plan.types.keys()].map((name) => [targetOf(name).path, targetOf(name)])
  )

  const modules = [...paths.values()].map((target): Ir.Module => {
    const scope = scopes.of(target.path)
    const here = ([name]: readonly [string, unknown]) => targetOf(name).path === target.path
    const kinds = [...plan.kinds].filter(here).map(([symbol, kind]) => kindOf(api, scope, symbol, kind))
    const types = [...plan.types].filter(here).map(([symbol, type]) =>
      typeOf(scope, symbol, type, [...plan.differences].filter(([, { form }]) => form.definition === symbol))
    )
    return {
      ...target,
      kinds: kinds.sort(by(({ name }) => name)),
      types: types.sort(by(({ name }) => name)),
      imports: scope.imports()
    }
  })
  return {
    modules: modules.sort(by(({ path }) => path)),
    resources: facts(api.resources, discovery),
    schemas: SchemaData.make(plan, targetOf, scopes.home)
  }
}

const kindOf = (api: Api, scope: Scope, symbol: string, plan: KindPlan): Ir.Kind => ({
  name: scope.name(symbol),
  kind: plan.kind.kind,
  apiVersion: Modules.apiVersion(plan.kind),
  stored: plan.stored,
  open: plan.definition.open === true,
  deprecated: plan.definition.deprecated === true,
  doc: plan.definition.doc,
  read: plan.properties.map((one) => property(scope, { ...one, required: one.required || Plan.isPresent(one) })),
  input: {
    name: scope.name(`${symbol}#input`),
    properties: [...plan.metadata, ...plan.properties].map((one) => property(scope, one))
  },
  apply: plan.apply === undefined ? undefined : {
    name: scope.name(`${symbol}#apply`),
    properties: plan.apply.map((one) => property(scope, one))
  },
  row: plan.resource === undefined ? undefined : {
    name: scope.name(`${symbol}#row`),
    resource: plan.resource,
    object: answer(plan.kind) ?? scope.name(symbol),
    subresources: plan.resource.subresources.map((sub): Ir.Subresource => {
      if (sub.body === "text" && sub.name === "log") return { _tag: "Log", name: sub.name }
      const other = api.kinds.get(gvk(sub.kind))
      const external = other === undefined ? Known.external[gvk(sub.kind)] : undefined
      if (external !== undefined) {
        const name = (name: string) => scope.external(external.module, name)
        const { verbs } = sub
        return { _tag: "Sub", name: sub.name, out: name(external.out), in: name(external.in), apply: undefined, verbs }
      }
      return sub.body !== "object" || other === undefined ? { _tag: "Connect", name: sub.name } : {
        _tag: "Sub",
        name: sub.name,
        out: answer(sub.kind) ?? scope.name(other.name),
        in: scope.name(`${other.name}#input`),
        apply: other.name === symbol && plan.apply !== undefined && sub.verbs.includes("patch")
          ? scope.name(`${symbol}#apply`)
          : undefined,
        verbs: sub.verbs
      }
    })
  }
})

const typeOf = (
  scope: Scope,
  symbol: string,
  { alias, doc, open, properties }: Definition,
  differences: ReadonlyArray<readonly [string, Difference]>
): Ir.NamedType => ({
  name: scope.name(symbol),
  doc,
  body: properties === undefined
    ? { _tag: "Alias", schema: schema(scope, alias ?? {}) }
    : { _tag: "Struct", properties: properties.map((one) => property(scope, one)), open: open === true },
  apply: differences.map(([form, { overridden, rest }]) => ({
    name: scope.name(form),
    base: scope.name(symbol),
    rest,
    open: open === true,
    properties: overridden.map(({ optional, property: one, schema }) =>
      property(scope, { ...one, schema, required: !optional })
    )
  }))
})

const property = (scope: Scope, { deprecated, doc, name, required, schema: type }: Property): Ir.Property => ({
  name,
  schema: schema(scope, type),
  optional: !required,
  deprecated,
  doc
})

const schema = (scope: Scope, schema: Schema): Schema => localise(schema, scope.reference)

const answer = ({ group, kind }: GroupVersionKind): string | undefined =>
  Known.answeredByStatus.has(`${group}/${kind}`) ? `${Names.runtime}.Success` : undefined

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
