/**
 * Amounts of resources: `500m` of a CPU, `1.5Gi` of memory. Numbers are exact, whatever their size.
 *
 * Source: the serialisation of `resource.Quantity` in k8s.io/apimachinery.
 */
import * as BigDecimal from "effect/BigDecimal"
import * as Option from "effect/Option"
import * as Ordering from "effect/Order"
import type { Quantity } from "./Resource.ts"

/** How a quantity is written: by powers of 1000 (`k`), of 1024 (`Ki`), or of ten (`e3`). */
export type Format = "DecimalSI" | "BinarySI" | "DecimalExponent"

/** A quantity as a number. */
export interface Amount {
  readonly value: BigDecimal.BigDecimal
  readonly format: Format
}

const binary: ReadonlyArray<string> = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
/** By the power of 1000, from -3. */
const decimal: ReadonlyArray<string> = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
const decimalOffset = 3

const largest = BigDecimal.fromBigInt(2n ** 63n - 1n)
const smallest = BigDecimal.negate(largest)
const nano = 9
const syntax = /^([+-]?)(\d+\.?\d*|\.\d+)(?:([numkMGTPE]|[KMGTPE]i)?|[eE]([+-]?\d{1,9}))$/

/**
 * Reads a quantity; nothing when it is none. As servers do, what is finer than `1n` is rounded away from zero, and what
 * is larger than 2^63-1 is that.
 *
 * @example
 * ```ts
 * import * as Quantity from "@effect-k8s/core/Quantity"
 * import * as Option from "effect/Option"
 *
 * Option.map(Quantity.parse("1.5Gi"), Quantity.toNumber) // => Option.some(1610612736)
 * Quantity.parse("1,5Gi") // => Option.none()
 * ```
 */
export const parse = (text: string): Option.Option<Amount> => {
  const match = syntax.exec(text)
  if (match === null) return Option.none()
  const [, sign, digits = "", suffix = "", exponent] = match
  const magnitude = BigDecimal.fromStringUnsafe(digits.replace(/\.$/, "").replace(/^\./, "0."))
  const amount = (value: BigDecimal.BigDecimal, format: Format): Option.Option<Amount> =>
    Option.some({ value: limited(sign === "-" ? BigDecimal.negate(value) : value), format })
  // Beyond that everything is the largest, or the smallest.
  if (exponent !== undefined) {
    const power = Math.max(-100, Math.min(100, Number(exponent)))
    return amount(BigDecimal.make(magnitude.value, magnitude.scale - power), "DecimalExponent")
  }
  if (suffix.endsWith("i")) {
    const factor = BigDecimal.fromBigInt(1024n ** BigInt(binary.indexOf(suffix)))
    return amount(BigDecimal.multiply(magnitude, factor), "BinarySI")
  }
  const power = 3 * (decimal.indexOf(suffix) - decimalOffset)
  return amount(BigDecimal.make(magnitude.value, magnitude.scale - power), "DecimalSI")
}

/** An amount of a number, as exact as its decimal digits; nothing for NaN and infinities. */
export const fromNumber = (value: number, format: Format = "DecimalSI"): Option.Option<Amount> =>
  Option.map(BigDecimal.fromNumber(value), (value) => ({ value: limited(value), format }))

const limited = (value: BigDecimal.BigDecimal): BigDecimal.BigDecimal => {
  const rounded = BigDecimal.round(value, { scale: nano, mode: "from-zero" })
  return BigDecimal.clamp(rounded, { minimum: smallest, maximum: largest })
}

/**
 * The canonical text, as servers answer it: no fraction, and the largest suffix that loses nothing. What cannot be
 * written by powers of 1024 is written by those of 1000.
 *
 * @example
 * ```ts
 * import * as Quantity from "@effect-k8s/core/Quantity"
 * import * as Option from "effect/Option"
 *
 * Option.map(Quantity.parse("1.5Gi"), Quantity.format) // => Option.some("1536Mi")
 * Option.map(Quantity.parse("0.5"), Quantity.format) // => Option.some("500m")
 * ```
 */
export const format = ({ format, value }: Amount): Quantity => {
  const { scale, value: digits } = BigDecimal.normalize(value)
  if (digits === 0n) return "0"
  const whole = scale <= 0 ? digits * 10n ** BigInt(-scale) : undefined
  return format === "BinarySI" && whole !== undefined && (whole >= 1024n || whole <= -1024n)
    ? byBinary(whole)
    : byDecimal(digits, -scale, format)
}

const byBinary = (whole: bigint): Quantity => {
  let power = 0
  let rest = whole
  while (rest % 1024n === 0n && power < binary.length - 1) {
    rest /= 1024n
    power++
  }
  return `${rest}${binary[power]}`
}

const byDecimal = (digits: bigint, exponent: number, format: Format): Quantity => {
  const least = Math.floor(exponent / 3)
  const power = Math.min(least, decimal.length - 1 - decimalOffset)
  const number = digits * 10n ** BigInt(exponent - 3 * power)
  return power === 0
    ? String(number)
    : `${number}${format === "DecimalExponent" ? `e${3 * power}` : decimal[power + decimalOffset]}`
}

/** The nearest number: exact below 2^53, with rounding errors of fractions. */
export const toNumber = ({ value }: Amount): number => BigDecimal.toNumberUnsafe(value)

/** The sum, written as the first. */
export const sum = (self: Amount, that: Amount): Amount => ({
  value: limited(BigDecimal.sum(self.value, that.value)),
  format: self.format
})

/** The difference, written as the first. */
export const subtract = (self: Amount, that: Amount): Amount =>
  sum(self, { ...that, value: BigDecimal.negate(that.value) })

/** By value: `1Gi` equals `1024Mi`. */
export const Order: Ordering.Order<Amount> = Ordering.mapInput(BigDecimal.Order, ({ value }) => value)

/** Whether two texts are the same amount: `1` and `1000m` are. What is no quantity equals only itself. */
export const equals = (self: Quantity, that: Quantity): boolean => {
  const [a, b] = [parse(self), parse(that)]
  return Option.isSome(a) && Option.isSome(b) ? Order(a.value, b.value) === 0 : self === that
}
