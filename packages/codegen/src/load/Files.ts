/**
 * Files that a path stands for: the file, the files of a folder, or those that match a pattern.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { CodegenError, FileFailed } from "../CodegenError.ts"
import { byText } from "../internal/order.ts"

/** What is read of a folder, at any depth. */
const ofFolder = "**/*.{json,yaml,yml}"
const exclude = ["**/node_modules/**", "**/.git/**"]

/**
 * The files, in the order of their names, as paths relative to `base` with slashes. A pattern has `*`, `**`, `?` and
 * `{a,b}`. Fails with `FileFailed` when there is no such file, or none that matches.
 */
export const find = Effect.fnUntraced(function*(base: string, pattern: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const failed = (cause: unknown) => new CodegenError({ reason: new FileFailed({ path: pattern, cause }) })
  const at = path.resolve(base, pattern)
  const info = yield* Effect.option(fs.stat(at))
  const relative = (file: string): string => path.relative(base, file).replaceAll("\\", "/")
  if (info._tag === "Some" && info.value.type !== "Directory") return [relative(at)]
  if (info._tag === "None" && !/[*?{[]/.test(pattern)) return yield* failed(new Error("there is no such file"))
  const [root, glob] = info._tag === "Some" ? [at, ofFolder] : [base, pattern]
  const found = yield* Effect.mapError(fs.glob(glob, { root, exclude }), failed)
  if (found.length === 0) {
    return yield* failed(new Error(info._tag === "Some" ? "there is no JSON or YAML in it" : "no file matches"))
  }
  return found.map((file) => relative(path.resolve(root, file))).sort(byText)
})
