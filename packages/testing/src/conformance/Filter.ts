/**
 * Which rows are meant by a list of ids and texts: `E1,V2,terminal`.
 */
import type { Row } from "./Row.ts"

/**
 * The rows of a table that one of the parts between commas means: all rows of an id, if the table has it, or else those
 * with the text in their names. The case of letters does not count.
 *
 * @example
 * ```ts
 * import * as Filter from "@effect-k8s/testing/conformance/Filter"
 * import { table } from "@effect-k8s/testing/conformance/Table"
 *
 * new Set(Filter.select(table, "x5,V6").map((row) => row.id)) // => new Set(["V6", "X5"])
 * ```
 */
export const select = (table: ReadonlyArray<Row>, filter: string): ReadonlyArray<Row> => {
  const ids = new Set(table.map(({ id }) => id.toLowerCase()))
  const parts = filter.toLowerCase().split(",").map((part) => part.trim()).filter((part) => part !== "")
  return table.filter(({ id, name }) =>
    parts.some((part) => ids.has(part) ? id.toLowerCase() === part : name.toLowerCase().includes(part))
  )
}
