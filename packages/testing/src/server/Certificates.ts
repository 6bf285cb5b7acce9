/**
 * A certificate authority in memory: the server's certificate and the clients', made anew for each cluster.
 *
 * Node can read X.509 but not write it. PKI.js does, with WebCrypto and four small packages behind it, without the
 * global polyfill that its sister `@peculiar/x509` needs, and with elliptic keys, which `node-forge` has not.
 */
import * as asn1 from "asn1js"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as pkijs from "pkijs"

/** A certificate and its private key, both PEM text (the key as PKCS #8). */
export interface Identity {
  readonly cert: string
  readonly key: Redacted.Redacted
}

/** An elliptic key on P-256, or RSA of 2048 bits. */
export type KeyAlgorithm = "EC" | "RSA"

/** An authority: its own certificate as PEM text, and what it issues. */
export interface Authority {
  readonly cert: string
  /** A server certificate for these DNS names and IP addresses; one that has expired a minute ago if so asked. */
  readonly issueServer: (
    names: ReadonlyArray<string>,
    options?: { readonly expired?: boolean | undefined }
  ) => Effect.Effect<Identity>
  /** An authority whose certificate this one has signed. */
  readonly issueAuthority: Effect.Effect<Authority>
  /**
   * A client certificate; the API server takes the common name for the user, the organisations for the groups. Its key is
   * elliptic (P-256) unless told.
   */
  readonly issueClient: (
    user: string,
    groups: ReadonlyArray<string>,
    key?: KeyAlgorithm
  ) => Effect.Effect<Identity>
}

interface Subject {
  readonly commonName: string
  readonly organisations?: ReadonlyArray<string> | undefined
}

// Object identifiers of RFC 5280 and X.520.
const oid = {
  commonName: "2.5.4.3",
  organisation: "2.5.4.10",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2"
}

const keyAlgorithms = {
  EC: { name: "ECDSA", namedCurve: "P-256" },
  RSA: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 2048, publicExponent: Uint8Array.of(1, 0, 1) }
}
const hourMillis = 3_600_000
const expiredMillis = -60_000
const validMillis = 365 * 24 * hourMillis

// Bits of KeyUsage (RFC 5280 4.2.1.3), with the count of unused bits at the end.
const signOnly = { bits: Uint8Array.of(0b1000_0000), unused: 7 }
const signCertificates = { bits: Uint8Array.of(0b0000_0110), unused: 1 }

const extension = (extnID: string, critical: boolean, value: asn1.BaseBlock): pkijs.Extension =>
  new pkijs.Extension({ extnID, critical, extnValue: value.toBER(false) })

const keyUsage = (usage: typeof signOnly): pkijs.Extension =>
  extension(oid.keyUsage, true, new asn1.BitString({ valueHex: usage.bits.slice().buffer, unusedBits: usage.unused }))

const addressBytes = (name: string): Uint8Array | undefined => {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(name)) return Uint8Array.from(name.split("."), Number)
  if (!name.includes(":")) return undefined
  const [head = "", tail] = name.split("::")
  const groups = (text: string): Array<string> => (text === "" ? [] : text.split(":"))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const middle = Array.from({ length: 8 - left.length - right.length }, () => "0")
  return Uint8Array.from([...left, ...middle, ...right].flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  }))
}

// GeneralName types of RFC 5280 4.2.1.6: 2 is a DNS name, 7 an IP address.
const alternativeName = (name: string): pkijs.GeneralName => {
  const address = addressBytes(name)
  return address === undefined
    ? new pkijs.GeneralName({ type: 2, value: name })
    : new pkijs.GeneralName({ type: 7, value: new asn1.OctetString({ valueHex: address.slice().buffer }) })
}

const writeName = (target: pkijs.RelativeDistinguishedNames, subject: Subject): void => {
  const add = (type: string, value: string): void => {
    target.typesAndValues.push(new pkijs.AttributeTypeAndValue({ type, value: new asn1.Utf8String({ value }) }))
  }
  for (const organisation of subject.organisations ?? []) add(oid.organisation, organisation)
  add(oid.commonName, subject.commonName)
}

const pem = (label: string, der: ArrayBuffer): string => {
  const lines = Buffer.from(der).toString("base64").match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`
}

const generateKeys = (key: KeyAlgorithm): Effect.Effect<CryptoKeyPair> =>
  Effect.promise(() => crypto.subtle.generateKey(keyAlgorithms[key], true, ["sign", "verify"]))

const certify = Effect.fnUntraced(function*(
  subject: Subject,
  publicKey: CryptoKey,
  issuer: Subject,
  signer: CryptoKey,
  extensions: Array<pkijs.Extension>,
  forMillis: number = validMillis
): Effect.fn.Return<string> {
  const certificate = new pkijs.Certificate()
  certificate.version = 2
  // A positive serial number of 16 bytes: the first is kept below 0x80, and above 0 so that the encoding is minimal.
  const serial = crypto.getRandomValues(new Uint8Array(16))
  serial[0] = (serial[0] ?? 0) & 0x7f | 0x40
  certificate.serialNumber = new asn1.Integer({ valueHex: serial.buffer })
  writeName(certificate.subject, subject)
  writeName(certificate.issuer, issuer)
  // The wall clock and not Effect's: TLS compares with it, also where a test sets Effect's clock.
  const now = Date.now()
  certificate.notBefore.value = new Date(now - hourMillis)
  certificate.notAfter.value = new Date(now + forMillis)
  certificate.extensions = extensions
  yield* Effect.promise(() => certificate.subjectPublicKeyInfo.importKey(publicKey))
  yield* Effect.promise(() => certificate.sign(signer, "SHA-256"))
  return pem("CERTIFICATE", certificate.toSchema(true).toBER(false))
})

const authorityExtensions = (): Array<pkijs.Extension> => [
  extension(oid.basicConstraints, true, new pkijs.BasicConstraints({ cA: true }).toSchema()),
  keyUsage(signCertificates)
]

const alternativeNames = (names: ReadonlyArray<string>): pkijs.Extension =>
  extension(oid.subjectAltName, false, new pkijs.GeneralNames({ names: names.map(alternativeName) }).toSchema())

const privateKey = (keys: CryptoKeyPair): Effect.Effect<Redacted.Redacted> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.exportKey("pkcs8", keys.privateKey)),
    (exported) => Redacted.make(pem("PRIVATE KEY", exported))
  )

/** What an authority issues with its key. */
const authority = (subject: Subject, keys: CryptoKeyPair, cert: string): Authority => {
  const issue = Effect.fnUntraced(function*(
    holder: Subject,
    purpose: string,
    names: ReadonlyArray<string>,
    key: KeyAlgorithm = "EC",
    forMillis?: number
  ): Effect.fn.Return<Identity> {
    const own = yield* generateKeys(key)
    const extensions = [
      keyUsage(signOnly),
      extension(oid.extKeyUsage, false, new pkijs.ExtKeyUsage({ keyPurposes: [purpose] }).toSchema())
    ]
    if (names.length > 0) extensions.push(alternativeNames(names))
    const signed = yield* certify(holder, own.publicKey, subject, keys.privateKey, extensions, forMillis)
    return { cert: signed, key: yield* privateKey(own) }
  })

  return {
    cert,
    issueServer: (names, { expired = false } = {}) =>
      issue(
        { commonName: names[0] ?? "localhost" },
        oid.serverAuth,
        names,
        "EC",
        expired ? expiredMillis : validMillis
      ),
    issueClient: (user, groups, key) => issue({ commonName: user, organisations: groups }, oid.clientAuth, [], key),
    issueAuthority: Effect.gen(function*() {
      const below: Subject = { commonName: `${subject.commonName}-intermediate` }
      const own = yield* generateKeys("EC")
      const signed = yield* certify(below, own.publicKey, subject, keys.privateKey, authorityExtensions())
      return authority(below, own, signed)
    })
  }
}

/** Makes an authority; about 20 ms. The certificates are valid from an hour ago for a year. */
export const make: Effect.Effect<Authority> = Effect.gen(function*() {
  const subject: Subject = { commonName: "effect-k8s-test-cluster" }
  const keys = yield* generateKeys("EC")
  const cert = yield* certify(subject, keys.publicKey, subject, keys.privateKey, authorityExtensions())
  return authority(subject, keys, cert)
})

/** A server's certificate that is its own authority, as `openssl req -x509` makes it. All have one subject. */
export const selfSigned = Effect.fnUntraced(function*(names: ReadonlyArray<string>): Effect.fn.Return<Identity> {
  const subject: Subject = { commonName: "effect-k8s-test-server" }
  const keys = yield* generateKeys("EC")
  const extensions = [
    extension(oid.basicConstraints, true, new pkijs.BasicConstraints({ cA: true }).toSchema()),
    alternativeNames(names)
  ]
  const cert = yield* certify(subject, keys.publicKey, subject, keys.privateKey, extensions)
  return { cert, key: yield* privateKey(keys) }
})
