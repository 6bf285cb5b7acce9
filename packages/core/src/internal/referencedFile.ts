/**
 * Files that a kubeconfig, or the in-cluster configuration, names.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import {
  DataInsteadOfPath,
  InvalidPem,
  KubeConfigError,
  type Place,
  ReferencedFileMissing,
  ReferencedFileUnreadable
} from "../KubeConfigError.ts"
import { looksLikeData } from "./kubeConfigReference.ts"
import type { Source } from "./kubeConfigRules.ts"
import * as Pem from "./pem.ts"

/** Whether a file could not be read because it does not exist. */
export const isMissing = (error: PlatformError): boolean => error.reason._tag === "NotFound"

/** The path of a file that a kubeconfig names: relative to the directory of the kubeconfig. */
export const locate = Effect.fnUntraced(function*(
  place: Place,
  reference: string
): Effect.fn.Return<string, never, Path.Path> {
  const path = yield* Path.Path
  return path.resolve(path.dirname(place.file), reference)
})

/** What a file holds, and where it is; no place for what a kubeconfig holds itself. */
interface Read {
  readonly text: string
  readonly path?: string | undefined
}

/** The text of a file that is named at a place of a kubeconfig. One without content is none. */
export const readText = Effect.fnUntraced(function*(
  place: Place,
  reference: string
): Effect.fn.Return<Read, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* locate(place, reference)
  const text = yield* Effect.mapError(fs.readFileString(path), (cause) =>
    new KubeConfigError({
      reason: looksLikeData(reference)
        ? new DataInsteadOfPath(place)
        : isMissing(cause)
        ? new ReferencedFileMissing({ ...place, path })
        : new ReferencedFileUnreadable({ ...place, path, cause })
    }))
  if (text.trim() !== "") return { text, path }
  return yield* new KubeConfigError({ reason: new ReferencedFileUnreadable({ ...place, path }) })
})

/**
 * PEM text with a block of a kind. Checked here, because a runtime may pass over what is not PEM and trust nobody, without a
 * word.
 */
export const readPem = Effect.fnUntraced(function*(
  source: Source,
  expected: Pem.Kind
): Effect.fn.Return<string, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const { path, text }: Read = "path" in source
    ? yield* readText(source.place, source.path)
    : { text: Redacted.value(source.text) }
  if (Pem.holds(text, expected)) return text
  return yield* new KubeConfigError({ reason: new InvalidPem({ ...source.place, path, expected }) })
})
