/**
 * Who owns the one field of an object that its scale shows: `spec.replicas`. Pure.
 *
 * A write of a scale is told by the scale's own version of the API, and kept by that of the object. As on real servers,
 * it has no time.
 */
import * as FieldSet from "./FieldSet.ts"
import type { Entry } from "./ManagedFields.ts"

const replicas = FieldSet.path("f:spec", "f:replicas")

const owns = ({ fields }: Entry): boolean => !FieldSet.isEmpty(FieldSet.intersection(fields, replicas))

/** The entries of a scale, of those of its object. */
export const ofScale = (entries: ReadonlyArray<Entry>, apiVersion: string): ReadonlyArray<Entry> =>
  entries.filter(owns).map((entry) => ({ ...entry, apiVersion, fields: replicas }))

/** The entries of the object after those of its scale have changed. */
export const ofObject = (
  entries: ReadonlyArray<Entry>,
  scale: ReadonlyArray<Entry>,
  apiVersion: string
): ReadonlyArray<Entry> => {
  const isSame = (a: Entry, b: Entry): boolean =>
    a.manager === b.manager && a.operation === b.operation && a.subresource === b.subresource
  const kept = entries.map((entry) =>
    scale.some((one) => owns(one) && isSame(one, entry))
      ? entry
      : { ...entry, fields: FieldSet.difference(entry.fields, replicas) }
  )
  const added = scale.filter((one) => owns(one) && !entries.some((entry) => isSame(one, entry)))
    .map((one) => ({ ...one, apiVersion, time: undefined }))
  return [...kept, ...added].filter(({ fields }) => !FieldSet.isEmpty(fields))
}
