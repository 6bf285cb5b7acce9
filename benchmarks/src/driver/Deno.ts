/**
 * Finding Deno: the one that is installed with the workspace.
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { root } from "./stage.ts"

// The program itself, and what finds and starts it where the package has put it elsewhere.
const places = ["deno/deno", ".bin/deno"]

/** Its program, unless the workspace was installed without. */
export const find = (): string | undefined =>
  places.map((place) => join(root, "../node_modules", place)).find(existsSync)
