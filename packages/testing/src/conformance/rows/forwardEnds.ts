/**
 * How forwarded connections end: in order, by a failure of their own, with what carries them, with their pod.
 */
import * as PortForward from "@effect-k8s/channels/PortForward"
import * as Target from "@effect-k8s/channels/Target"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Net from "node:net"
import * as ForwardFault from "../../pods/ForwardFault.ts"
import * as ForwardPrograms from "../ForwardPrograms.ts"
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
  transports,
  withSelecting,
  withService
} from "../Forwards.ts"
import { Lab } from "../Lab.ts"
import * as Pods from "../Pods.ts"
import { check, failureOf, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"

/** A pod of the kind `web` whose programs listen: where no probes are looked at it runs before they do. */
const makeWeb = Effect.fnUntraced(function*(programs: Pods.Programs, name: string, app?: string) {
  const { server } = yield* Lab
  yield* Pods.make("web", programs, name, app)
  if (server._tag === "TestCluster") yield* ForwardPrograms.listening(programs.ports)
})

/** Such a pod to be removed, until the scope ends. */
const withVictim = (programs: Pods.Programs, name: string, app?: string) =>
  Effect.acquireRelease(
    makeWeb(programs, name, app),
    () => Effect.ignore(Pods.remove(name))
  )

/** Waits until the pod's program answers. */
const answersAt = (forward: PortForward.Session, port: string) =>
  Effect.retry(
    Effect.flatMap(ask(forward, port, get), (page) => check(page.endsWith("hello\n"), `page: ${page}`)),
    { schedule: Schedule.spaced("100 millis"), times: 50 }
  )

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
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
  row(
    "P5",
    "a listener outlives what carries its connections, which are broken off, and ends with its scope",
    function*() {
      const { ports, target, tunnel } = yield* Lab
      const at = yield* Effect.scoped(Effect.gen(function*() {
        const { ports: [listening] } = yield* PortForward.listen(target("web"), [{ remote: ports.lab, local: 0 }])
        const { host, port } = listening!.local
        const begun = yield* Latch.make()
        const broken = yield* Effect.forkChild(local(host, port, "echo\nhello", () => void begun.openUnsafe()))
        // It is carried by then: one that is dialled after the drop would go on.
        yield* begun.await
        yield* tunnel.drop("fin")
        yield* check((yield* Fiber.join(broken)).includes("error: "), "a connection that was lost has ended in order")
        yield* same(yield* local(host, port, "late 0\n"), "late\n", "a new connection")
        return { host, port }
      }))
      const refused = yield* local(at.host, at.port, "late 0\n")
      yield* check(refused.includes("ECONNREFUSED"), `something still listens: ${refused}`)
    },
    { only: { path: "tunnel", why: "the tunnel is what goes wrong" } }
  ),
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
    const readings = yield* Effect.forEach(
      yield* transports,
      Effect.fnUntraced(function*(transport) {
        const forward = yield* open({ transport, heartbeat: { after: "100 millis", within: "400 millis" } })
        const connection = yield* forward.connect(ports.lab)
        yield* send(connection, "swallow\n")
        return { transport: forward.transport, fiber: yield* Effect.forkChild(reasonOf(readAll(connection))) }
      })
    )
    yield* Effect.sleep("1500 millis")
    for (const { fiber, transport } of readings) {
      yield* check(fiber.pollUnsafe() === undefined, `a quiet connection over ${transport} was given up`)
    }
    yield* tunnel.silence
    const ends = yield* Effect.forEach(
      readings,
      ({ fiber, transport }) => Effect.map(Fiber.join(fiber), (reason) => [transport, reason])
    )
    yield* same(ends, (yield* transports).map((transport) => [transport, "PeerStalled"]), "reasons")
  }, { only: { path: "tunnel", why: "the tunnel is what goes wrong" } }),
  row("P6", "the end of the scope ends everything, in success, failure and interruption", function*() {
    const { ports } = yield* Lab
    yield* eachTransport((forward) =>
      Effect.gen(function*() {
        // Forks a download, and waits until bytes have come.
        const busy = Effect.gen(function*() {
          const begun = yield* Latch.make()
          const download = Effect.scoped(Effect.flatMap(forward.connect(ports.lab), (connection) =>
            Effect.andThen(
              send(connection, "pour 1000000000\n"),
              Stream.runForEach(connection.read, () => begun.open)
            )))
          const fiber = yield* Effect.forkScoped(download)
          yield* Effect.raceFirst(begun.await, Fiber.join(fiber))
          return fiber
        })
        const fiber = yield* busy
        yield* same((yield* forward.stats).connections, 1, "connections before the interruption")
        yield* Fiber.interrupt(fiber)
        const failed = Effect.scoped(Effect.andThen(forward.connect(ports.lab), Effect.fail("failure" as const)))
        yield* same(yield* failureOf(failed), "failure", "failure")
        yield* same((yield* forward.stats).connections, 0, "connections")
        yield* busy
        yield* same((yield* forward.stats).connections, 1, "connections before the end")
      })
    )
  }),
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
    const withheld = yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.withholdEnd)
    yield* same(yield* ask(yield* open(), ports.lab, "late 0\n"), "late\n", "without the end of the error stream")
    yield* same(yield* withheld.hits, 1, "ends that were withheld")
  }, { only: once, scripted: "real servers do not do it when asked" }),
  row("B6", "a server that does not take a connection is left for another socket", function*() {
    const { ports } = yield* Lab
    const cluster = yield* Scripted.cluster
    const forward = yield* open()
    const ignored = yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.ignore)
    yield* same(yield* echo(forward, "on another"), "on another", "echo")
    yield* same(yield* ignored.hits, 1, "connections that were not taken")
    yield* cluster.pods.injectForward({ port: ports.lab }, ForwardFault.ignore, { times: 2 })
    const error = yield* failureOf(Effect.scoped(Effect.flatMap(
      open({ handshakeTimeout: "3 seconds" }),
      (impatient) => impatient.connect(ports.lab)
    )))
    yield* same(error.reason._tag, "PeerStalled", "reason when none takes it")
  }, { only: once, scripted: "real servers do it only by chance" }),
  row("B7", "when another pod has taken the name, new connections reach it", function*() {
    const { server } = yield* Lab
    const programs = yield* Pods.programsOf(server)
    yield* withVictim(programs, "victim")
    const forward = yield* PortForward.open(Target.pod("victim"))
    yield* answersAt(forward, "http")
    yield* Pods.remove("victim")
    yield* makeWeb(programs, "victim")
    yield* Effect.sleep("1 second")
    yield* check((yield* ask(forward, "http", get)).endsWith("hello\n"), "the second pod, at the first try")
  }, { only: once }),
  row(
    "B7",
    "a connection that is open when its pod goes fails, and later ones as long as there is no other",
    function*() {
      const { server } = yield* Lab
      const programs = yield* Pods.programsOf(server)
      for (const transport of yield* transports) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* withVictim(programs, "victim")
          const forward = yield* PortForward.open(Target.pod("victim"), { transport })
          yield* answersAt(forward, "http")
          const connection = yield* forward.connect("lab")
          // What the program does not read is lost with it, so the kernel tells its end from one in order.
          yield* Effect.forkScoped(send(connection, `swallow\n${"unread".repeat(200_000)}`))
          const reading = yield* Effect.forkScoped(reasonOf(readAll(connection)))
          yield* Effect.sleep("500 millis")
          yield* check(reading.pollUnsafe() === undefined, `the connection over ${transport} has ended before its pod`)
          yield* Pods.remove("victim")
          const open = yield* Fiber.join(reading)
          const expected = server._tag === "TestCluster" ? ["PortReset"] : ["PortReset", "PodGone", "ConnectionLost"]
          yield* check(expected.includes(open), `reason of the open one over ${transport}: ${open}`)
          // What carries connections may outlive the pod; then it is what is read that tells.
          const later = yield* reasonOf(ask(forward, "lab", "late 0\n"))
          const told = transport === "websocket" ? ["NotFound"] : ["PodGone", "NotFound"]
          yield* check(told.includes(later), `reason of the next one over ${transport}: ${later}`)
        }))
      }
    },
    { only: once }
  ),
  row("B7", "a session to what selects pods goes on with a pod of another name, at its ports", function*() {
    const { server } = yield* Lab
    // On a TestCluster each has ports of its own.
    const [first, second] = [yield* Pods.programsOf(server), yield* Pods.programsOf(server)]
    const app = "victims"
    yield* withSelecting(app)
    yield* withService({ selector: { app }, ports: [{ name: "page", port: 80, targetPort: "http" }] })
    const targets = [
      [PortForward.service("web"), "page"],
      [PortForward.deployment(`of-${app}`), "http"],
      [PortForward.statefulSet(`of-${app}`), "http"]
    ] as const
    for (const [target, port] of targets) {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* withVictim(first, "victim-a", app)
        const forward = yield* PortForward.open(target)
        yield* answersAt(forward, port)
        yield* same(yield* forward.pod, "victim-a", `pod of the ${target.kind}`)
        const old = yield* Effect.flatMap(PortForward.open(Target.pod("victim-a")), (its) => its.connect("lab"))
        const ended = yield* Effect.forkScoped(reasonOf(readAll(old)))
        yield* withVictim(second, "victim-b", app)
        yield* Pods.remove("victim-a")
        // Nodes let a program go on for some seconds after its pod was deleted, and until then it answers.
        yield* Fiber.join(ended)
        const page = yield* ask(forward, port, get)
        yield* check(page.endsWith("hello\n"), `the other pod of the ${target.kind}, at the first try: ${page}`)
        yield* same(yield* forward.pod, "victim-b", `pod of the ${target.kind} afterwards`)
      }))
    }
  }, { only: once })
]
