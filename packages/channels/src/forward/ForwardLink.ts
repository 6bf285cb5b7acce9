/**
 * One upgraded connection that carries forwarded ones: reads it into a bounded buffer for each, keeps it alive, and tells
 * each what became of it.
 *
 * One fiber reads, one watches over liveness; both end with the scope. What the bytes mean is decided by a
 * `ForwardProtocol`. Peers know no windows of SPDY: a full buffer pauses the reading of all that share the connection.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as ChannelError from "../ChannelError.ts"
import type { Carrier } from "../connection/connectForward.ts"
import * as FrameWriter from "../connection/FrameWriter.ts"
import type { Event } from "../protocol/ForwardProtocol.ts"
import * as Liveness from "../session/Liveness.ts"
import type * as OutputBuffer from "../session/OutputBuffer.ts"
import * as LinkEntry from "./LinkEntry.ts"
import * as LinkWriter from "./LinkWriter.ts"
import * as ReadingTime from "./ReadingTime.ts"

/** What a link is made from. */
export interface Options {
  readonly carrier: Carrier
  /** What a connection to a port is, in errors. */
  readonly info: (port: number) => ChannelError.ChannelInfo
  /** The limit of each connection's buffer. */
  readonly bufferBytes: number
  /** How long a connection of which nobody takes anything may hold up others. */
  readonly unreadGrace: Duration.Duration
  /** How long what was sent on a connection that was given up in order may take to arrive. */
  readonly lingerTimeout: Duration.Duration
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
  readonly received: () => number
  /**
   * Gives it up. At once, or, when everything was sent that will be, by saying so: what is on its way still arrives then,
   * as long as the link is there and it does not take too long.
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
  /** Waits until what was sent on connections that were given up has arrived, or has taken too long. */
  readonly settled: Effect.Effect<void>
  /** Takes no more connections. */
  readonly retire: () => void
}

const goodbyeWithin = Duration.millis(50)
// How long the server may take to say how a connection has ended, from when it has begun to, while we read.
const wordsWithinMillis = 1_000
// A write that takes longer waits for the server.
const congestedAfterMillis = 250
// So does a connection that the server has not taken: it reads what comes before it first.
const acceptedWithinMillis = 1_000
// A chunk is kept as long as any part of it is. A small part of a large one is better copied; a slice of a `Buffer` is none.
const copyBelow = 4

/** Starts to read. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<ForwardLink, never, Scope.Scope> {
  const { carrier } = options
  const { duplex, protocol } = carrier
  const scope = yield* Effect.scope
  const clock = yield* Effect.clockWith(Effect.succeed)
  const now = (): number => clock.currentTimeMillisUnsafe()
  const reading = ReadingTime.make(clock)

  const entries = new Map<number, LinkEntry.LinkEntry>()
  let live = Liveness.initial(now())
  let isClosed = false
  let isRetired = false
  let blockedWrites = 0
  const closed = Latch.makeUnsafe(false)
  // Connections whose end has begun, in the order in which it has to be over, and when that is in reading time.
  const endings = yield* Queue.unbounded<{ readonly pair: number; readonly until: number }>()

  const advance = (event: Liveness.Event): void => {
    live = Liveness.step(live, now(), event)
  }

  const writer = yield* LinkWriter.make(duplex, protocol, now)
  const { send, sendLater } = writer
  const answer = FrameWriter.answering(scope, protocol.replies, (replies) => send(() => replies))

  /** Sends what a connection has to say, one turn at a time. `false` when it has ended. */
  const write = (entry: LinkEntry.LinkEntry, lock: Semaphore.Semaphore): Forwarded["write"] => (chunks) =>
    // Whatever is counted is counted back, wherever an interruption comes.
    Effect.uninterruptibleMask((restore) => {
      const ended = Effect.as(LinkEntry.over(entry), false)
      if (entry.isOver || isClosed) return restore(ended)
      blockedWrites++
      entry.hasSent = true
      return lock.withPermit(writer.write(entry, chunks, () => advance({ _tag: "SentStdin" }))).pipe(
        Effect.as(true),
        // The reading side knows better why the connection failed.
        Effect.catch(() => ended),
        // The end of the link cuts short what it writes, which is no interruption of whoever waits for that.
        Effect.catchCauseIf(Cause.hasInterruptsOnly, () => ended),
        Effect.raceFirst(ended),
        restore,
        Effect.ensuring(Effect.sync(() => {
          blockedWrites--
        }))
      )
    })

  // -------------------------------------------------------------------------------------------------------------------
  // Connections
  // -------------------------------------------------------------------------------------------------------------------

  const errorOf = (entry: LinkEntry.LinkEntry, reason: ChannelError.ChannelErrorReason): ChannelError.ChannelError =>
    new ChannelError.ChannelError({ reason, channel: options.info(entry.port) })
  const finish = (entry: LinkEntry.LinkEntry, reason: ChannelError.ChannelErrorReason): void =>
    LinkEntry.finish(entry, errorOf(entry, reason))

  /** The link is over, and with it whatever it carries. */
  const conclude = (reason: (entry: LinkEntry.LinkEntry) => ChannelError.ChannelErrorReason): void => {
    if (isClosed) return
    isClosed = true
    advance({ _tag: "Silenced" })
    for (const entry of entries.values()) finish(entry, reason(entry))
    closed.openUnsafe()
  }
  const lost =
    (details: { readonly closeCode?: number | undefined; readonly cause?: unknown }) => (entry: LinkEntry.LinkEntry) =>
      new ChannelError.ConnectionLost({ bytesReceived: entry.received, of: "forwarded port", ...details })

  const closedByUs = lost({ cause: "the connection was closed" })

  const forget = (entry: LinkEntry.LinkEntry): Effect.Effect<void> =>
    Effect.suspend(() => {
      entries.delete(entry.pair)
      return isClosed ? Effect.void : sendLater(() => protocol.release(entry.pair))
    })

  const release = (entry: LinkEntry.LinkEntry) => (how: "reset" | "end"): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (entry.isReleased) return Effect.void
      entry.isReleased = true
      // What was read of it is not wanted any more, and must not hold up others. Whoever still reads must not take what
      // is there for all.
      entry.output.abandon(Effect.suspend(() => Effect.fail(errorOf(entry, closedByUs(entry)))))
      const isOver = entry.isOver || isClosed
      if (isOver || how === "reset") {
        // An error costs more than the rest of the end.
        if (!entry.isOver) finish(entry, closedByUs(entry))
        return forget(entry)
      }
      // Servers end it when they have passed on what was sent.
      const ended = Effect.timeoutOption(entry.over.await, options.lingerTimeout)
      const late = Effect.suspend(() => {
        if (!entry.isOver) finish(entry, closedByUs(entry))
        return forget(entry)
      })
      return sendLater(() => protocol.leave(entry.pair)).pipe(
        Effect.andThen(Effect.forkIn(Effect.ensuring(ended, late), scope, { startImmediately: true })),
        Effect.asVoid
      )
    })

  const connect: ForwardLink["connect"] = (port) =>
    Effect.suspend(() => {
      if (isClosed || isRetired) return Effect.undefined
      // Numbers are given, and header blocks made, in the order in which they are sent.
      const opened = protocol.open(port)
      const entry = LinkEntry.make({ pair: opened.pair, port, bufferBytes: options.bufferBytes, openedAt: now() })
      entries.set(entry.pair, entry)
      const lock = Semaphore.makeUnsafe(1)
      const forwarded: Forwarded = {
        link,
        port,
        accepted: Deferred.await(entry.accepted),
        output: entry.output,
        write: write(entry, lock),
        // Behind what is being written.
        end: lock.withPermit(Effect.ignore(send(() => entry.isOver ? undefined : protocol.end(entry.pair)))),
        received: () => entry.received,
        release: release(entry)
      }
      return Effect.as(sendLater(() => opened.bytes), forwarded)
    })

  // -------------------------------------------------------------------------------------------------------------------
  // Reading
  // -------------------------------------------------------------------------------------------------------------------

  const onData = (entry: LinkEntry.LinkEntry, bytes: Uint8Array, chunkBytes: number): void => {
    protocol.consumed(entry.pair, bytes.length)
    if (entry.isReleased) return
    entry.received += bytes.length
    // The first bytes say more than the answer to the streams.
    LinkEntry.accept(entry)
    entry.output.offer(bytes.length * copyBelow < chunkBytes ? new Uint8Array(bytes) : bytes)
  }

  const onEvent = (event: Event, chunkBytes: number): Effect.Effect<void> | undefined => {
    if ("pair" in event) {
      const entry = entries.get(event.pair)
      if (entry === undefined) return undefined
      switch (event._tag) {
        case "Accepted":
          LinkEntry.accept(entry)
          return undefined
        case "Data":
          onData(entry, event.bytes, chunkBytes)
          return undefined
        case "Ended":
          LinkEntry.finish(entry, undefined)
          // The other way has ended too, for the server; this lets it forget the stream.
          return sendLater(() => protocol.end(entry.pair))
        case "Failed":
          // With containerd 1.6, what was sent and never read stops one of the server's five workers, and every later
          // stream of that worker with it: new connections go elsewhere.
          if (entry.hasSent) isRetired = true
          finish(entry, LinkEntry.failure(entry, event.text, event.accepted))
          return undefined
        case "Ending":
          Queue.offerUnsafe(endings, { pair: event.pair, until: reading.now() + wordsWithinMillis })
          return undefined
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

  // One fiber for all: one for each would keep it, and all that is its own, for that time after it has been released.
  const settleNext = Effect.flatMap(Queue.take(endings), ({ pair, until }) =>
    Effect.andThen(
      reading.until(until),
      Effect.suspend(() => {
        const settled = protocol.settle(pair)
        return (settled === undefined ? undefined : onEvent(settled, 0)) ?? Effect.void
      })
    ))
  yield* Effect.forkScoped(Effect.forever(settleNext))

  // Also one that was full: its reader has emptied it since.
  const isWaitedFor = (): boolean =>
    blockedWrites > 0 ||
    Array.from(entries.values()).some((entry) =>
      !entry.isReleased && (entry.output.isAwaited() || (!entry.isAccepted && !entry.isOver))
    )

  /** Reads no more until there is room; fails connections of which nobody takes anything when others wait for them. */
  const pause = Effect.fnUntraced(function*(full: ReadonlyArray<LinkEntry.LinkEntry>) {
    advance({ _tag: "Paused" })
    reading.pause()
    const guard = Effect.gen(function*() {
      while (true) {
        const before = full.map(({ output }) => output.taken())
        yield* Effect.sleep(options.unreadGrace)
        // A reader that has stopped holds up the others like none.
        const unread = full.filter(({ output }, i) => output.isFull() && output.taken() === before[i])
        if (unread.length > 0 && isWaitedFor()) return unread
      }
    })
    const room = Effect.forEach(full, ({ output }) => output.room, { discard: true })
    const unread = yield* Effect.raceFirst(Effect.as(room, []), guard)
    reading.resume()
    advance({ _tag: "Resumed" })
    for (const entry of unread) {
      const bufferedBytes = entry.output.size()
      finish(entry, new ChannelError.UnreadConnection({ port: entry.port, bufferedBytes }))
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

  // Not `repeat`, whose schedule gives way to others after each read.
  const readOne = Effect.flatMap(duplex.pull, onChunks)
  const reader = yield* Effect.whileLoop({ while: () => !isClosed, body: () => readOne, step: () => {} }).pipe(
    Effect.catchCause((cause) =>
      Effect.sync(() => conclude(lost({ cause: Cause.hasInterruptsOnly(cause) ? undefined : Cause.squash(cause) })))
    ),
    Effect.forkScoped
  )

  let isSigning = false
  /** Gives a sign of life, unless the last one still waits behind a write: they would all leave when that goes on. */
  const sign = (make: () => Uint8Array): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (isSigning) return Effect.void
      isSigning = true
      const written = Effect.ensuring(
        Effect.ignore(send(make)),
        Effect.sync(() => {
          isSigning = false
        })
      )
      return Effect.asVoid(Effect.forkIn(written, scope, { startImmediately: true }))
    })

  const watching = Effect.gen(function*() {
    while (!closed.isOpen()) {
      const action = Liveness.decide(options.liveness, live, now())
      switch (action._tag) {
        case "Wait":
          yield* Effect.sleep(Math.max(Math.min(action.millis, options.liveness.pongWithin / 3), 1))
          // Servers spread pings over their workers, of which one may stand still: the next ping meets another.
          if (live.pingAt !== undefined && !live.paused) yield* sign(protocol.ping)
          break
        case "Ping":
          advance({ _tag: "Pinged" })
          // Behind a write that waits for the server a ping waits too; the link is not dead for that.
          yield* sign(protocol.ping)
          break
        case "KeepAlive":
          advance({ _tag: "KeptAlive" })
          yield* sign(protocol.keepAlive)
          break
        case "Dead":
          return conclude(() => new ChannelError.PeerStalled({ silentMillis: action.silentMillis }))
      }
    }
  })
  yield* Effect.forkScoped(watching)

  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      const isLost = isClosed
      conclude(lost({ cause: "the scope ended" }))
      if (!isLost) {
        yield* Effect.timeoutOption(
          writer.lastly(protocol.goodbye),
          goodbyeWithin
        )
      }
      yield* Fiber.interrupt(reader)
    })
  )

  const link: ForwardLink = {
    carrier,
    connect,
    size: () => Array.from(entries.values()).filter((entry) => !entry.isReleased).length,
    isCongested: () =>
      live.paused || writer.writesFor() > congestedAfterMillis ||
      Array.from(entries.values()).some((entry) =>
        !entry.isReleased && !entry.isOver &&
        (entry.output.isFull() || (!entry.isAccepted && now() - entry.openedAt > acceptedWithinMillis))
      ),
    isOpen: () => !isClosed && !isRetired,
    closed: closed.await,
    settled: Effect.suspend(() =>
      Effect.forEach(
        Array.from(entries.values()).filter((entry) => entry.isReleased),
        (entry) => entry.over.await,
        { discard: true }
      )
    ),
    retire: () => {
      isRetired = true
    }
  }
  return link
})
