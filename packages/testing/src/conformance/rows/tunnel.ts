/**
 * Exec through a tunnel, as an agent inside a cluster's network gives it: every row asserts the transport that was used.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import type { KubeError } from "@effect-k8s/core/KubeError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as ExecFault from "../../pods/ExecFault.ts"
import { Lab, minorVersion } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, failureOf, reasonOf, type Row, row, same, type Unmet } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as Terminal from "../Terminal.ts"

const MiB = 1024 * 1024

/** A deadline of 400 ms, without a word from the server. */
const nervous: ExecOptions = { heartbeat: { after: "100 millis", within: "300 millis" } }
// More than the deadline above, less than the one that is the default.
const soon = "8 seconds"

/** Fails unless the handle's connection is the only one, and a WebSocket with the best protocol of the server. */
const throughTunnel = Effect.fnUntraced(
  function*(handle: ExecHandle, dials: number): Effect.fn.Return<void, Unmet, Lab> {
    const lab = yield* Lab
    const protocol = minorVersion(lab.server) < 30 ? "v4.channel.k8s.io" : "v5.channel.k8s.io"
    yield* same(
      [handle.transport, handle.protocol, handle.info.protocol, lab.dials()],
      ["websocket", protocol, `websocket ${protocol}`, dials],
      "transport, protocol, and connections dialled"
    )
  }
)

/** Starts endless output, reads some of it, has something done to the tunnel, and gives how everything ended. */
const midStream = Effect.fnUntraced(function*(happen: Effect.Effect<void>) {
  const { dials, target } = yield* Lab
  const before = dials()
  const handle = yield* Exec.on(target(), nervous)(["sh", "-c", "yes"])
  yield* throughTunnel(handle, before + 1)
  let bytes = 0
  const reading = yield* Effect.forkChild(reasonOf(Stream.runForEach(handle.stdout, (chunk) =>
    Effect.suspend(() => {
      const before = bytes
      bytes += chunk.length
      return before < MiB && bytes >= MiB ? happen : Effect.void
    }))))
  const error = yield* failureOf(handle.exitCode)
  yield* check(error.message.includes(target().pod), `the message does not name the pod: ${error.message}`)
  return [yield* Fiber.join(reading), error.reason._tag, yield* reasonOf(Stream.runDrain(handle.stderr))]
})

/** The same for a command that says nothing. */
const idle = Effect.fnUntraced(function*(happen: Effect.Effect<void>) {
  const { dials, target } = yield* Lab
  const before = dials()
  const handle = yield* Exec.on(target(), nervous)(["sleep", "3"])
  yield* throughTunnel(handle, before + 1)
  yield* happen
  return yield* Effect.all([
    reasonOf(Stream.runDrain(handle.stdout)),
    reasonOf(handle.exitCode),
    reasonOf(Stream.runDrain(handle.stderr))
  ], { concurrency: "unbounded" })
})

const within = <E, R>(effect: Effect.Effect<ReadonlyArray<string>, E, R>) =>
  Effect.timeoutOrElse(Effect.scoped(effect), {
    duration: soon,
    orElse: () => Effect.succeed([`nothing within ${soon}`])
  })

const afterDial = Effect.fnUntraced(function*(count: number): Effect.fn.Return<void, never, Lab> {
  const { dials } = yield* Lab
  while (dials() < count) yield* Effect.sleep(1)
})

const only = { path: "tunnel", why: "this is about what a tunnel carries, and how it ends" } as const

/** The rows, by the numbers that such tests have had. */
export const rows: ReadonlyArray<Row> = [
  row("T1", "a line that goes in comes back while the command runs", function*() {
    const { target } = yield* Lab
    const line = new TextEncoder().encode("hello\n")
    const input = Stream.concat(Stream.succeed(line), Stream.never)
    const handle = yield* Exec.feed(Exec.on(target())(["cat"]), input)
    yield* throughTunnel(handle, 1)
    const first = yield* Stream.runHead(Stream.splitLines(Stream.decodeText(handle.stdout)))
    yield* same(first._tag === "Some" ? first.value : undefined, "hello", "the first line")
    yield* check(yield* handle.isRunning, "the command has ended")
  }, { only, halfClose: true }),
  row("T2", "1 MiB of random bytes goes in, comes out, and goes both ways at once, unchanged", function*() {
    const { target } = yield* Lab
    const file = Remote.makeFile()
    const data = RandomData.make(22, MiB)
    const up = yield* Exec.feed(Exec.on(target())(["sh", "-c", `cat > ${file}`]), data.stream)
    yield* throughTunnel(up, 1)
    yield* same(yield* up.exitCode, 0, "exit code")
    yield* same(yield* Remote.hashOf(target(), file), data.hash, "hash of what was stored")
    const down = yield* Exec.on(target())(["cat", file])
    yield* throughTunnel(down, 3)
    yield* same(yield* RandomData.hash(down.stdout), data.hash, "hash of what came back")
    const both = yield* Exec.feed(Exec.on(target())(["cat"]), data.stream)
    yield* throughTunnel(both, 4)
    yield* same(yield* RandomData.hash(both.stdout), data.hash, "hash of what went both ways")
    yield* Remote.remove(target(), file)
  }, { only, halfClose: true }),
  row("T3", "the terminal takes 200x50, and the last of many sizes in a row", function*() {
    const { target } = yield* Lab
    const terminal = yield* Terminal.open(target(), { width: 80, height: 24 })
    yield* throughTunnel(terminal.handle, 1)
    yield* terminal.resize({ width: 200, height: 50 })
    yield* terminal.shows("50 200")
    for (let width = 1; width <= 100; width++) yield* terminal.resize({ width, height: 10 })
    yield* terminal.shows("10 100")
    yield* terminal.end
  }, { only }),
  row("T7", "a tunnel that drops in the middle of a stream is a lost connection, by FIN and by RST", function*() {
    const { tunnel } = yield* Lab
    for (const how of ["fin", "reset"] as const) {
      const lost = ["ConnectionLost", "ConnectionLost", "ConnectionLost"]
      yield* same(yield* within(midStream(tunnel.drop(how))), lost, `stdout, exit code, stderr after ${how}`)
    }
  }, { only }),
  row(
    "T7",
    "a tunnel that drops under a silent command is a lost connection, without waiting for a deadline",
    function*() {
      const { tunnel } = yield* Lab
      for (const how of ["fin", "reset"] as const) {
        const lost = ["ConnectionLost", "ConnectionLost", "ConnectionLost"]
        yield* same(yield* within(idle(tunnel.drop(how))), lost, `stdout, exit code, stderr after ${how}`)
      }
    },
    { only }
  ),
  row("T7", "a tunnel that goes silent is a stalled peer after the deadline, in a stream and without one", function*() {
    const { tunnel } = yield* Lab
    // A silent tunnel passes no end either.
    yield* Effect.addFinalizer(() => tunnel.drop("reset"))
    const stalled = ["PeerStalled", "PeerStalled", "PeerStalled"]
    yield* same(yield* within(idle(tunnel.silence)), stalled, "stdout, exit code, stderr of a silent command")
    yield* tunnel.drop("reset")
    yield* same(
      yield* within(midStream(tunnel.silence)),
      stalled,
      "stdout, exit code, stderr in the middle of a stream"
    )
  }, { only }),
  row("T8", "a client that leaves before the command has started leaves nothing behind", function*() {
    const { server, target } = yield* Lab
    const marker = Remote.makeMarker()
    if (server._tag === "TestCluster") yield* Scripted.fault(marker, ExecFault.delayAnswer("200 millis"))
    for (const [i, millis] of [0, 1, 5, 20].entries()) {
      const fiber = yield* Effect.forkChild(Effect.scoped(Exec.on(target())(["sh", "-c", "sleep 1000", marker])))
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
        const command = Effect.scoped(Exec.on(lab.target())(["sh", "-c", "sleep 1", marker]))
        const fiber = yield* Effect.forkChild(failureOf(command))
        while ((yield* injected.hits) <= i) yield* Effect.sleep(1)
        yield* lab.tunnel.drop(how)
        yield* same(transportReason(yield* Fiber.join(fiber)), "ConnectionLost", `reason after ${how}`)
        yield* same(lab.dials(), i + 1, "connections dialled")
      }
      yield* Remote.gone(lab.target(), marker)
    },
    { only, scripted: "a real server answers at once; V12 drops the tunnel around that moment" }
  )
]

const transportReason = ({ reason }: KubeError): string =>
  reason._tag === "Transport" ? reason.error.reason._tag : reason._tag
