/**
 * An object in the store, and as a client sees it.
 */
import type { Json, JsonObject } from "./Json.ts"
import * as ResourceRow from "./ResourceRow.ts"

/** What the server fills in. */
export interface Metadata extends JsonObject {
  readonly name: string
  readonly namespace?: string | undefined
  readonly uid: string
  /** Empty on what is not stored: the answer to a dry run. */
  readonly resourceVersion?: string | undefined
  readonly generation?: number | undefined
  readonly creationTimestamp: string
  readonly deletionTimestamp?: string | undefined
  readonly deletionGracePeriodSeconds?: number | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly finalizers?: ReadonlyArray<string> | undefined
  readonly ownerReferences?: ReadonlyArray<JsonObject> | undefined
  readonly managedFields?: ReadonlyArray<JsonObject> | undefined
}

/** An object as the store keeps it: without `apiVersion` and `kind`, which depend on the version that is asked for. */
export interface StoredObject extends JsonObject {
  readonly metadata: Metadata
}

/** An object as it is sent on its own. Lists of built-in kinds leave `kind` and `apiVersion` off their items. */
export const present = (row: ResourceRow.ResourceRow, object: StoredObject): JsonObject => ({
  kind: row.kind,
  apiVersion: ResourceRow.apiVersion(row),
  ...object
})

/** The place of an object in its collection. In order, these are the order of lists. */
export const key = (namespace: string | undefined, name: string): string =>
  namespace === undefined || namespace === "" ? name : `${namespace}/${name}`

/** The place of a stored object. */
export const keyOf = (object: StoredObject): string => key(object.metadata.namespace, object.metadata.name)

/** A copy with other metadata members. */
export const withMetadata = (object: StoredObject, metadata: Partial<Metadata>): StoredObject => ({
  ...object,
  metadata: order({ ...object.metadata, ...metadata })
})

const metadataOrder = [
  "name",
  "generateName",
  "namespace",
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "labels",
  "annotations",
  "ownerReferences",
  "finalizers",
  "managedFields"
]

/** Metadata in the order of a real server, without absent members. */
export const order = <M extends Metadata>(metadata: M): M => {
  const entries: Array<[string, Json]> = []
  for (const name of [...metadataOrder, ...Object.keys(metadata).filter((key) => !metadataOrder.includes(key))]) {
    const value = metadata[name]
    if (value !== undefined) entries.push([name, value])
  }
  // The same members, in another order.
  return Object.fromEntries(entries) as M
}
