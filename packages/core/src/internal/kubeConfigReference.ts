/**
 * What may be shown of values that should name a file or a program: people put the key itself where its path belongs.
 */

// Only asked of what could not be read, so a path that looks like this costs no more than its place in a message.
const data: ReadonlyArray<RegExp> = [
  /[\r\n]/,
  /-----BEGIN /,
  // A JSON Web Token, and any other text that begins with the base64 of `{"`, with or without its scheme.
  /(?:^|\s)eyJ[\w-]{8,}/,
  // base64, of a PEM file or of the bytes themselves: a path has names that are shorter, or a dot.
  /(?:^|[/\\\s])[\w+=-]{48,}(?:$|[/\\\s])/,
  /^[A-Za-z0-9+/_\s-]{80,}={0,2}\s*$/,
  // Other tokens, which are no path of directories: of bootstrapping, of OpenShift and Rancher, of Google.
  /^[a-z0-9]{6}\.[a-z0-9]{16}$/,
  /^(?=.*\d)[\w+=~:-]{32,}$/,
  /^(?=.*\d)[\w+=~:.-]{48,}$/
]

/** Whether the value of a key that names a file is rather what the file should hold. */
export const looksLikeData = (reference: string): boolean => data.some((pattern) => pattern.test(reference))

/** The name of the program in the command of a plugin: no directory, no arguments; nothing if the word is no name. */
export const programName = (command: string): string => {
  const name = /^\s*(?:[^\s/\\]*[/\\])*([^\s/\\]*)/.exec(command)?.[1] ?? ""
  return /^\w[\w.+-]{0,63}$/.test(name) ? name : ""
}
