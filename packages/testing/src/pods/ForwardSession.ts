/**
 * Forwarded connections over SPDY, at the server's end: on the bytes of a connection, or inside WebSocket messages.
 *
 * As on real servers, all connections wait when one takes no more from its client.
 */
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { ServerConnection } from "../server/Exchange.ts"
import * as ForwardCarrier from "./ForwardCarrier.ts"
import type { ForwardFault } from "./ForwardFault.ts"
import * as ForwardPairing from "./ForwardPairing.ts"
import * as ForwardPort from "./ForwardPort.ts"
import type { Entry } from "./ForwardRecords.ts"
import * as Words from "./ForwardWords.ts"
import * as Outbox from "./Outbox.ts"
import * as ReadAhead from "./ReadAhead.ts"

/** What a session serves with. */
export interface Options {
  readonly connection: ServerConnection
  readonly transport: "tunnel" | "spdy"
  readonly sandbox: Words.Sandbox
  readonly isThere: () => boolean
  readonly cutMillis: number | undefined
  /** Milliseconds that the second stream of a pair may take; 30,000 on real servers. */
  readonly pairMillis: number
  /** Told of each connection that is asked for. */
  readonly open: (port: number) => { readonly entry: Entry; readonly fault: ForwardFault | undefined }
}

// What the worker queues and buffers of a real server hold of one connection.
const queueBytes = 2 * 1024 * 1024
const maxStreams = 10_000
const frameBytes = 32 * 1024

/** A connection whose streams are both there. */
interface Pair {
  readonly data: number
  readonly entry: Entry
  readonly queue: Array<Uint8Array>
  size: number
  isEnded: boolean
  readonly hasSome: Latch.Latch
  readonly hasRoom: Latch.Latch
  fiber: Fiber.Fiber<void> | undefined
}

/** Serves until the client leaves, or breaks the protocol. The scope ends all connections. */
export const serve = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<void, never, Scope.Scope> {
  const { connection } = options
  const scope = yield* Effect.scope
  const carrier = options.transport === "tunnel" ? ForwardCarrier.makeTunnel() : ForwardCarrier.raw
  const outbox = yield* Outbox.make(connection)
  const streams = SpdyStreams.make({ role: "server", maxStreams })
  const pairing = ForwardPairing.make()
  const pairs = new Map<number, Pair>()
  let isOver = false

  // What is put goes out with the next flush, so that frames which are made together share a write.
  const put = (frame: Uint8Array | undefined): void => {
    if (frame !== undefined) outbox.put(...carrier.encode(frame))
  }
  const putData = (stream: number, bytes: Uint8Array): void => {
    if (streams.sendable(stream) === 0) return
    const header = new Uint8Array(SpdyFrame.dataHeaderBytes)
    streams.data(header, 0, stream, bytes.length)
    outbox.put(...carrier.encode(header, bytes))
  }
  const say = (stream: number, text: string): void => putData(stream, new TextEncoder().encode(text))

  const end: Effect.Effect<void> = Effect.suspend(() => {
    isOver = true
    outbox.put(...carrier.goodbye)
    return Effect.ignore(Effect.andThen(outbox.flush, connection.end))
  })

  // -------------------------------------------------------------------------------------------------------------------
  // A connection
  // -------------------------------------------------------------------------------------------------------------------

  const pipeOf = (pair: Pair, fault: ForwardFault | undefined): ForwardPort.ForwardPipe => ({
    take: Effect.suspend(() => {
      const chunks = pair.queue.splice(0)
      if (Arr.isArrayNonEmpty(chunks)) {
        pair.size = 0
        pair.hasRoom.openUnsafe()
        return Effect.succeed(chunks)
      }
      if (pair.isEnded) return Effect.undefined
      pair.hasSome.closeUnsafe()
      return Effect.andThen(pair.hasSome.await, pipeOf(pair, fault).take)
    }),
    give: Effect.fnUntraced(function*(chunks) {
      const { data, entry } = pair
      for (const bytes of chunks) {
        for (let at = 0; at < bytes.length; at += frameBytes) {
          const piece = bytes.subarray(at, at + frameBytes)
          const isHit = (fault?._tag === "ResetAfter" || fault?._tag === "CutAfter") &&
            entry.sent + piece.length > fault.bytes
          if (!isHit) {
            putData(data, piece)
            entry.sent += piece.length
            continue
          }
          putData(data, piece.subarray(0, fault.bytes - entry.sent))
          if (fault._tag === "ResetAfter") {
            entry.sent = fault.bytes
            put(streams.reset(data, SpdyFrame.Reset.Cancel))
            yield* outbox.flush
            return yield* Effect.interrupt
          }
          yield* outbox.flush
          isOver = true
          yield* fault.how === "fin" ? connection.end : connection.reset
          return yield* Effect.never
        }
      }
      yield* outbox.flush
    })
  })

  const run = Effect.fnUntraced(function*(
    pair: Pair,
    error: number,
    fault: ForwardFault | undefined
  ): Effect.fn.Return<void, TransportError> {
    if (fault?._tag === "Stall") return yield* Effect.never
    const text = fault?._tag === "Refuse"
      ? fault.text
      : yield* ForwardPort.run(pipeOf(pair, fault), { ...options, port: pair.entry.port })
    pair.entry.text = text
    // The data first: what is said of a failure comes behind its end.
    put(streams.end(pair.data))
    if (text !== undefined) say(error, text)
    if (fault?._tag !== "WithholdEnd") put(streams.end(error))
    yield* outbox.flush
  })

  const begin = (
    { data, error, port }: ForwardPairing.Decision & { readonly _tag: "Pair" }
  ): Effect.Effect<void> | undefined => {
    const { entry, fault } = options.open(port)
    if (fault?._tag === "Ignore") return undefined
    const pair: Pair = {
      data,
      entry,
      queue: [],
      size: 0,
      isEnded: false,
      hasSome: Latch.makeUnsafe(false),
      hasRoom: Latch.makeUnsafe(true),
      fiber: undefined
    }
    pairs.set(data, pair)
    put(streams.reply(data))
    const running = run(pair, error, fault).pipe(
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => {
        entry.isOpen = false
        pairs.delete(data)
        // Whoever waits to give it more waits no longer.
        pair.hasRoom.openUnsafe()
      }))
    )
    return Effect.map(Effect.forkIn(running, scope), (fiber) => {
      pair.fiber = fiber
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The client's frames
  // -------------------------------------------------------------------------------------------------------------------

  const expire = (request: string) =>
    Effect.gen(function*() {
      yield* Effect.sleep(options.pairMillis)
      const expired = pairing.expire(request)
      if (expired?.error !== undefined) say(expired.error, Words.timedOut(request))
      yield* outbox.flush
    }).pipe(Effect.ignore, Effect.forkIn(scope))

  const onOpened = (
    { headers, stream }: SpdyStreams.Event & { readonly _tag: "Opened" }
  ): Effect.Effect<unknown> | undefined => {
    const decision = pairing.add(stream, headers)
    if (decision._tag === "Refuse") {
      put(streams.reset(stream, SpdyFrame.Reset.Cancel))
      return undefined
    }
    // The reply to the data stream is the fault's to withhold.
    if (decision._tag === "Pair" && stream === decision.data) return begin(decision)
    put(streams.reply(stream))
    switch (decision._tag) {
      case "Wait":
        return expire(decision.request)
      case "Pair":
        return begin(decision)
      case "Duplicate":
        if (decision.error !== undefined) say(decision.error, decision.text)
        return undefined
    }
  }

  // Those that have got something from the bytes at hand: woken when these are used up, or they would take them piece by
  // piece.
  const fed = new Set<Pair>()

  const settle = Effect.suspend(() => {
    for (const pair of fed) pair.hasSome.openUnsafe()
    fed.clear()
    return outbox.flush
  })

  const onData = (pair: Pair, bytes: Uint8Array): Effect.Effect<void, TransportError> | undefined => {
    pair.queue.push(bytes)
    pair.size += bytes.length
    pair.entry.received += bytes.length
    fed.add(pair)
    if (pair.size < queueBytes) return undefined
    pair.hasRoom.closeUnsafe()
    // It may be long until it has room, and others have theirs.
    return Effect.andThen(settle, pair.hasRoom.await)
  }

  const onEvent = (event: SpdyStreams.Event): Effect.Effect<unknown, TransportError> | undefined => {
    switch (event._tag) {
      case "Opened":
        return onOpened(event)
      case "Data": {
        const pair = pairs.get(event.stream)
        streams.consumed(event.stream, event.bytes.length)
        return pair === undefined ? undefined : onData(pair, event.bytes)
      }
      case "Ended": {
        const pair = pairs.get(event.stream)
        if (pair === undefined) return undefined
        pair.isEnded = true
        pair.entry.clientEnded = true
        fed.add(pair)
        return undefined
      }
      case "Reset": {
        const pair = pairs.get(event.stream)
        if (pair?.fiber === undefined) return undefined
        pair.entry.clientReset = true
        // What came before is the program's.
        pair.hasSome.openUnsafe()
        return Effect.forkIn(Fiber.interrupt(pair.fiber), scope)
      }
      case "GoAway":
      case "Violation":
        return end
      default:
        return undefined
    }
  }

  const onChunk = Effect.fnUntraced(function*(chunk: Uint8Array): Effect.fn.Return<boolean, TransportError> {
    const { answers, isOver: isLast, spdy } = carrier.receive(chunk)
    for (const bytes of spdy) {
      for (const event of streams.receive(bytes)) {
        const effect = onEvent(event)
        if (effect !== undefined) yield* effect
      }
      put(streams.replies())
    }
    outbox.put(...answers)
    yield* settle
    if (isLast) {
      isOver = true
      yield* connection.end
    }
    return isOver
  })
  yield* Effect.ignore(ReadAhead.run(connection, onChunk))
})
