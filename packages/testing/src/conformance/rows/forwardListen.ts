/**
 * Listeners in front of forwarded ports: where they listen, what they say of what cannot be, and how their connections end.
 */
import type { ListenError } from "@effect-k8s/channels/Listeners"
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as ForwardPrograms from "../ForwardPrograms.ts"
import { get, local, once, withService } from "../Forwards.ts"
import { Lab } from "../Lab.ts"
import { check, failureOf, type Row, row, same } from "../Row.ts"

/** Another program that listens, at a free port. */
const occupied = (host: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer()
        server.listen({ host, port: 0, ipv6Only: true }, () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
    ),
    // It is one of TCP.
    (server) => (server.address() as Net.AddressInfo).port
  )

const addressesOf = ({ ports }: PortForward.Listening): ReadonlyArray<string> =>
  ports.map(({ local: { host, port }, remote }) => `${host} ${port} to ${remote}`)

/** What a listener fails with; it leaves nothing behind. */
const refused = Effect.fnUntraced(function*(
  port: PortForward.ForwardedPort,
  why: ListenError["why"],
  options: PortForward.ListenOptions = {}
) {
  const { target } = yield* Lab
  const error = yield* failureOf(Effect.scoped(PortForward.listen(target("web"), [port], options)))
  yield* check(error._tag === "ListenError" && error.why === why, `error: ${String(error)}`)
  return error.message
})

/** Nobody listens there. */
const isFree = Effect.fnUntraced(function*(host: string, port: number) {
  const answer = yield* local(host, port, get)
  yield* check(answer.includes("ECONNREFUSED"), `something listens at ${host}: ${answer}`)
})

/** Says a text to a local port and ends that way at once; gives what comes back, to the end. */
const sayAndEnd = (host: string, port: number, text: string): Effect.Effect<string> =>
  Effect.callback((resume) => {
    let got = ""
    const socket = Net.connect({ host, port, allowHalfOpen: true }, () => socket.end(text))
    socket.on("data", (chunk: Buffer) => (got += chunk.toString()))
    socket.on("end", () => resume(Effect.succeed(got)))
    socket.on("error", (cause) => resume(Effect.succeed(`${got}error: ${cause.message}`)))
    return Effect.sync(() => socket.destroy())
  })

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("P1", "a number or a name alone is the local port too: the pod's, and a service's own", function*() {
    const { ports, target } = yield* Lab
    // The pod of a TestCluster has its own ports at 127.0.0.1 of this machine.
    const ofPod = yield* PortForward.listen(target("web"), [ports.http, "lab"], { addresses: ["::1"] })
    yield* same(
      addressesOf(ofPod),
      [`::1 ${ports.http} to ${ports.http}`, `::1 ${ports.lab} to ${ports.lab}`],
      "listeners in front of the pod"
    )
    yield* check((yield* local("::1", ports.http, get)).endsWith("hello\n"), "the page of the pod")

    const free = yield* ForwardPrograms.freePorts
    yield* withService({
      selector: { app: "web" },
      ports: [
        { name: "page", port: free.http, targetPort: "http" },
        { name: "program", port: free.lab, targetPort: "lab" }
      ]
    })
    const ofService = yield* PortForward.listen(PortForward.service("web"), [free.http, "program"])
    const expected = [[free.http, ports.http], [free.lab, ports.lab]].flatMap(([at, to]) =>
      ["127.0.0.1", "::1"].map((host) => `${host} ${at} to ${to}`)
    )
    yield* same(addressesOf(ofService), expected, "listeners in front of the service")
    for (const host of ["127.0.0.1", "::1"]) {
      yield* check((yield* local(host, free.http, get)).endsWith("hello\n"), `the page at ${host}`)
      yield* same(yield* local(host, free.lab, "late 0\n"), "late\n", `the program at ${host}`)
    }
  }, { only: once }),
  row("P1", "a local port that is none is named, and nothing listens", function*() {
    const { ports } = yield* Lab
    for (const port of [65_536, -1, 1.5, Number.NaN]) {
      const message = yield* refused({ remote: ports.lab, local: port }, "no-port")
      yield* check(message.startsWith(`${port} is no port`), `message for ${port}: ${message}`)
    }
  }, { only: once }),
  row("P2", "a port of which ::1 alone is in use is in use, unless ::1 is not asked for", function*() {
    const { ports, target } = yield* Lab
    const used = yield* occupied("::1")
    const port = { remote: ports.http, local: used }
    const message = yield* refused(port, "in-use")
    yield* check(message.includes(`[::1]:${used}`), `message: ${message}`)
    yield* isFree("127.0.0.1", used)
    const listening = yield* PortForward.listen(target("web"), [port], { addresses: ["127.0.0.1"] })
    yield* same(addressesOf(listening), [`127.0.0.1 ${used} to ${ports.http}`], "listeners")
    yield* check((yield* local("127.0.0.1", used, get)).endsWith("hello\n"), "the page")
  }, { only: once }),
  row("P13", "listeners are at the addresses that are named, and at no others, each port at one number", function*() {
    const { ports, target } = yield* Lab
    for (const addresses of [["::1"], ["::1", "127.0.0.1"]] as const) {
      const listening = yield* PortForward.listen(
        target("web"),
        [{ remote: "lab", local: 0 }, { remote: "http", local: 0 }],
        { addresses }
      )
      const hosts = listening.ports.map(({ local: { host }, remote }) => `${host} to ${remote}`)
      const expected = [ports.lab, ports.http].flatMap((port) => addresses.map((host) => `${host} to ${port}`))
      yield* same(hosts, expected, "listeners")
      yield* same(new Set(listening.ports.map(({ local: { port } }) => port)).size, 2, "local ports")
      for (const { local: { host, port }, remote } of listening.ports) {
        if (remote === ports.lab) yield* same(yield* local(host, port, "late 0\n"), "late\n", `answer at ${host}`)
      }
      if (addresses.length === 1) yield* isFree("127.0.0.1", listening.ports[0]!.local.port)
    }
  }, { only: once }),
  row("P13", "an address that is not of this machine is named, and nothing is left at the others", function*() {
    const { ports } = yield* Lab
    const { http: free } = yield* ForwardPrograms.freePorts
    // Of RFC 5737: nobody's.
    const message = yield* refused({ remote: ports.http, local: free }, "no-address", {
      addresses: ["127.0.0.1", "192.0.2.1"]
    })
    yield* check(message.includes("192.0.2.1"), `message: ${message}`)
    yield* isFree("127.0.0.1", free)
  }, { only: once }),
  row("P13", "whoever listens is told of each connection that was broken off, and why, and of no other", function*() {
    const { ports, target } = yield* Lab
    const told = yield* Queue.unbounded<readonly [port: number, tag: string, reason: string]>()
    const listening = yield* PortForward.listen(
      target("web"),
      [{ remote: ports.refused, local: 0 }, { remote: ports.lab, local: 0 }],
      {
        addresses: ["127.0.0.1"],
        onBroken: (port, error) => Effect.asVoid(Queue.offer(told, [port, error._tag, error.reason._tag]))
      }
    )
    const [nobody, lab] = listening.ports.map((port) => port.local.port)
    const answers = [
      yield* local("127.0.0.1", nobody!, "hello"),
      yield* local("127.0.0.1", lab!, `reset\n${"unread".repeat(10_000)}`)
    ]
    for (const answer of answers) yield* check(answer.startsWith("error: "), `it has ended in order: ${answer}`)
    yield* same(yield* local("127.0.0.1", lab!, "late 0\n"), "late\n", "the one in order")
    yield* same(
      [yield* Queue.take(told), yield* Queue.take(told)],
      [[ports.refused, "ChannelError", "PortRefused"], [ports.lab, "ChannelError", "PortReset"]],
      "what was told"
    )
    yield* same(yield* Queue.size(told), 0, "what else was told")
  }, { only: once }),
  row("P13", "a pod that is silent after a local peer has ended its way is waited for as long as is told", function*() {
    const { ports, target } = yield* Lab
    const listen = (options: PortForward.ListenOptions) =>
      Effect.map(
        PortForward.listen(target("web"), [{ remote: ports.lab, local: 0 }], { ...options, addresses: ["127.0.0.1"] }),
        ({ ports: [listening] }) => listening!.local.port
      )
    const [patient, impatient] = [yield* listen({}), yield* listen({ lingerAfterEnd: "3 seconds" })]
    const waiting = yield* Effect.forkScoped(sayAndEnd("127.0.0.1", patient, "swallow\n"))
    yield* same(yield* sayAndEnd("127.0.0.1", impatient, "late 0.2\n"), "late\n", "an answer that comes in time")
    const silent = yield* sayAndEnd("127.0.0.1", impatient, "swallow\n")
    yield* check(silent.startsWith("error: "), `what does not come has ended in order: ${silent}`)
    yield* check(waiting.pollUnsafe() === undefined, "the pod is not waited for as long as unless told")
    yield* Fiber.interrupt(waiting)
  }, { only: once })
]
