/**
 * The kubectl binaries of this machine: `kubectl` on the path, and `kubectl.1.33` and the like beside it, which some
 * distributions have.
 */
import { spawnSync } from "node:child_process"
import { readdirSync, realpathSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"

/** A binary. */
export interface Kubectl {
  readonly name: string
  readonly path: string
  /** The minor version: 33 of `v1.33.2`. */
  readonly minor: () => number
}

const entries = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const real = (path: string): ReadonlyArray<string> => {
  try {
    return [realpathSync(path)]
  } catch {
    return []
  }
}

const isKubectl = /^kubectl(\.\d+\.(\d+))?$/

// A name that has a version saves asking.
const minorOf = (name: string, path: string): number => {
  const byName = isKubectl.exec(name)?.[2]
  if (byName !== undefined) return Number(byName)
  const { stdout } = spawnSync(path, ["version", "--client", "-o", "json"], { encoding: "utf8", timeout: 10_000 })
  return Number(/"gitVersion": *"v1\.(\d+)/.exec(stdout)?.[1] ?? Number.NaN)
}

/** Those of the folders of a path: all with a version in their names, or else the one without. */
export const find = (path: string): ReadonlyArray<Kubectl> => {
  const found = new Map<string, string>()
  for (const folder of path.split(delimiter)) {
    for (const place of [folder, ...real(join(folder, "kubectl")).map(dirname)]) {
      for (const name of entries(place).filter((entry) => isKubectl.test(entry))) {
        const path = real(join(place, name))[0]
        if (path !== undefined && !Array.from(found.values()).includes(path)) found.set(name, path)
      }
    }
  }
  const all = Array.from(found, ([name, path]): Kubectl => ({ name, path, minor: () => minorOf(name, path) }))
  const versioned = all.filter(({ name }) => name !== "kubectl")
  return (versioned.length > 0 ? versioned : all).sort((a, b) => a.name.localeCompare(b.name))
}

/** Those of this machine. */
export const installed: ReadonlyArray<Kubectl> = find(process.env["PATH"] ?? "")

/** The oldest and the newest of them: each version meets each era in one test, and what is looked at closer needs no more. */
export const oldestAndNewest: ReadonlyArray<Kubectl> = installed.filter((_, i) => i === 0 || i === installed.length - 1)
