/**
 * The options of the API's verbs, and the shapes of patches and watch events. The same for every kind.
 */

/** Which objects of a kind. Selectors are in the API's own text form: `app=web,tier!=cache`. */
export interface Selection {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
}

/** How fresh an answer must be. */
export interface Freshness {
  /** `"0"` accepts what the server has cached; unset asks for the latest. */
  readonly resourceVersion?: string | undefined
}

/** Options of `get`. */
export interface GetOptions extends Freshness {}

/** Options of `list`. */
export interface ListOptions extends Selection, Freshness {
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan" | undefined
  /** At most this many objects; the rest by `continue`. */
  readonly limit?: number | undefined
  /** The token of the page before. */
  readonly continue?: string | undefined
  /** The server gives up after so many seconds. */
  readonly timeoutSeconds?: number | undefined
  /** Objects of one shard only, by ranges of a hash; servers know it since 1.36. */
  readonly shardSelector?: string | undefined
}

/** Options of `stream`, which pages through a list. */
export interface StreamOptions extends Selection {
  /** Objects a request; 500 unless told, as client-go. */
  readonly pageSize?: number | undefined
}

/** Options of `watch`. */
export interface WatchOptions extends Selection, Freshness {
  readonly resourceVersionMatch?: "NotOlderThan" | undefined
  readonly allowWatchBookmarks?: boolean | undefined
  /**
   * `true` starts with the objects that exist, then a bookmark; `false` leaves them out. Unset, a watch from the version
   * `""` or `"0"` starts with them, too. `NotOlderThan` is needed where it is set, and refused where it is not.
   */
  readonly sendInitialEvents?: boolean | undefined
  /** Objects of one shard only, by ranges of a hash; servers know it since 1.36. */
  readonly shardSelector?: string | undefined
  /** The server ends the watch after so many seconds. */
  readonly timeoutSeconds?: number | undefined
}

/** Options of every write. */
export interface WriteOptions {
  /** Validates and admits, but stores nothing. */
  readonly dryRun?: boolean | undefined
  /** Who owns the fields that are written. */
  readonly fieldManager?: string | undefined
  /** What to do with unknown and duplicate fields. */
  readonly fieldValidation?: "Ignore" | "Warn" | "Strict" | undefined
}

/** Options of `apply`. */
export interface ApplyOptions extends Omit<WriteOptions, "fieldManager"> {
  readonly fieldManager: string
  /** Takes fields over from other managers instead of failing with `Conflict`. */
  readonly force?: boolean | undefined
}

/** Options of `delete` and `deleteCollection`. */
export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined
  readonly propagationPolicy?: "Foreground" | "Background" | "Orphan" | undefined
  readonly preconditions?: {
    readonly uid?: string | undefined
    readonly resourceVersion?: string | undefined
  } | undefined
  readonly dryRun?: boolean | undefined
  /** Deletes an object that the server cannot decode or decrypt any more, without its finalizers. */
  readonly ignoreStoreReadErrorWithClusterBreakingPotential?: boolean | undefined
}

/** Options of `log`. Counts are in bytes and lines. */
export interface LogOptions {
  readonly container?: string | undefined
  readonly follow?: boolean | undefined
  readonly previous?: boolean | undefined
  readonly timestamps?: boolean | undefined
  readonly sinceSeconds?: number | undefined
  /** RFC 3339; excludes `sinceSeconds`. */
  readonly sinceTime?: string | undefined
  readonly tailLines?: number | undefined
  readonly limitBytes?: number | undefined
  /** One of the container's streams only; servers know it since 1.32, and refuse it together with `tailLines`. */
  readonly stream?: "All" | "Stdout" | "Stderr" | undefined
  /** Takes the logs of a kubelet whose certificate cannot be verified: anybody may have written them. */
  readonly insecureSkipTLSVerifyBackend?: boolean | undefined
}

/** What happened to an object, or how far a watch has come. An `ERROR` of the server is a failure of the stream. */
export type WatchEvent<T> =
  // Each by itself, so that a test of the type is a type guard.
  | { readonly type: "ADDED"; readonly object: T }
  | { readonly type: "MODIFIED"; readonly object: T }
  | { readonly type: "DELETED"; readonly object: T }
  | {
    readonly type: "BOOKMARK"
    readonly object: {
      readonly metadata: {
        readonly resourceVersion: string
        readonly annotations?: Readonly<Record<string, string>> | undefined
      }
    }
  }

/** One operation of a JSON patch (RFC 6902). */
export type JsonPatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string }
  | { readonly op: "move" | "copy"; readonly path: string; readonly from: string }

/** A JSON merge patch (RFC 7386): what is there is set, `null` removes, lists are replaced whole. */
export type MergePatch<T> = T extends ReadonlyArray<unknown> ? T
  : T extends object ? { readonly [K in keyof T]?: MergePatch<T[K]> | null | undefined }
  : T

/** What a strategic merge patch says beside the fields of an object. */
export interface StrategicDirectives {
  /** What becomes of the object, or of this element of a list: it is merged unless told. */
  readonly $patch?: "delete" | "replace" | "merge" | undefined
  /** The only fields that stay, of an object with alternatives. */
  readonly $retainKeys?: ReadonlyArray<string> | undefined
}

type ListsOf<T> = { readonly [K in keyof T as NonNullable<T[K]> extends ReadonlyArray<unknown> ? K : never]: T[K] }

/** What a strategic merge patch says of the lists of an object. */
export type StrategicListDirectives<T> =
  & {
    readonly [
      /** The order of a list that is merged, by the keys of its elements. */
      K in keyof ListsOf<T> & string as `$setElementOrder/${K}`
    ]?: ReadonlyArray<unknown> | undefined
  }
  & {
    readonly [
      /** Values that are removed from a list of texts or numbers. */
      K in keyof ListsOf<T> & string as `$deleteFromPrimitiveList/${K}`
    ]?: T[K]
  }

/** A strategic merge patch: as a merge patch, but lists are merged by their keys, and directives say how. */
export type StrategicPatch<T> = T extends ReadonlyArray<infer E> ? ReadonlyArray<StrategicPatch<E>>
  : T extends object ?
      & { readonly [K in keyof T]?: StrategicPatch<T[K]> | null | undefined }
      & StrategicDirectives
      & StrategicListDirectives<T>
  : T

/** The answer of a delete that has nothing more to do. */
export interface DeleteStatus {
  readonly kind: "Status"
  readonly apiVersion: "v1"
  readonly status?: string | undefined
  readonly details?: {
    readonly name?: string | undefined
    readonly kind?: string | undefined
    readonly uid?: string | undefined
  } | undefined
}
