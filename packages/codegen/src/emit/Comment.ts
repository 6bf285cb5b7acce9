/**
 * Documentation comments. Their text is foreign: whatever it holds, it stays inside the comment.
 */
import type { Doc } from "../normalise/Doc.ts"
import { isDeprecation } from "../normalise/Doc.ts"

/** What a comment says. */
export interface Comment {
  readonly doc: Doc | undefined
  readonly deprecated?: boolean | undefined
  /** What stands before each line. */
  readonly indent?: string | undefined
  /** Whether even one line stands on a line of its own. */
  readonly block?: boolean | undefined
}

/** The text of a comment with the end of its line; empty when there is nothing to say. */
export const comment = ({ block, deprecated, doc, indent = "" }: Comment): string => {
  const words = doc === undefined ? [] : linesOf(doc.text)
  // A notice of deprecation is a tag, and tags stand behind the words.
  const end = isDeprecation(words[0] ?? "") ? [...words, ""].indexOf("") : 0
  const notice = words.slice(0, end).join(" ").replace(/^Deprecated[:.,]?\s*/, "")
  const lines = [
    ...words.slice(end).slice(words[end] === "" ? 1 : 0),
    ...(end > 0 || deprecated === true ? [`@deprecated ${notice}`.trimEnd()] : []),
    ...(doc?.default === undefined ? [] : [`@default ${harmless(doc.default)}`])
  ]
  const [first] = lines
  if (first === undefined) return ""
  return lines.length === 1 && block !== true
    ? `${indent}/** ${first} */\n`
    : [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`.trimEnd()), `${indent} */`].join("\n") + "\n"
}

const linesOf = (text: string): ReadonlyArray<string> =>
  text.trim() === "" ? [] : text.trim().split(/\r\n?|[\n\u2028\u2029]/).map((line) =>
    // What begins with an at sign would be a tag.
    harmless(line).trimEnd().replace(/^(\s*)@/, "$1\\@")
  )

// The end of a comment is the only thing that can be taken for one; other control characters are of no use in it.
const harmless = (text: string): string =>
  text.replaceAll("*/", "*\\/").replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => character === "\t" ? "\t" : " ")
