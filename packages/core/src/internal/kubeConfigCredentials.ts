/**
 * The credentials of a user of a kubeconfig.
 */
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Credentials from "../Credentials.ts"
import type { ClientCertificate } from "../Endpoint.ts"
import type { KubeConfigError } from "../KubeConfigError.ts"
import type * as KubeConfigRules from "./kubeConfigRules.ts"
import { locate, readPem, readText } from "./referencedFile.ts"

const readCertificate = Effect.fnUntraced(function*(
  certificate: NonNullable<KubeConfigRules.Identity["certificate"]>
): Effect.fn.Return<ClientCertificate, KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const cert = yield* readPem(certificate.cert, "CERTIFICATE")
  return { cert, key: Redacted.make(yield* readPem(certificate.key, "PRIVATE KEY")) }
})

/** What goes with requests, and a certificate that stays as it is. */
const makeAuthorisation = Effect.fnUntraced(function*(
  identity: KubeConfigRules.Identity,
  clientCertificate: ClientCertificate | undefined
): Effect.fn.Return<Credentials.Credentials["Service"], KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const { impersonate, password, token, tokenFile, username } = identity
  const fixed = Credentials.make({ token, username, password, clientCertificate, impersonate })
  if (tokenFile === undefined) return fixed
  if (token === undefined) yield* readText(tokenFile.place, tokenFile.path)
  const fromFile = yield* Credentials.fromTokenFile(yield* locate(tokenFile.place, tokenFile.path), {
    clientCertificate,
    impersonate
  })
  if (token === undefined) return fromFile
  // client-go sends what the file holds, and falls back to the token while the file cannot be read.
  return {
    ...fromFile,
    authorize: (request) => Effect.catch(fromFile.authorize(request), () => fixed.authorize(request))
  }
})

/** What a user authorises requests with, and presents to servers. Files are read at once, to tell of those that cannot be. */
export const make = Effect.fnUntraced(function*(
  identity: KubeConfigRules.Identity
): Effect.fn.Return<Credentials.Credentials["Service"], KubeConfigError, FileSystem.FileSystem | Path.Path> {
  const { certificate } = identity
  if (certificate === undefined) return yield* makeAuthorisation(identity, undefined)
  const clientCertificate = yield* readCertificate(certificate)
  const { cert, key } = certificate
  // As in client-go, where one of the two is data, neither is read again.
  if (!("path" in cert) || !("path" in key)) return yield* makeAuthorisation(identity, clientCertificate)
  return yield* Credentials.withCertificateFiles(yield* makeAuthorisation(identity, undefined), {
    cert: yield* locate(cert.place, cert.path),
    key: yield* locate(key.place, key.path)
  })
})
