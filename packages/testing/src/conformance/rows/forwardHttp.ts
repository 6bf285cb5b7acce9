/**
 * HTTP through forwarded ports: connections that are kept, TLS of the program in the pod, HTTP/2.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import { isTransportError } from "@effect-k8s/core/TransportError"
import * as Effect from "effect/Effect"
import type { HttpClient } from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { clientUser, type Seen, type TlsOptions } from "../../contract/Peer.ts"
import * as ChildPeer from "../../contract/peer/ChildPeer.ts"
import { once } from "../Forwards.ts"
import { Lab } from "../Lab.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"

const isDeno = "Deno" in globalThis

/**
 * What starts servers of TLS at ports of this machine, which the pods of a TestCluster share. They run in a Node of their
 * own: one of node:tls on Deno ends connections that are to be kept.
 */
const servers = Effect.map(
  ChildPeer.make(isDeno ? "node" : process.execPath),
  ({ certificates, listen }) => ({
    ...certificates,
    serve: (tls: TlsOptions) =>
      Effect.map(listen({ _tag: "Server", tls }), (listener) => ({ listener, port: listener.address.port }))
  })
)

/** A client of the port, through the pod that has it. */
const clientOf = (port: number, options: Omit<PortForward.HttpOptions, "scheme"> = {}) =>
  Effect.flatMap(Lab, ({ target }) => PortForward.httpClient(target("web"), port, { scheme: "https", ...options }))

/** What the server saw of a request. */
const see = (client: HttpClient, port: number, host = "localhost") =>
  Effect.flatMap(
    client.execute(HttpClientRequest.get(`https://${host}:${port}/seen`)),
    // The server is ours.
    (response) => Effect.map(response.text, (text) => JSON.parse(text) as Seen)
  )

/** Why it failed, by an error of ours: itself, or its cause. */
const reasonOf = (error: unknown): string => {
  const ours = Predicate.hasProperty(error, "cause") && !isTransportError(error) ? error.cause : error
  return isTransportError(ours) ? ours.reason._tag : `none of ours: ${String(error)}`
}

const scripted = "busybox has no server of TLS"

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("P15", "an HttpClient goes through the forward, and keeps its connection", function*() {
    const { ports, server, target } = yield* Lab
    const client = yield* PortForward.httpClient(target("web"), "http")
    const before = server._tag === "TestCluster" ? (yield* server.cluster.pods.forwards()).length : 0
    for (let i = 0; i < 5; i++) {
      const response = yield* client.execute(HttpClientRequest.get(`http://localhost:${ports.http}/index.html`))
      yield* same([response.status, yield* response.text], [200, "hello\n"], "answer")
    }
    if (server._tag === "Cluster") return
    const connections = (yield* server.cluster.pods.forwards()).length - before
    yield* check(connections <= 2, `${connections} connections for 5 requests`)
  }),
  row("P15", "over TLS it trusts the pod's own authority, by the host of its URLs or another name", function*() {
    const { ca, serve } = yield* servers
    const { port } = yield* serve({ name: "cluster.test" })
    yield* same((yield* see(yield* clientOf(port, { tls: { ca } }), port)).path, "/seen", "path, as localhost")

    const other = yield* serve({ name: "other.test" })
    const host = "other.test"
    const byHost = yield* see(yield* clientOf(other.port, { host, tls: { ca } }), other.port, host)
    yield* same(byHost.serverName, host, "name that is asked for, by the host")
    const byName = yield* see(yield* clientOf(other.port, { tls: { ca, serverName: host } }), other.port)
    yield* same(byName.serverName, host, "name that is asked for, by the option")
  }, { only: once, scripted }),
  row("P15", "over TLS a certificate that does not verify fails the request, unless told not to verify", function*() {
    const { ca, otherCa, serve } = yield* servers
    const { port } = yield* serve({ name: "other.test" })
    const wrong = { "the runtime's trust": undefined, "another authority": { ca: otherCa }, "another name": { ca } }
    for (const [name, tls] of Object.entries(wrong)) {
      const error = yield* failureOf(see(yield* clientOf(port, { tls }), port))
      yield* same(reasonOf(error), "CertificateRejected", name)
    }
    const seen = yield* see(yield* clientOf(port, { tls: { insecureSkipVerify: true } }), port)
    yield* same(seen.path, "/seen", "path, without verification")
  }, { only: once, scripted }),
  row("P15", "over TLS it presents a certificate of its own, and nothing of the cluster's", function*() {
    const { ca, clients, serve } = yield* servers
    const { port } = yield* serve({ demandClient: true })
    const { cert, key } = clients["EC PKCS#8"]
    const clientCertificate = { cert, key: Redacted.make(key) }
    const seen = yield* see(yield* clientOf(port, { tls: { ca, clientCertificate } }), port)
    yield* same(seen.user, clientUser, "user of the certificate")
    yield* same(seen.headers.filter(([name]) => name === "authorization"), [], "credentials in headers")
    const error = yield* failureOf(see(yield* clientOf(port, { tls: { ca } }), port))
    yield* same(reasonOf(error), "TlsFailed", "without a certificate")
    const broken = { cert: "none", key: Redacted.make("none") }
    const unusable = yield* failureOf(
      Effect.flatMap(clientOf(port, { tls: { ca, clientCertificate: broken } }), (client) => see(client, port))
    )
    yield* same(reasonOf(unusable), "TlsFailed", "with one that cannot be used")
  }, { only: once, scripted }),
  row("P15", "over TLS it keeps its connection, of HTTP/2 where the runtime has it for diallers", function*() {
    const { ca, serve } = yield* servers
    for (const protocols of [["h2", "http/1.1"], ["http/1.1"]] as const) {
      const { listener, port } = yield* serve({ protocols })
      const client = yield* clientOf(port, { tls: { ca } })
      const ask = (concurrency: number) => Effect.forEach([1, 2, 3, 4, 5], () => see(client, port), { concurrency })
      const isHttp2 = protocols[0] === "h2" && !isDeno
      const versions = new Set((yield* ask(1)).map(({ httpVersion }) => httpVersion))
      yield* same([...versions], [isHttp2 ? "2.0" : "1.1"], `versions where ${protocols.join()} are offered`)
      if (isHttp2) yield* ask(5)
      const { accepted } = yield* listener.stats
      // Undici may look for a free connection in the moment before it counts the first one as such.
      yield* check(accepted <= (isHttp2 ? 1 : 2), `${accepted} connections where ${protocols.join()} are offered`)
    }
  }, { only: once, scripted })
]
