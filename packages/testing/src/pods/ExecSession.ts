/**
 * An exec from the 101 to the end of the connection: the server's half of protocol reference 2.6 to 2.10 and 3.4 to 3.9.
 * What runs is behind the pipes, how it is said on the line.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ExecCall } from "./ExecCall.ts"
import type * as ExecLine from "./ExecLine.ts"
import * as ExecPipes from "./ExecPipes.ts"
import type { Arrival, Entry } from "./ExecRecords.ts"
import type * as ExecWire from "./ExecWire.ts"
import type { Harm } from "./Harm.ts"

/** One exec. */
export interface Options {
  readonly call: ExecCall
  readonly line: ExecLine.ExecLine
  readonly harm: Harm
  readonly sizes: ExecPipes.Sizes
  readonly entry: Entry
  /** What runs, until it ends. It outlives the connection. */
  readonly run: (pipes: ExecPipes.ExecPipes) => Effect.Effect<ExecPipes.End>
  /** Where it runs. */
  readonly scope: Scope.Scope
  /** Changes what the server does on the wire. */
  readonly wire: (wire: ExecWire.ExecWire) => ExecWire.ExecWire
  /** Whether the connection is read at all. */
  readonly reads: boolean
  /** How long the connection may be without data in either direction, in milliseconds. */
  readonly idleMillis: number
}

// How a client leaves: with a close frame, without, because of what it sent, or because nothing was said for too long.
type Leaving = "closed" | "lost" | "broken" | "idle"

/** Serves a connection until one of the two ends it. */
export const serve = Effect.fnUntraced(function*(
  connection: ServerConnection,
  options: Options
): Effect.fn.Return<void> {
  const { call, entry, harm, line } = options
  const pipes = ExecPipes.make(options.sizes)
  const { notice, output, stdin } = pipes
  const wire = options.wire(line.wire)
  const resizes = RemoteCommand.makeResizeParser()
  const isTranslated = line.transport === "websocket" && line.subprotocol === RemoteCommand.v5

  const leave = (how: "closed" | "lost"): void => pipes.leave(ExecPipes.departureOf(harm, { isTranslated, how }))

  const arrive = (kind: Arrival["kind"], bytes: number): Effect.Effect<void> =>
    Effect.map(
      Clock.currentTimeMillis,
      (at) => entry.arrive({ at, kind, bytes, backlog: output.size(), afterStatus: entry.record.hasStatus })
    )

  let dataAt = yield* Clock.currentTimeMillis
  const hasData = Effect.map(Clock.currentTimeMillis, (now) => {
    dataAt = now
  })

  // Both ways count, and every message of data, an empty one too; pings and pongs do not.
  const idleLimit = Effect.gen(function*() {
    while (true) {
      const left = dataAt + options.idleMillis - (yield* Clock.currentTimeMillis)
      if (left <= 0) return
      yield* Effect.sleep(left)
    }
  })

  // The server reads on only when what it has read has found a place, and answers no ping meanwhile.
  const handle = Effect.fnUntraced(function*(
    event: ExecLine.Received
  ): Effect.fn.Return<Leaving | undefined, TransportError> {
    if (event._tag === "Part" || event._tag === "ChannelClosed" || event._tag === "Ignored") yield* hasData
    switch (event._tag) {
      case "Part": {
        const size = event.bytes.length
        if (event.channel === RemoteCommand.Channel.Resize) {
          for (const next of resizes.push(event.bytes)) pipes.resize(next)
          return yield* Effect.as(arrive("resize", size), undefined)
        }
        yield* arrive("stdin", size)
        entry.record.stdinBytes += size
        if (!call.stdin) return
        yield* notice.until(stdin.hasRoom)
        stdin.offer(event.bytes)
        notice.notify()
        return
      }
      case "ChannelClosed":
        if (event.channel === RemoteCommand.Channel.Stdin) {
          yield* arrive("end-of-stdin", 0)
          stdin.end()
        }
        notice.notify()
        return
      case "Ignored":
        return yield* Effect.as(arrive("ignored", event.size), undefined)
      case "Ping":
        yield* arrive("ping", event.payload.length)
        yield* wire.pong(event.payload)
        return
      case "Pong":
        return yield* Effect.as(arrive("pong", event.payload.length), undefined)
      case "Close":
        yield* arrive("close", 0)
        leave("closed")
        // A client that reads no more may still end the connection.
        yield* Effect.raceFirst(wire.close(1000), drain(connection))
        return "closed"
      case "Violation": {
        // A message that is too long ends the connection like anything else, without a word.
        const { closeCode } = event.error
        if (closeCode !== 1009 && closeCode !== 1000) yield* wire.close(closeCode)
        yield* wire.close(1000)
        return "broken"
      }
    }
  })

  const read = Effect.gen(function*() {
    if (!options.reads) return yield* Effect.never
    while (true) {
      const chunks = yield* connection.pull
      for (const chunk of chunks) {
        if (entry.record.hasStatus) entry.record.lateBytes += chunk.length
        const events = line.receive(chunk)
        yield* line.answer
        if (line.isOpen()) notice.notify()
        for (const event of events) {
          const leaving = yield* handle(event)
          if (leaving !== undefined) return leaving
        }
      }
    }
  }).pipe(Effect.orElseSucceed((): Leaving => "lost"))

  const hangs = (): boolean => entry.record.harm.includes("hung")

  const write = Effect.fnUntraced(function*(): Effect.fn.Return<void, TransportError> {
    while (true) {
      yield* notice.until(() =>
        pipes.departure() !== undefined || output.size() > 0 || output.end() !== undefined || hangs()
      )
      // The reader ends the session, once it has answered a close frame.
      if (pipes.departure() !== undefined) return yield* Effect.never
      const some = output.take()
      if (some === undefined && output.end() === undefined) {
        // It has ended, its outputs are told to have, and nothing more will be said.
        yield* wire.endOutputs
        return yield* Effect.never
      }
      if (some === undefined) break
      notice.notify()
      yield* wire.output(some)
      yield* hasData
      entry.record.outputBytes += some.bytes.length
    }
    const end = output.end()
    const status = end === undefined ? undefined : line.status(end, call.command)
    yield* wire.endOutputs
    if (status !== undefined) yield* wire.status(status)
    entry.record.hasStatus = true
    yield* wire.close(1000)
    yield* wire.end
  })

  // The translator pings the backend now and then. When the backend has closed, the answer is a reset, and what it
  // still had to say is lost; a status that never came counts as success.
  const loseTail = Effect.gen(function*() {
    if (!isTranslated || !harm.losesSlowTail) return
    yield* notice.until(output.hasFinished)
    yield* Effect.sleep(harm.translatorPingMillis)
    if (!output.lose({ _tag: "Exited", code: 0 })) return
    entry.record.harm = [...entry.record.harm, "tail-lost"]
    notice.notify()
  })

  const session = Effect.gen(function*() {
    const ready = wire.ready(call.stdout ? 1 : call.stderr ? 2 : 3)
    const isOpen = line.isOpen()
    if (isOpen) yield* ready
    const reader = yield* Effect.forkChild(read)
    if (!isOpen) {
      // Without all streams nothing is started, and nothing is said of it either.
      const opened = Effect.as(notice.until(line.isOpen), undefined)
      if ((yield* Effect.raceFirst(opened, Fiber.join(reader))) !== undefined) return
      yield* ready
    }
    const command = Effect.map(options.run(pipes), (end) => {
      output.finish(end)
      notice.notify()
    })
    yield* Effect.forkIn(command, options.scope)
    yield* Effect.forkChild(loseTail)
    const leaving = yield* Effect.raceAllFirst<Effect.Effect<Leaving | undefined, TransportError>>([
      Effect.as(write(), undefined),
      Fiber.join(reader),
      Effect.as(idleLimit, "idle" as const)
    ])
    if (leaving === undefined) {
      if (!harm.closesAtOnce) yield* Fiber.join(reader)
      return
    }
    leave(leaving === "lost" ? "lost" : "closed")
    if (leaving !== "lost") yield* wire.end
  })
  yield* Effect.ignore(session).pipe(
    Effect.onExit(() =>
      Effect.sync(() => {
        leave("lost")
        entry.record.isOpen = false
        if (stdin.dropped() > 0) entry.record.harm = [...entry.record.harm, "stdin-dropped"]
      })
    )
  )
})

const drain = (connection: ServerConnection): Effect.Effect<void> => Effect.ignore(Effect.forever(connection.pull))
