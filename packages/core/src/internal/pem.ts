/**
 * Blocks of PEM text.
 */
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

const blocks = {
  "CERTIFICATE": /-----BEGIN CERTIFICATE-----([^-]*)/,
  "PRIVATE KEY": /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----([^-]*)/
} as const

/** What a block is of. A private key is one of any form: PKCS #8, PKCS #1, SEC 1, encrypted ones too. */
export type Kind = keyof typeof blocks

/** Whether a text has a block of a kind. */
export const holds = (text: string, kind: Kind): boolean => blocks[kind].test(text)

/** The bytes of the first block of a kind; nothing where it is not base64 alone, as an encrypted one of the old form. */
export const bytes = (text: string, kind: Kind): Option.Option<Uint8Array> =>
  Option.flatMap(
    Option.fromNullishOr(blocks[kind].exec(text)?.[1]),
    (body) => Result.getSuccess(Base64.decode(body.replaceAll(/\s/g, "")))
  )
