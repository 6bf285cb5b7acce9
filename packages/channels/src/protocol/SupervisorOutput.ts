/**
 * The supervisor's records in an output, told apart from what the command wrote.
 *
 * A record is `0x1e`, the session's nonce of 32 hexadecimal digits, and a line: `@` and the process group, first thing on
 * stdout, when the supervisor has started; `:` and how the command ended, at the end of each output (the trailer).
 * Everything else is the command's output, to the byte. What follows the trailer is nobody's.
 */
import { marker } from "./SupervisorScript.ts"

/** How the command ended, as the supervisor saw it. */
export type Trailer =
  | { readonly _tag: "Exited"; readonly code: number }
  /** No such program; nothing was started. */
  | { readonly _tag: "NotFound" }
  /** The program is there, but is a directory or may not be executed; nothing was started. */
  | { readonly _tag: "NotExecutable" }
  /** The working directory could not be entered; nothing was started. */
  | { readonly _tag: "NoWorkingDirectory" }
  /** The shell keeps one of the variables for itself; nothing was started. */
  | { readonly _tag: "VariableKept" }

/** What one chunk brought. */
export interface Parsed {
  /** The command's output in the chunk: views of its memory. */
  readonly output: ReadonlyArray<Uint8Array>
  /** The supervisor's process group, when its first record is complete. */
  readonly processGroup: number | undefined
  /** The trailer, when it is complete. */
  readonly trailer: Trailer | undefined
}

/** Separates records from output. */
export interface Parser {
  /** Takes the next chunk. After the trailer everything is dropped. */
  readonly push: (chunk: Uint8Array) => Parsed
  /** The stream has ended: what was held back because a record might have begun in it. */
  readonly end: () => ReadonlyArray<Uint8Array>
}

// `@` or `:`, and a number of 32 bits.
const maxLine = 12
const lineFeed = 0x0a
const started = 0x40
const ended = 0x3a

const parseTrailer = (text: string): Trailer | undefined => {
  switch (text) {
    case "n":
      return { _tag: "NotFound" }
    case "x":
      return { _tag: "NotExecutable" }
    case "d":
      return { _tag: "NoWorkingDirectory" }
    case "v":
      return { _tag: "VariableKept" }
  }
  return /^\d{1,10}$/.test(text) ? { _tag: "Exited", code: Number(text) } : undefined
}

// Boyer-Moore-Horspool: what stands at the end of the window tells how far the window can move. A pattern of 33 bytes is
// found ten times as fast as its first byte by `indexOf`, which must look at every byte.
const makeSearch = (pattern: Uint8Array): (chunk: Uint8Array, from: number) => number => {
  const last = pattern.length - 1
  const shifts = new Uint8Array(256).fill(pattern.length)
  for (let i = 0; i < last; i++) shifts[pattern[i]!] = last - i
  return (chunk, from) => {
    let end = from + last
    while (end < chunk.length) {
      const byte = chunk[end]!
      if (byte === pattern[last]) {
        let i = last - 1
        while (i >= 0 && chunk[end - last + i] === pattern[i]) i--
        if (i < 0) return end - last
      }
      end += shifts[byte]!
    }
    return -1
  }
}

// How many bytes at the end of the chunk may begin the pattern. Its first byte occurs in it only once.
const suffixLength = (chunk: Uint8Array, from: number, pattern: Uint8Array): number => {
  let begin = chunk.length - 1
  const stop = Math.max(from, chunk.length - pattern.length + 1)
  while (begin >= stop && chunk[begin] !== marker) begin--
  if (begin < stop) return 0
  for (let i = begin + 1; i < chunk.length; i++) if (chunk[i] !== pattern[i - begin]) return 0
  return chunk.length - begin
}

/**
 * A parser for one output of the session with this nonce. It holds back at most the bytes that may begin a record, so a
 * line of `tail -f` is not delayed.
 *
 * @example
 * ```ts
 * import * as SupervisorOutput from "@effect-k8s/channels/protocol/SupervisorOutput"
 *
 * const nonce = "0123456789abcdef0123456789abcdef"
 * const parser = SupervisorOutput.makeParser(nonce)
 * const { output, trailer } = parser.push(new TextEncoder().encode(`done\x1e${nonce}:7\n`))
 * new TextDecoder().decode(output[0]) // => "done"
 * trailer // => { _tag: "Exited", code: 7 }
 * ```
 */
export const makeParser = (nonce: string): Parser => {
  const pattern = new TextEncoder().encode(`${String.fromCharCode(marker)}${nonce}`)
  const search = makeSearch(pattern)
  // Bytes of the pattern that the stream ends in, and then the bytes of the record's line. They are what is held back.
  let matched = 0
  const line = new Uint8Array(maxLine)
  let lineLength = 0
  let done = false

  /** What is held back turned out to be output. */
  const release = (output: Array<Uint8Array>): void => {
    if (matched > 0) output.push(pattern.subarray(0, matched))
    if (lineLength > 0) output.push(line.slice(0, lineLength))
    matched = 0
    lineLength = 0
  }

  const push = (chunk: Uint8Array): Parsed => {
    const output: Array<Uint8Array> = []
    let processGroup: number | undefined
    let trailer: Trailer | undefined
    // The output that begins at `from` and was not yet handed on. Nothing is held back of it.
    let from = 0
    let at = 0
    while (!done && at < chunk.length) {
      if (matched === 0) {
        const found = search(chunk, at)
        const held = found === -1 ? suffixLength(chunk, at, pattern) : pattern.length
        const begin = found === -1 ? chunk.length - held : found
        if (begin > from) output.push(chunk.subarray(from, begin))
        matched = held
        at = from = begin + held
        continue
      }
      if (matched < pattern.length) {
        if (chunk[at] === pattern[matched]) {
          matched++
          at++
        } else release(output)
        // What matched is held back, or was released: either way the rest begins here.
        from = at
        continue
      }
      const byte = chunk[at]!
      if (byte === lineFeed && lineLength > 1) {
        const text = String.fromCharCode(...line.subarray(1, lineLength))
        if (line[0] === ended && (trailer = parseTrailer(text)) !== undefined) {
          done = true
        } else if (line[0] === started && /^\d{1,10}$/.test(text)) {
          processGroup = Number(text)
          matched = 0
          lineLength = 0
          at++
        } else release(output)
      } else if (lineLength === 0 ? byte === started || byte === ended : lineLength < maxLine && byte !== marker) {
        line[lineLength++] = byte
        at++
      } else release(output)
      from = at
    }
    return { output, processGroup, trailer }
  }

  return {
    push,
    end: () => {
      const held: Array<Uint8Array> = []
      if (!done) release(held)
      done = true
      return held
    }
  }
}
