/**
 * Certificates and private keys in PEM text, and whether they belong together.
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

// The bytes of the first block of a kind; nothing where it is not base64 alone, as an encrypted one of the old form.
const bytesOfBlock = (text: string, kind: Kind): Option.Option<Uint8Array> =>
  Option.flatMap(
    Option.fromNullishOr(blocks[kind].exec(text)?.[1]),
    (body) => Result.getSuccess(Base64.decode(body.replaceAll(/\s/g, "")))
  )

// What of DER is needed to find a public key: tags, contents, and no more.
interface Element {
  readonly tag: number
  readonly content: Uint8Array
}

const integer = 0x02
const bitString = 0x03
const octetString = 0x04
const sequence = 0x30
const context = (tag: number): number => 0xa0 + tag

// What is not DER gives elements that mean nothing, and no failure.
const elements = (der: Uint8Array | undefined): ReadonlyArray<Element> => {
  const found: Array<Element> = []
  if (der === undefined) return found
  let at = 0
  const next = (): number => der[at++] ?? 0
  while (at < der.length) {
    const tag = next()
    let length = next()
    if (length >= 0x80) {
      const bytes = length - 0x80
      length = 0
      for (let n = 0; n < bytes; n++) length = length * 256 + next()
    }
    found.push({ tag, content: der.subarray(at, at + length) })
    at += length
  }
  return found
}

const contentOf = (element: Element | undefined, tag: number): Uint8Array | undefined =>
  element?.tag === tag ? element.content : undefined

const members = (der: Uint8Array | undefined): ReadonlyArray<Element> => elements(contentOf(elements(der)[0], sequence))

// The first byte of a bit string counts the bits that are not used: none.
const bytesOf = (element: Element | undefined): Uint8Array | undefined => contentOf(element, bitString)?.subarray(1)

/** The public key of a certificate (RFC 5280 4.1). */
const publicOfCertificate = (der: Uint8Array): Uint8Array | undefined => {
  const fields = elements(contentOf(members(der)[0], sequence))
  const version = fields[0]?.tag === context(0) ? 1 : 0
  return bytesOf(elements(contentOf(fields[version + 5], sequence))[1])
}

/** Whether a private key is of a public one; nothing where it does not say (RFC 5958, RFC 8017 A.1.2, RFC 5915). */
const isKeyOf = (der: Uint8Array, publicKey: Uint8Array): boolean | undefined => {
  const [version, second, third, ...rest] = members(der)
  if (version?.tag !== integer) return undefined
  const wrapped = second?.tag === sequence ? contentOf(third, octetString) : undefined
  if (wrapped !== undefined) return isKeyOf(wrapped, publicKey)
  const modulus = contentOf(second, integer)
  if (modulus !== undefined) return isSame(modulus, members(publicKey)[0]?.content)
  const point = [third, ...rest].find((element) => element?.tag === context(1))
  const ofPoint = bytesOf(elements(point?.content)[0])
  return ofPoint === undefined ? undefined : isSame(ofPoint, publicKey)
}

const isSame = (left: Uint8Array, right: Uint8Array | undefined): boolean =>
  left.length === right?.length && left.every((byte, index) => byte === right[index])

/**
 * `false` where the certificate is of another key. Keys that do not tell their public half (of Ed25519, encrypted ones) are
 * taken to belong to it.
 */
export const belongTogether = (pair: { readonly cert: string; readonly key: string }): boolean =>
  Option.getOrElse(
    Option.gen(function*() {
      const publicKey = publicOfCertificate(yield* bytesOfBlock(pair.cert, "CERTIFICATE"))
      const key = yield* bytesOfBlock(pair.key, "PRIVATE KEY")
      return publicKey === undefined || isKeyOf(key, publicKey) !== false
    }),
    () => true
  )
