/**
 * Writing what was generated.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { CodegenError, FileFailed, InvalidConfig } from "../CodegenError.ts"
import type { GeneratedModule } from "../Generate.ts"
import { marker } from "./Module.ts"

/**
 * Writes a text, and makes the folders above it. A file that has it already is not written: who watches it would begin
 * anew.
 */
export const file = Effect.fnUntraced(function*(target: string, text: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const old = yield* Effect.option(fs.readFileString(target))
  if (Option.isSome(old) && old.value === text) return
  yield* at(target, fs.makeDirectory(path.dirname(target), { recursive: true }))
  yield* at(target, fs.writeFileString(target, text))
})

/** The files of a folder's folders: modules lie two levels deep. Folders of packages are not looked into. */
const twoLevels = Effect.fnUntraced(function*(folder: string) {
  const path = yield* Path.Path
  const inner = yield* Effect.forEach(yield* entries(folder), (name) =>
    name === "node_modules"
      ? Effect.succeed([])
      : Effect.map(entries(path.join(folder, name)), (files) => files.map((file) => path.join(name, file))))
  return inner.flat().filter((name) => name.endsWith(".ts"))
})

/** The names in a folder; none in what is no folder. */
const entries = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const info = yield* Effect.option(fs.stat(folder))
  return Option.isSome(info) && info.value.type === "Directory" ? yield* at(folder, fs.readDirectory(folder)) : []
})

/** The text of a file; nothing when there is none. */
const textOf = Effect.fnUntraced(function*(file: string) {
  const fs = yield* FileSystem.FileSystem
  return (yield* at(file, fs.exists(file))) ? yield* at(file, fs.readFileString(file)) : ""
})

/**
 * The modules and schemas of an earlier run in a folder, that are no longer there. Files that were not generated are
 * none, and neither is what lies deeper: it is somebody else's.
 */
export const stale = Effect.fnUntraced(function*(folder: string, modules: ReadonlyArray<GeneratedModule>) {
  const path = yield* Path.Path
  const current = new Set(modules.map((module) => path.normalize(module.path)))
  const schemas = yield* twoLevels(path.join(folder, "schemas"))
  const all = ["schemas.ts", ...yield* twoLevels(folder), ...schemas.map((name) => path.join("schemas", name))]
  return yield* Effect.filter(
    all.filter((name) => !current.has(name)),
    (name) => Effect.map(textOf(path.join(folder, name)), (text) => text.startsWith(marker))
  )
})

/**
 * Writes modules into a folder, and removes the modules of an earlier run that are no longer there. Files that were not
 * generated stay: fails with `InvalidConfig` when one is in the way, before anything is written.
 */
export const modules = Effect.fnUntraced(function*(folder: string, modules: ReadonlyArray<GeneratedModule>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (const module of modules) {
    const target = path.join(folder, module.path)
    const old = yield* textOf(target)
    // A run that was ended in the middle may leave an empty file.
    if (old !== "" && !old.startsWith(marker)) {
      return yield* new CodegenError({
        reason: new InvalidConfig({
          path: target,
          description: "was not generated, and would be lost; move it, or generate into another folder"
        })
      })
    }
  }
  yield* at(folder, fs.makeDirectory(folder, { recursive: true }))
  yield* Effect.forEach(yield* stale(folder, modules), (name) => at(name, fs.remove(path.join(folder, name))), {
    discard: true
  })
  yield* Effect.forEach(modules, (module) => file(path.join(folder, module.path), module.text), { discard: true })
})

/** How a file differs from a text, in words that name it by `shown`; nothing when it has it. */
export const difference = Effect.fnUntraced(function*(target: string, text: string, shown: string = target) {
  const fs = yield* FileSystem.FileSystem
  const found = yield* Effect.option(fs.readFileString(target))
  return Option.isNone(found) ? [`${shown} is missing`] : found.value === text ? [] : [`${shown} differs`]
})

/** How the modules of a folder differ from what they should be, those of an earlier run included. */
export const differences = Effect.fnUntraced(
  function*(folder: string, modules: ReadonlyArray<GeneratedModule>, shown: string = folder) {
    const path = yield* Path.Path
    const changed = yield* Effect.forEach(
      modules,
      (module) => difference(path.join(folder, module.path), module.text, `${shown}/${module.path}`)
    )
    const old = yield* stale(folder, modules)
    return [...changed.flat(), ...old.map((file) => `${shown}/${file} is no longer generated`)]
  }
)

const at = <A, R>(path: string, effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<A, CodegenError, R> =>
  Effect.mapError(effect, (cause) => new CodegenError({ reason: new FileFailed({ path, cause }) }))
