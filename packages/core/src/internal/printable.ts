/**
 * Text of others in messages of ours.
 */

/**
 * A text without characters that could steer a terminal or hide in a line: control, format and unassigned characters,
 * line breaks included, become their code point (`U+001B`).
 */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{C}\u2028\u2029]/gu,
    (char) => `U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`
  )

const listedAtMost = 20

/** Names in quotes for a message; of very many only the first. */
export const listed = (names: ReadonlyArray<string>): string => {
  const quoted = names.slice(0, listedAtMost).map((name) => `"${printable(name)}"`).join(", ")
  return names.length > listedAtMost ? `${quoted} and ${names.length - listedAtMost} more` : quoted
}
