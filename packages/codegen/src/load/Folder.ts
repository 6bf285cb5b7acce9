/**
 * Documents from a folder of files.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import { CodegenError, FileFailed } from "../CodegenError.ts"
import { byText } from "../internal/order.ts"
import * as Document from "./Document.ts"

/** Every `*.json` file of a folder (not of its subfolders), in the order of the names. */
export const load = Effect.fnUntraced(function*(folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const failed = (path: string) => (cause: unknown) => new CodegenError({ reason: new FileFailed({ path, cause }) })
  const names = yield* Effect.mapError(fs.readDirectory(folder), failed(folder))
  return yield* Effect.forEach(
    names.filter((name) => name.endsWith(".json")).sort(byText),
    (name) => {
      const file = path.join(folder, name)
      return Effect.flatMap(Effect.mapError(fs.readFile(file), failed(file)), (bytes) => Document.make(name, bytes))
    }
  )
})
