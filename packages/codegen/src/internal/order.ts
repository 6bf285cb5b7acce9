/** Orders texts by code unit, so that output does not depend on the machine's locale. */
export const byText = (a: string, b: string): number => a < b ? -1 : a > b ? 1 : 0

/** Orders by a text. */
export const by = <A>(f: (a: A) => string) => (a: A, b: A): number => byText(f(a), f(b))
