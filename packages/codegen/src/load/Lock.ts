/**
 * The lock file: which documents the output was made from.
 */
import * as Effect from "effect/Effect"
import { object } from "../internal/json.ts"
import { by, byText } from "../internal/order.ts"
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

/** The names of the documents that differ between the texts of two lock files; nothing when the first is none. */
export const changed = (before: string, after: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.try({ try: (): unknown => JSON.parse(before), catch: () => undefined }).pipe(
    Effect.map((json) => {
      const [old, now] = [json, JSON.parse(after) as unknown].map((json) =>
        new Map(Object.values(object(json)).flatMap((digests) => Object.entries(object(digests))))
      )
      const names = new Set([...(old?.keys() ?? []), ...(now?.keys() ?? [])])
      return [...names].filter((name) => old?.get(name) !== now?.get(name)).sort(byText)
    }),
    Effect.orElseSucceed(() => [])
  )
