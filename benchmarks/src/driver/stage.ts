/**
 * Builds what is measured as it would be published: compiled modules behind the packages' published exports, so that no
 * measurement pays for the stripping of types.
 */
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/** `benchmarks/`. */
export const root: string = join(import.meta.dirname, "../..")

/** Where the compiled programs are. */
export const built: string = join(root, "dist")

interface Manifest {
  readonly exports: unknown
  readonly publishConfig: { readonly exports: unknown }
}

/** Puts a compiled package into a folder of packages as it is published; without the files that are left out. */
export const publish = (name: string, folder: string, isLeftOut: RegExp): void => {
  const source = join(root, "../packages", name)
  const target = join(folder, "@effect-k8s", name)
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8")) as Manifest
  writeFileSync(
    join(target, "package.json"),
    JSON.stringify({ ...manifest, exports: manifest.publishConfig.exports })
  )
  cpSync(join(source, "dist"), join(target, "dist"), { recursive: true, filter: (path) => !isLeftOut.test(path) })
}

/** Compiles, and puts the packages beside the programs, where these find them before the workspace's sources. */
export const stage = (packages: ReadonlyArray<string>): void => {
  execFileSync(
    process.execPath,
    [join(root, "../node_modules/typescript/bin/tsc"), "-b", join(root, "tsconfig.clients.json")],
    { stdio: ["ignore", "inherit", "inherit"] }
  )
  for (const name of packages) publish(name, join(built, "node_modules"), /\.(d\.ts|map)$/)
}
