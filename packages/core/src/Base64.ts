/**
 * Bytes in objects: standard base64 with padding, as the `data` of secrets holds them.
 */
import * as Encoding from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Bytes } from "./Resource.ts"

/** The text of bytes, or of a text in UTF-8. */
export const encode = (bytes: Uint8Array | string): Bytes => Encoding.encode(bytes)

/** The bytes of a text; nothing when it is not base64. */
export const decode = (text: Bytes): Option.Option<Uint8Array> => Result.getSuccess(Encoding.decode(text))

/**
 * The text that bytes hold in UTF-8; nothing when the text is not base64, or the bytes are not UTF-8.
 *
 * @example
 * ```ts
 * import * as Base64 from "@effect-k8s/core/Base64"
 * import * as Option from "effect/Option"
 *
 * Base64.decodeText("c2VjcmV0") // => Option.some("secret")
 * Base64.decodeText("not base64") // => Option.none()
 * ```
 */
export const decodeText = (text: Bytes): Option.Option<string> =>
  Option.flatMap(
    decode(text),
    (bytes) =>
      Result.getSuccess(Result.try(() => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)))
  )

/** The members of an object, such as the `data` of a secret, as texts in base64. */
export const encodeAll = (data: Readonly<Record<string, Uint8Array | string>>): Readonly<Record<string, Bytes>> =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, encode(value)]))
