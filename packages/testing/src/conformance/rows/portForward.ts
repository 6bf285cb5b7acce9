/**
 * Forwarded ports as users ask for them: sessions, listeners, sockets, targets.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import { KubeClient } from "@effect-k8s/core/KubeClient"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Faults from "../../Faults.ts"
import * as Clients from "../Clients.ts"
import {
  ask,
  eachTransport,
  echo,
  get,
  local,
  once,
  open,
  readAll,
  send,
  shared,
  withSelecting,
  withService
} from "../Forwards.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const MiB = 1024 * 1024
const encoder = new TextEncoder()

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("P2", "listeners are on both loopbacks, and report the ports that they have chosen", function*() {
    const { ports, target } = yield* Lab
    const { ports: listening } = yield* PortForward.listen(target("web"), [
      { remote: ports.http, local: 0 },
      { remote: "lab", local: 0 }
    ])
    const hosts = listening.map(({ local, remote }) => `${local.host} to ${remote}`)
    const expected = [ports.http, ports.lab].flatMap((port) => [`127.0.0.1 to ${port}`, `::1 to ${port}`])
    yield* same(hosts, expected, "listeners")
    yield* same(new Set(listening.map(({ local }) => local.port)).size, 2, "local ports")
    for (const { local: at, remote } of listening) {
      const answer = yield* local(at.host, at.port, remote === ports.http ? get : "late 0\n")
      yield* check(answer.endsWith(remote === ports.http ? "hello\n" : "late\n"), `answer at ${at.host}: ${answer}`)
    }
  }),
  row("P2", "a local port that is in use is named, and nothing is left listening", function*() {
    const { ports, target } = yield* Lab
    const first = yield* PortForward.listen(target("web"), [{ remote: ports.http, local: 0 }])
    const used = first.ports[0]!.local.port
    const error = yield* failureOf(Effect.scoped(PortForward.listen(target("web"), [
      { remote: ports.lab, local: 0 },
      { remote: ports.http, local: used }
    ])))
    yield* check(error._tag === "ListenError" && error.why === "in-use", `error: ${String(error)}`)
    yield* check(error.message.includes(`127.0.0.1:${used}`), `message: ${error.message}`)
  }, { only: once }),
  row("P3", "1 MiB of random bytes goes there and back unchanged, over each transport", function*() {
    const { ports } = yield* Lab
    const data = RandomData.make(3, MiB)
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      const connection = yield* forward.connect(ports.lab)
      const all = Stream.concat(Stream.succeed(encoder.encode("echo\n")), data.stream)
      const writing = yield* Effect.forkChild(Stream.run(all, connection.write))
      let left = MiB
      const back = Stream.takeUntil(connection.read, (chunk) => (left -= chunk.length) <= 0)
      yield* same(yield* RandomData.hash(back), data.hash, `hash over ${forward.transport}`)
      yield* Fiber.join(writing)
    }, Effect.scoped))
  }),
  row("P3", "many connections to several ports share one socket", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(
      Effect.fnUntraced(function*(forward) {
        const texts = Array.from({ length: 20 }, (_, i) => `connection ${i}`)
        const [echoes, pages] = yield* Effect.all([
          Effect.forEach(texts, (text) => echo(forward, text), { concurrency: "unbounded" }),
          Effect.forEach(texts, () => ask(forward, ports.http, get), { concurrency: 5 })
        ], { concurrency: "unbounded" })
        yield* same(echoes, texts, "echoes")
        yield* check(pages.every((page) => page.endsWith("hello\n")), "a page is not whole")
        yield* same(yield* forward.stats, { sockets: 1, connections: 0 }, "sockets")
      }),
      { sockets: 1 },
      shared
    )
  }),
  row("P4", "a refused connection fails with the server's words, and the next one works", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      for (const text of ["", "hello"]) {
        const error = yield* failureOf(ask(forward, ports.refused, text))
        yield* same(error.reason._tag, "PortRefused", `reason over ${forward.transport}`)
        yield* check(error.message.includes("connection refused"), `message: ${error.message}`)
        yield* check((yield* ask(forward, ports.http, get)).endsWith("hello\n"), "the next one")
      }
    }))
  }),
  row("P4", "as a socket: inert until it is read, SocketOpenError for a refusal, code 1000 at the end", function*() {
    const { ports } = yield* Lab
    const forward = yield* open()
    const socket = forward.socket(ports.lab)
    yield* same((yield* forward.stats).connections, 0, "connections before")
    const said = yield* Effect.scoped(Effect.gen(function*() {
      const pull = yield* Socket.readerString(socket)
      const writer = yield* socket.writer
      yield* writer.write("late 0\n")
      let got = ""
      while (true) {
        const end = yield* Effect.match(pull, {
          onSuccess: (parts) => void (got += parts.join("")),
          onFailure: (e) => e
        })
        if (end === undefined) continue
        return `${got}${end.reason._tag} ${end.reason._tag === "SocketCloseError" ? end.reason.code : ""}`
      }
    }))
    yield* same(said, "late\nSocketCloseError 1000", "what is read")
    const refused = yield* failureOf(Effect.scoped(
      Effect.flatMap(Socket.readerBytes(forward.socket(ports.refused)), (pull) => pull)
    ))
    yield* same(refused.reason._tag, "SocketOpenError", "refusal")
    const cause = "cause" in refused.reason ? refused.reason.cause : undefined
    yield* check(cause instanceof Error && cause.message.includes("connection refused"), `cause: ${String(cause)}`)
  }),
  row("P8", "a server or proxy without the tunnel is asked for SPDY, and without both for WebSocket", function*() {
    const cluster = yield* Scripted.cluster
    const { ports } = yield* Lab
    const answers = [
      Faults.status(400, "query parameter \"port\" is required"),
      Faults.status(403),
      Faults.status(502, "bad gateway")
    ]
    // Of a client that knows the cluster already, what was refused is asked for last.
    for (const answer of answers) {
      const first = yield* cluster.faults.inject({ path: /portforward$/, method: "GET" }, answer)
      const forward = yield* Effect.provideService(open(), KubeClient, yield* Clients.make())
      yield* same([forward.transport, forward.attempts.length], ["spdy", 1], "transport, and what was tried")
      yield* same(yield* echo(forward, "spdy"), "spdy", "echo")
      yield* first.remove
    }
    yield* cluster.faults.inject({ path: /portforward$/ }, Faults.status(403), { times: 2 })
    const forward = yield* open()
    yield* same([forward.transport, forward.attempts.length], ["websocket", 2], "transport, and what was tried")
    yield* same(yield* echo(forward, "legacy"), "legacy", "echo")
    yield* check((yield* ask(forward, ports.http, get)).endsWith("hello\n"), "a page")
  }, { only: once, scripted: "a real server of today knows the tunnel" }),
  row("P8", "what the server refuses for a reason is told by it: no such pod, and who may not", function*() {
    const { target } = yield* Lab
    const missing = yield* failureOf(Effect.scoped(PortForward.open(Target.pod("nope"))))
    yield* same(missing.reason._tag, "NotFound", "reason")
    yield* check(missing.message.includes("nope"), `message: ${missing.message}`)
    const wrong = yield* failureOf(Effect.scoped(PortForward.open(Target.pod("../web"))))
    yield* same(wrong.reason._tag, "Encode", "reason for a name that is none")
    const client = yield* Clients.make({ credentials: yield* Clients.impersonating({ user: "conformance-nobody" }) })
    const barred = yield* failureOf(
      Effect.provideService(Effect.scoped(PortForward.open(target("web"))), KubeClient, client)
    )
    yield* same(barred.reason._tag, "Forbidden", "reason for who may not")
    yield* check(barred.message.includes("conformance-nobody"), `message: ${barred.message}`)
  }),
  row("P12", "over WebSocket alone each connection has a socket of its own, and ends with it", function*() {
    const { ports } = yield* Lab
    const forward = yield* open({ transport: "websocket" })
    const [one, other] = [yield* forward.connect(ports.lab), yield* forward.connect(ports.lab)]
    yield* same((yield* forward.stats).sockets, 2, "sockets of two connections")
    yield* send(one, "late 0\n")
    yield* same(yield* readAll(one), "late\n", "what the first says, to its end")
    yield* send(other, "late 0\n")
    yield* same(yield* readAll(other), "late\n", "what the other says")
    const { sockets } = yield* Effect.repeat(forward.stats, {
      schedule: Schedule.spaced("10 millis"),
      until: ({ sockets }) => sockets === 0,
      times: 100
    })
    yield* same(sockets, 0, "sockets afterwards")
  }),
  row("P13", "a service's ports lead to the pod's, by number and by name", function*() {
    const { ports } = yield* Lab
    yield* withService({
      selector: { app: "web" },
      ports: [
        { name: "page", port: 80, targetPort: "http" },
        { name: "dns", port: 53, protocol: "UDP" }
      ]
    })
    const forward = yield* PortForward.open(PortForward.service("web"))
    yield* same(yield* forward.pod, "web", "pod")
    for (const port of [80, "page"]) {
      yield* check((yield* ask(forward, port, get)).endsWith("hello\n"), `answer at ${port}`)
    }
    const listening = yield* PortForward.listen(PortForward.service("web"), [{ remote: 80, local: 0 }])
    const { local: at, remote } = listening.ports[0]!
    yield* same(remote, ports.http, "the pod's port")
    yield* check((yield* local(at.host, at.port, get)).endsWith("hello\n"), "answer at the listener")
  }, { only: once }),
  row("P13", "a deployment and a stateful set lead to a pod that they select, with the pod's ports", function*() {
    const { ports } = yield* Lab
    for (const app of ["web", "nobody"]) yield* withSelecting(app)
    for (const select of [PortForward.deployment, PortForward.statefulSet]) {
      const forward = yield* PortForward.open(select("of-web"))
      yield* same(yield* forward.pod, "web", "pod")
      for (const port of [ports.http, "http"]) {
        yield* check((yield* ask(forward, port, get)).endsWith("hello\n"), `answer at ${port}`)
      }
      const none = yield* failureOf(Effect.scoped(PortForward.open(select("of-nobody"), { podTimeout: "100 millis" })))
      yield* same(none.reason._tag, "PodUnavailable", "reason where no pod is selected")
      yield* check(none.message.includes("app=nobody"), `message: ${none.message}`)
      const missing = yield* failureOf(Effect.scoped(PortForward.open(select("of-nothing"))))
      yield* same(missing.reason._tag, "NotFound", "reason where there is none")
    }
  }, { only: once }),
  row("P14", "UDP, names that are none, and ports that are none are refused before anything is sent", function*() {
    const forward = yield* open()
    for (const [port, words] of [["dns", "UDP"], [53, "UDP"], ["nope", "http, lab"], [0, "1 to 65535"]] as const) {
      const error = yield* failureOf(Effect.scoped(forward.connect(port)))
      yield* same(error.reason._tag, "PortUnavailable", `reason for ${port}`)
      yield* check(error.message.includes(words), `message for ${port}: ${error.message}`)
    }
  }, { only: once })
]
