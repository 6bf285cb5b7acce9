import * as Quantity from "@effect-k8s/core/Quantity"
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const canonical = (text: string): string | undefined =>
  Option.getOrUndefined(Option.map(Quantity.parse(text), Quantity.format))

const parsed = (text: string): Quantity.Amount => Option.getOrThrow(Quantity.parse(text))

describe("a quantity", () => {
  // What a server answers when this is written to it.
  const rows: ReadonlyArray<readonly [written: string, answered: string]> = [
    ["0", "0"],
    ["-0", "0"],
    ["0Ki", "0"],
    ["1", "1"],
    ["+1", "1"],
    ["1.", "1"],
    [".5", "500m"],
    ["0.5", "500m"],
    ["1.5", "1500m"],
    ["-1.5", "-1500m"],
    ["1000m", "1"],
    ["1000", "1k"],
    ["1500", "1500"],
    ["1000000", "1M"],
    ["100E", "9223372036854775807"],
    ["1E", "1E"],
    ["9E", "9E"],
    ["1Ki", "1Ki"],
    ["1024", "1024"],
    ["1024Ki", "1Mi"],
    ["1000Ki", "1000Ki"],
    ["1.5Gi", "1536Mi"],
    ["0.1Mi", "104857600m"],
    ["0.5Ki", "512"],
    ["1023.5Ki", "1048064"],
    ["-2Ki", "-2Ki"],
    ["0.1n", "1n"],
    ["1.1n", "2n"],
    ["-0.1n", "-1n"],
    ["1u", "1u"],
    ["1000u", "1m"],
    ["1e3", "1e3"],
    ["1E3", "1e3"],
    ["1500e-3", "1500e-3"],
    ["1e2", "100"],
    ["1e-12", "1e-9"],
    ["1e400", "9223372036854775807"],
    ["-1e400", "-9223372036854775807"],
    ["8Ei", "9223372036854775807"],
    ["7Ei", "7Ei"],
    ["9223372036854775807", "9223372036854775807"],
    ["9223372036854775808", "9223372036854775807"]
  ]
  for (const [written, answered] of rows) {
    it(`${written} is ${answered}`, () => assert.strictEqual(canonical(written), answered))
  }

  for (
    const text of [
      "",
      " 1",
      "1 ",
      "1K",
      "1ki",
      "1kk",
      "Ki",
      ".",
      "1,5",
      "1.5.1",
      "0x1",
      "1e",
      "1e1.5",
      "1Kie3",
      "NaN",
      "1\n"
    ]
  ) {
    it(`${JSON.stringify(text)} is none`, () => assert.isUndefined(canonical(text)))
  }

  const amount = Arbitrary.map(
    Arbitrary.all([
      Arbitrary.schema(Schema.Int),
      Arbitrary.schema(Schema.Literals(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-3"])),
      Arbitrary.schema(Schema.Literals(["", ".5", ".001"]))
    ]),
    ([number, suffix, fraction]) => `${number}${fraction}${suffix}`
  )

  it.prop("keeps its value when it is written again, and is written the same from then on", [amount], ([text]) => {
    const once = canonical(text) ?? ""
    assert.isTrue(BigDecimal.equals(parsed(once).value, parsed(text).value), `${text} -> ${once}`)
    const twice = canonical(once) ?? ""
    // Whole bytes that 1024 does not divide have no suffix, so they are of powers of 1000 when they are read again.
    if (!text.endsWith("i")) assert.strictEqual(twice, once)
    assert.strictEqual(canonical(twice), twice)
    assert.isTrue(Quantity.equals(text, once))
  })

  it("of bytes that 1024 does not divide is written as a decimal one when it is read again", () => {
    assert.strictEqual(canonical("97890.625Ki"), "100240000")
    assert.strictEqual(canonical("100240000"), "100240k")
  })

  it.prop("is ordered by value, and adds up", [amount, amount], ([a, b]) => {
    const [x, y] = [parsed(a), parsed(b)]
    assert.strictEqual(Quantity.Order(x, y), -Quantity.Order(y, x) || 0)
    assert.strictEqual(Quantity.Order(Quantity.subtract(Quantity.sum(x, y), y), x), 0)
  })

  it("is a number", () => {
    assert.strictEqual(Quantity.toNumber(parsed("250m")), 0.25)
    assert.strictEqual(Quantity.toNumber(parsed("64Mi")), 67_108_864)
    const made = Option.getOrThrow(Quantity.fromNumber(67_108_864, "BinarySI"))
    assert.strictEqual(Quantity.format(made), "64Mi")
    assert.isTrue(Option.isNone(Quantity.fromNumber(NaN)))
    assert.isFalse(Quantity.equals("1", "2"))
    assert.isTrue(Quantity.equals("x", "x"))
    assert.isFalse(Quantity.equals("x", "1"))
  })
})
