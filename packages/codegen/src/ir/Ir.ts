/**
 * What is emitted, as plain data: modules, with every name decided and every reference in the words of its module.
 */
import type { Doc } from "../normalise/Doc.ts"
import type { Resource, Verb } from "../normalise/Resources.ts"
import type { Schema } from "../normalise/Schema.ts"
import type { SchemaModule } from "./SchemaData.ts"

/** Everything that is emitted. */
export interface Ir {
  /** By path. */
  readonly modules: ReadonlyArray<Module>
  /** By group, version and plural name. */
  readonly resources: ReadonlyArray<ResourceFacts>
  /** By path. */
  readonly schemas: ReadonlyArray<SchemaModule>
}

/** A resource with what discovery knows of it. */
export interface ResourceFacts extends Resource {
  readonly singular: string
  readonly shortNames: ReadonlyArray<string>
  readonly categories: ReadonlyArray<string>
}

/** The types of one group-version. */
export interface Module {
  /** `apps/v1`: the path of the module, without extension. */
  readonly path: string
  /** `apps/v1`, `v1`: the group-version as objects write it; undefined where the documents do not tell. */
  readonly apiVersion: string | undefined
  /** Where the types are explained. */
  readonly reference: string | undefined
  /** By module, then by name. */
  readonly imports: ReadonlyArray<Import>
  /** By name. */
  readonly kinds: ReadonlyArray<Kind>
  /** By name. */
  readonly types: ReadonlyArray<NamedType>
}

/** A name of another module. */
export interface Import {
  readonly module: string
  readonly name: string
  /** The name in this module; differs from `name` when two modules have the same. */
  readonly as: string
}

/** A kind: an object that is read and written as a whole. */
export interface Kind {
  readonly name: string
  readonly kind: string
  readonly apiVersion: string
  /** Whether the server keeps such objects, and so fills in their metadata. Reviews, bindings and metrics are not kept. */
  readonly stored: boolean
  /** Whether other properties may stand beside these. */
  readonly open: boolean
  readonly deprecated: boolean
  readonly doc: Doc | undefined
  readonly read: ReadonlyArray<Property>
  readonly input: Interface
  /** Undefined for a kind that cannot be patched. */
  readonly apply: Interface | undefined
  /** Undefined for a kind that is a subresource only. */
  readonly row: Row | undefined
}

/** A named list of properties. */
export interface Interface {
  readonly name: string
  readonly properties: ReadonlyArray<Property>
}

/** A property. Its schema refers to names of the module. */
export interface Property {
  readonly name: string
  readonly schema: Schema
  readonly optional: boolean
  readonly deprecated: boolean
  readonly doc: Doc | undefined
}

/** The row of a resource. */
export interface Row {
  /** The name of the row's type. */
  readonly name: string
  readonly resource: Resource
  /** What the server answers with: the kind, or a name of the runtime. */
  readonly object: string
  readonly subresources: ReadonlyArray<Subresource>
}

/** A subresource of a row. */
export type Subresource =
  | {
    readonly _tag: "Sub"
    readonly name: string
    readonly out: string
    readonly in: string
    /** What server-side apply takes there; undefined where it is not offered. */
    readonly apply: string | undefined
    readonly verbs: ReadonlyArray<Verb>
  }
  | { readonly _tag: "Connect"; readonly name: string }
  | { readonly _tag: "Log"; readonly name: string }

/** A type that kinds are made of, with its forms for server-side apply. */
export interface NamedType {
  readonly name: string
  readonly doc: Doc | undefined
  /** A struct's properties, or what the name stands for. */
  readonly body:
    | { readonly _tag: "Struct"; readonly properties: ReadonlyArray<Property>; readonly open: boolean }
    | { readonly _tag: "Alias"; readonly schema: Schema }
  readonly apply: ReadonlyArray<ApplyType>
}

/** A struct as server-side apply takes it, where that differs from the struct. */
export interface ApplyType {
  readonly name: string
  /** The struct's own name. */
  readonly base: string
  /**
   * What becomes of the properties of the struct that are not below: they become optional, they stay, or there are none.
   */
  readonly rest: "partial" | "same" | "none"
  /** Whether other properties may stand beside these. */
  readonly open: boolean
  /** The properties that differ. */
  readonly properties: ReadonlyArray<Property>
}
