/**
 * A parsed document with the digest of its bytes: what every source (folder, URL, cluster) hands on.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import { CodegenError, InvalidDocument } from "../CodegenError.ts"
import { isObject } from "../internal/json.ts"
import type { JsonObject } from "../internal/json.ts"

/** A JSON document. */
export interface Document {
  /** The name by which messages and the lock file know it: a file name. */
  readonly name: string
  /** SHA-256 of the bytes, in lower-case hexadecimal. */
  readonly sha256: string
  readonly json: JsonObject
}

/** A document from its bytes. Fails with `InvalidDocument` when they are not an object in JSON. */
export const make = Effect.fnUntraced(function*(name: string, bytes: Uint8Array) {
  const digest = yield* Digest.Digest
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(new TextDecoder().decode(bytes)),
    catch: (cause) => invalid(name, `is not JSON (${String(cause)})`)
  })
  if (!isObject(json)) return yield* invalid(name, "is not a JSON object")
  const document: Document = { name, sha256: yield* digest.digestHex(Digest.sha256, bytes), json }
  return document
})

/** The documents if all are OpenAPI 3; fails with `InvalidDocument` for the first that is not. */
export const openApi = (
  documents: ReadonlyArray<Document>
): Effect.Effect<ReadonlyArray<Document>, CodegenError> => {
  const other = documents.find(({ json }) => typeof json.openapi !== "string" || !json.openapi.startsWith("3."))
  return other === undefined
    ? Effect.succeed(documents)
    : invalid(other.name, "is not an OpenAPI 3 document; take those under /openapi/v3 of a cluster")
}

/** The error of a document that is not what its place asks for. */
export const invalid = (
  document: string,
  description: string,
  place: { readonly number?: number | undefined; readonly path?: string | undefined } = {}
): CodegenError => new CodegenError({ reason: new InvalidDocument({ document, description, ...place }) })
