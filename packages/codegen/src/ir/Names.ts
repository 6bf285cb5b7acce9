/**
 * Names in a module: each is taken once, and none is a word of the language.
 */

const reserved = new Set(
  ("any as async await bigint boolean break case catch class const continue debugger default delete do else enum export " +
    "extends false finally for function if implements import in instanceof interface let never new null number object " +
    "package private protected public return static string super switch symbol this throw true try type typeof " +
    "undefined unknown var void while with yield").split(" ")
)

/** The name under which every module imports the runtime. */
export const runtime = "K"

/** The names that are taken in one module. */
export interface Names {
  /** Takes the first free of some names, or the last of them with a number. */
  readonly take: (...candidates: readonly [string, ...ReadonlyArray<string>]) => string
}

export const make = (): Names => {
  const taken = new Set([runtime])
  const free = (name: string) => !taken.has(name) && !reserved.has(name)
  return {
    take: (...candidates) => {
      const names = candidates.map(identifier)
      let name = names.find(free)
      for (let i = 2; name === undefined; i++) {
        const numbered = `${names.at(-1)}${i}`
        if (free(numbered)) name = numbered
      }
      taken.add(name)
      return name
    }
  }
}

/** A text as an identifier: what cannot be in one becomes `_`. */
export const identifier = (text: string): string =>
  text.replace(/[^\p{ID_Continue}$]/gu, "_").replace(/^(?!\p{ID_Start})/u, "_")

/** Whether a property or member can be written without quotes. */
export const isIdentifier = (text: string): boolean => /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(text)
