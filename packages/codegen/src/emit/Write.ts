/**
 * Writing what was generated.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { CodegenError, FileFailed } from "../CodegenError.ts"
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

/** How modules and their schemas lie in a folder. What lies deeper is somebody else's, such as a folder of packages. */
const ours = /^(?:schemas[\\/])?(?!node_modules[\\/])[^\\/]+[\\/][^\\/]+\.ts$|^schemas\.ts$/

/** The modules of an earlier run in a folder, that are no longer there. Files that were not generated are none. */
export const stale = Effect.fnUntraced(function*(folder: string, modules: ReadonlyArray<GeneratedModule>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const current = new Set(modules.map((module) => path.normalize(module.path)))
  const exists = yield* at(folder, fs.exists(folder))
  const old = exists ? yield* at(folder, fs.readDirectory(folder, { recursive: true })) : []
  return yield* Effect.filter(
    old.filter((name) => ours.test(name) && !current.has(path.normalize(name))),
    (name) => Effect.map(at(name, fs.readFileString(path.join(folder, name))), (text) => text.startsWith(marker))
  )
})

/**
 * Writes modules into a folder, and removes the modules of an earlier run that are no longer there. Files that were not
 * generated stay.
 */
export const modules = Effect.fnUntraced(function*(folder: string, modules: ReadonlyArray<GeneratedModule>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* at(folder, fs.makeDirectory(folder, { recursive: true }))
  yield* Effect.forEach(yield* stale(folder, modules), (name) => at(name, fs.remove(path.join(folder, name))), {
    discard: true
  })
  yield* Effect.forEach(modules, (module) => file(path.join(folder, module.path), module.text), { discard: true })
})

const at = <A, R>(path: string, effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<A, CodegenError, R> =>
  Effect.mapError(effect, (cause) => new CodegenError({ reason: new FileFailed({ path, cause }) }))
