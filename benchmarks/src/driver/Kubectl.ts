/**
 * Finding kubectl.
 */
import { execFileSync } from "node:child_process"
import { existsSync, readdirSync, realpathSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"

/** What was found, or why it is left out. */
export type Found =
  | { readonly _tag: "Found"; readonly path: string; readonly version: string }
  | { readonly _tag: "LeftOut"; readonly reason: string }

// kubectl speaks WebSocket, which is all that the server speaks, since 1.30 (1.29 with a variable set).
const minMinor = 30

const onPath = (): string | undefined =>
  (process.env["PATH"] ?? "").split(delimiter).map((directory) => join(directory, "kubectl")).find(existsSync)

/** Some distributions put a program in front that asks the server for its version first; the real ones lie beside it. */
const behindDispatcher = (path: string): string => {
  const directory = dirname(realpathSync(path))
  const minor = (name: string): number => Number(/^kubectl\.1\.(\d+)$/.exec(name)?.[1] ?? -1)
  const newest = readdirSync(directory).toSorted((a, b) => minor(b) - minor(a))[0]
  return newest !== undefined && minor(newest) >= 0 ? join(directory, newest) : path
}

/** `KUBECTL`, or the one on the path. */
export const find = (): Found => {
  const named = process.env["KUBECTL"]
  const first = named ?? onPath()
  if (first === undefined) return { _tag: "LeftOut", reason: "there is no kubectl on the path (or in KUBECTL)" }
  const path = named ?? behindDispatcher(first)
  try {
    const { clientVersion } = JSON.parse(
      execFileSync(path, ["version", "--client", "-o", "json"], { encoding: "utf8" })
    ) as { readonly clientVersion: { readonly gitVersion: string; readonly minor: string } }
    return Number.parseInt(clientVersion.minor) < minMinor
      ? { _tag: "LeftOut", reason: `${path} is ${clientVersion.gitVersion}, which does not speak WebSocket` }
      : { _tag: "Found", path, version: clientVersion.gitVersion }
  } catch (cause) {
    return { _tag: "LeftOut", reason: `${path} does not tell its version: ${String(cause)}` }
  }
}
