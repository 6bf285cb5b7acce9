/**
 * What things are called: in the module they are in, and in the modules that import them.
 *
 * A symbol is the name of a definition, with a suffix for what is derived from it: `#input`, `#row`, and `#apply` as
 * `Apply.formRef` writes it. `#Name` alone is a type of the runtime.
 */
import { by } from "../internal/order.ts"
import { pascal } from "../internal/words.ts"
import * as Apply from "./Apply.ts"
import type { Import } from "./Ir.ts"
import type * as Modules from "./Modules.ts"
import * as Names from "./Names.ts"
import type { Plan } from "./Plan.ts"

/** Where a symbol is declared. */
export interface Home {
  readonly module: string
  readonly name: string
}

/** All names of a plan. */
export interface Scopes {
  readonly of: (path: string) => Scope
  /** Where a symbol is declared. */
  readonly home: (symbol: string) => Home | undefined
}

/** The names of one module. */
export interface Scope {
  /** What the module calls a symbol. */
  readonly name: (symbol: string) => string
  /** What the module calls the type that a reference of a schema leads to. */
  readonly reference: (ref: string) => string
  /** What the module calls a type of the built-in modules, which are not among those that are emitted. */
  readonly external: (module: string, name: string) => string
  /** What it has to import for the names it was asked for so far. */
  readonly imports: () => ReadonlyArray<Import>
}

/** What the module of an import begins with when it is a built-in one that is not emitted. */
export const externalPrefix = "#"

/** Decides all names. */
export const make = (plan: Plan, targetOf: (definition: string) => Modules.Target): Scopes => {
  const homes = new Map<string, Home>()
  const taken = new Map<string, Names.Names>()
  const namesOf = (path: string): Names.Names => {
    const names = taken.get(path) ?? Names.make()
    taken.set(path, names)
    return names
  }
  const declare = (symbol: string, definition: string, ...candidates: readonly [string, ...ReadonlyArray<string>]) => {
    const module = targetOf(definition).path
    homes.set(symbol, { module, name: namesOf(module).take(...candidates) })
  }
  // Kinds first: they have the better right to their names.
  for (const [symbol, { apply, kind: { kind }, resource }] of plan.kinds) {
    declare(symbol, symbol, kind)
    declare(`${symbol}#input`, symbol, `${kind}Input`)
    if (apply !== undefined) declare(`${symbol}#apply`, symbol, `${kind}Apply`)
    if (resource !== undefined) declare(`${symbol}#row`, symbol, `${kind}Resource`)
  }
  for (const symbol of plan.types.keys()) declare(symbol, symbol, simpleName(symbol), `${simpleName(symbol)}Type`)
  for (const [symbol, { form: { definition } }] of plan.differences) {
    declare(symbol, definition, `${simpleName(definition)}Apply`, `${simpleName(definition)}ItemApply`)
  }
  return { of: (path) => scope(path, plan, homes, namesOf(path)), home: (symbol) => homes.get(symbol) }
}

const scope = (path: string, plan: Plan, homes: ReadonlyMap<string, Home>, names: Names.Names): Scope => {
  const imported = new Map<string, Import>()
  const take = (symbol: string, home: Home): string => {
    const known = imported.get(symbol)
    if (known !== undefined) return known.as
    const as = names.take(home.name, `${pascal(home.module)}${home.name}`)
    imported.set(symbol, { ...home, as })
    return as
  }
  const name = (symbol: string): string => {
    const home = homes.get(symbol)
    // The documents refer to a definition that they do not have.
    if (home === undefined) return "unknown"
    if (home.module === path) return home.name
    return take(symbol, home)
  }
  return {
    name,
    external: (module, name) =>
      take(`${externalPrefix}${module}#${name}`, { module: `${externalPrefix}${module}`, name }),
    reference: (ref) => {
      // Editors still offer the values that it stands beside.
      if (ref === "#OtherString") return "(string & {})"
      if (ref === "#OtherNumber") return "(number & {})"
      if (ref.startsWith("#")) return `${Names.runtime}.${ref.slice(1)}`
      // Inside other types a kind is a template of it.
      if (plan.kinds.has(ref)) return name(`${ref}#input`)
      // A form that equals its struct is the struct.
      return name(homes.has(ref) ? ref : Apply.parseRef(ref)?.definition ?? ref)
    },
    imports: () => [...imported.values()].sort(by(({ name }) => name)).sort(by(({ module }) => module))
  }
}

const simpleName = (definition: string): string => definition.slice(definition.lastIndexOf(".") + 1)
