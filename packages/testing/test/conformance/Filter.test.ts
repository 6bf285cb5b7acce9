import * as Filter from "@effect-k8s/testing/conformance/Filter"
import { row } from "@effect-k8s/testing/conformance/Row"
import { table } from "@effect-k8s/testing/conformance/Table"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"

const rows = [
  row("T3", "the terminal takes 200x50", Effect.void),
  row("V1", "16 MiB arrive whole", Effect.void),
  row("V10", "the ends are told apart", Effect.void),
  row("E1", "1 MiB comes back, over v10 as over v1", Effect.void),
  row("X5", "200 targets", Effect.void),
  row("X5", "16 at a time", Effect.void)
]

const ids = (filter: string): ReadonlyArray<string> => Filter.select(rows, filter).map(({ id }) => id)

describe("a filter of rows", () => {
  it("takes an id for the rows of that id, and not for a text in names", () => {
    assert.deepStrictEqual(ids("X5"), ["X5", "X5"])
    assert.deepStrictEqual(ids("V1"), ["V1"])
    assert.deepStrictEqual(ids("v10"), ["V10"])
  })

  it("takes what is no id of the table for a text in names", () => {
    assert.deepStrictEqual(ids("0x5"), ["T3"])
    assert.deepStrictEqual(ids("Mib"), ["V1", "E1"])
    assert.deepStrictEqual(ids("x6"), [])
  })

  it("is a list, whose rows keep the order of the table", () => {
    assert.deepStrictEqual(ids("x5, terminal"), ["T3", "X5", "X5"])
    assert.deepStrictEqual(ids("V1,V1"), ["V1"])
    assert.deepStrictEqual(ids(","), [])
  })

  it("finds each row of the table by its id, and no other", () => {
    for (const { id } of table) {
      const found = new Set(Filter.select(table, id).map((row) => row.id))
      assert.deepStrictEqual([...found], [id])
    }
  })
})
