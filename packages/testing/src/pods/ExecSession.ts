/**
 * An exec on a WebSocket, from the 101 to the end of the connection: the server's half of protocol reference 2.6 to
 * 2.10. What runs is behind the pipes.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ExecCall } from "./ExecCall.ts"
import * as ExecCodec from "./ExecCodec.ts"
import * as ExecPipes from "./ExecPipes.ts"
import type { Arrival, Entry } from "./ExecRecords.ts"
import * as ExecWire from "./ExecWire.ts"
import type { Harm } from "./Harm.ts"

/** One exec. */
export interface Options {
  readonly call: ExecCall
  readonly subprotocol: string
  readonly harm: Harm
  readonly sizes: ExecPipes.Sizes
  /** The most payload bytes in one message of output. */
  readonly messageBytes: number
  readonly entry: Entry
  /** What runs, until it ends. It outlives the connection. */
  readonly run: (pipes: ExecPipes.ExecPipes) => Effect.Effect<ExecPipes.End>
  /** Where it runs. */
  readonly scope: Scope.Scope
  /** Changes what the server does on the wire. */
  readonly wire: (wire: ExecWire.ExecWire) => ExecWire.ExecWire
  /** Whether the connection is read at all. */
  readonly reads: boolean
}

// How a client leaves: with a close frame, without, or because of what it sent.
type Leaving = "closed" | "lost" | "broken"

/** Serves a connection until one of the two ends it. */
export const serve = Effect.fnUntraced(function*(
  connection: ServerConnection,
  options: Options
): Effect.fn.Return<void> {
  const { call, entry, harm, subprotocol } = options
  const codec = ExecCodec.make(subprotocol)
  const pipes = ExecPipes.make(options.sizes)
  const { notice, output, stdin } = pipes
  const wire = options.wire(ExecWire.make({ codec, connection, messageBytes: options.messageBytes }))
  const resizes = RemoteCommand.makeResizeParser()
  const isTranslated = subprotocol === RemoteCommand.v5

  const leave = (how: "closed" | "lost"): void => pipes.leave(ExecPipes.departureOf(harm, { isTranslated, how }))

  const arrive = (kind: Arrival["kind"], bytes: number): Effect.Effect<void> =>
    Effect.map(
      Clock.currentTimeMillis,
      (at) => entry.arrive({ at, kind, bytes, backlog: output.size(), afterStatus: entry.record.hasStatus })
    )

  // The server reads on only when what it has read has found a place, and answers no ping meanwhile.
  const receive = Effect.fnUntraced(function*(
    message: RemoteCommand.ClientMessage
  ): Effect.fn.Return<Leaving | undefined, TransportError> {
    switch (message._tag) {
      case "Part": {
        const size = message.bytes.length
        if (message.channel === RemoteCommand.Channel.Resize) {
          for (const next of resizes.push(message.bytes)) pipes.resize(next)
          return yield* Effect.as(arrive("resize", size), undefined)
        }
        yield* arrive("stdin", size)
        entry.record.stdinBytes += size
        if (!call.stdin) return
        yield* notice.until(stdin.hasRoom)
        stdin.offer(message.bytes)
        notice.notify()
        return
      }
      case "ChannelClosed":
        yield* arrive("end-of-stdin", 0)
        if (message.channel === RemoteCommand.Channel.Stdin) stdin.end()
        notice.notify()
        return
      case "Ignored":
        return yield* Effect.as(arrive("ignored", message.size), undefined)
      case "Violation":
        return yield* Effect.as(wire.close(1000), "broken" as const)
    }
  })

  const handle = Effect.fnUntraced(function*(
    event: WebSocketFrame.Event
  ): Effect.fn.Return<Leaving | undefined, TransportError> {
    switch (event._tag) {
      case "Data": {
        const message = codec.read(harm.misreadsFragments ? { ...event, first: event.frame } : event)
        return message === undefined ? undefined : yield* receive(message)
      }
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
      case "Violation":
        // A message that is too long ends the connection like anything else, without a word.
        if (event.error.closeCode !== 1009) yield* wire.close(event.error.closeCode)
        yield* wire.close(1000)
        return "broken"
    }
  })

  const read = Effect.gen(function*() {
    if (!options.reads) return yield* Effect.never
    const decoder = WebSocketFrame.makeDecoder({ role: "server", maxMessageBytes: RemoteCommand.maxMessageBytes })
    while (true) {
      const chunks = yield* connection.pull
      for (const chunk of chunks) {
        if (entry.record.hasStatus) entry.record.lateBytes += chunk.length
        for (const event of decoder.decode(chunk)) {
          const leaving = yield* handle(event)
          if (leaving !== undefined) return leaving
        }
      }
    }
  }).pipe(Effect.orElseSucceed((): Leaving => "lost"))

  const write = Effect.fnUntraced(function*(): Effect.fn.Return<void, TransportError> {
    while (true) {
      yield* notice.until(() => pipes.departure() !== undefined || output.size() > 0 || output.end() !== undefined)
      // The reader ends the session, once it has answered a close frame.
      if (pipes.departure() !== undefined) return yield* Effect.never
      const some = output.take()
      if (some === undefined) break
      notice.notify()
      yield* wire.output(some)
      entry.record.outputBytes += some.bytes.length
    }
    const end = output.end()
    const status = end === undefined ? undefined : codec.status(end, call.command)
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
    yield* wire.ready(call.stdout ? 1 : call.stderr ? 2 : 3)
    const command = Effect.map(options.run(pipes), (end) => {
      output.finish(end)
      notice.notify()
    })
    yield* Effect.forkIn(command, options.scope)
    yield* Effect.forkChild(loseTail)
    const reader = yield* Effect.forkChild(read)
    const leaving = yield* Effect.raceFirst(Effect.as(write(), undefined), Fiber.join(reader))
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
