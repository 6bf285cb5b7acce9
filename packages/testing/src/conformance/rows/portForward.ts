/**
 * Forwarded ports: what arrives, what fails alone, and what comes back.
 */
import type { ChannelError } from "@effect-k8s/channels/ChannelError"
import type { ForwardOptions } from "@effect-k8s/channels/ForwardOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Api from "@effect-k8s/core/Api"
import { Pod, Service } from "@effect-k8s/core/apis/core/v1"
import type { KubeClient } from "@effect-k8s/core/KubeClient"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Net from "node:net"
import * as Faults from "../../Faults.ts"
import * as ForwardFault from "../../pods/ForwardFault.ts"
import { Lab, minorVersion } from "../Lab.ts"
import * as Memory from "../Memory.ts"
import * as Pods from "../Pods.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

const MiB = 1024 * 1024
const encoder = new TextEncoder()

type Failures = KubeError | ChannelError

/** A session to the pod of the kind `web`. */
const open = (options: ForwardOptions = {}) =>
  Effect.flatMap(Lab, ({ target }) => PortForward.open(target("web"), options))

const send = (connection: PortForward.Connection, text: string): Effect.Effect<void, ChannelError> =>
  Stream.run(Stream.succeed(encoder.encode(text)), connection.write)

const readAll = (connection: PortForward.Connection): Effect.Effect<string, ChannelError> =>
  Stream.mkString(Stream.decodeText(connection.read))

/** Says a text on a connection of its own, and reads to the end. */
const ask = (
  forward: PortForward.Session,
  port: number | string,
  text: string
): Effect.Effect<string, Failures> =>
  Effect.scoped(Effect.gen(function*() {
    const connection = yield* forward.connect(port)
    yield* send(connection, text)
    return yield* readAll(connection)
  }))

/** Says a text to the echo, reads it back, and leaves. */
const echo = (
  forward: PortForward.Session,
  text: string
): Effect.Effect<string, Failures, Lab> =>
  Effect.scoped(Effect.gen(function*() {
    const { ports } = yield* Lab
    const connection = yield* forward.connect(ports.lab)
    yield* send(connection, `echo\n${text}`)
    let got = ""
    yield* Stream.runForEachWhile(Stream.decodeText(connection.read), (part) =>
      Effect.sync(() => {
        got += part
        return got.length < text.length
      }))
    return got
  }))

/** Servers before 1.30 know no tunnel. */
const transports: Effect.Effect<ReadonlyArray<"tunnel" | "spdy" | "websocket">, never, Lab> = Effect.map(
  Lab,
  ({ server }) => minorVersion(server) < 30 ? ["spdy", "websocket"] : ["tunnel", "spdy", "websocket"]
)
const shared = Effect.map(transports, (all) => all.filter((transport) => transport !== "websocket"))

const eachTransport = <E, R>(
  run: (forward: PortForward.Session) => Effect.Effect<void, E, R>,
  options: ForwardOptions = {},
  which = transports
): Effect.Effect<void, E | KubeError, Exclude<R, Scope.Scope> | Lab | KubeClient> =>
  Effect.flatMap(
    which,
    (all) =>
      Effect.forEach(all, (transport) => Effect.scoped(Effect.flatMap(open({ ...options, transport }), run)), {
        discard: true
      })
  )

/** One service in front of the pod of the kind `web`, until the scope ends. */
const withService = (spec: Service["spec"]) =>
  Effect.acquireRelease(
    Api.make(Service).create({ metadata: { name: "web" }, spec }),
    () => Effect.ignore(Api.make(Service).delete("web"))
  )

/** A local client: what it gets in answer to a text, until the end. */
const local = (host: string, port: number, text: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let got = ""
    const socket = Net.connect({ host, port }, () => socket.write(text))
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()))
    socket.on("end", () => resume(Effect.succeed(got)))
    socket.on("error", (cause) => resume(Effect.succeed(`${got}error: ${cause.message}`)))
    return Effect.sync(() => socket.destroy())
  })

const get = "GET /index.html HTTP/1.0\r\n\r\n"

// How bytes get to the server makes no difference here.
const once = { path: "direct", why: "the other rows on forwarded ports go through the tunnel too" } as const

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
  row("P6", "a socket that is lost fails its connections, and new ones go on with another", function*() {
    const { ports, tunnel } = yield* Lab
    for (const how of ["fin", "reset"] as const) {
      yield* eachTransport(Effect.fnUntraced(function*(forward) {
        const connection = yield* forward.connect(ports.lab)
        const reading = yield* Effect.forkChild(reasonOf(readAll(connection)))
        yield* send(connection, "swallow\n")
        yield* tunnel.drop(how)
        yield* same(yield* Fiber.join(reading), "ConnectionLost", `reason over ${forward.transport} after ${how}`)
        yield* same(yield* echo(forward, "again"), "again", "a new connection")
      }, Effect.scoped))
    }
  }, { only: { path: "tunnel", why: "the tunnel is what goes wrong" } }),
  row("P6", "a socket that goes silent is told from one that is only quiet", function*() {
    const { ports, tunnel } = yield* Lab
    yield* Effect.addFinalizer(() => tunnel.drop("reset"))
    const forward = yield* open({ heartbeat: { after: "100 millis", within: "400 millis" } })
    const connection = yield* forward.connect(ports.lab)
    const reading = yield* Effect.forkChild(reasonOf(readAll(connection)))
    yield* send(connection, "swallow\n")
    yield* Effect.sleep("1500 millis")
    yield* check(reading.pollUnsafe() === undefined, "a quiet connection was given up")
    yield* tunnel.silence
    yield* same(yield* Fiber.join(reading), "PeerStalled", "reason")
  }, { only: { path: "tunnel", why: "the tunnel is what goes wrong" } }),
  row("P6", "the end of the scope ends everything, in success, failure and interruption", function*() {
    const { ports } = yield* Lab
    yield* eachTransport((forward) =>
      Effect.gen(function*() {
        const busy = Effect.scoped(Effect.flatMap(forward.connect(ports.lab), (connection) =>
          Effect.andThen(send(connection, "pour 1000000000\n"), Stream.runDrain(connection.read))))
        const fiber = yield* Effect.forkChild(busy)
        yield* Effect.sleep("100 millis")
        yield* Fiber.interrupt(fiber)
        yield* Effect.ignore(Effect.scoped(Effect.andThen(forward.connect(ports.lab), Effect.fail("failure"))))
        yield* same((yield* forward.stats).connections, 0, "connections")
        yield* Effect.forkChild(busy)
        yield* Effect.sleep("100 millis")
      })
    )
  }),
  row("P8", "a server or proxy without the tunnel is asked for SPDY, and without both for WebSocket", function*() {
    const cluster = yield* Scripted.cluster
    const { ports } = yield* Lab
    const answers = [
      Faults.status(400, "query parameter \"port\" is required"),
      Faults.status(403),
      Faults.status(502, "bad gateway")
    ]
    for (const answer of answers) {
      const first = yield* cluster.faults.inject({ path: /portforward$/, method: "GET" }, answer)
      const forward = yield* open()
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
  row("P8", "what the server refuses for a reason is refused once: no such pod, and who may not", function*() {
    const { namespace, target } = yield* Lab
    const missing = yield* failureOf(Effect.scoped(PortForward.open(Target.pod("nope"))))
    yield* same(missing.reason._tag, "NotFound", "reason")
    yield* check(missing.message.includes("nope"), `message: ${missing.message}`)
    const wrong = yield* failureOf(Effect.scoped(PortForward.open(Target.pod("../web"))))
    yield* same(wrong.reason._tag, "Encode", "reason for a name that is none")
    yield* check(target("web").namespace === namespace, "the pod is not in the row's namespace")
  }),
  row("P12", "over WebSocket alone each connection has a socket of its own, and ends with it", function*() {
    const { ports } = yield* Lab
    const forward = yield* open({ transport: "websocket" })
    const [one, other] = [yield* forward.connect(ports.lab), yield* forward.connect(ports.lab)]
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
  row("P14", "UDP, names that are none, and ports that are none are refused before anything is sent", function*() {
    const forward = yield* open()
    for (const [port, words] of [["dns", "UDP"], [53, "UDP"], ["nope", "http, lab"], [0, "1 to 65535"]] as const) {
      const error = yield* failureOf(Effect.scoped(forward.connect(port)))
      yield* same(error.reason._tag, "PortUnavailable", `reason for ${port}`)
      yield* check(error.message.includes(words), `message for ${port}: ${error.message}`)
    }
  }, { only: once }),
  row("B1", "refused connections among a hundred disturb none of the others", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(
      Effect.fnUntraced(function*(forward) {
        const all = Array.from({ length: 100 }, (_, i) => i)
        const ends = yield* Effect.forEach(all, (i) =>
          i % 10 === 0
            ? reasonOf(ask(forward, ports.refused, ""))
            : Effect.map(echo(forward, `number ${i}`), (text) => text === `number ${i}` ? "echo" : text), {
          concurrency: 25
        })
        yield* same(ends, all.map((i) => i % 10 === 0 ? "PortRefused" : "echo"), "ends")
      }),
      {},
      shared
    )
  }),
  row("B2", "a connection that nobody reads holds up none that is asked for later", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      const unread = yield* forward.connect(ports.lab)
      yield* send(unread, "pour 1000000000\n")
      yield* Effect.sleep("500 millis")
      const stuck = yield* unread.stats
      for (let i = 0; i < 5; i++) yield* same(yield* echo(forward, `number ${i}`), `number ${i}`, "echo")
      const { received } = yield* unread.stats
      yield* same(received, stuck.received, "bytes of the unread one, which is held back, not dropped")
      yield* check(received < 8 * MiB, `${received} bytes are buffered`)
    }, Effect.scoped))
  }),
  row("B2", "one that nobody reads is given up for another on the same socket, after a grace", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(
      Effect.fnUntraced(function*(forward) {
        const unread = yield* forward.connect(ports.lab)
        const waiting = yield* forward.connect(ports.lab)
        yield* send(unread, "pour 1000000000\n")
        yield* Effect.sleep("300 millis")
        yield* send(waiting, "late 0\n")
        yield* same(yield* readAll(waiting), "late\n", "the one that waits")
        yield* same(yield* reasonOf(Stream.runDrain(unread.read)), "UnreadConnection", "the one that nobody reads")
      }, Effect.scoped),
      { sockets: 1, unreadGrace: "500 millis" },
      shared
    )
  }),
  row(
    "B2",
    "a program that reads nothing holds up none that is asked for later",
    function*() {
      const { ports } = yield* Lab
      yield* eachTransport(Effect.fnUntraced(function*(forward) {
        const stuck = yield* forward.connect(ports.lab)
        const zeros = Stream.forever(Stream.succeed(new Uint8Array(64 * 1024)))
        const all = Stream.concat(Stream.succeed(encoder.encode("swallow\n")), zeros)
        yield* Effect.forkChild(Stream.run(all, stuck.write))
        yield* Effect.sleep("1500 millis")
        for (let i = 0; i < 3; i++) yield* same(yield* echo(forward, `number ${i}`), `number ${i}`, "echo")
      }, Effect.scoped))
    }, // A relay that waits to pass bytes on does not see its client leave.
    { only: once }
  ),
  row("B3", "an answer that comes after our end arrives whole: after half a second, and after three", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      for (const seconds of ["0.5", "3"]) {
        yield* same(yield* ask(forward, ports.lab, `late ${seconds}\n`), "late\n", `after ${seconds} s`)
      }
    }))
  }, { only: once }),
  row("V14", "through a listener too, for a local client that has closed its writing side", function*() {
    const { ports, target } = yield* Lab
    const { ports: [listening] } = yield* PortForward.listen(target("web"), [{ remote: ports.lab, local: 0 }])
    for (const seconds of ["0.5", "3"]) {
      const answer = yield* Effect.callback<string>((resume) => {
        let got = ""
        const { host, port } = listening!.local
        const socket = Net.connect({ host, port, allowHalfOpen: true }, () => socket.end(`late ${seconds}\n`))
        socket.on("data", (chunk: Buffer) => (got += chunk.toString()))
        socket.on("end", () => resume(Effect.succeed(got))).on(
          "error",
          (cause) => resume(Effect.succeed(cause.message))
        )
        return Effect.sync(() => socket.destroy())
      })
      yield* same(answer, "late\n", `after ${seconds} s`)
    }
  }, { only: once }),
  row("V14", "an end that is told at once is cut after a second, as the option's name says", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(
      Effect.fnUntraced(function*(forward) {
        yield* same(yield* ask(forward, ports.lab, "late 0.3\n"), "late\n", "after 0.3 s")
        yield* same(yield* ask(forward, ports.lab, "late 3\n"), "", "after 3 s")
      }),
      { tellEnd: "at-once-and-lose-late-answers" },
      shared
    )
  }, { only: once }),
  row("B4", "a thousand connections one after the other leave memory as it was", function*() {
    const forward = yield* open()
    const some = (count: number) => Effect.repeat(echo(forward, "x"), { times: count - 1 })
    yield* some(300)
    const allowed = 4 * MiB
    const { bytes } = yield* Memory.retained(some(1000), allowed)
    yield* check(bytes <= allowed, `${bytes} bytes are left on the heap`)
    yield* same(yield* forward.stats, { sockets: 1, connections: 0 }, "sockets")
  }, { only: once }),
  row("B5", "a download that is given up midway leaves room for the next one", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      for (let i = 0; i < 3; i++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const connection = yield* forward.connect(ports.lab)
          yield* send(connection, "pour 1000000000\n")
          let size = 0
          yield* Stream.runDrain(Stream.takeUntil(connection.read, (chunk) => (size += chunk.length) > 4 * MiB))
        }))
        const connection = yield* forward.connect(ports.lab)
        yield* send(connection, `pour ${MiB}\n`)
        yield* same(yield* Remote.countBytes(connection.read), MiB, "bytes of the next one")
      }
    }, Effect.scoped))
  }),
  row("B5", "16 MiB arrive whole at a reader that is slower than the pod", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      const connection = yield* forward.connect(ports.lab)
      yield* send(connection, `pour ${16 * MiB}\n`)
      const slow = Remote.throttle(8 * MiB)(Remote.pauseAfterFirst(1500)(connection.read))
      yield* same(yield* Remote.countBytes(slow), 16 * MiB, `bytes over ${forward.transport}`)
    }, Effect.scoped))
  }, { only: once }),
  row("B6", "a program that resets its connection resets that one alone", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      const other = yield* forward.connect(ports.lab)
      yield* send(other, "late 1\n")
      const reset = yield* failureOf(ask(forward, ports.lab, `reset\n${"unread".repeat(10_000)}`))
      yield* same(reset.reason._tag, "PortReset", `reason over ${forward.transport}`)
      yield* same(yield* readAll(other), "late\n", "the other one")
    }, Effect.scoped))
  }),
  row("B6", "a server that resets or cuts in the middle is never a clean end", function*() {
    const { ports } = yield* Lab
    const cluster = yield* Scripted.cluster
    const cases = [
      [ForwardFault.resetAfter(100_000), "PortReset"],
      [ForwardFault.cutAfter(100_000, "fin"), "ConnectionLost"],
      [ForwardFault.cutAfter(100_000, "reset"), "ConnectionLost"]
    ] as const
    for (const [fault, reason] of cases) {
      yield* eachTransport(
        Effect.fnUntraced(function*(forward) {
          yield* cluster.pods.injectForward({ port: ports.lab }, fault)
          yield* same(yield* reasonOf(ask(forward, ports.lab, "pour 1000000\n")), reason, fault._tag)
          yield* same(yield* echo(forward, "next"), "next", "the next one")
        }),
        {},
        shared
      )
    }
    // A server that forgets the end of its words does not hold up the end of the connection.
    yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.withholdEnd)
    yield* same(yield* ask(yield* open(), ports.lab, "late 0\n"), "late\n", "without the end of the error stream")
  }, { only: once, scripted: "real servers do not do it when asked" }),
  row("B6", "a server that does not take a connection is left for another socket", function*() {
    const { ports } = yield* Lab
    const cluster = yield* Scripted.cluster
    const forward = yield* open()
    yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.ignore)
    yield* same(yield* echo(forward, "on another"), "on another", "echo")
    yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.ignore, { times: 2 })
    const error = yield* failureOf(Effect.scoped(Effect.flatMap(
      open({ handshakeTimeout: "300 millis" }),
      (impatient) => impatient.connect(ports.lab)
    )))
    yield* same(error.reason._tag, "PeerStalled", "reason when none takes it")
  }, { only: once, scripted: "real servers do it only by chance" }),
  row("B7", "when another pod has taken the name, new connections reach it", function*() {
    const { server } = yield* Lab
    const pods = Api.make(Pod)
    const web = yield* Pods.webOf(server)
    const remove = Effect.gen(function*() {
      yield* Effect.ignore(pods.delete("victim", { gracePeriodSeconds: 0 }))
      yield* Effect.repeat(Effect.option(pods.getOption("victim")), {
        schedule: Schedule.spaced("50 millis"),
        until: (found) => found._tag === "Some" && found.value._tag === "None",
        times: 200
      })
    })
    yield* Effect.addFinalizer(() => Effect.ignore(remove))
    yield* Pods.make("web", web, "victim")
    const forward = yield* PortForward.open(Target.pod("victim"))
    const listens = Effect.retry(ask(forward, "http", get), { schedule: Schedule.spaced("100 millis"), times: 50 })
    yield* check((yield* listens).endsWith("hello\n"), "the first pod")
    yield* remove
    yield* Pods.make("web", web, "victim")
    yield* Effect.sleep("1 second")
    yield* check((yield* ask(forward, "http", get)).endsWith("hello\n"), "the second pod, at the first try")
  }, { only: once }),
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
  })
]
