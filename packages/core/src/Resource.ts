/**
 * What a kind of object is: the rows that generated modules are made of, and the types they refer to.
 *
 * A generated module has, for each kind, `interface Pod` (as read), `PodInput` (for create and replace), `PodApply` (for
 * server-side apply), `PodResource` (the row as a type) and `const Pod` (the row as a value, about 90 bytes). A row
 * written by hand gives the same API:
 *
 * ```ts
 * interface WidgetResource extends Resource.ResourceType {
 *   readonly object: Widget
 *   readonly input: WidgetInput
 *   readonly apply: WidgetApply
 *   readonly scope: "Namespaced"
 *   readonly verbs: Resource.AllVerbs
 *   readonly strategic: false
 *   readonly sub: {}
 * }
 * const Widget: Resource.Resource<WidgetResource> =
 *   Resource.make("example.com", "v1", "Widget", "widgets", "Namespaced", 255)
 * ```
 */

// ---------------------------------------------------------------------------------------------------------------------
// Objects
// ---------------------------------------------------------------------------------------------------------------------

/** RFC 3339 text with seconds, as Kubernetes writes `metav1.Time`. */
export type Time = string

/** RFC 3339 text with exactly six digits of microseconds, as `metav1.MicroTime` must be written. */
export type MicroTime = string

/** A quantity in canonical text: `500m`, `1.5Gi`. */
export type Quantity = string

/** A number or a text; never coerced: `"8080"` is a port name, `8080` a port. */
export type IntOrString = number | string

/** Standard base64 text of bytes. */
export type Bytes = string

/** Who owns an object. */
export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean | undefined
  readonly blockOwnerDeletion?: boolean | undefined
}

/** Which manager set which fields. */
export interface ManagedFieldsEntry {
  readonly manager?: string | undefined
  readonly operation?: "Apply" | "Update" | (string & {}) | undefined
  readonly apiVersion?: string | undefined
  readonly time?: Time | undefined
  readonly fieldsType?: string | undefined
  readonly fieldsV1?: Readonly<Record<string, unknown>> | undefined
  readonly subresource?: string | undefined
}

interface MetadataFields {
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly deletionGracePeriodSeconds?: number | undefined
  readonly deletionTimestamp?: Time | undefined
  readonly finalizers?: ReadonlyArray<string> | undefined
  readonly generateName?: string | undefined
  readonly generation?: number | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly managedFields?: ReadonlyArray<ManagedFieldsEntry> | undefined
  readonly ownerReferences?: ReadonlyArray<OwnerReference> | undefined
  readonly selfLink?: string | undefined
}

/** Metadata as the server sends it: what it always fills in is there. `namespace` is absent on cluster-scoped objects. */
export interface ObjectMeta extends MetadataFields {
  readonly name: string
  readonly namespace?: string | undefined
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: Time
}

/** Metadata as a client writes it; one of `name` and `generateName` is needed. An `ObjectMeta` can be sent back. */
export interface ObjectMetaInput extends MetadataFields {
  readonly name?: string | undefined
  readonly namespace?: string | undefined
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly creationTimestamp?: Time | null | undefined
}

/** Metadata of an apply configuration: the fields a manager may own. */
export interface ObjectMetaApply {
  readonly name: string
  readonly namespace?: string | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly finalizers?: ReadonlyArray<string> | undefined
  readonly ownerReferences?: ReadonlyArray<OwnerReference> | undefined
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
}

/** An object as read. Lists, watches and single reads all carry `apiVersion` and `kind`. */
export interface KubeObject<ApiVersion extends string = string, Kind extends string = string> {
  readonly apiVersion: ApiVersion
  readonly kind: Kind
  readonly metadata: ObjectMeta
}

/**
 * An object that the server computes and does not keep: reviews, token requests, metrics. Its metadata is what the
 * request sent, and little more: there may be no name, and there is no uid and no resource version.
 */
export interface KubeVirtual<ApiVersion extends string = string, Kind extends string = string> {
  readonly apiVersion: ApiVersion
  readonly kind: Kind
  readonly metadata: ObjectMetaInput
}

/** The answer to a binding or an eviction: it was accepted, and there is no object to show. */
export interface Success {
  readonly apiVersion: "v1"
  readonly kind: "Status"
  readonly status: "Success"
  readonly message?: string | undefined
  readonly code?: number | undefined
}

/** An object to create or replace. `apiVersion` and `kind` may be left out: the row fills them in. */
export interface KubeInput<ApiVersion extends string = string, Kind extends string = string> {
  readonly apiVersion?: ApiVersion | undefined
  readonly kind?: Kind | undefined
  readonly metadata?: ObjectMetaInput | undefined
}

/** An apply configuration. `apiVersion` and `kind` may be left out: the row fills them in. */
export interface KubeApply<ApiVersion extends string = string, Kind extends string = string> {
  readonly apiVersion?: ApiVersion | undefined
  readonly kind?: Kind | undefined
  readonly metadata: ObjectMetaApply
}

/**
 * The fields of `T` as an apply configuration has them: all optional, because a manager names only the fields it owns.
 * `Declared` are those that the extending interface declares itself.
 */
export type ApplyFields<T, Declared extends keyof T = never> = Partial<Omit<T, Declared>>

/** A page of a list. `items` is never null, whatever the server sent. */
export interface List<T> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: {
    readonly resourceVersion?: string | undefined
    readonly continue?: string | undefined
    readonly remainingItemCount?: number | undefined
  }
  readonly items: ReadonlyArray<T>
}

// ---------------------------------------------------------------------------------------------------------------------
// Rows
// ---------------------------------------------------------------------------------------------------------------------

/** The verbs of the API conventions that a resource can have. */
export type Verb = "create" | "delete" | "deletecollection" | "get" | "list" | "patch" | "update" | "watch"

/** Every verb: what 86 of the 95 built-in resources have. */
export type AllVerbs = Verb

/** Where the objects of a kind live. */
export type Scope = "Namespaced" | "Cluster"

/**
 * A subresource that is read and written as an object: `status`, `scale`, `eviction`, `token`. `Apply` is what
 * server-side apply takes there.
 */
export interface Sub<out Out, in out In, out Verbs extends Verb, in out Apply = never> {
  readonly _tag: "Sub"
  readonly out: Out
  readonly in: (_: In) => void
  readonly verbs: Verbs
  readonly apply: (_: Apply) => void
}

/** A subresource that upgrades the connection, or proxies; channels use it, `Api` adds no method for it. */
export interface Connect<out Name extends string> {
  readonly _tag: "Connect"
  readonly name: Name
}

/** The `log` subresource: text, followed or not. */
export interface Log {
  readonly _tag: "Log"
}

/** Any subresource. */
export type AnySub = Sub<unknown, never, Verb> | Connect<string> | Log

/** A row as a type: it decides which methods an `Api` has, and their types. */
export interface ResourceType {
  readonly object: unknown
  readonly input: unknown
  readonly apply: unknown
  readonly scope: Scope
  readonly verbs: Verb
  /** Whether the server understands strategic merge patches: built-in kinds, not CRDs. */
  readonly strategic: boolean
  readonly sub: {}
}

/** An object of a kind that the program does not know: its fields are plain JSON. */
export interface Unstructured extends KubeObject {
  readonly [field: string]: unknown
}

/** The same to create or replace. */
export interface UnstructuredInput extends KubeInput {
  readonly [field: string]: unknown
}

/** The same as an apply configuration. */
export interface UnstructuredApply extends KubeApply {
  readonly [field: string]: unknown
}

/** The row of a kind that the program does not know. What it cannot do, the server refuses. */
export interface UnstructuredResource<S extends Scope = Scope> extends ResourceType {
  readonly object: Unstructured
  readonly input: UnstructuredInput
  readonly apply: UnstructuredApply
  readonly scope: S
  readonly verbs: AllVerbs
  readonly strategic: false
  readonly sub: {
    readonly status: Sub<Unstructured, UnstructuredInput, "get" | "patch" | "update", UnstructuredApply>
  }
}

/** The data of a row. */
export interface Row {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  readonly scope: Scope
  /** Bits of `verbBits`; bit 8 is strategic merge patch. */
  readonly verbs: number
  /** Bits by subresource name; `connect` marks one without a typed body. */
  readonly subresources: Readonly<Record<string, number>>
  readonly listKind: string
}

/** A row as a value, which knows its type. */
export interface Resource<in out R extends ResourceType = ResourceType> extends Row {
  /** Carries the row's type; there is no value. */
  readonly Type?: (_: R) => R
}

/** The bit of each verb in a row, in alphabetical order; `strategic` is the ninth. */
export const verbBits = {
  create: 1,
  delete: 2,
  deletecollection: 4,
  get: 8,
  list: 16,
  patch: 32,
  update: 64,
  watch: 128,
  strategic: 256
} as const

/** Marks a subresource whose methods are hand-typed, so that no verb stands for one: exec, attach, portforward, proxy, log. */
export const connect = 0

/**
 * Makes a row. Generated code calls it; so can you, for a kind that has no generated module.
 *
 * @example
 * ```ts
 * import * as Resource from "@effect-k8s/core/Resource"
 *
 * const row = Resource.make("", "v1", "Pod", "pods", "Namespaced", 511, { exec: Resource.connect })
 * row.listKind // => "PodList"
 * Resource.apiVersion(row) // => "v1"
 * ```
 */
export const make = <R extends ResourceType>(
  group: string,
  version: string,
  kind: string,
  plural: string,
  scope: R["scope"],
  verbs: number,
  subresources: { readonly [K in keyof R["sub"]]: number } = {} as { readonly [K in keyof R["sub"]]: number },
  listKind = `${kind}List`
): Resource<R> => ({ group, version, kind, plural, scope, verbs, subresources, listKind })

/**
 * Makes the row of a kind without types of its own, such as a custom resource that only some clusters have.
 *
 * @example
 * ```ts
 * import * as Api from "@effect-k8s/core/Api"
 * import * as Resource from "@effect-k8s/core/Resource"
 *
 * const Certificate = Resource.unstructured("cert-manager.io", "v1", "Certificate", "certificates", "Namespaced")
 * const names = Api.make(Certificate).list()
 * ```
 */
export const unstructured = <S extends Scope>(
  group: string,
  version: string,
  kind: string,
  plural: string,
  scope: S
): Resource<UnstructuredResource<S>> =>
  make<UnstructuredResource<S>>(group, version, kind, plural, scope, 255, { status: 104 })

/** `v1` for the core group, `group/version` for the others. */
export const apiVersion = (row: { readonly group: string; readonly version: string }): string =>
  row.group === "" ? row.version : `${row.group}/${row.version}`

/** Whether a row has a verb. */
export const hasVerb = (verbs: number, verb: Verb): boolean => (verbs & verbBits[verb]) !== 0

/**
 * Whether a text can name an object or a namespace in the path of a request. An empty one and dots would ask for another
 * resource, and servers decode an encoded slash before they look at the path; percent signs they refuse themselves.
 *
 * @example
 * ```ts
 * import * as Resource from "@effect-k8s/core/Resource"
 *
 * Resource.isName("system:node") // => true
 * Resource.isName("../kube-system") // => false
 * ```
 */
export const isName = (name: string): boolean =>
  name !== "" && name !== "." && name !== ".." && !/[/%]|\p{Surrogate}/u.test(name)
