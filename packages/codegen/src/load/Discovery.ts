/**
 * What only discovery knows about resources: singular names, short names, categories.
 */
import { array, object, text, texts } from "../internal/json.ts"
import type { Document } from "./Document.ts"

/** What discovery says of one resource. */
export interface Names {
  readonly singular: string
  readonly shortNames: ReadonlyArray<string>
  readonly categories: ReadonlyArray<string>
}

/** By `resourceKey`. */
export type Discovery = ReadonlyMap<string, Names>

/** The key of a resource: `apps/v1/deployments`, `v1/pods`. */
export const resourceKey = (groupVersion: string, plural: string): string => `${groupVersion}/${plural}`

/** Reads the `APIResourceList` documents, those of `/api/v1` and `/apis/<group>/<version>`; skips all others. */
export const fromDocuments = (documents: ReadonlyArray<Document>): Discovery =>
  new Map(
    documents.filter(({ json }) => json.kind === "APIResourceList").flatMap(({ json }) =>
      array(json.resources).map(object)
        .filter((resource) => !text(resource.name).includes("/"))
        .map((resource) =>
          [resourceKey(text(json.groupVersion), text(resource.name)), {
            singular: text(resource.singularName),
            shortNames: texts(resource.shortNames),
            categories: texts(resource.categories)
          }] as const
        )
    )
  )
