/**
 * Writing what was generated.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import { CodegenError, FileFailed } from "../CodegenError.ts"
import type { GeneratedModule } from "../Generate.ts"
import { marker } from "./Module.ts"

/** Writes a text, and makes the folders above it. */
export const file = Effect.fnUntraced(function*(target: string, text: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* at(target, fs.makeDirectory(path.dirname(target), { recursive: true }))
  yield* at(target, fs.writeFileString(target, text))
})

/**
 * Writes modules into a folder, and removes the modules of an earlier run that are no longer there. Files that were not
 * generated stay.
 */
export const modules = Effect.fnUntraced(function*(folder: string, modules: ReadonlyArray<GeneratedModule>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  yield* at(folder, fs.makeDirectory(folder, { recursive: true }))
  const current = new Set(modules.map((module) => path.normalize(module.path)))
  const old = yield* at(folder, fs.readDirectory(folder, { recursive: true }))
  for (const name of old) {
    if (current.has(path.normalize(name)) || !name.endsWith(".ts")) continue
    const stale = path.join(folder, name)
    const text = yield* at(stale, fs.readFileString(stale))
    if (text.startsWith(marker)) yield* at(stale, fs.remove(stale))
  }
  yield* Effect.forEach(modules, (module) => file(path.join(folder, module.path), module.text), { discard: true })
})

const at = <A, R>(path: string, effect: Effect.Effect<A, PlatformError, R>): Effect.Effect<A, CodegenError, R> =>
  Effect.mapError(effect, (cause) => new CodegenError({ reason: new FileFailed({ path, cause }) }))
