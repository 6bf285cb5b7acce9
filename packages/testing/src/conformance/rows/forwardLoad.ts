/**
 * Many forwarded connections, and those that nobody reads: none holds up another, and none leaves anything.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { settled } from "../../contract/Row.ts"
import { ask, eachTransport, echo, once, open, readAll, send, shared } from "../Forwards.ts"
import { Lab } from "../Lab.ts"
import * as Memory from "../Memory.ts"
import * as Remote from "../Remote.ts"
import { check, reasonOf, type Row, row, same } from "../Row.ts"

const MiB = 1024 * 1024
const encoder = new TextEncoder()

/** The rows, in the order of the list of cases. */
export const rows: ReadonlyArray<Row> = [
  row("B1", "refused connections among a hundred disturb none of the others, all at once over one socket", function*() {
    const { ports, server } = yield* Lab
    // The pod of a real cluster listens by programs that cannot take so many at once.
    const [concurrency, sockets] = server._tag === "TestCluster" ? ["unbounded", 1] as const : [25, undefined] as const
    yield* eachTransport(
      Effect.fnUntraced(function*(forward) {
        const all = Array.from({ length: 100 }, (_, i) => i)
        const ends = yield* Effect.forEach(all, (i) =>
          i % 10 === 0
            ? reasonOf(ask(forward, ports.refused, ""))
            : Effect.map(echo(forward, `number ${i}`), (text) => text === `number ${i}` ? "echo" : text), {
          concurrency
        })
        yield* same(ends, all.map((i) => i % 10 === 0 ? "PortRefused" : "echo"), "ends")
      }),
      { sockets },
      shared
    )
  }),
  row("B2", "a connection that nobody reads holds up none that is asked for later", function*() {
    const { ports } = yield* Lab
    yield* eachTransport(Effect.fnUntraced(function*(forward) {
      const unread = yield* forward.connect(ports.lab)
      yield* send(unread, "pour 1000000000\n")
      const stuck = yield* settled(Effect.map(unread.stats, ({ received }) => received))
      for (let i = 0; i < 5; i++) yield* same(yield* echo(forward, `number ${i}`), `number ${i}`, "echo")
      const { received } = yield* unread.stats
      yield* same(received, stuck, "bytes of the unread one, which is held back, not dropped")
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
        // It goes in the end: a server that waits to pass bytes on does not see that its client has left.
        const zeros = Stream.forever(Stream.succeed(new Uint8Array(64 * 1024)))
        const all = Stream.concat(Stream.succeed(encoder.encode("swallow 8\n")), zeros)
        const writing = yield* Effect.forkChild(Stream.run(all, stuck.write))
        yield* Effect.sleep("1500 millis")
        for (let i = 0; i < 3; i++) yield* same(yield* echo(forward, `number ${i}`), `number ${i}`, "echo")
        yield* check(writing.pollUnsafe() === undefined, "the connection that is not read has ended")
      }, Effect.scoped))
    }, // A relay that waits to pass bytes on does not see its client leave.
    { only: once }
  ),
  row("B4", "a thousand connections one after the other leave memory as it was", function*() {
    const forward = yield* open()
    const some = (count: number) => Effect.repeat(echo(forward, "x"), { times: count - 1 })
    yield* some(300)
    const allowed = 4 * MiB
    const { bytes } = yield* Memory.retained(some(1000), allowed)
    yield* check(bytes <= allowed, `${bytes} bytes are left on the heap`)
    const { connections, sockets } = yield* forward.stats
    yield* same(connections, 0, "connections that are left")
    // While a busy server lets one wait, the next is given a socket of its own.
    yield* check(sockets <= 2, `${sockets} sockets were opened`)
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
  }, { only: once })
]
