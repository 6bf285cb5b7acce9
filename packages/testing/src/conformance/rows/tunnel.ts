/**
 * Exec through a tunnel, as an agent inside a cluster's network gives it: every row asserts the transport that was used.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as PortForward from "@effect-k8s/channels/PortForward"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import * as ExecFault from "../../pods/ExecFault.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same, type Unmet } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as Stacked from "../Stacked.ts"
import * as Terminal from "../Terminal.ts"
import * as Used from "../Used.ts"

const MiB = 1024 * 1024

type Seconds = `${number} seconds`
type Options = ExecOptions & { readonly transport?: Used.Transport }
const transports: ReadonlyArray<Used.Transport> = ["websocket", "spdy"]

/** A deadline of 400 ms, without a word from the server. */
const nervous: Options = { heartbeat: { after: "100 millis", within: "300 millis" } }
// A tunnel that drops says so, and nothing waits for a deadline. One that goes silent does not: more than the deadline above,
// and less than the one that is the default.
const dropped = "2 seconds"
const silenced = "8 seconds"

/** All of them, so long after something has happened to the tunnel. */
const endsWithin = (ends: ReadonlyArray<Effect.Effect<string, Unmet>>, duration: Seconds) =>
  Effect.timeoutOrElse(Effect.all(ends, { concurrency: "unbounded" }), {
    duration,
    orElse: () => Effect.succeed([`not all within ${duration}`])
  })

/** Starts endless output, reads some of it, has something done to the tunnel, and gives how everything ended. */
const midStream = Effect.fnUntraced(
  function*(happen: Effect.Effect<void>, duration: Seconds, options: Options = {}) {
    const { dials, target } = yield* Lab
    const before = dials()
    const handle = yield* Exec.on(target(), options)(["sh", "-c", "yes"])
    yield* Used.check(handle, before + 1, options.transport)
    const happened = yield* Latch.make()
    let bytes = 0
    const reading = yield* Effect.forkChild(reasonOf(Stream.runForEach(handle.stdout, (chunk) =>
      Effect.suspend(() => {
        const before = bytes
        bytes += chunk.length
        return before < MiB && bytes >= MiB ? Effect.andThen(happen, happened.open) : Effect.void
      }))))
    // Output that ends before says why below.
    yield* Effect.raceFirst(happened.await, Fiber.join(reading))
    const exit = Effect.gen(function*(): Effect.fn.Return<string, Unmet> {
      const error = yield* failureOf(handle.exitCode)
      yield* check(error.message.includes(target().pod), `the message does not name the pod: ${error.message}`)
      return error.reason._tag
    })
    return yield* endsWithin([Fiber.join(reading), exit, reasonOf(Stream.runDrain(handle.stderr))], duration)
  },
  Effect.scoped
)

/** The same for a command that says nothing. */
const idle = Effect.fnUntraced(
  function*(happen: Effect.Effect<void>, duration: Seconds, options: Options = {}) {
    const { dials, target } = yield* Lab
    const before = dials()
    const handle = yield* Exec.on(target(), options)(["sleep", "3"])
    yield* Used.check(handle, before + 1, options.transport)
    yield* happen
    return yield* endsWithin(
      [reasonOf(Stream.runDrain(handle.stdout)), reasonOf(handle.exitCode), reasonOf(Stream.runDrain(handle.stderr))],
      duration
    )
  },
  Effect.scoped
)

const afterDial = Effect.fnUntraced(function*(count: number): Effect.fn.Return<void, never, Lab> {
  const { dials } = yield* Lab
  while (dials() < count) yield* Effect.sleep(1)
})

const lost = ["ConnectionLost", "ConnectionLost", "ConnectionLost"]
const stalled = ["PeerStalled", "PeerStalled", "PeerStalled"]

const only = { path: "tunnel", why: "this is about what a tunnel carries, and how it ends" } as const

/** The rows, by the numbers that such tests have had. */
export const rows: ReadonlyArray<Row> = [
  row("T1", "a line that goes in comes back while the command runs", function*() {
    const { target } = yield* Lab
    const line = new TextEncoder().encode("hello\n")
    const input = Stream.concat(Stream.succeed(line), Stream.never)
    const handle = yield* Exec.feed(Exec.on(target())(["cat"]), input)
    yield* Used.check(handle, 1)
    const first = yield* Stream.runHead(Stream.splitLines(Stream.decodeText(handle.stdout)))
    yield* same(first._tag === "Some" ? first.value : undefined, "hello", "the first line")
    yield* check(yield* handle.isRunning, "the command has ended")
  }, { only, halfClose: true }),
  row("T2", "1 MiB of random bytes goes in, comes out, and goes both ways at once, unchanged", function*() {
    const { target } = yield* Lab
    const file = Remote.makeFile()
    const data = RandomData.make(22, MiB)
    const up = yield* Exec.feed(Exec.on(target())(["sh", "-c", `cat > ${file}`]), data.stream)
    yield* Used.check(up, 1)
    yield* same(yield* up.exitCode, 0, "exit code")
    yield* same(yield* Remote.hashOf(target(), file), data.hash, "hash of what was stored")
    const down = yield* Exec.on(target())(["cat", file])
    yield* Used.check(down, 3)
    yield* same(yield* RandomData.hash(down.stdout), data.hash, "hash of what came back")
    const both = yield* Exec.feed(Exec.on(target())(["cat"]), data.stream)
    yield* Used.check(both, 4)
    yield* same(yield* RandomData.hash(both.stdout), data.hash, "hash of what went both ways")
    yield* Remote.remove(target(), file)
  }, { only, halfClose: true }),
  row("T3", "the terminal takes 200x50, and the last of many sizes in a row", function*() {
    const { target } = yield* Lab
    const terminal = yield* Terminal.open(target(), { width: 80, height: 24 })
    yield* Used.check(terminal.handle, 1)
    yield* terminal.resize({ width: 200, height: 50 })
    yield* terminal.shows("50 200")
    for (let width = 1; width <= 100; width++) yield* terminal.resize({ width, height: 10 })
    yield* terminal.shows("10 100")
    yield* terminal.end
  }, { only }),
  ...transports.flatMap((transport) => [
    row("T7", `over ${transport}: a tunnel that drops in the middle of a stream is a lost connection`, function*() {
      const { tunnel } = yield* Lab
      for (const how of ["fin", "reset"] as const) {
        const ends = yield* midStream(tunnel.drop(how), dropped, { transport })
        yield* same(ends, lost, `stdout, exit code, stderr after ${how}`)
      }
    }, { only }),
    row(
      "T7",
      `over ${transport}: a tunnel that drops under a silent command is a lost connection at once`,
      function*() {
        const { tunnel } = yield* Lab
        for (const how of ["fin", "reset"] as const) {
          const ends = yield* idle(tunnel.drop(how), dropped, { transport })
          yield* same(ends, lost, `stdout, exit code, stderr after ${how}`)
        }
      },
      { only }
    ),
    row(
      "T7",
      `over ${transport}: a tunnel that goes silent is a stalled peer after the deadline, in a stream and without one`,
      function*() {
        const { tunnel } = yield* Lab
        const options: Options = { ...nervous, transport }
        // A silent tunnel passes no end either.
        yield* Effect.addFinalizer(() => tunnel.drop("reset"))
        yield* same(
          yield* idle(tunnel.silence, silenced, options),
          stalled,
          "stdout, exit code, stderr of a silent command"
        )
        yield* tunnel.drop("reset")
        yield* same(
          yield* midStream(tunnel.silence, silenced, options),
          stalled,
          "stdout, exit code, stderr in the middle of a stream"
        )
      },
      { only }
    )
  ]),
  row("T7", "a tunnel that is slow loses nothing, and is not taken for a dead one", function*() {
    const { ports, target, tunnel } = yield* Lab
    const data = RandomData.make(7, MiB)
    yield* Effect.addFinalizer(() => tunnel.drop("reset"))
    yield* tunnel.slow(500_000)
    for (const transport of transports) {
      const options: ExecOptions = { transport, heartbeat: { after: "200 millis", within: "5 seconds" } }
      const handle = yield* Exec.feed(Exec.on(target(), options)(["cat"]), data.stream)
      yield* same(yield* RandomData.hash(handle.stdout), data.hash, `hash of what went both ways over ${transport}`)
      yield* same(yield* handle.exitCode, 0, "exit code")
    }
    const forward = yield* PortForward.open(target("web"), { heartbeat: { after: "200 millis", within: "5 seconds" } })
    const connection = yield* forward.connect(ports.lab)
    yield* Stream.run(Stream.encodeText(Stream.make(`pour ${MiB}\n`)), connection.write)
    yield* same(yield* Remote.countBytes(connection.read), MiB, `bytes over ${forward.transport}`)
  }, { only, halfClose: true }),
  row("T8", "a client that leaves before the command has started leaves nothing behind", function*() {
    const { server, target } = yield* Lab
    const marker = Remote.makeMarker()
    if (server._tag === "TestCluster") yield* Scripted.fault(marker, ExecFault.delayAnswer("200 millis"))
    for (const [i, millis] of [0, 1, 5, 20].entries()) {
      const fiber = yield* Effect.forkChild(Effect.scoped(Exec.on(target())(["sh", "-c", "sleep 1000; :", marker])))
      yield* afterDial(i + 1)
      yield* Effect.sleep(millis)
      yield* Fiber.interrupt(fiber)
    }
    yield* Effect.sleep("300 millis")
    yield* Remote.gone(target(), marker)
  }, { only }),
  row(
    "T8",
    "a tunnel that drops before the server has answered is a lost connection, and nothing is tried again",
    function*() {
      const lab = yield* Lab
      const marker = Remote.makeMarker()
      const injected = yield* Scripted.fault(marker, ExecFault.delayAnswer("200 millis"))
      for (const [i, how] of (["fin", "reset"] as const).entries()) {
        const command = Effect.scoped(Exec.on(lab.target())(["sh", "-c", "sleep 1; :", marker]))
        const fiber = yield* Effect.forkChild(failureOf(command))
        while ((yield* injected.hits) <= i) yield* Effect.sleep(1)
        yield* lab.tunnel.drop(how)
        yield* same(transportReason(yield* Fiber.join(fiber)), "ConnectionLost", `reason after ${how}`)
        yield* same(lab.dials(), i + 1, "connections dialled")
      }
      yield* Remote.gone(lab.target(), marker)
    },
    { only, scripted: "a real server answers at once; V12 drops the tunnel around that moment" }
  ),
  row(
    "T9",
    "a command with stdin runs behind the server's authentication, log and compression, in every order of them",
    function*() {
      const { dials } = yield* Lab
      const { run, runs } = yield* Stacked.make
      const input = Stream.succeed(new TextEncoder().encode("in\n"))
      const command = ["sh", "-c", "cat; echo err >&2; exit 7"] as const
      for (const [i, order] of Stacked.orders.entries()) {
        const before = dials()
        const ended = run(order, (target) =>
          Effect.scoped(Effect.gen(function*() {
            const handle = yield* Exec.feed(Exec.on(target)(command), input)
            yield* Used.check(handle, before + 1)
            return yield* Effect.all([
              Stream.mkString(Stream.decodeText(handle.stdout)),
              Stream.mkString(Stream.decodeText(handle.stderr)),
              handle.exitCode
            ], { concurrency: "unbounded" })
          })))
        const what = `stdout, stderr, exit code behind ${order.join(", ")}`
        yield* same(yield* ended, ["in\n", "err\n", 7], what)
        yield* same(yield* runs, i + 1, "execs that were logged")
      }
    },
    { only, scripted: "what stands around the handlers of a real server is its own affair" }
  )
]

const transportReason = ({ reason }: KubeError): string =>
  reason._tag === "Transport" ? reason.error.reason._tag : reason._tag
