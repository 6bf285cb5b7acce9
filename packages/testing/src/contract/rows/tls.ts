/**
 * Rows about TLS, addresses and the version of HTTP.
 */
import type { Endpoint } from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import { Adapter } from "../Adapter.ts"
import { connect, get, see, seenThrough, serve, urlOf } from "../exchange.ts"
import { clientUser, type KeyForm, Peer } from "../Peer.ts"
import { check, failsWith, group, type Row, same, withTls } from "../Row.ts"

const { each, one } = group("TLS")

const keyForms: ReadonlyArray<KeyForm> = ["EC PKCS#8", "EC SEC1", "RSA PKCS#8", "RSA PKCS#1"]

const post = ({ url }: Endpoint, path: string, body: string): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.bodyText(HttpClientRequest.post(new URL(path, url)), body)

const clientCertificate = (form: KeyForm) =>
  Effect.map(Peer, ({ certificates }) => {
    const { cert, key } = certificates.clients[form]
    return { cert, key: Redacted.make(key) }
  })

export const rows: ReadonlyArray<Row> = [
  ...each(
    "speaks plain HTTP to an http URL",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve()
      const seen = yield* seenThrough(endpoint, channel)
      yield* same(seen.httpVersion, "1.1", "version")
    })
  ),

  ...each(
    "trusts the server by a private authority",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: {} })
      const seen = yield* seenThrough(endpoint, channel)
      yield* same(seen.user, undefined, "user")
    })
  ),

  ...each(
    "trusts the server by an intermediate authority alone, and by the one above it",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { signedBy: "intermediateCa" } })
      const { certificates } = yield* Peer
      for (const ca of [certificates.intermediateCa, certificates.ca]) {
        const seen = yield* seenThrough(withTls(endpoint, { ca }), channel)
        yield* same(seen.method, "GET", "method")
      }
    })
  ),

  ...each(
    "rejects the certificate of the authority that has signed the one that is trusted",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: {} })
      const { intermediateCa } = (yield* Peer).certificates
      yield* failsWith(seenThrough(withTls(endpoint, { ca: intermediateCa }), channel), "CertificateRejected")
    })
  ),

  ...each(
    "trusts a server whose certificate is its own authority, again and again",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { signedBy: "itself" } })
      const { selfSigned } = (yield* Peer).certificates
      const transport = yield* connect(withTls(endpoint, { ca: selfSigned["cluster.test"] }))
      for (let i = 0; i < 3; i++) {
        const seen = yield* see(transport, channel, post(endpoint, "seen", "body"))
        yield* same([seen.method, seen.body], channel === "upgrade" ? ["POST", ""] : ["POST", "body"], "request")
      }
    })
  ),

  ...each(
    "rejects a certificate that is its own authority but for another name, or has the name of the one that is trusted",
    Effect.fnUntraced(function*(channel) {
      const { selfSigned } = (yield* Peer).certificates
      for (const name of ["other.test", "cluster.test"] as const) {
        const { endpoint } = yield* serve({ tls: { signedBy: "itself", name } })
        const trusting = withTls(endpoint, { ca: selfSigned["other.test"] })
        yield* failsWith(seenThrough(trusting, channel), "CertificateRejected")
      }
      const { endpoint } = yield* serve({ tls: { signedBy: "itself" } })
      yield* failsWith(seenThrough(endpoint, channel), "CertificateRejected")
    })
  ),

  ...each(
    "works with TLS 1.2 and a server of HTTP/1.1 only",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { version: "TLSv1.2", protocols: ["http/1.1"] } })
      const seen = yield* seenThrough(endpoint, channel)
      yield* same(seen.httpVersion, "1.1", "version")
    })
  ),

  ...keyForms.flatMap((form) =>
    each(
      `presents a client certificate with a key in the form ${form}`,
      Effect.fnUntraced(function*(channel) {
        const { endpoint } = yield* serve({ tls: { demandClient: true } })
        const seen = yield* seenThrough(
          withTls(endpoint, { clientCertificate: yield* clientCertificate(form) }),
          channel
        )
        yield* same(seen.user, clientUser, "user")
      }),
      { needs: ["clientCertificate"] }
    )
  ),

  ...(["TLSv1.2", "TLSv1.3"] as const).flatMap((version) =>
    each(
      `fails with TlsFailed where ${version} demands a client certificate and there is none`,
      Effect.fnUntraced(
        function*(channel) {
          const { endpoint } = yield* serve({ tls: { demandClient: true, version } })
          yield* failsWith(seenThrough(endpoint, channel), "TlsFailed")
        }
      )
    )
  ),

  ...each(
    "rejects the certificate of an unknown authority",
    Effect.fnUntraced(function*(channel) {
      const { endpoint, listener } = yield* serve({ tls: {} })
      const reason = yield* failsWith(seenThrough({ url: endpoint.url }, channel), "CertificateRejected")
      yield* same(reason.address, listener.address, "address")
    })
  ),

  ...each(
    "rejects a certificate signed by another authority of the same name",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: {} })
      const { otherCa } = (yield* Peer).certificates
      yield* failsWith(seenThrough(withTls(endpoint, { ca: otherCa }), channel), "CertificateRejected")
    })
  ),

  ...each(
    "rejects a certificate for another name",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { name: "other.test" } })
      yield* failsWith(seenThrough(endpoint, channel), "CertificateRejected")
    })
  ),

  ...each(
    "asks for and verifies serverName in place of the host",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { name: "other.test" } })
      const seen = yield* seenThrough(withTls(endpoint, { serverName: "other.test" }), channel)
      yield* same(seen.serverName, "other.test", "server name")
    }),
    { needs: ["serverName"] }
  ),

  ...each(
    "rejects a certificate for the host where serverName is another",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: {} })
      yield* failsWith(seenThrough(withTls(endpoint, { serverName: "other.test" }), channel), "CertificateRejected")
    }),
    { needs: ["serverName"] }
  ),

  ...(["127.0.0.1", "::1"] as const).flatMap((serverName) =>
    each(
      `verifies serverName that is the address ${serverName} by the addresses in the certificate, and asks for no name`,
      Effect.fnUntraced(function*(channel) {
        const right = yield* serve({ tls: {} })
        const url = new URL(`https://localhost:${right.endpoint.url.port}`)
        const seen = yield* seenThrough(withTls({ ...right.endpoint, url }, { serverName }), channel)
        yield* same(seen.serverName, undefined, "server name")
        const wrong = yield* serve({ tls: { name: "other.test" } })
        yield* failsWith(seenThrough(withTls(wrong.endpoint, { serverName }), channel), "CertificateRejected")
      }),
      { needs: ["serverName"] }
    )
  ),

  ...each(
    "accepts any certificate with insecureSkipVerify",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { name: "other.test" } })
      const seen = yield* seenThrough({ url: endpoint.url, tls: { insecureSkipVerify: true } }, channel)
      yield* same(seen.method, "GET", "method")
    }),
    { needs: ["insecureSkipVerify"] }
  ),

  ...each(
    "presents a client certificate with insecureSkipVerify and serverName",
    Effect.fnUntraced(function*(channel) {
      const { endpoint } = yield* serve({ tls: { name: "other.test", demandClient: true } })
      const seen = yield* seenThrough({
        url: endpoint.url,
        tls: {
          insecureSkipVerify: true,
          serverName: "cluster.test",
          clientCertificate: yield* clientCertificate("EC PKCS#8")
        }
      }, channel)
      yield* same([seen.user, seen.serverName], [clientUser, "cluster.test"], "user and server name")
    }),
    { needs: ["clientCertificate", "serverName", "insecureSkipVerify"] }
  ),

  ...(["127.0.0.1", "::1"] as const).flatMap((host) =>
    each(
      `verifies a URL with the bare address ${host} by the address in the certificate`,
      Effect.fnUntraced(
        function*(channel) {
          const { endpoint } = yield* serve({ tls: {}, host })
          const seen = yield* seenThrough(endpoint, channel)
          yield* same(seen.serverName, undefined, "server name")
          yield* same(
            seen.headers.find(([name]) => name === "host")?.[1] ?? endpoint.url.host,
            endpoint.url.host,
            "host"
          )
        }
      )
    )
  ),

  ...each(
    "asks for the host name of the URL",
    Effect.fnUntraced(function*(channel) {
      const { endpoint, listener } = yield* serve({ tls: {} })
      const seen = yield* seenThrough(
        { ...endpoint, url: new URL(`https://localhost:${listener.address.port}`) },
        channel
      )
      yield* same(seen.serverName, "localhost", "server name")
    })
  ),

  ...each(
    "fails with TlsFailed where the server speaks plain HTTP",
    Effect.fnUntraced(function*(channel) {
      const { listener } = yield* serve()
      yield* failsWith(seenThrough({ url: urlOf(listener, "https") }, channel), "TlsFailed")
    })
  ),

  one(
    "requests use HTTP/2 where the server offers it, and upgrades HTTP/1.1",
    Effect.gen(function*() {
      const { endpoint } = yield* serve({ tls: {} })
      const { streamingHttpVersion } = yield* Adapter
      const transport = yield* connect(endpoint)
      const http = yield* see(transport, "http", get(endpoint, "seen"))
      const streaming = yield* see(transport, "streaming", get(endpoint, "seen"))
      const upgrade = yield* see(transport, "upgrade", get(endpoint, "seen"))
      yield* same(
        [http.httpVersion, streaming.httpVersion, upgrade.httpVersion],
        ["2.0", streamingHttpVersion, "1.1"],
        "versions"
      )
    })
  ),

  one(
    "making a transport fails with TlsFailed where its certificate or its key is none",
    Effect.gen(function*() {
      const { endpoint, listener } = yield* serve({ tls: { demandClient: true } })
      const { cert, key } = (yield* Peer).certificates.clients["EC PKCS#8"]
      for (const pair of [{ cert: "none", key }, { cert, key: "none" }]) {
        const clientCertificate = { cert: pair.cert, key: Redacted.make(pair.key) }
        const reason = yield* failsWith(
          Effect.scoped(connect(withTls(endpoint, { clientCertificate }))),
          "TlsFailed"
        )
        yield* same(reason.address, listener.address, "address")
        yield* check(!reason.message.includes(key.split("\n")[1] ?? key), "the message holds the key")
      }
    }),
    { needs: ["clientCertificate"] }
  ),

  one(
    "making a transport connects to nothing",
    Effect.gen(function*() {
      const { endpoint, listener } = yield* serve({ tls: {} })
      yield* connect(endpoint)
      yield* seenThrough(endpoint, "http")
      const { accepted } = yield* listener.stats
      yield* check(accepted === 1, `${accepted} connections for one request`)
    })
  )
]
