/** Certificates of real keys, for those who look at nothing but their keys: no other field holds anything, and nobody signed. */
import * as Crypto from "node:crypto"

const der = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Buffer => {
  const content = Buffer.concat(contents)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content])
  const size = Buffer.of(length >> 8, length & 0xff)
  return Buffer.concat([Buffer.of(tag, 0x80 + size.length), size, content])
}

const block = (kind: string, bytes: Buffer): string =>
  `-----BEGIN ${kind}-----\n${bytes.toString("base64").replaceAll(/.{64}/g, "$&\n")}\n-----END ${kind}-----\n`

const certificateOf = (publicKey: Crypto.KeyObject, versioned: boolean): string => {
  const sequence = (...contents: ReadonlyArray<Uint8Array>) => der(0x30, ...contents)
  const empty = sequence()
  const number = der(0x02, Buffer.of(1))
  const version = versioned ? [der(0xa0, number)] : []
  const spki = publicKey.export({ type: "spki", format: "der" })
  const signed = sequence(...version, number, empty, empty, empty, empty, spki)
  return block("CERTIFICATE", sequence(signed, empty, der(0x03, Buffer.of(0))))
}

/** A certificate, and its key in a form that tools write. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

/** The forms of keys, and how to make a pair of one. */
export const forms: Readonly<Record<string, () => Pair>> = {
  "RSA in PKCS #8": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("rsa", { modulusLength: 1024 })
    return {
      cert: certificateOf(publicKey, true),
      key: privateKey.export({ type: "pkcs8", format: "pem" })
    }
  },
  "RSA in PKCS #1": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("rsa", { modulusLength: 1024 })
    return { cert: certificateOf(publicKey, false), key: privateKey.export({ type: "pkcs1", format: "pem" }) }
  },
  "EC in PKCS #8": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    return { cert: certificateOf(publicKey, true), key: privateKey.export({ type: "pkcs8", format: "pem" }) }
  },
  "EC in SEC 1": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    return { cert: certificateOf(publicKey, true), key: privateKey.export({ type: "sec1", format: "pem" }) }
  }
}

/** Pairs whose keys do not tell what their public key is. */
export const silentForms: Readonly<Record<string, () => Pair>> = {
  "Ed25519": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("ed25519")
    return { cert: certificateOf(publicKey, true), key: privateKey.export({ type: "pkcs8", format: "pem" }) }
  },
  "an encrypted key": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    const secret = { cipher: "aes-256-cbc", passphrase: "p" } as const
    return {
      cert: certificateOf(publicKey, true),
      key: privateKey.export({ type: "pkcs8", format: "pem", ...secret })
    }
  },
  "an encrypted key of the old form": () => {
    const { privateKey, publicKey } = Crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    const secret = { cipher: "aes-256-cbc", passphrase: "p" } as const
    return { cert: certificateOf(publicKey, true), key: privateKey.export({ type: "sec1", format: "pem", ...secret }) }
  },
  "what is no DER": () => ({ cert: block("CERTIFICATE", Buffer.of(0x30)), key: block("PRIVATE KEY", Buffer.of(0x30)) })
}
