/**
 * Finds the JSON objects in a stream of bytes that is cut anywhere.
 */

/**
 * - `Empty`: nothing but white space so far.
 * - `Open`: inside an object.
 * - `Complete`: the object has ended; `text` has it.
 * - `NotObject`: it began with something else; bytes are still collected.
 * - `TooLarge`: the limit was reached; nothing more is taken.
 */
export type State = "Empty" | "Open" | "Complete" | "NotObject" | "TooLarge"

/** Collects one object. */
export interface Collector {
  readonly state: () => State
  /** Takes bytes from `from` on, to the end of the object if it is there, and returns the index after the last one. */
  readonly push: (bytes: Uint8Array, from: number) => number
  /** The bytes taken, as UTF-8 with U+FFFD where they are not. */
  readonly text: () => string
  /** The bytes taken. */
  readonly size: () => number
  /** Starts over behind a complete object. */
  readonly reset: () => void
}

/**
 * A collector for objects of at most `maxBytes`, white space before them included. It holds no more than that and looks
 * at each byte once. It balances brackets and quotes only: whether the text is JSON is for `JSON.parse` to say.
 */
export const makeCollector = (maxBytes: number): Collector => {
  let buffer = new Uint8Array(Math.min(256, maxBytes))
  let size = 0
  let state: State = "Empty"
  let depth = 0
  let inString = false
  let escaped = false

  const append = (bytes: Uint8Array, from: number, to: number): void => {
    if (size + to - from > buffer.length) {
      const grown = new Uint8Array(Math.min(maxBytes, Math.max(buffer.length * 2, size + to - from)))
      grown.set(buffer.subarray(0, size))
      buffer = grown
    }
    buffer.set(bytes.subarray(from, to), size)
    size += to - from
  }

  /** Looks at one byte, and says in which state that leaves the collector. */
  const step = (byte: number): State => {
    if (depth === 0) {
      if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) return "Empty"
      if (byte !== 0x7b) return "NotObject"
      depth = 1
    } else if (inString) {
      if (escaped) escaped = false
      else if (byte === 0x5c) escaped = true
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x7b || byte === 0x5b) depth++
    else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) return "Complete"
    return "Open"
  }

  const push = (bytes: Uint8Array, from: number): number => {
    if (state === "Complete" || state === "TooLarge") return from
    const end = Math.min(bytes.length, from + maxBytes - size)
    let next: State = state
    let at = from
    while (at < end && (next === "Empty" || next === "Open")) next = step(bytes[at++]!)
    if (next === "NotObject") at = end
    append(bytes, from, at)
    state = next !== "Complete" && at < bytes.length ? "TooLarge" : next
    return at
  }

  return {
    state: () => state,
    push,
    text: () => new TextDecoder().decode(buffer.subarray(0, size)),
    size: () => size,
    reset: () => {
      size = 0
      state = "Empty"
    }
  }
}

/** A parsed object. */
export type JsonObject = Readonly<Record<string, unknown>>

/** The object that a text is, or nothing. */
export const parse = (text: string): JsonObject | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Whether a value is an object with members, not an array and not null. */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** JSON as Go's encoder writes it: `<`, `>`, `&` and the line separators are escaped. */
export const stringify = (value: JsonObject): string =>
  JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )
