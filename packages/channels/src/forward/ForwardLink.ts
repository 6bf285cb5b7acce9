/**
 * One upgraded connection that carries forwarded ones: reads it into a bounded buffer for each, keeps it alive, and tells
 * each what became of it.
 *
 * One fiber reads, one watches over liveness; both end with the scope. What the bytes mean is decided by a
 * `ForwardProtocol`. Peers know no windows of SPDY: a full buffer pauses the reading of all that share the connection.
 */
import type { TransportError } from "@effect-k8s/core/TransportError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as ChannelError from "../ChannelError.ts"
import type { Carrier } from "../connection/connectForward.ts"
import * as FrameWriter from "../connection/FrameWriter.ts"
import * as ForwardFailure from "../protocol/ForwardFailure.ts"
import type { Event } from "../protocol/ForwardProtocol.ts"
import { maxChunkBytes } from "../protocol/RemoteCommand.ts"
import * as Liveness from "../session/Liveness.ts"
import * as OutputBuffer from "../session/OutputBuffer.ts"

/** What a link is made from. */
export interface Options {
  readonly carrier: Carrier
  /** What a connection to a port is, in errors. */
  readonly info: (port: number) => ChannelError.ChannelInfo
  /** The limit of each connection's buffer. */
  readonly bufferBytes: number
  /** How long a connection that nobody reads may hold up others. */
  readonly unreadGrace: Duration.Duration
  readonly liveness: Liveness.Settings
}

/** A forwarded connection on a link. */
export interface Forwarded {
  readonly link: ForwardLink
  readonly port: number
  /** Waits until the server has taken it. Whether the pod does shows later: servers tell failures alone. */
  readonly accepted: Effect.Effect<void, ChannelError.ChannelError>
  readonly output: OutputBuffer.OutputBuffer
  /**
   * Sends bytes; suspends while the server does not take them. `false`: nothing is taken any more. Fails with what the
   * connection has failed with.
   */
  readonly write: (chunks: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<boolean, ChannelError.ChannelError>
  /** Says the end of what is sent. */
  readonly end: Effect.Effect<void>
  /** Whether it has ended, one way or the other. */
  readonly isOver: () => boolean
  /** Waits until it has ended, and fails with what it has failed with. */
  readonly over: Effect.Effect<void, ChannelError.ChannelError>
  readonly received: () => number
  /**
   * Gives it up. At once, or, when everything was sent that will be, by saying so: what is on its way still arrives then.
   */
  readonly release: (how: "reset" | "end") => Effect.Effect<void>
}

/** An upgraded connection that carries others. */
export interface ForwardLink {
  readonly carrier: Carrier
  /** A new connection; `undefined` if the link takes no more. */
  readonly connect: (port: number) => Effect.Effect<Forwarded | undefined>
  /** How many connections it carries. */
  readonly size: () => number
  /** Whether a new connection would wait: for a reader of another one, or for the server. */
  readonly isCongested: () => boolean
  readonly isOpen: () => boolean
  /** Waits until it is lost. */
  readonly closed: Effect.Effect<void>
  /** Takes no more connections. */
  readonly retire: () => void
}

const goodbyeWithin = Duration.millis(50)
// Real servers cut a connection one second after its end was said.
const lingerMillis = 1_500
// How long the server may take to say how a connection has ended, from when it has begun to.
const wordsWithin = Duration.seconds(1)
// A write that takes longer waits for the server.
const congestedAfterMillis = 250
// So does a connection that the server has not taken: it reads what comes before it first.
const acceptedWithinMillis = 1_000
// Payloads of one write: as much as keeps the socket busy while the next one is made.
const payloadsPerWrite = 8
// A chunk is kept as long as any part of it is. A small part of a large one is better copied.
const copyBelow = 4

interface Entry {
  readonly pair: number
  readonly port: number
  readonly output: OutputBuffer.OutputBuffer
  readonly accepted: Deferred.Deferred<void, ChannelError.ChannelError>
  readonly over: Latch.Latch
  readonly window: Latch.Latch
  readonly openedAt: number
  isAccepted: boolean
  failure: ChannelError.ChannelError | undefined
  received: number
  hasSent: boolean
  isOver: boolean
  /** Given up; what comes is dropped until the server has ended it. */
  isReleased: boolean
}

/** Starts to read. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<ForwardLink, never, Scope.Scope> {
  const { carrier } = options
  const { duplex, protocol } = carrier
  const scope = yield* Effect.scope
  const clock = yield* Effect.clockWith(Effect.succeed)
  const now = (): number => clock.currentTimeMillisUnsafe()
  const { exclusively, lastly } = yield* FrameWriter.make

  const entries = new Map<number, Entry>()
  let live = Liveness.initial(now())
  let isClosed = false
  let isRetired = false
  let writingSince: number | undefined
  let blockedWrites = 0
  const closed = Latch.makeUnsafe(false)

  const advance = (event: Liveness.Event): void => {
    live = Liveness.step(live, now(), event)
  }
  const fail = (port: number, reason: ChannelError.ChannelErrorReason): ChannelError.ChannelError =>
    new ChannelError.ChannelError({ reason, channel: options.info(port) })

  // -------------------------------------------------------------------------------------------------------------------
  // Writing
  // -------------------------------------------------------------------------------------------------------------------

  const timed = (write: Effect.Effect<void, TransportError>): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      writingSince = now()
      return Effect.ensuring(
        write,
        Effect.sync(() => {
          writingSince = undefined
        })
      )
    })
  const send = (make: () => Uint8Array | undefined): Effect.Effect<void, TransportError> =>
    exclusively(Effect.suspend(() => {
      const bytes = make()
      return bytes === undefined || bytes.length === 0 ? Effect.void : timed(duplex.write([bytes]))
    }))
  /** Sends in its turn, and is not waited for. */
  const sendLater = (make: () => Uint8Array | undefined): Effect.Effect<void> =>
    Effect.asVoid(Effect.forkIn(Effect.ignore(send(make)), scope, { startImmediately: true }))

  const answer = FrameWriter.answering(scope, protocol.replies, (replies) => send(() => replies))

  let scratch: Uint8Array | undefined
  const scratchBytes = payloadsPerWrite * (maxChunkBytes + protocol.overhead)

  const write = (entry: Entry, lock: Semaphore.Semaphore): Forwarded["write"] => (chunks) => {
    const payloads = FrameWriter.toPayloads(chunks)
    let next = 0
    // Where a window has cut a payload.
    let offset = 0
    const hasMore = (): boolean => next < payloads.length && !entry.isOver
    // One turn each, so that connections that send at the same time share the link.
    const some = Effect.suspend((): Effect.Effect<void, TransportError> => {
      const target = scratch ??= new Uint8Array(scratchBytes)
      let end = 0
      for (let n = 0; n < payloadsPerWrite && hasMore(); n++) {
        const sendable = protocol.sendable(entry.pair)
        if (sendable <= 0) break
        const payload = payloads[next]!.subarray(offset, offset + sendable)
        end = protocol.encodeInto(target, end, entry.pair, payload)
        offset += payload.length
        if (offset < payloads[next]!.length) continue
        next++
        offset = 0
      }
      return end === 0 ? Effect.void : timed(duplex.write([target.subarray(0, end)]))
    })
    const all = lock.withPermit(Effect.whileLoop({
      while: hasMore,
      body: () =>
        Effect.suspend(() => {
          if (protocol.sendable(entry.pair) > 0) return exclusively(some)
          entry.window.closeUnsafe()
          return entry.window.await
        }),
      step: () => advance({ _tag: "SentStdin" })
    }))
    return Effect.suspend(() => {
      const ended = Effect.as(over(entry), false)
      if (entry.isOver || isClosed) return ended
      blockedWrites++
      entry.hasSent = true
      return all.pipe(
        Effect.as(true),
        // The reading side knows better why the connection failed.
        Effect.catch(() => ended),
        Effect.raceFirst(ended),
        Effect.ensuring(Effect.sync(() => {
          blockedWrites--
        }))
      )
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Connections
  // -------------------------------------------------------------------------------------------------------------------

  const over = (entry: Entry): Effect.Effect<void, ChannelError.ChannelError> =>
    Effect.andThen(
      entry.over.await,
      Effect.suspend(() => entry.failure === undefined ? Effect.void : Effect.fail(entry.failure))
    )

  const accept = (entry: Entry): void => {
    entry.isAccepted = true
    Deferred.doneUnsafe(entry.accepted, Effect.void)
  }

  const finish = (entry: Entry, error: ChannelError.ChannelError | undefined): void => {
    if (entry.isOver) return
    entry.isOver = true
    entry.failure = error
    entry.output.end(error === undefined ? Cause.done() : Effect.fail(error))
    Deferred.doneUnsafe(entry.accepted, error === undefined ? Effect.void : Effect.fail(error))
    entry.window.openUnsafe()
    entry.over.openUnsafe()
  }

  const reasonOf = (entry: Entry, text: string, accepted: boolean): ChannelError.ChannelErrorReason => {
    const { port, received: bytesReceived } = entry
    switch (ForwardFailure.classify(text)) {
      case "refused":
        return bytesReceived > 0
          ? new ChannelError.PortReset({ port, bytesReceived, description: text })
          : new ChannelError.PortRefused({ port, description: text })
      case "gone":
        return new ChannelError.PodGone({ port, description: text })
      case "broken":
        return text === "" && !accepted
          ? new ChannelError.PortRefused({ port, description: text })
          : new ChannelError.PortReset({ port, bytesReceived, description: text })
    }
  }

  /** The link is over, and with it whatever it carries. */
  const conclude = (reason: (entry: Entry) => ChannelError.ChannelErrorReason): void => {
    if (isClosed) return
    isClosed = true
    advance({ _tag: "Silenced" })
    for (const entry of entries.values()) finish(entry, fail(entry.port, reason(entry)))
    closed.openUnsafe()
  }
  const lost = (details: { readonly closeCode?: number | undefined; readonly cause?: unknown }) => (entry: Entry) =>
    new ChannelError.ConnectionLost({ bytesReceived: entry.received, of: "forwarded port", ...details })

  const forget = (entry: Entry): Effect.Effect<void> =>
    Effect.suspend(() => {
      entries.delete(entry.pair)
      return isClosed ? Effect.void : sendLater(() => protocol.release(entry.pair))
    })

  const release = (entry: Entry) => (how: "reset" | "end"): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (entry.isReleased) return Effect.void
      entry.isReleased = true
      // What was read of it is not wanted any more, and must not hold up others.
      entry.output.discard()
      const isOver = entry.isOver || isClosed
      if (isOver || how === "reset") {
        finish(entry, fail(entry.port, lost({ cause: "the connection was closed" })(entry)))
        return forget(entry)
      }
      const ended = Effect.timeoutOption(entry.over.await, lingerMillis)
      return sendLater(() => protocol.end(entry.pair)).pipe(
        Effect.andThen(Effect.forkIn(Effect.ensuring(ended, forget(entry)), scope, { startImmediately: true })),
        Effect.asVoid
      )
    })

  const connect: ForwardLink["connect"] = (port) =>
    Effect.suspend(() => {
      if (isClosed || isRetired) return Effect.undefined
      // Numbers are given, and header blocks made, in the order in which they are sent.
      const opened = protocol.open(port)
      const entry: Entry = {
        pair: opened.pair,
        port,
        output: OutputBuffer.make(options.bufferBytes),
        accepted: Deferred.makeUnsafe(),
        over: Latch.makeUnsafe(false),
        window: Latch.makeUnsafe(true),
        openedAt: now(),
        isAccepted: false,
        failure: undefined,
        received: 0,
        hasSent: false,
        isOver: false,
        isReleased: false
      }
      entries.set(entry.pair, entry)
      const lock = Semaphore.makeUnsafe(1)
      const forwarded: Forwarded = {
        link,
        port,
        accepted: Effect.suspend(() => {
          blockedWrites++
          return Effect.ensuring(
            Deferred.await(entry.accepted),
            Effect.sync(() => {
              blockedWrites--
            })
          )
        }),
        output: entry.output,
        write: write(entry, lock),
        // Behind what is being written.
        end: lock.withPermit(Effect.ignore(send(() => entry.isOver ? undefined : protocol.end(entry.pair)))),
        isOver: () => entry.isOver,
        over: over(entry),
        received: () => entry.received,
        release: release(entry)
      }
      return Effect.as(sendLater(() => opened.bytes), forwarded)
    })

  // -------------------------------------------------------------------------------------------------------------------
  // Reading
  // -------------------------------------------------------------------------------------------------------------------

  const onData = (entry: Entry, bytes: Uint8Array, chunkBytes: number): void => {
    protocol.consumed(entry.pair, bytes.length)
    if (entry.isReleased) return
    entry.received += bytes.length
    // The first bytes say more than the answer to the streams.
    accept(entry)
    entry.output.offer(bytes.length * copyBelow < chunkBytes ? bytes.slice() : bytes)
  }

  const onEvent = (event: Event, chunkBytes: number): Effect.Effect<void> | undefined => {
    if ("pair" in event) {
      const entry = entries.get(event.pair)
      if (entry === undefined) return undefined
      switch (event._tag) {
        case "Accepted":
          accept(entry)
          return undefined
        case "Data":
          onData(entry, event.bytes, chunkBytes)
          return undefined
        case "Ended":
          finish(entry, undefined)
          // The other way has ended too, for the server; this lets it forget the stream.
          return sendLater(() => protocol.end(entry.pair))
        case "Failed":
          // With containerd 1.6, what was sent and never read stops one of the server's five workers, and every later
          // stream of that worker with it: new connections go elsewhere.
          if (entry.hasSent) isRetired = true
          finish(entry, fail(entry.port, reasonOf(entry, event.text, event.accepted)))
          return undefined
        case "Ending":
          return Effect.asVoid(Effect.forkIn(
            Effect.andThen(
              Effect.sleep(wordsWithin),
              Effect.suspend(() => {
                const settled = protocol.settle(event.pair)
                return (settled === undefined ? undefined : onEvent(settled, 0)) ?? Effect.void
              })
            ),
            scope
          ))
      }
    }
    switch (event._tag) {
      case "Closed":
        conclude(lost({ closeCode: event.code, cause: event.reason === "" ? undefined : event.reason }))
        return undefined
      case "Violation":
        conclude(() => new ChannelError.ProtocolViolation({ description: event.error.message }))
        return undefined
      case "Window":
        for (const entry of entries.values()) entry.window.openUnsafe()
        return undefined
      case "Pong":
        return undefined
    }
  }

  const isWaitedFor = (full: ReadonlyArray<Entry>): boolean =>
    blockedWrites > 0 || Array.from(entries.values()).some((entry) => !full.includes(entry) && entry.output.isAwaited())

  /** Reads no more until there is room; fails connections that nobody reads when others wait for them. */
  const pause = Effect.fnUntraced(function*(full: ReadonlyArray<Entry>) {
    advance({ _tag: "Paused" })
    const guard = Effect.gen(function*() {
      while (true) {
        yield* Effect.sleep(options.unreadGrace)
        const unread = full.filter(({ output }) => output.isFull() && !output.hasReader())
        if (unread.length > 0 && isWaitedFor(full)) return unread
      }
    })
    const room = Effect.forEach(full, ({ output }) => output.room, { discard: true })
    const unread = yield* Effect.raceFirst(Effect.as(room, []), guard)
    advance({ _tag: "Resumed" })
    for (const entry of unread) {
      const bufferedBytes = entry.output.size()
      finish(entry, fail(entry.port, new ChannelError.UnreadConnection({ port: entry.port, bufferedBytes })))
      yield* sendLater(() => protocol.release(entry.pair))
    }
  })

  const onChunks = Effect.fnUntraced(function*(chunks: NonEmptyReadonlyArray<Uint8Array>) {
    let data = false
    let pong = false
    for (const chunk of chunks) {
      for (const event of protocol.receive(chunk)) {
        if (event._tag === "Pong") pong = true
        else data = true
        const effect = onEvent(event, chunk.length)
        if (effect !== undefined) yield* effect
      }
    }
    advance({ _tag: "Received", data, pong })
    yield* answer
    const full = Array.from(entries.values()).filter((entry) => !entry.isOver && entry.output.isFull())
    if (full.length > 0 && !isClosed) yield* pause(full)
  })

  const reading = yield* duplex.pull.pipe(
    Effect.flatMap(onChunks),
    Effect.repeat({ until: () => isClosed }),
    Effect.catchCause((cause) =>
      Effect.sync(() => conclude(lost({ cause: Cause.hasInterruptsOnly(cause) ? undefined : Cause.squash(cause) })))
    ),
    Effect.forkScoped
  )

  const watching = Effect.gen(function*() {
    while (!closed.isOpen()) {
      const action = Liveness.decide(options.liveness, live, now())
      switch (action._tag) {
        case "Wait":
          yield* Effect.sleep(Math.max(Math.min(action.millis, options.liveness.pongWithin / 3), 1))
          // Servers spread pings over their workers, of which one may stand still: the next ping meets another.
          if (live.pingAt !== undefined && !live.paused) yield* sendLater(protocol.ping)
          break
        case "Ping":
          advance({ _tag: "Pinged" })
          // Behind a write that waits for the server a ping waits too; the link is not dead for that.
          yield* sendLater(protocol.ping)
          break
        case "KeepAlive":
          advance({ _tag: "KeptAlive" })
          yield* sendLater(protocol.keepAlive)
          break
        case "Dead":
          return conclude(() => new ChannelError.PeerStalled({ silentMillis: action.silentMillis }))
      }
    }
  })
  yield* Effect.forkScoped(watching)

  yield* Effect.addFinalizer((exit) =>
    Effect.gen(function*() {
      // Those whose end was said still have something on its way, which a goodbye would drop.
      const lingering = Array.from(entries.values()).filter((entry) => entry.isReleased && !entry.isOver)
      if (lingering.length > 0 && !isClosed && Exit.isSuccess(exit)) {
        const all = Effect.forEach(lingering, (entry) => entry.over.await, { discard: true })
        yield* Effect.timeoutOption(all, lingerMillis)
      }
      const isLost = isClosed
      conclude(lost({ cause: "the scope ended" }))
      if (!isLost) {
        yield* Effect.timeoutOption(
          lastly(Effect.suspend(() => duplex.write([protocol.goodbye()]))),
          goodbyeWithin
        )
      }
      yield* Fiber.interrupt(reading)
    })
  )

  const link: ForwardLink = {
    carrier,
    connect,
    size: () => Array.from(entries.values()).filter((entry) => !entry.isReleased).length,
    isCongested: () =>
      live.paused || (writingSince !== undefined && now() - writingSince > congestedAfterMillis) ||
      Array.from(entries.values()).some((entry) =>
        !entry.isReleased && !entry.isOver &&
        (entry.output.isFull() || (!entry.isAccepted && now() - entry.openedAt > acceptedWithinMillis))
      ),
    isOpen: () => !isClosed && !isRetired,
    closed: closed.await,
    retire: () => {
      isRetired = true
    }
  }
  return link
})
