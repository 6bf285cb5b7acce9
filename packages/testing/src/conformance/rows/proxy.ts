/**
 * Requests and upgrades that the API server passes on to pods, services and nodes.
 */
import * as ForwardPairs from "@effect-k8s/channels/protocol/ForwardPairs"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHandshake from "@effect-k8s/channels/protocol/SpdyHandshake"
import * as Proxy from "@effect-k8s/channels/Proxy"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Node } from "@effect-k8s/core/apis/core/v1"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import { isKubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type { HttpClientError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Clients from "../Clients.ts"
import { withService } from "../Forwards.ts"
import * as HttpTarget from "../HttpTarget.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import { check, failureOf, reasonOf, type Row, row, same, type Unmet } from "../Row.ts"

const MiB = 1024 * 1024
const decoder = new TextDecoder()
const scripted = "the pods of the real cluster have no program that does this"

const text = (client: HttpClient.HttpClient, url: string): Effect.Effect<string, HttpClientError> =>
  Effect.flatMap(client.get(url), (response) => response.text)

/** The reason of what the API server said, and how the client says it. */
const refusalOf = (error: HttpClientError): string =>
  `${error.reason._tag}: ${
    Option.match(Proxy.kubeError(error), { onNone: () => "nothing", onSome: (e) => e.reason._tag })
  }`

const reasonOfStatus = (error: HttpClientError): string =>
  Option.match(Proxy.kubeError(error), { onNone: () => "", onSome: ({ reason }) => reason._tag })

/** A client of a server on this machine, behind a pod. */
const behindPod = Effect.fnUntraced(function*(options: Proxy.HttpOptions = {}) {
  const { target } = yield* Lab
  const server = yield* HttpTarget.make
  const client = yield* Proxy.httpClient(target("web"), { ...options, port: server.port })
  return { client, server, target: target("web") }
})

const next = (pull: Socket.Reader["pull"]): Effect.Effect<string | Uint8Array, Socket.SocketError> =>
  Effect.map(pull, ([first]) => first)

/** The program that upgrades to `echo` gives back what it is sent. */
const echoes = Effect.fnUntraced(function*(target: Proxy.ProxyTarget, options: Proxy.UpgradeOptions) {
  const upgraded = yield* Proxy.upgrade(target, "/anything", "echo", options)
  yield* same(upgraded.headers["upgrade"], "echo", "what was upgraded to")
  const { connection } = upgraded
  let got = ""
  for (const word of ["hello", " and ", "goodbye"]) {
    const before = got.length
    yield* connection.write([new TextEncoder().encode(word)])
    while (got.length < before + word.length) got += decoder.decode((yield* connection.pull)[0])
  }
  yield* same(got, "hello and goodbye", "the echo")
}, Effect.scoped)

/** Until the API server has heard of a new service and its endpoints, it takes its moment. */
const whenThere = <A, E, R>(effect: Effect.Effect<A, E, R>, reasonOf: (error: E) => string): Effect.Effect<A, E, R> =>
  Effect.retry(effect, {
    schedule: Schedule.spaced("200 millis"),
    times: 50,
    while: (error) => ["ServerFailure", "NotFound"].includes(reasonOf(error))
  })

/** A node. */
const anyNode = Effect.map(Api.make(Node).list(), ({ items: [first] }) => Proxy.node(first?.metadata.name ?? ""))

/** What is said of a WebSocket that does not open. */
const whyRefused = (socket: Socket.Socket): Effect.Effect<string, Unmet> =>
  Effect.map(
    failureOf(Effect.scoped(socket.reader)),
    ({ reason }) => reason._tag === "SocketOpenError" && isKubeError(reason.cause) ? reason.cause.message : reason._tag
  )

const methods: ReadonlyArray<HttpMethod> = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

/** The rows. */
export const rows: ReadonlyArray<Row> = [
  row("PX1", "a pod's HTTP is asked by the number or the name of its port, and its answers are answers", function*() {
    const { ports, target } = yield* Lab
    for (const port of [ports.http, "http"]) {
      const web = yield* Proxy.httpClient(target("web"), { port })
      yield* same(yield* text(web, "/index.html"), "hello\n", `the page at port ${port}`)
      const missing = yield* web.get("/nothing?here=1")
      yield* same(missing.status, 404, "status of a page that is not there")
      yield* missing.text
      const head = yield* web.head("/index.html")
      yield* same([head.status, yield* head.text], [200, ""], "answer to HEAD")
    }
    const first = yield* Proxy.httpClient(target("web"))
    yield* same(yield* text(first, "/index.html"), "hello\n", "the page at the first port that the pod declares")
  }),
  row("PX2", "a service's is asked through a pod of it, by the number or the name of the service's port", function*() {
    const { pod } = yield* Lab
    const { metadata: { name } } = yield* withService({
      selector: { app: pod("web").metadata.name },
      ports: [{ name: "page", port: 80, targetPort: "http" }]
    })
    for (const port of [80, "page"]) {
      const web = yield* Proxy.httpClient(Proxy.service(name), { port })
      const page = yield* whenThere(text(web, "/index.html"), reasonOfStatus)
      yield* same(page, "hello\n", `the page at port ${port}`)
    }
    const wrong = yield* Proxy.httpClient(Proxy.service(name), { port: 81 })
    yield* same(refusalOf(yield* failureOf(wrong.get("/"))), "StatusCodeError: ServerFailure", "a port it has not")
  }),
  row("PX3", "a node's kubelet is asked, and what is not there is told by the kubelet", function*() {
    const kubelet = yield* Proxy.httpClient(yield* anyNode)
    yield* same(yield* text(kubelet, "/healthz"), "ok", "health of the kubelet")
    const missing = yield* kubelet.get("/no/such/page")
    yield* same([missing.status, (yield* missing.text).trim()], [404, "404 page not found"], "what is not there")
  }),
  row("PX4", "what the API server refuses is typed: no pod, no role, nobody who listens, no name", function*() {
    const { namespace, ports, target } = yield* Lab
    const refused = yield* Proxy.httpClient(target("web"), { port: ports.refused })
    const error = yield* failureOf(refused.get("/"))
    yield* same(refusalOf(error), "StatusCodeError: ServerFailure", "a port that refuses")
    for (const word of ["refused", "proxy pods/proxy", target("web").pod]) {
      yield* check(error.message.includes(word), `"${word}" is not in the message: ${error.message}`)
    }
    const nobody = yield* Proxy.httpClient(Target.pod("no-such-pod"), { port: 80 })
    yield* same(refusalOf(yield* failureOf(nobody.get("/"))), "StatusCodeError: NotFound", "no such pod")

    const credentials = yield* Clients.impersonating({ user: "conformance-nobody" })
    const client = yield* Clients.make({ credentials })
    const barred = yield* Effect.provideService(Proxy.httpClient(target("web"), { port: 80 }), KubeClient, client)
    yield* same(refusalOf(yield* failureOf(barred.post("/"))), "StatusCodeError: Forbidden", "no role")

    for (
      const [port, reason] of [[0, "Encode"], [70_000, "Encode"], ["a/b", "Encode"], [
        "nope",
        "PortUnavailable"
      ]] as const
    ) {
      yield* same(yield* reasonOf(Proxy.httpClient(target("web"), { port })), reason, `port ${port}`)
    }
    for (const name of ["a/../b", "", "web:80"]) {
      yield* same(yield* reasonOf(Proxy.httpClient(Target.pod(name, { namespace }))), "Encode", `pod ${name}`)
    }
  }),
  row("PX5", "no path leads out of the target, and no URL of another server is asked", function*() {
    const { ports, target } = yield* Lab
    const web = yield* Proxy.httpClient(target("web"), { port: ports.http })
    for (
      const path of ["/../../../../../../api/v1/namespaces", "/%2e%2e/%2E%2e/../../..//api/v1/namespaces", "../../x"]
    ) {
      const answer = yield* web.get(path)
      yield* same(answer.status, 404, `status of ${path}`)
      const body = yield* answer.text
      yield* check(!body.includes("NamespaceList"), `${path} left the target: ${body}`)
    }
    for (const url of ["https://example.org/index.html", "http://localhost:1/x"]) {
      yield* same((yield* failureOf(web.get(url))).reason._tag, "InvalidUrlError", url)
    }
    const secret = web.get("/", { headers: { authorization: "Bearer of-the-program" } })
    yield* same((yield* failureOf(secret)).reason._tag, "EncodeError", "a request with Authorization")
  }),
  row("PX6", "an upgraded connection carries bytes both ways, and ends with its scope", function*() {
    const { ports, target } = yield* Lab
    yield* echoes(target("web"), { port: ports.lab })
    const upgradeOf = (path: string) =>
      failureOf(Effect.scoped(Proxy.upgrade(target("web"), path, "echo", { port: ports.http })))
    const missing = yield* upgradeOf("/nothing")
    yield* same(missing.reason._tag, "UpgradeRefused", "a program that refuses to upgrade")
    yield* check(missing.message.includes("echo: HTTP 404"), missing.message)
    // The API server takes a page for a fault of the program.
    const page = yield* upgradeOf("/index.html")
    yield* same(page.reason._tag, "ServerFailure", "a program that answers with a page")
    yield* check(page.message.includes("status code 200"), page.message)
    yield* same(
      yield* reasonOf(Effect.scoped(Proxy.upgrade(Target.pod("no-such-pod"), "/", "echo"))),
      "NotFound",
      "no pod"
    )
  }),
  row("PX6", "so does that of a program behind a service, or at a port of a node", function*() {
    const { pod, ports, server } = yield* Lab
    const { metadata: { name } } = yield* withService({
      selector: { app: pod("web").metadata.name },
      ports: [{ name: "lab", port: 81, targetPort: "lab" }]
    })
    for (const port of [81, "lab"]) {
      yield* whenThere(
        echoes(Proxy.service(name), { port }),
        (error) => error._tag === "KubeError" ? error.reason._tag : ""
      )
    }
    // The pods of a real cluster have a network of their own, in which no node listens; PX11 upgrades to its kubelet.
    if (server._tag === "TestCluster") yield* echoes(yield* anyNode, { port: ports.lab })
  }),
  row("PX7", "every method, header, cookie and body is passed on, and a redirect is followed", function*() {
    const { client, server } = yield* behindPod()
    for (const method of methods) {
      const hasBody = method !== "GET" && method !== "HEAD"
      const request = HttpClientRequest.make(method)("/echo/a%20b?q=1&q=2", {
        headers: { "x-ask": "kept" },
        body: hasBody ? HttpBody.text(`body of ${method}`) : HttpBody.empty,
        urlParams: { r: "a&b" }
      })
      const response = yield* client.execute(request)
      const { headers } = response
      yield* same([response.status, headers["x-method"], headers["x-asked"]], [200, method, "kept"], method)
      yield* same(yield* response.text, hasBody ? `body of ${method}` : "", `the body of ${method}`)
      yield* same(Object.keys(response.cookies.cookies), ["a", "b"], `the cookies of ${method}`)
    }
    const urls = new Set(server.seen.map(({ url }) => url))
    yield* same([...urls], ["/echo/a%20b?q=1&q=2&r=a%26b"], "what the program was asked for")
    yield* same(server.seen.some(({ headers }) => "authorization" in headers), false, "credentials passed on")

    const redirect = yield* client.get("/redirect")
    yield* same(redirect.status, 302, "a redirect that is not followed")
    const followed = yield* HttpClient.followRedirects(client).get("/redirect")
    yield* same([followed.status, followed.headers["x-method"]], [200, "GET"], "a redirect that is followed")
    yield* followed.text
    yield* same(server.seen.at(-1)?.url, "/echo/again?x=1", "where it leads")
    // Only the Status of an API server is a refusal of one.
    const answer = yield* client.get("/status/503")
    yield* same(answer.status, 503, "a program's own Status")
    yield* check((yield* answer.text).includes("of the target"), "the program's own Status is readable")
  }, { scripted }),
  row("PX8", "bodies are streamed both ways at once, to the last byte, and in pieces as they come", function*() {
    const { client } = yield* behindPod()
    const data = RandomData.make(7, 48 * MiB)
    const response = yield* client.post("/echo", { body: HttpBody.stream(data.stream, "application/octet-stream") })
    yield* same(yield* RandomData.hash(response.stream), data.hash, "hash of what came back")

    const slow = yield* client.get("/slow")
    const pull = yield* Stream.toPull(Stream.decodeText(slow.stream))
    yield* same((yield* pull).join(""), "one\n", "the first piece, before the rest is there")
    yield* Effect.flatMap(client.get("/next"), (answer) => answer.text)
    yield* same((yield* pull).join(""), "two\n", "the rest")
  }, { scripted }),
  row("PX9", "an answer that is not read to its end lets go of the program's connection", function*() {
    const { client, server } = yield* behindPod()
    const slow = yield* client.get("/slow")
    yield* same(yield* Stream.mkString(Stream.decodeText(Stream.take(slow.stream, 1))), "one\n", "the first piece")
    const interrupted = yield* Effect.timeoutOption(Effect.flatMap(client.get("/slow"), (answer) => answer.text), 200)
    yield* same(Option.isNone(interrupted), true, "an answer without an end")
    yield* Effect.repeat(Effect.sync(server.open), {
      schedule: Schedule.spaced("20 millis"),
      times: 250,
      until: (open) => open === 0
    })
    yield* same(server.open(), 0, "connections of the program")
  }, { scripted }),
  row(
    "PX10",
    "a WebSocket gives whole messages of text and bytes, answers pings and tells how it was closed",
    function*() {
      const { server, target } = yield* behindPod()
      const options = { port: server.port, protocols: ["one", "two"] }
      const socket = yield* Proxy.webSocket(target, "/socket", options)
      yield* Effect.scoped(Effect.gen(function*() {
        const { pull } = yield* socket.reader
        const { write } = yield* socket.writer
        yield* write("\ufeffgrüße")
        yield* same(yield* next(pull), "\ufeffgrüße", "text, with a byte order mark")
        yield* write(Uint8Array.of(0, 255, 128))
        yield* same(yield* next(pull), Uint8Array.of(0, 255, 128), "bytes")
        const large = new Uint8Array(3 * MiB).fill(7)
        yield* write(large)
        const back = yield* next(pull)
        yield* same(typeof back === "string" ? 0 : Buffer.compare(back, large), 0, "three MiB")
        yield* write("close")
        const { reason } = yield* failureOf(pull)
        yield* same(
          reason._tag === "SocketCloseError" ? [reason.code, reason.closeReason] : [],
          [4001, "as you like"],
          "close"
        )
      }))
      // It opens anew with each reader.
      const ends: ReadonlyArray<readonly [string, unknown]> = [["drop", 1006], ["close", 4001]]
      for (const [word, code] of ends) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { pull } = yield* socket.reader
          const { write } = yield* socket.writer
          yield* write(word)
          const { reason } = yield* failureOf(pull)
          yield* same(reason._tag === "SocketCloseError" ? reason.code : reason._tag, code, `the end after ${word}`)
        }))
      }
      const refused = yield* Proxy.webSocket(target, "/elsewhere", options)
      const cause = yield* whyRefused(refused)
      yield* check(cause.includes("websocket one, two: HTTP 418 (no socket)"), `a handshake that is refused: ${cause}`)
      const short = yield* Proxy.webSocket(target, "/socket", { ...options, maxMessageBytes: 4 })
      yield* Effect.scoped(Effect.gen(function*() {
        const { pull } = yield* short.reader
        yield* (yield* short.writer).write("too long")
        yield* same((yield* failureOf(pull)).reason._tag, "SocketReadError", "a message that is too long")
      }))
      yield* Effect.repeat(Effect.sync(server.open), {
        schedule: Schedule.spaced("20 millis"),
        times: 250,
        until: (open) => open === 0
      })
      yield* same(server.open(), 0, "connections of the program")
    },
    { scripted }
  ),
  row(
    "PX10",
    "a WebSocket of a service, or of a port of a node, opens as well, without the query of its path",
    function*() {
      const { pod } = yield* Lab
      const { port, seen } = yield* HttpTarget.make
      const { metadata: { name } } = yield* withService({
        selector: { app: pod("web").metadata.name },
        ports: [{ port: 80, targetPort: port }]
      })
      for (const [target, at] of [[Proxy.service(name), 80], [yield* anyNode, port]] as const) {
        const socket = yield* Proxy.webSocket(target, "/socket?lost=1", { port: at, protocols: ["one", "two"] })
        yield* Effect.scoped(Effect.gen(function*() {
          const { pull } = yield* socket.reader
          yield* (yield* socket.writer).write("hello")
          yield* same(yield* next(pull), "hello", `what came back from ${target.kind} ${target.name}`)
        }))
        yield* same(seen.at(-1)?.url, "/socket", `what ${target.kind} ${target.name} was asked for`)
      }
    },
    { scripted }
  ),
  row(
    "PX11",
    "an upgrade by the kubelet of a node carries bytes both ways, and is asked for without a query too",
    function*() {
      const { pod } = yield* Lab
      const { metadata: { name, namespace }, spec } = pod("web")
      const node = Proxy.node(spec.nodeName ?? "")
      const headers = { [SpdyHandshake.versionHeader]: ForwardPairs.protocol }
      const path = `/portForward/${namespace}/${name}`
      const { connection } = yield* Proxy.upgrade(node, path, SpdyHandshake.upgradeName, { headers })
      yield* connection.write([SpdyFrame.encodePing(7)])
      const { decode } = SpdyFrame.makeDecoder()
      const events: Array<SpdyFrame.Event> = []
      while (events.length === 0) for (const bytes of yield* connection.pull) events.push(...decode(bytes))
      yield* same(events, [{ _tag: "Ping", id: 7 }], "the answer to a ping")
      // What a kubelet must be told in the query, it is not.
      const exec = yield* Proxy.webSocket(node, `/exec/${namespace}/${name}/main?output=1&command=true`, {
        protocols: [RemoteCommand.v4]
      })
      const cause = yield* whyRefused(exec)
      yield* check(cause.includes("HTTP 400 (you must specify at least 1 of stdin, stdout, stderr)"), cause)
    },
    {
      inapplicable: ({ _tag }) =>
        _tag === "TestCluster" ? "the kubelet of a test cluster answers for its health alone" : undefined
    }
  )
]
