/**
 * The way to a server that passes one transport, or both, or none: what client-go tests of its fallback, and of proxies.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import type { Tls } from "@effect-k8s/core/Endpoint"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as ConnectProxy from "../../contract/peer/ConnectProxy.ts"
import * as ExecFault from "../../pods/ExecFault.ts"
import * as Certificates from "../../server/Certificates.ts"
import * as Clients from "../Clients.ts"
import { echo } from "../Forwards.ts"
import { Lab, minorVersion, type Server } from "../Lab.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const scripted = "a real server refuses neither transport"

/** Runs a command on a server with a fault, and gives what carried it, what it came to, and what the server was asked. */
const run = Effect.fnUntraced(function*(fault: ExecFault.ExecFault | undefined, options: ExecOptions) {
  const { target } = yield* Lab
  const { pods } = yield* Scripted.cluster
  const marker = Remote.makeMarker()
  const injected = yield* Scripted.fault(marker, fault ?? {})
  const handle = yield* Exec.on(target(), options)(["sh", "-c", "echo out; exit 9", marker])
  const stdout = yield* Stream.mkString(Stream.decodeText(handle.stdout))
  return [
    handle.transport,
    handle.attempts.length,
    stdout,
    yield* handle.exitCode,
    yield* injected.hits,
    yield* pods.starts(Scripted.withWord(marker))
  ]
})

/** What such a run comes to: the transport, after so many refusals. */
const ran = (transport: "websocket" | "spdy", refused: number) => [transport, refused, "out\n", 9, refused + 1, 1]

/** Settings of TLS by which the proxy is trusted too. */
const trusting = (server: Server, tls: Tls, authority: Certificates.Authority): Tls =>
  server._tag === "Cluster" && tls.ca !== undefined
    ? { ...tls, ca: `${tls.ca}\n${authority.cert}` }
    // The test authorities all have one name, so that trust in two of them cannot be told apart.
    : { insecureSkipVerify: true }

/** Runs commands and a forwarded connection through a proxy, which is asked once for each connection. */
const through = Effect.fnUntraced(function*(scheme: "http" | "https") {
  const { endpoint, server, target } = yield* Lab
  const authority = yield* Certificates.make
  const identity = yield* authority.issueServer(["localhost", "127.0.0.1"])
  const tls = { cert: identity.cert, key: Redacted.value(identity.key), ALPNProtocols: ["http/1.1"] }
  const proxy = yield* ConnectProxy.make({ _tag: "Proxy" }, scheme === "https" ? tls : undefined)
  const heads = Effect.map(proxy.stats, (stats) => stats.heads.length)
  const client = yield* Clients.make({
    endpoint: {
      ...endpoint,
      ...(endpoint.tls === undefined || scheme === "http" ? {} : { tls: trusting(server, endpoint.tls, authority) }),
      proxy: { url: new URL(`${scheme}://127.0.0.1:${proxy.address.port}`) }
    }
  })
  yield* Effect.gen(function*() {
    for (const [i, transport] of (["websocket", "spdy"] as const).entries()) {
      yield* Effect.scoped(Effect.gen(function*() {
        // Left to itself, as a user would: that it is not the other one shows that nothing has fallen back.
        const handle = yield* Exec.on(target(), { bulk: transport === "spdy" })(["echo", "hello"])
        yield* same([handle.transport, handle.attempts], [transport, []], `transport through a proxy of ${scheme}`)
        yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "hello\n", "stdout")
      }))
      yield* same(yield* heads, i + 1, "requests to the proxy")
    }
    const before = yield* heads
    const forward = yield* PortForward.open({ ...target("web") }, { sockets: 1 })
    yield* same(yield* echo(forward, "through"), "through", "echo")
    // Servers before 1.30 know no tunnel.
    const refused = minorVersion(server) < 30 ? 1 : 0
    yield* same(forward.attempts.length, refused, "attempts of the forwarded port")
    yield* same((yield* heads) - before, 2 + refused, "requests to the proxy: for reading the pod, and for the session")
  }).pipe(Effect.provideService(KubeClient.KubeClient, client), Effect.scoped)
})

const only = { path: "direct", why: "an endpoint has a proxy or a dialler, not both" } as const

/** Why no proxy of a row's own can stand before a server. */
const proxied: Row["inapplicable"] = (_, { proxy }) =>
  proxy === undefined ? undefined : "the server is behind a proxy already, and an endpoint has one"

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row(
    "E17",
    "commands and forwarded ports go through a proxy, which is asked once for each connection",
    through("http"),
    { only, inapplicable: proxied }
  ),
  row("E18", "where the transport that comes first is taken, nothing else is asked for", function*() {
    yield* same(yield* run(undefined, {}), ran("websocket", 0), "interactive")
    yield* same(yield* run(undefined, { bulk: true }), ran("spdy", 0), "bulk")
  }, { scripted: "a real server does not count; A10 and V12 count connections" }),
  row("E19", "where it is refused the other one carries the command, which is started once", function*() {
    yield* same(yield* run(ExecFault.refuseWebSocket, {}), ran("spdy", 1), "interactive")
    const client = yield* Clients.make()
    const bulk = Effect.provideService(run(ExecFault.refuseSpdy, { bulk: true }), KubeClient.KubeClient, client)
    yield* same(yield* bulk, ran("websocket", 1), "bulk")
  }, { scripted }),
  row("E20", "where both are refused all that was tried is told, and nothing was started", function*() {
    const { target } = yield* Lab
    const { pods } = yield* Scripted.cluster
    for (const options of [{}, { bulk: true }] as const) {
      const marker = Remote.makeMarker()
      yield* Scripted.fault(marker, ExecFault.all(ExecFault.refuseWebSocket, ExecFault.refuseSpdy))
      const error = yield* failureOf(Effect.scoped(Exec.on(target(), options)(["true", marker])))
      yield* same(error.reason._tag, "UpgradeRefused", "reason")
      for (const word of ["websocket v5.channel.k8s.io", "spdy v5.channel.k8s.io", "HTTP 501"]) {
        yield* check(error.message.includes(word), `the message says not "${word}": ${error.message}`)
      }
      yield* same(yield* pods.starts(Scripted.withWord(marker)), 0, "starts")
    }
  }, { scripted }),
  row("E21", "the exit code of the transport that was fallen back to is kept, without the supervisor too", function*() {
    for (const supervise of ["required", "never"] as const) {
      const client = yield* Clients.make()
      const after = run(ExecFault.refuseWebSocket, { supervise, transport: "auto" })
      const [transport, , stdout, code] = yield* Effect.provideService(after, KubeClient.KubeClient, client)
      yield* same([transport, stdout, code], ["spdy", "out\n", 9], supervise)
    }
  }, { scripted }),
  row(
    "E22",
    "a proxy of HTTPS carries the WebSocket itself: nothing falls back, and it is asked once",
    through("https"),
    {
      only,
      inapplicable: (server, endpoint) =>
        endpoint.url.protocol === "http:"
          ? "there is no TLS to this server; the contract of transports has proxies of HTTPS before such"
          : proxied(server, endpoint)
    }
  )
]
