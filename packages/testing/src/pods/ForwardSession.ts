/**
 * Forwarded connections over SPDY, at the server's end: on the bytes of a connection, or inside WebSocket messages.
 *
 * As on real servers, all connections wait when one takes no more from its client.
 */
import { violation } from "@effect-k8s/channels/protocol/ProtocolError"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ForwardFault } from "./ForwardFault.ts"
import * as ForwardPairing from "./ForwardPairing.ts"
import * as ForwardPort from "./ForwardPort.ts"
import type { Entry } from "./ForwardRecords.ts"
import * as Words from "./ForwardWords.ts"
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

/** The bytes of SPDY in what carries them. */
interface Carrier {
  /** The bytes of SPDY in the next bytes, and what is to be answered to the rest of them; nothing after the end. */
  readonly receive: (
    chunk: Uint8Array
  ) => {
    readonly spdy: ReadonlyArray<Uint8Array>
    readonly answers: ReadonlyArray<Uint8Array>
    readonly isOver: boolean
  }
  readonly encode: (bytes: Uint8Array) => ReadonlyArray<Uint8Array>
  /** What is said at the end. */
  readonly goodbye: ReadonlyArray<Uint8Array>
}

const raw: Carrier = {
  receive: (chunk) => ({ spdy: [chunk], answers: [], isOver: false }),
  encode: (bytes) => [bytes],
  goodbye: []
}

const nothing = new Uint8Array(0)
const { Opcode } = WebSocketFrame
const close = (code: number): Uint8Array => WebSocketFrame.encodeClose(code, "", undefined)
// As Go's writer with its buffer of 4 KiB: what does not fit is a fragment, and the message ends with an empty one.
const maxWholeBytes = 4096

const makeTunnel = (): Carrier => {
  const decoder = WebSocketFrame.makeDecoder({ role: "server" })
  return {
    receive: (chunk) => {
      const spdy: Array<Uint8Array> = []
      const answers: Array<Uint8Array> = []
      let isOver = false
      for (const event of decoder.decode(chunk)) {
        if (event._tag === "Ping") {
          answers.push(WebSocketFrame.encode({ opcode: Opcode.Pong, payload: event.payload }, undefined))
        } else if (event._tag === "Data" && !event.text) spdy.push(event.payload)
        else if (event._tag !== "Pong") {
          const { error } = event._tag === "Violation" ? event : violation(1003, "")
          answers.push(close(event._tag === "Close" ? event.code ?? 1000 : error.closeCode))
          isOver = true
          break
        }
      }
      return { spdy, answers, isOver }
    },
    encode: (bytes) =>
      bytes.length <= maxWholeBytes
        ? [WebSocketFrame.encode({ opcode: Opcode.Binary, payload: bytes }, undefined)]
        : [
          WebSocketFrame.encode({ opcode: Opcode.Binary, fin: false, payload: bytes }, undefined),
          WebSocketFrame.encode({ opcode: Opcode.Continuation, payload: nothing }, undefined)
        ],
    goodbye: [close(1000)]
  }
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
  const carrier = options.transport === "tunnel" ? makeTunnel() : raw
  const streams = SpdyStreams.make({ role: "server", maxStreams })
  const pairing = ForwardPairing.make()
  const pairs = new Map<number, Pair>()
  const lock = Semaphore.makeUnsafe(1)
  let isOver = false

  const write = (make: () => ReadonlyArray<Uint8Array>): Effect.Effect<void, TransportError> =>
    lock.withPermit(Effect.suspend(() => {
      const chunks = make()
      return Arr.isReadonlyArrayNonEmpty(chunks) ? connection.write(chunks) : Effect.void
    }))
  const send = (make: () => Uint8Array | undefined): Effect.Effect<void, TransportError> =>
    write(() => {
      const bytes = make()
      return bytes === undefined ? [] : carrier.encode(bytes)
    })
  const sendData = (stream: number, bytes: Uint8Array): Effect.Effect<void, TransportError> =>
    send(() => {
      if (streams.sendable(stream) === 0) return undefined
      const frame = new Uint8Array(SpdyFrame.dataHeaderBytes + bytes.length)
      frame.set(bytes, streams.data(frame, 0, stream, bytes.length))
      return frame
    })
  const say = (stream: number, text: string): Effect.Effect<void, TransportError> =>
    sendData(stream, new TextEncoder().encode(text))

  const end: Effect.Effect<void> = Effect.suspend(() => {
    isOver = true
    return Effect.ignore(Effect.andThen(write(() => carrier.goodbye), connection.end))
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
    give: Effect.fnUntraced(function*(bytes) {
      for (let at = 0; at < bytes.length; at += frameBytes) {
        const piece = bytes.subarray(at, at + frameBytes)
        if (fault?._tag === "ResetAfter" && pair.entry.sent + piece.length > fault.bytes) {
          yield* sendData(pair.data, piece.subarray(0, fault.bytes - pair.entry.sent))
          pair.entry.sent = fault.bytes
          yield* send(() => streams.reset(pair.data, SpdyFrame.Reset.Cancel))
          return yield* Effect.interrupt
        }
        if (fault?._tag === "CutAfter" && pair.entry.sent + piece.length > fault.bytes) {
          yield* sendData(pair.data, piece.subarray(0, fault.bytes - pair.entry.sent))
          isOver = true
          yield* fault.how === "fin" ? connection.end : connection.reset
          return yield* Effect.never
        }
        yield* sendData(pair.data, piece)
        pair.entry.sent += piece.length
      }
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
    yield* send(() => streams.end(pair.data))
    if (text !== undefined) yield* say(error, text)
    if (fault?._tag !== "WithholdEnd") yield* send(() => streams.end(error))
  })

  const begin = Effect.fnUntraced(function*(
    { data, error, port }: ForwardPairing.Decision & { readonly _tag: "Pair" }
  ): Effect.fn.Return<void, TransportError> {
    const { entry, fault } = options.open(port)
    if (fault?._tag === "Ignore") return
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
    yield* send(() => streams.reply(data))
    const running = run(pair, error, fault).pipe(
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => {
        entry.isOpen = false
        pairs.delete(data)
        // Whoever waits to give it more waits no longer.
        pair.hasRoom.openUnsafe()
      }))
    )
    pair.fiber = yield* Effect.forkIn(running, scope)
  })

  // -------------------------------------------------------------------------------------------------------------------
  // The client's frames
  // -------------------------------------------------------------------------------------------------------------------

  const expire = (request: string) =>
    Effect.gen(function*() {
      yield* Effect.sleep(options.pairMillis)
      const expired = pairing.expire(request)
      if (expired?.error !== undefined) yield* say(expired.error, Words.timedOut(request))
    }).pipe(Effect.ignore, Effect.forkIn(scope))

  const onOpened = (
    { headers, stream }: SpdyStreams.Event & { readonly _tag: "Opened" }
  ): Effect.Effect<unknown, TransportError> => {
    const decision = pairing.add(stream, headers)
    if (decision._tag === "Refuse") return send(() => streams.reset(stream, SpdyFrame.Reset.Cancel))
    // The reply to the data stream is the fault's to withhold.
    if (decision._tag === "Pair" && stream === decision.data) return begin(decision)
    const reply = send(() => streams.reply(stream))
    switch (decision._tag) {
      case "Wait":
        return Effect.andThen(reply, expire(decision.request))
      case "Pair":
        return Effect.andThen(reply, begin(decision))
      case "Duplicate":
        return Effect.andThen(reply, decision.error === undefined ? Effect.void : say(decision.error, decision.text))
    }
  }

  const onEvent = (event: SpdyStreams.Event): Effect.Effect<unknown, TransportError> => {
    switch (event._tag) {
      case "Opened":
        return onOpened(event)
      case "Data": {
        const pair = pairs.get(event.stream)
        streams.consumed(event.stream, event.bytes.length)
        if (pair === undefined) return Effect.void
        pair.queue.push(event.bytes)
        pair.size += event.bytes.length
        pair.entry.received += event.bytes.length
        pair.hasSome.openUnsafe()
        if (pair.size < queueBytes) return Effect.void
        pair.hasRoom.closeUnsafe()
        return pair.hasRoom.await
      }
      case "Ended": {
        const pair = pairs.get(event.stream)
        if (pair === undefined) return Effect.void
        pair.isEnded = true
        pair.entry.clientEnded = true
        pair.hasSome.openUnsafe()
        return Effect.void
      }
      case "Reset": {
        const pair = pairs.get(event.stream)
        if (pair?.fiber === undefined) return Effect.void
        pair.entry.clientReset = true
        return Effect.forkIn(Fiber.interrupt(pair.fiber), scope)
      }
      case "GoAway":
      case "Violation":
        return end
      default:
        return Effect.void
    }
  }

  const onChunk = Effect.fnUntraced(function*(chunk: Uint8Array): Effect.fn.Return<boolean, TransportError> {
    const { answers, isOver: isLast, spdy } = carrier.receive(chunk)
    for (const bytes of spdy) {
      for (const event of streams.receive(bytes)) yield* onEvent(event)
      yield* send(streams.replies)
    }
    yield* write(() => answers)
    if (isLast) {
      isOver = true
      yield* connection.end
    }
    return isOver
  })
  yield* Effect.ignore(ReadAhead.run(connection, onChunk))
})
