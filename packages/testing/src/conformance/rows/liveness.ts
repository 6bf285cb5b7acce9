/**
 * Connections that go silent, are lost, or are given up: who is dead is told, and who is only slow is not.
 */
import * as Exec from "@effect-k8s/channels/Exec"
import type { ExecHandle } from "@effect-k8s/channels/ExecHandle"
import type { ExecOptions } from "@effect-k8s/channels/ExecOptions"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import type { Subprotocol } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import * as KubeClient from "@effect-k8s/core/KubeClient"
import type { TransportError } from "@effect-k8s/core/TransportError"
import type * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { settled } from "../../contract/Row.ts"
import * as ExecFault from "../../pods/ExecFault.ts"
import type { Peer } from "../../pods/Peer.ts"
import { Lab } from "../Lab.ts"
import * as RandomData from "../RandomData.ts"
import * as Remote from "../Remote.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"
import * as Scripted from "../Scripted.ts"
import * as SupervisorRecords from "../SupervisorRecords.ts"

const MiB = 1024 * 1024

/** Short deadlines. */
const nervous: ExecOptions = { heartbeat: { after: "100 millis", within: "300 millis" } }
/** For servers that are alive: a busy machine takes its time to answer too. */
const patient: ExecOptions = { heartbeat: { after: "100 millis", within: "800 millis" } }
// What takes longer than this was not told by the end of the connection, but by a deadline.
const atOnce = "5 seconds"

const endless = Stream.forever(Stream.succeed(new Uint8Array(64 * 1024)))

const isPing = (event: { readonly _tag: string }): event is WebSocketFrame.Event & { readonly _tag: "Pong" } =>
  event._tag === "Pong"

/** Pings the client with some bytes, and ends with exit code 0 if they come back as they were. */
const pingClient = (payload: Uint8Array) =>
  Effect.fnUntraced(function*(peer: Peer): Effect.fn.Return<void, TransportError | Cause.Done> {
    yield* peer.ready(1)
    yield* peer.say(1, SupervisorRecords.started(peer.call))
    yield* peer.frame({ opcode: WebSocketFrame.Opcode.Ping, payload })
    const pong = yield* peer.receiveUntil(isPing)
    const isEcho = String(pong.payload) === String(payload)
    yield* peer.say(1, `still here\n${SupervisorRecords.ended(peer.call, isEcho ? 0 : 1)}`)
    yield* peer.say(2, SupervisorRecords.ended(peer.call, isEcho ? 0 : 1))
    yield* peer.finish(isEcho ? 0 : 1)
  })

/** Everything that somebody may wait for on a running command, by the reason that it fails with. */
const allEnds = Effect.fnUntraced(function*(lose: Effect.Effect<void>) {
  const { target } = yield* Lab
  const file = Remote.makeFile()
  // It reads nothing until it is told.
  const script = `until [ -e ${file} ]; do sleep 0.05; done; cat >/dev/null; rm ${file}`
  const handle = yield* Exec.on(target(), { stdin: "pipe" })(["sh", "-c", script])
  const waiting = yield* Effect.forEach([
    reasonOf(Stream.runDrain(handle.stdout)),
    reasonOf(Stream.runDrain(handle.stderr)),
    reasonOf(handle.exitCode),
    reasonOf(handle.verified),
    reasonOf(handle.status),
    reasonOf(Stream.run(endless, handle.stdin))
  ], (one) => Effect.forkChild(one, { startImmediately: true }))
  yield* writeWaits(handle)
  yield* lose
  const ends = yield* Effect.timeoutOrElse(Fiber.joinAll(waiting), {
    duration: atOnce,
    orElse: () => Effect.succeed([`nothing within ${atOnce}`])
  })
  yield* Exec.exitCode(Exec.on(target())(["touch", file]))
  return ends
})

/** Reads the client's bytes until a message has begun, and no more until it is told; then everything to the end. */
const stopReading = Effect.fnUntraced(function*() {
  const blocked = yield* Deferred.make<void>()
  const goOn = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<void>()
  const serve = Effect.fnUntraced(function*(peer: Peer): Effect.fn.Return<void, TransportError | Cause.Done> {
    yield* peer.ready(1)
    yield* peer.say(1, SupervisorRecords.started(peer.call))
    yield* peer.receive
    yield* Deferred.succeed(blocked, undefined)
    yield* Deferred.await(goOn)
    yield* Effect.exit(Effect.forever(peer.pull))
    yield* Deferred.succeed(ended, undefined)
  })
  return { blocked, goOn, ended, serve }
})

/** Waits until no more of a command's stdin is taken: a write waits for the other side. */
const writeWaits = ({ stats }: ExecHandle) => settled(Effect.map(stats, ({ stdinBytes }) => stdinBytes))

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("E10", "a server that answers no ping is stalled: every waiter is told, after a ping", function*() {
    // A server that stands still does not see its clients leave, so it is one of the row's own.
    const { client, cluster, target } = yield* Scripted.own()
    for (const supervise of ["preferred", "never"] as const) {
      for (const fault of [ExecFault.withholdPongs, ExecFault.stall(1000)]) {
        const { remove } = yield* cluster.pods.inject({}, fault)
        const command = Exec.on(target, { ...nervous, supervise })
        const handle = yield* Effect.provideService(
          command(["sh", "-c", "head -c 200000 /dev/zero; sleep 1000"]),
          KubeClient.KubeClient,
          client
        )
        const ends = yield* Effect.all([
          reasonOf(Stream.runDrain(handle.stdout)),
          reasonOf(Stream.runDrain(handle.stderr)),
          reasonOf(handle.exitCode)
        ], { concurrency: "unbounded" })
        yield* same(ends, ["PeerStalled", "PeerStalled", "PeerStalled"], "ends")
        const record = (yield* cluster.pods.execs()).at(-1)
        yield* check(record?.arrivals.some(({ kind }) => kind === "ping") === true, "the server was not pinged")
        yield* remove
      }
    }
  }, { scripted: "a real server always answers; T7 has a silent tunnel" }),
  row("E10", "a reader that pauses for longer than the deadline does not make the server a dead one", function*() {
    const { target } = yield* Lab
    // A ping that reaches a server which has hung up costs the output on its way, so a busy machine must not take longer
    // than `after` to bring the next of it.
    const heartbeat = { after: "1 second", within: "1 second" } as const
    for (const supervise of ["preferred", "never"] as const) {
      const command = Exec.on(target(), { heartbeat, supervise, protocols: ["v4.channel.k8s.io"] })
      const handle = yield* command(["head", "-c", "33554432", "/dev/zero"])
      const bytes = yield* Remote.countBytes(Remote.pauseAfterFirst(2500)(handle.stdout))
      yield* same(bytes, 32 * MiB, `bytes of stdout, ${supervise}`)
      yield* same(yield* handle.exitCode, 0, "exit code")
    }
  }),
  row("E10", "nor does a command that reads no stdin for longer than the deadline", function*() {
    const { target } = yield* Lab
    const data = RandomData.make(10, 32 * MiB)
    const command = Exec.on(target(), patient)(["sh", "-c", "sleep 1.2; sha256sum"])
    const output = yield* Exec.string(Exec.feed(command, data.stream))
    yield* same(output.split(" ")[0], data.hash, "hash of what it has read")
  }),
  row("E11", "a silent command lives for longer than the deadlines, because the server answers pings", function*() {
    const { server, target } = yield* Lab
    const marker = Remote.makeMarker()
    const command = Exec.on(target(), { heartbeat: { after: "50 millis", within: "1 second" } })
    const handle = yield* command(["sh", "-c", "sleep 0.8; echo done", marker])
    yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "done\n", "stdout")
    yield* same(yield* handle.exitCode, 0, "exit code")
    if (server._tag === "Cluster") return
    const [record] = yield* Scripted.records(marker)
    const pings = record?.arrivals.filter(({ kind }) => kind === "ping").length ?? 0
    yield* check(pings > 3, `the server was pinged ${pings} times`)
  }),
  row("E11", "a pong echoes the ping, and the session goes on", function*() {
    const { target } = yield* Lab
    for (const supervise of ["preferred", "never"] as const) {
      for (const size of [0, 1, 125]) {
        const marker = Remote.makeMarker()
        yield* Scripted.fault(marker, ExecFault.script(pingClient(RandomData.bytes(size + 1, size))))
        const handle = yield* Exec.on(target(), { supervise })(["true", marker])
        yield* same(yield* Stream.mkString(Stream.decodeText(handle.stdout)), "still here\n", "stdout")
        yield* same(yield* handle.exitCode, 0, `pong of ${size} bytes, ${supervise}`)
      }
    }
  }, { scripted: "real servers do not ping" }),
  row(
    "E13",
    "a server's idle limit ends a silent command in spite of pings; an empty message in time keeps it, on v5 and v4",
    function*() {
      const { client, cluster, target } = yield* Scripted.own({ idleMillis: 1000 })
      const attempt = Effect.fnUntraced(function*(protocol: Subprotocol, keepAliveAfter: Duration.Input) {
        const marker = Remote.makeMarker()
        const command = Exec.on(target, {
          protocols: [protocol],
          heartbeat: { after: "50 millis", within: "1 minute", keepAliveAfter }
        })(["sh", "-c", "sleep 2; echo done", marker])
        const end = yield* reasonOf(Exec.string(command))
        const [record] = yield* cluster.pods.execs(Scripted.withWord(marker))
        const count = (kind: string) => record?.arrivals.filter((arrival) => arrival.kind === kind).length ?? 0
        return { end, pings: count("ping"), keepAlives: count("ignored") }
      })
      yield* Effect.gen(function*() {
        const protocols = [RemoteCommand.v5, RemoteCommand.v4] as const
        const [lost, kept] = yield* Effect.all([
          Effect.forEach(protocols, (protocol) => attempt(protocol, "1 minute"), { concurrency: "unbounded" }),
          Effect.forEach(protocols, (protocol) => attempt(protocol, "200 millis"), { concurrency: "unbounded" })
        ], { concurrency: "unbounded" })
        for (const { end, keepAlives, pings } of lost) {
          yield* same([end, keepAlives], ["ConnectionLost", 0], "end, and empty messages, with pings alone")
          yield* check(pings > 3, `the server was pinged ${pings} times`)
        }
        for (const { end, keepAlives } of kept) {
          yield* same(end, "success: \"done\\n\"", "end with empty messages")
          yield* check(keepAlives > 1, `the server was sent ${keepAlives} empty messages`)
        }
      }).pipe(Effect.provideService(KubeClient.KubeClient, client))
    },
    { scripted: "the idle limit of a real server is four hours" }
  ),
  row(
    "E25",
    "when the connection is closed, everything that waits on it ends, a blocked write of stdin too",
    function*() {
      const { tunnel } = yield* Lab
      for (const how of ["fin", "reset"] as const) {
        const ends = yield* Effect.scoped(allEnds(tunnel.drop(how)))
        yield* same(new Set(ends).size, 1, `kinds of ends after ${how}: ${ends.join(", ")}`)
        yield* same(ends[0], "ConnectionLost", `end after ${how}`)
      }
    },
    { only: { path: "tunnel", why: "the tunnel is what ends the connection" } }
  ),
  row("A8", "an interruption in the middle of a frame closes the socket, whose other side reads nothing", function*() {
    const { target } = yield* Lab
    for (const supervise of ["preferred", "never"] as const) {
      const marker = Remote.makeMarker()
      const { blocked, ended, goOn, serve } = yield* stopReading()
      yield* Scripted.fault(marker, ExecFault.script(serve))
      const started = yield* Deferred.make<ExecHandle>()
      const fiber = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Exec.on(target(), { supervise, stdin: "pipe" })(["cat", marker])
        yield* Deferred.succeed(started, handle)
        yield* Stream.run(endless, handle.stdin)
      })))
      yield* Deferred.await(blocked)
      yield* writeWaits(yield* Deferred.await(started))
      yield* Fiber.interrupt(fiber)
      yield* Deferred.succeed(goOn, undefined)
      // No deadline of ours is as short as this; what ends the connection is the interruption.
      yield* Effect.timeoutOrElse(Deferred.await(ended), {
        duration: "4 seconds",
        orElse: () => check(false, "the connection is still open")
      })
    }
  }, {
    scripted: "a real server does not tell when a connection has ended; V7 and X3 interrupt there"
  }),
  row("A8", "an interruption while a write of stdin waits leaves nothing", function*() {
    const { target } = yield* Lab
    for (const millis of [50, 300, 700]) {
      const command = Exec.feed(Exec.on(target())(["sh", "-c", "sleep 1; cat >/dev/null"]), endless)
      const fiber = yield* Effect.forkChild(Exec.exitCode(command))
      yield* Effect.sleep(millis)
      yield* Effect.timeoutOrElse(Fiber.interrupt(fiber), {
        duration: atOnce,
        orElse: () => Effect.asVoid(check(false, "the interruption waits for the write"))
      })
    }
  })
]
