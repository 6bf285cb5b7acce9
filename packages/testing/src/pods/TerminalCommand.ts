/**
 * How a command is run by a shell that has prepared its terminal.
 */
import type { Command } from "./LocalProcess.ts"

// What shells put into the environment of what they run, each some of it.
const ofShells = ["PWD", "OLDPWD", "SHLVL", "_"]

/** The words that run a command with its own environment, whatever the shell has made of that. */
export const exactly = ({ argv, env, file }: Command): ReadonlyArray<string> => {
  const [, ...args] = argv
  // It would be taken for a variable.
  if (file.includes("=")) return [file, ...args]
  const given = ofShells.filter((name) => env[name] !== undefined)
  return [
    "/usr/bin/env",
    ...ofShells.filter((name) => !given.includes(name)).flatMap((name) => ["-u", name]),
    ...given.map((name) => `${name}=${env[name]}`),
    file,
    ...args
  ]
}
