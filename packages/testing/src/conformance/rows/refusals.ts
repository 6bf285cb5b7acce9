/**
 * Servers that do not open a channel: each refusal is a typed reason with the server's words, and starts nothing.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as Credentials from "@effect-k8s/core/Credentials"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type * as KubeError from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Redacted from "effect/Redacted"
import * as ExecFault from "../../pods/ExecFault.ts"
import * as Respond from "../../server/Respond.ts"
import * as Failure from "../../store/Failure.ts"
import * as Clients from "../Clients.ts"
import { Lab } from "../Lab.ts"
import * as Listeners from "../Listeners.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const scripted = "a real server cannot be made to refuse like this"

/** Fails unless a command is refused with this error, and was not started. */
const refused = Effect.fnUntraced(function*(
  fault: ExecFault.ExecFault,
  options: ExecOptions,
  expected: { readonly reason: string; readonly words: ReadonlyArray<string>; readonly requests?: number | undefined }
) {
  const { target } = yield* Lab
  const cluster = yield* Scripted.cluster
  const marker = Remote.makeMarker()
  const injected = yield* Scripted.fault(marker, fault)
  const error = yield* failureOf(Effect.scoped(Exec.on(target(), options)(["echo", marker])))
  yield* same(reasonText(error), expected.reason, "reason")
  for (const word of ["exec pods/exec", cluster.url.host, target().pod, ...expected.words]) {
    yield* check(error.message.includes(word), `"${word}" is not in the message: ${error.message}`)
  }
  yield* same(yield* injected.hits, expected.requests ?? 1, `requests for ${expected.reason}`)
  yield* same(yield* cluster.pods.starts(Scripted.withWord(marker)), 0, "commands started")
  return error
})

const reasonText = ({ reason }: KubeError.KubeError): string =>
  reason._tag === "Transport" ? `Transport: ${reason.error.reason._tag}` : reason._tag

/** A refusal with a Status. */
const status = (code: number, reason: string, message: string): ExecFault.ExecFault =>
  ExecFault.respond(Respond.failure(new Failure.Failure({ status: { code, reason, message } })))

const tryAgain = ExecFault.respond(Respond.failure(Failure.tooManyRequests("slow down", 3)))

/** Faults, the reason and words of the error, and how often is asked: twice where the other transport may fare better. */
const refusals: ReadonlyArray<
  readonly [fault: ExecFault.ExecFault, reason: string, words: ReadonlyArray<string>, requests?: number]
> = [
  [ExecFault.refuse(500), "UpgradeRefused", ["HTTP 500"]],
  [ExecFault.refuseSubprotocol, "UpgradeRefused", ["HTTP 403", "v5.channel.k8s.io, v4.channel.k8s.io", "protocols"], 2],
  [ExecFault.refuse(403, "blocked by policy 7"), "UpgradeRefused", ["HTTP 403", "blocked by policy 7"], 2],
  [status(403, "Forbidden", "pods \"x\" is forbidden: no"), "Forbidden", ["pods \"x\" is forbidden: no", "role"], 2],
  [ExecFault.refuse(400, "you must specify at least 1 of stdin"), "UpgradeRefused", ["you must specify", "proxy"], 2],
  [status(400, "BadRequest", "pod x does not have a host assigned"), "BadRequest", ["a host assigned"]],
  [status(400, "BadRequest", "container c is not valid for pod x"), "ContainerNotFound", ["no container \"c\""]],
  [
    status(400, "BadRequest", "a container name must be specified for pod x, choose one of: [a b]"),
    "ContainerNotFound",
    ["needs a container name", "a, b"]
  ],
  [status(401, "Unauthorized", "Unauthorized"), "Unauthorized", ["credentials"]],
  [ExecFault.refuse(401, "who are you"), "Unauthorized", ["who are you"]],
  [status(404, "NotFound", "pods \"x\" not found"), "NotFound", ["pods \"x\" not found", "namespace"]],
  [ExecFault.refuse(404, "404 page not found"), "UpgradeRefused", ["HTTP 404", "page not found"]],
  [status(409, "Conflict", "pod x is being deleted"), "Conflict", ["being deleted"]],
  [ExecFault.refuse(426, "Upgrade Required"), "UpgradeRefused", ["HTTP 426", "Upgrade header"], 2],
  [ExecFault.refuse(501, "not here"), "UpgradeRefused", ["HTTP 501", "not here"], 2],
  [status(500, "InternalError", "error dialing backend: EOF"), "ServerFailure", ["error dialing backend: EOF"]],
  [ExecFault.refuse(502, "Bad Gateway"), "UpgradeRefused", ["HTTP 502", "may have been started"]],
  [ExecFault.refuse(503, "no backend"), "UpgradeRefused", ["HTTP 503", "may have been started"]],
  [ExecFault.refuse(504), "UpgradeRefused", ["HTTP 504", "may have been started"]],
  [status(504, "Timeout", "request did not complete"), "Timeout", ["did not complete"]],
  [ExecFault.refuse(200, "<html>It works!</html>"), "UpgradeRefused", ["HTTP 200", "It works!"]],
  [ExecFault.refuse(302, "", { Location: "https://login.example/" }), "UpgradeRefused", ["HTTP 302"]],
  [ExecFault.garbledAnswer, "Transport: NotHttp", ["did not answer with HTTP"]],
  [ExecFault.closeBeforeAnswer, "Transport: ConnectionLost", ["was lost"]],
  [ExecFault.raw("", "reset"), "Transport: ConnectionLost", ["was lost"]]
]

const kubeconfig = (server: string): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "main", cluster: { server } }],
    users: [],
    contexts: [{ name: "production", context: { cluster: "main" } }]
  })

const wrongAnswers: ReadonlyArray<readonly [fault: ExecFault.ExecFault, word: string]> = [
  [ExecFault.wrongAccept, "Sec-WebSocket-Accept"],
  [ExecFault.headers({ "Sec-WebSocket-Accept": undefined }), "Sec-WebSocket-Accept"],
  [ExecFault.wrongSubprotocol("v3.channel.k8s.io"), "v3.channel.k8s.io"],
  [ExecFault.headers({ "Sec-WebSocket-Protocol": undefined }), "subprotocols"],
  [ExecFault.headers({ "Sec-WebSocket-Extensions": "permessage-deflate" }), "permessage-deflate"]
]

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("E9", "a server that speaks none of the protocols offered is told apart, with all that was offered", function*() {
    const none: ReadonlyArray<string> = []
    yield* refused(ExecFault.refuseSubprotocol, {}, { reason: "UpgradeRefused", words: none, requests: 2 })
    const all = yield* refused(ExecFault.refuseSubprotocol, { supervise: "never" }, {
      reason: "UpgradeRefused",
      words: [
        "websocket v4.channel.k8s.io: HTTP 403; spdy v5.channel.k8s.io, v4.channel.k8s.io: HTTP 403; " +
        "websocket v5.channel.k8s.io: HTTP 403"
      ],
      requests: 3
    })
    yield* same(all.reason._tag === "UpgradeRefused" ? all.reason.attempts.length : 0, 3, "attempts told")
    yield* refused(ExecFault.refuseSubprotocol, { stdin: "pipe" }, {
      reason: "HalfCloseUnsupported",
      words: ["websocket v5.channel.k8s.io: HTTP 403"],
      requests: 2
    })
  }, { scripted }),
  row("E9", "an upgrade that is none, by its headers, is refused by us, and says which header", function*() {
    const { target } = yield* Lab
    for (const [fault, word] of wrongAnswers) {
      const marker = Remote.makeMarker()
      const injected = yield* Scripted.fault(marker, fault)
      // Left to itself, the client would avoid WebSocket after the third.
      const command = Exec.on(target(), { transport: "websocket" })(["echo", marker])
      const error = yield* failureOf(Effect.scoped(command))
      yield* same(error.reason._tag, "UpgradeRefused", word)
      yield* check(error.message.includes(word), `"${word}" is not in the message: ${error.message}`)
      yield* same(yield* injected.hits, 1, "requests")
    }
  }, { scripted }),
  row("E14", "TLS material that cannot be used fails before anything is dialled", function*() {
    const lab = yield* Lab
    const clientCertificate = { cert: "no certificate", key: Redacted.make("no key") }
    const client = yield* Clients.make({ credentials: Credentials.make({ clientCertificate }) })
    const reason = yield* reasonOf(
      Effect.scoped(Effect.provideService(Exec.on(lab.target())(["true"]), KubeClient.KubeClient, client))
    )
    yield* same(reason, "Transport", "reason")
    yield* same(lab.dials(), 0, "dials")
  }, { only: { path: "tunnel", why: "the dialler is what counts the connections" } }),
  row("E14", "a context that is missing fails before anything is dialled, and tells which there are", function*() {
    const { target } = yield* Lab
    const fs = yield* FileSystem.FileSystem
    const { connections, port } = yield* Listeners.saying("")
    const file = yield* fs.makeTempFileScoped({ prefix: "conformance-" })
    yield* fs.writeFileString(file, kubeconfig(`http://127.0.0.1:${port}`))
    const attempt = (context: string) => {
      const command = Exec.provide(Exec.on(target())(["true"]), KubeClient.layerKubeConfig({ files: [file], context }))
      return failureOf(Effect.scoped(command))
    }
    const missing = yield* attempt("producton")
    yield* same(missing._tag === "KubeConfigError" ? missing.reason._tag : missing._tag, "ContextNotFound", "reason")
    for (const word of ["producton", "production", file]) {
      yield* check(missing.message.includes(word), `"${word}" is not in the message: ${missing.message}`)
    }
    yield* same(connections(), 0, "connections")
    yield* same((yield* attempt("production"))._tag, "KubeError", "error of a context that is there")
    yield* same(connections(), 1, "connections of a context that is there")
  }, { only: { path: "direct", why: "a kubeconfig names no dialler" } }),
  row("E29", "each refusal is a reason of its own, in the server's words, and starts nothing", function*() {
    for (const [fault, reason, words, requests] of refusals) yield* refused(fault, {}, { reason, words, requests })
  }, { scripted }),
  row("E29", "a refusal that asks to come back later says when", function*() {
    const { reason } = yield* refused(tryAgain, {}, { reason: "TooManyRequests", words: ["slow down", "3000 ms"] })
    yield* same(reason._tag === "TooManyRequests" ? reason.retryAfterMillis : undefined, 3000, "delay")
    const text = ExecFault.refuse(429, "too fast", { "Retry-After": "2" })
    yield* refused(text, {}, { reason: "TooManyRequests", words: ["too fast", "2000 ms"] })
  }, { scripted }),
  row("E29", "of a long refusal an excerpt is kept", function*() {
    const error = yield* refused(ExecFault.refuse(500, "x".repeat(1_000_000)), {}, {
      reason: "UpgradeRefused",
      words: ["xxx..."]
    })
    yield* check(error.message.length < 1000, `the message has ${error.message.length} characters`)
  }, { scripted })
]
