/**
 * The contract's servers and proxies in this process, which is Node.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createPrivateKey } from "node:crypto"
import type * as Tls from "node:tls"
import * as Authority from "../../server/Certificates.ts"
import { clientUser, type Identity, type KeyForm, Peer, type ServerName, type TlsOptions } from "../Peer.ts"
import * as ConnectProxy from "./ConnectProxy.ts"
import * as Server from "./Server.ts"
import * as Sockets from "./Sockets.ts"
import * as SocksProxy from "./SocksProxy.ts"

const subjects: Readonly<Record<ServerName, ReadonlyArray<string>>> = {
  "cluster.test": ["cluster.test", "localhost", "127.0.0.1", "::1"],
  "other.test": ["other.test"]
}

// WebCrypto writes PKCS #8; kubeconfigs hold the older forms as often.
const rewritten = (identity: Identity, type: "sec1" | "pkcs1"): Identity => ({
  cert: identity.cert,
  key: createPrivateKey(identity.key).export({ format: "pem", type })
})

const plain = ({ cert, key }: Authority.Identity): Identity => ({ cert, key: Redacted.value(key) })

const makeClients = Effect.fnUntraced(function*(
  authority: Authority.Authority
): Effect.fn.Return<Readonly<Record<KeyForm, Identity>>> {
  const ec = plain(yield* authority.issueClient(clientUser, ["rows"], "EC"))
  const rsa = plain(yield* authority.issueClient(clientUser, ["rows"], "RSA"))
  return {
    "EC PKCS#8": ec,
    "EC SEC1": rewritten(ec, "sec1"),
    "RSA PKCS#8": rsa,
    "RSA PKCS#1": rewritten(rsa, "pkcs1")
  }
})

/** Makes the certificates; about 0.2 s. Nothing listens yet. */
export const make: Effect.Effect<Peer["Service"]> = Effect.gen(function*() {
  const authority = yield* Authority.make
  const other = yield* Authority.make
  const intermediate = yield* authority.issueAuthority
  const clients = yield* makeClients(authority)
  const serversOf = Effect.fnUntraced(function*(
    issue: (names: ReadonlyArray<string>) => Effect.Effect<Authority.Identity>
  ): Effect.fn.Return<Readonly<Record<ServerName, Identity>>> {
    return {
      "cluster.test": plain(yield* issue(subjects["cluster.test"])),
      "other.test": plain(yield* issue(subjects["other.test"]))
    }
  })
  const selfSigned = yield* serversOf(Authority.selfSigned)
  const servers = {
    ca: yield* serversOf(authority.issueServer),
    intermediateCa: yield* serversOf((names) =>
      Effect.map(intermediate.issueServer(names), ({ cert, key }) => ({ cert: cert + intermediate.cert, key }))
    ),
    itself: selfSigned
  }
  const tlsOptions = (options: TlsOptions | undefined, isServer: boolean): Tls.TlsOptions | undefined =>
    options === undefined ? undefined : {
      ...servers[options.signedBy ?? "ca"][options.name ?? "cluster.test"],
      ca: authority.cert,
      requestCert: isServer,
      rejectUnauthorized: options.demandClient === true,
      maxVersion: options.version ?? "TLSv1.3",
      ALPNProtocols: [...options.protocols ?? (isServer ? ["h2", "http/1.1"] : ["http/1.1"])]
    }
  return Peer.of({
    certificates: {
      ca: authority.cert,
      otherCa: other.cert,
      intermediateCa: intermediate.cert,
      selfSigned: {
        "cluster.test": selfSigned["cluster.test"].cert,
        "other.test": selfSigned["other.test"].cert
      },
      clients
    },
    listen: Effect.fnUntraced(function*(options) {
      switch (options._tag) {
        case "Server":
          return yield* Server.make(options.host ?? "127.0.0.1", tlsOptions(options.tls, true))
        case "Proxy":
          return yield* ConnectProxy.make(options, tlsOptions(options.tls, false))
        case "Socks":
          return yield* SocksProxy.make(options)
        case "Silent": {
          const sockets = yield* Sockets.listen("127.0.0.1", undefined, (socket) => socket.resume())
          return sockets.listener()
        }
      }
    })
  })
})
