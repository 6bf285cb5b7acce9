/**
 * What a user gets who is wrong about a name, a right, an address or a certificate: a reason of its own, from a command
 * as from a request, with what was asked and what to look at.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { Target } from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod } from "@effect-k8s/core/apis/core/v1"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { closedPort } from "../../contract/Peer.ts"
import * as Clients from "../Clients.ts"
import { Lab } from "../Lab.ts"
import * as Listeners from "../Listeners.ts"
import { check, failureOf, type Row, row, same, Unmet } from "../Row.ts"

/** A reason, and words that the message must have. */
type Expected = readonly [reason: string, ...words: ReadonlyArray<string>]

const reasonText = ({ reason }: KubeError): string =>
  reason._tag === "Transport" ? `Transport: ${reason.error.reason._tag}` : reason._tag

/** Fails unless a command in a target, and a request for its pod, fail like this. */
const bothFail = Effect.fnUntraced(function*(
  what: {
    readonly target?: Target | undefined
    readonly client?: KubeClient.KubeClient["Service"] | undefined
  },
  exec: Expected,
  api: Expected = exec
) {
  const lab = yield* Lab
  const { client = yield* KubeClient.KubeClient, target = lab.target() } = what
  const command = Exec.exitCode(Exec.on(target)(["true"]))
  const request = Api.make(Pod, { namespace: lab.namespace }).get(target.pod)
  for (
    const [name, effect, [reason, ...words], verb] of [
      ["a command", Effect.asVoid(command), exec, "exec"],
      ["a request", Effect.asVoid(request), api, "get"]
    ] as const
  ) {
    const error = yield* failureOf(Effect.provideService(effect, KubeClient.KubeClient, client))
    if (error._tag !== "KubeError") {
      return yield* new Unmet({ message: `${name} fails with ${error._tag}: ${error.message}` })
    }
    yield* same(reasonText(error), reason, `reason of ${name}: ${error.message}`)
    const message = error.message.toLowerCase()
    for (const word of [verb, "pods", target.pod, ...words]) {
      yield* check(message.includes(word.toLowerCase()), `"${word}" is not in the message of ${name}: ${error.message}`)
    }
  }
})

const anonymous = Credentials.make()

/** A client of another address, on the row's path. */
const clientAt = (url: string, ca?: string) =>
  Effect.flatMap(Lab, ({ endpoint }) =>
    Clients.make({
      endpoint: { url: new URL(url), ...(ca === undefined ? {} : { tls: { ca } }), dial: endpoint.dial },
      credentials: anonymous
    }))

/** The cluster's endpoint, or on the same path a server with a certificate, where the cluster has none. */
const secured = Effect.gen(function*() {
  const { endpoint } = yield* Lab
  if (endpoint.url.protocol === "https:") return endpoint
  const { ca, url } = yield* Listeners.certified()
  return { ...endpoint, url, tls: { ca } }
})

const byDialler = {
  path: "direct",
  why: "a dialler finds the host and connects; what it fails with is its own"
} as const

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("U1", "a pod that is not there is NotFound, with its namespace", function*() {
    const { namespace, target } = yield* Lab
    yield* bothFail({ target: { ...target(), pod: "no-such-pod" } }, [
      "NotFound",
      namespace,
      "\"no-such-pod\" not found"
    ])
  }),
  row("U2", "a container that is not there is ContainerNotFound of a command, and BadRequest of a log", function*() {
    const { target } = yield* Lab
    const wrong = { ...target("three"), container: "no-such-container" }
    const command = yield* failureOf(Exec.exitCode(Exec.on(wrong)(["true"])))
    const log = yield* failureOf(Stream.runDrain(Api.make(Pod).log(wrong.pod, { container: wrong.container })))
    for (const [error, reason] of [[command, "ContainerNotFound"], [log, "BadRequest"]] as const) {
      yield* same(error._tag === "KubeError" ? reasonText(error) : error._tag, reason, "reason")
      for (const word of [wrong.pod, wrong.container]) {
        yield* check(error.message.includes(word), `"${word}" is not in the message: ${error.message}`)
      }
    }
  }),
  row("U3", "who may not is Forbidden, by name, with the role to look at", function*() {
    const credentials = yield* Clients.impersonating({ user: "conformance-nobody" })
    const client = yield* Clients.make({ credentials })
    yield* bothFail({ client }, ["Forbidden", "\"conformance-nobody\"", "role"])
  }),
  row("U4", "who is not known is Unauthorized, with the credentials to look at", function*() {
    const credentials = Credentials.make({ token: Redacted.make("no-such-token") })
    const client = yield* Clients.make({ credentials })
    yield* bothFail({ client }, ["Unauthorized", "credentials"])
  }),
  row("U5", "an address on which nobody listens is Unreachable", function*() {
    const client = yield* clientAt(`https://127.0.0.1:${closedPort}`)
    yield* bothFail({ client }, [
      "Transport: Unreachable",
      `127.0.0.1:${closedPort}`,
      // `ECONNREFUSED`, or `Connection refused`.
      "refused",
      "check the server address"
    ])
  }, { only: byDialler }),
  row("U6", "a host that is not known is Unreachable", function*() {
    const client = yield* clientAt("https://no-such-host.invalid:6443")
    yield* bothFail({ client }, ["Transport: Unreachable", "no-such-host.invalid:6443", "check the server address"])
  }, { only: byDialler }),
  row("U7", "a server that speaks no HTTP is told so, in plain text and where TLS was expected", function*() {
    const { port } = yield* Listeners.saying("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    const plain = yield* clientAt(`http://127.0.0.1:${port}`)
    yield* bothFail({ client: plain }, ["Transport: NotHttp", `127.0.0.1:${port}`, "Kubernetes API server"])
    const tls = yield* clientAt(`https://127.0.0.1:${port}`)
    yield* bothFail({ client: tls }, ["Transport: TlsFailed", `127.0.0.1:${port}`, "speaks TLS on this port"])
  }),
  row("U8", "a server that is no Kubernetes is shown with what it has answered", function*() {
    const url = yield* Listeners.website
    const client = yield* clientAt(url.href)
    yield* bothFail({ client }, ["UpgradeRefused", "HTTP 404", "Nothing here"], [
      "UnexpectedStatus",
      "404",
      "Nothing here"
    ])
  }),
  row("U9", "a certificate of an authority that is not trusted is CertificateRejected", function*() {
    const endpoint = yield* secured
    const client = yield* Clients.make({ endpoint: { ...endpoint, tls: {} }, credentials: anonymous })
    yield* bothFail({ client }, ["Transport: CertificateRejected", endpoint.url.host, "certificate-authority"])
  }),
  row("U10", "a certificate for another name is CertificateRejected", function*() {
    const endpoint = yield* secured
    const client = yield* Clients.make({
      endpoint: { ...endpoint, tls: { ...endpoint.tls, serverName: "another.example" } },
      credentials: anonymous
    })
    yield* bothFail({ client }, ["Transport: CertificateRejected", "another.example", "tls-server-name"])
  }),
  row("U11", "a certificate that has expired is CertificateRejected", function*() {
    const { ca, url } = yield* Listeners.certified({ expired: true })
    const client = yield* clientAt(url.href, ca)
    yield* bothFail({ client }, ["Transport: CertificateRejected", url.host, "expired"])
  })
]
