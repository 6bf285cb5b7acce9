/**
 * The lock file: which documents the output was made from.
 */
import { by } from "../internal/order.ts"
import type { Document } from "./Document.ts"

/** The text of a lock file: the SHA-256 of each document by its name, for each kind of source. */
export const text = (sources: Readonly<Record<string, ReadonlyArray<Document>>>): string => {
  const digests = Object.entries(sources).map(([source, documents]) =>
    [
      source,
      Object.fromEntries(documents.toSorted(by(({ name }) => name)).map(({ name, sha256 }) => [name, sha256]))
    ] as const
  )
  return `${JSON.stringify(Object.fromEntries(digests), undefined, 2)}\n`
}
