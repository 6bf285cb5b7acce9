/**
 * Medians and spreads.
 */

/** The middle of the values, or between the two middle ones. NaN without values. */
export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

/** The value below which a part `q` of the values lies, interpolated. */
export const quantile = (values: ReadonlyArray<number>, q: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)] ?? Number.NaN
  const above = sorted[Math.ceil(at)] ?? Number.NaN
  return below + (above - below) * (at - Math.floor(at))
}

/** Median, least and most. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The spread of the values; none without values. */
export const spread = (values: ReadonlyArray<number | undefined>): Spread | undefined => {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0
    ? undefined
    : { median: median(known), min: Math.min(...known), max: Math.max(...known) }
}
