/**
 * One forwarded connection as its user sees it: dialled, read as a stream, written by a sink.
 *
 * A link outlives the pod that it was opened for, and servers tell so only when the next connection is asked for, after
 * the first bytes may have been written. Nobody has received those, so they are kept, and sent again to the pod that has
 * taken the place of the one that is gone.
 */
import type { KubeError } from "@effect-k8s/core/KubeError"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as ChannelError from "../ChannelError.ts"
import type { ForwardTransport } from "../connection/ForwardNegotiation.ts"
import type { Forwarded } from "./ForwardLink.ts"

/**
 * A connection through a forwarded port. It ends with the scope that it was made in. What was written to its end by then
 * still arrives, where the scope has ended in success and the pod reads it in time (`lingerTimeout`).
 */
export interface Connection {
  /** The port of the pod: of the one that has taken its place, where the connection goes on with that. */
  readonly port: number
  /** What carries it. */
  readonly transport: ForwardTransport
  /**
   * What the pod sends, to its end. Fails with `ChannelError` when the connection is refused, broken off or lost: that is
   * never a clean end. Of several readers, each byte goes to one.
   */
  readonly read: Stream.Stream<Uint8Array, ChannelError.ChannelError>
  /**
   * Sends to the pod. Its end is told to the server only when the pod has ended its way too, unless the session says
   * otherwise. Completes early when the pod takes no more.
   */
  readonly write: Sink.Sink<void, Uint8Array, never, ChannelError.ChannelError>
  /** Bytes so far. */
  readonly stats: Effect.Effect<{ readonly sent: number; readonly received: number }>
}

/** A connection with the means of its owner. */
export interface Owned extends Connection {
  /** Sends bytes. `false`: nothing is taken any more. */
  readonly send: (chunks: NonEmptyReadonlyArray<Uint8Array>) => Effect.Effect<boolean, ChannelError.ChannelError>
  /** The end of what is sent. */
  readonly endSending: Effect.Effect<void>
}

/** What a connection is made with. */
export interface Options {
  /** Asks for a connection, to the pod of that moment; to be released. */
  readonly connect: Effect.Effect<Forwarded, KubeError>
  /**
   * Looks for the pod anew, because it is gone from where it was, or may be: whether another connection may fare better.
   */
  readonly renew: (failed: Forwarded, isGone: boolean) => Effect.Effect<boolean, KubeError>
  /** How long the server may take to take the connection. */
  readonly timeout: Duration.Duration
  /** When the end of what is sent is told. */
  readonly end: "withheld" | "at-once"
  readonly info: (port: number) => ChannelError.ChannelInfo
}

/** The going on with another pod; there is at most one of a connection. */
interface Recovery {
  readonly failed: Forwarded
  /** Whether there is a connection to another pod, with all that was sent. */
  readonly outcome: Deferred.Deferred<boolean>
  fiber: Fiber.Fiber<boolean> | undefined
}

// What a request takes that a program writes before it has read anything.
const maxKeptBytes = 64 * 1024

// Of a connection whose scope has ended.
const noOther = Deferred.makeUnsafe<boolean>()
Deferred.doneUnsafe(noOther, Effect.succeed(false))

// Servers take a connection at once, unless they stand still: a stream that nobody reads on their side may hold up others.
const takenWithin = Duration.seconds(3)

/** Nobody has received anything: the pod is gone, or the one that refuses may not be the one that now has the name. */
const isUntouched = ({ reason }: ChannelError.ChannelError): boolean =>
  reason._tag === "PodGone" || reason._tag === "PortRefused"

/** A link that was lost before it has taken the connection: another may serve. */
const isBeforehand = (error: ChannelError.ChannelError): boolean =>
  error.reason._tag === "ConnectionLost" || isUntouched(error)

/** An interruption is that of the scope; those who wait are told by an error. */
const outcomeOf = (exit: Exit.Exit<boolean>): Exit.Exit<boolean> =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Exit.succeed(false) : exit

/** Dials. Nothing was sent when it fails. */
export const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<Owned, KubeError | ChannelError.ChannelError, Scope.Scope> {
  // What was sent so far, as long as it can be sent again.
  let kept: Array<Uint8Array> | undefined = []
  let keptBytes = 0
  let sent = 0
  let isEnded = false
  let isRenewed = false
  let current: Forwarded | undefined
  let recovery: Recovery | undefined

  const acquire = Effect.uninterruptible(Effect.tap(options.connect, (forwarded) =>
    Effect.sync(() => {
      current = forwarded
    })))

  const stalled = ({ port }: Forwarded): ChannelError.ChannelError => {
    const reason = new ChannelError.PeerStalled({ silentMillis: Duration.toMillis(options.timeout) })
    return new ChannelError.ChannelError({ reason, channel: options.info(port) })
  }

  /** Asks on another link. Nothing was sent on this one yet; whatever holds it up, new connections are better off there. */
  const dialElsewhere = (first: Forwarded): Effect.Effect<void, KubeError | ChannelError.ChannelError> =>
    Effect.gen(function*() {
      first.link.retire()
      yield* first.release("reset")
      const second = yield* acquire
      yield* Effect.timeoutOrElse(second.accepted, {
        duration: options.timeout,
        orElse: () => Effect.fail(stalled(second))
      })
    })

  const dial: Effect.Effect<void, KubeError | ChannelError.ChannelError> = Effect.flatMap(
    acquire,
    (first) =>
      Effect.flatMap(
        Effect.timeoutOption(first.accepted, Duration.min(takenWithin, options.timeout)),
        (taken) => Option.isSome(taken) ? Effect.void : dialElsewhere(first)
      )
  )

  /** Once more, if that may fare better. Gives whether there is another connection. */
  const again = (
    failed: Forwarded,
    { reason }: ChannelError.ChannelError
  ): Effect.Effect<boolean, KubeError | ChannelError.ChannelError> =>
    Effect.gen(function*() {
      if (isRenewed) return false
      isRenewed = true
      yield* failed.release("reset")
      // A link that is lost says nothing of the pod.
      if (reason._tag !== "ConnectionLost" && !(yield* options.renew(failed, reason._tag === "PodGone"))) return false
      yield* dial
      return true
    })

  const scope = yield* Effect.scope
  yield* Effect.addFinalizer((exit) =>
    Effect.suspend(() => {
      if (current === undefined) return Effect.void
      const { release } = current
      const how = Exit.isSuccess(exit) && isEnded ? "end" : "reset"
      if (recovery === undefined) {
        recovery = { failed: current, outcome: noOther, fiber: undefined }
        return release(how)
      }
      const { fiber, outcome } = recovery
      return Effect.gen(function*() {
        if (fiber !== undefined) yield* Fiber.interrupt(fiber)
        // It may have been about to begin.
        Deferred.doneUnsafe(outcome, Effect.succeed(false))
        // A pod that was sent a part again must not take that for all.
        yield* current!.release((yield* Deferred.await(outcome)) ? how : "reset")
      })
    })
  )

  yield* Effect.catchIf(
    dial,
    (error): error is ChannelError.ChannelError => ChannelError.isChannelError(error) && isBeforehand(error),
    (error) => Effect.flatMap(again(current!, error), (ok) => ok ? Effect.succeed(current!) : Effect.fail(error))
  )

  /** Goes on with another pod after a failure, if nothing has been received or forgotten. */
  const recover = (failed: Forwarded, error: ChannelError.ChannelError): Effect.Effect<boolean> =>
    Effect.uninterruptibleMask((restore) => {
      if (recovery !== undefined) {
        return recovery.failed === failed ? restore(Deferred.await(recovery.outcome)) : Effect.succeed(false)
      }
      if (!isUntouched(error) || kept === undefined || failed.received() > 0) return Effect.succeed(false)
      // What comes later waits, and is sent by who has it.
      const [first, ...rest] = kept
      const endsAtOnce = isEnded && options.end === "at-once"
      const run = Effect.gen(function*() {
        if (!(yield* again(failed, error))) return false
        if (first !== undefined) yield* current!.write([first, ...rest])
        if (endsAtOnce) yield* current!.end
        return true
      }).pipe(Effect.orElseSucceed(() => false))
      const one: Recovery = { failed, outcome: Deferred.makeUnsafe(), fiber: undefined }
      recovery = one
      // In a fiber of its own: a reader or writer that leaves meanwhile must not end it for the others.
      return Effect.forkIn(Effect.onExit(run, (exit) => Deferred.done(one.outcome, outcomeOf(exit))), scope).pipe(
        Effect.flatMap((fiber) => {
          one.fiber = fiber
          return restore(Deferred.await(one.outcome))
        })
      )
    })

  const keep = (forwarded: Forwarded, chunks: NonEmptyReadonlyArray<Uint8Array>): void => {
    if (kept === undefined) return
    for (const chunk of chunks) keptBytes += chunk.length
    if (forwarded.received() > 0 || keptBytes > maxKeptBytes || isRenewed) kept = undefined
    // To slice a `Buffer` copies nothing.
    else kept.push(...chunks.map((chunk) => new Uint8Array(chunk)))
  }

  /** Waits for another pod, if one is looked for. Whoever waits may leave. */
  const whenRecovered = <A, E>(use: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
    recovery === undefined ? use() : Effect.flatMap(Deferred.await(recovery.outcome), use)

  const sendNow = (chunks: NonEmptyReadonlyArray<Uint8Array>): Effect.Effect<boolean, ChannelError.ChannelError> => {
    const forwarded = current!
    keep(forwarded, chunks)
    // What was kept has been sent again by the time it is recovered, these chunks with it.
    return Effect.catch(
      forwarded.write(chunks),
      (error) => Effect.flatMap(recover(forwarded, error), (ok) => ok ? Effect.succeed(true) : Effect.fail(error))
    )
  }

  const send: Owned["send"] = (chunks) =>
    Effect.suspend(() => isEnded ? Effect.succeed(false) : whenRecovered(() => sendNow(chunks))).pipe(
      Effect.tap((taken) =>
        Effect.sync(() => {
          if (taken) { for (const chunk of chunks) sent += chunk.length }
        })
      )
    )

  const endSending: Effect.Effect<void> = Effect.uninterruptibleMask((restore) => {
    if (isEnded) return Effect.void
    isEnded = true
    if (options.end === "withheld") return Effect.void
    // Whoever is interrupted meanwhile has said it all the same.
    const saying = Effect.forkIn(whenRecovered(() => current!.end), scope, { startImmediately: true })
    return Effect.flatMap(saying, (fiber) => restore(Effect.asVoid(Fiber.await(fiber))))
  })

  const readOn: Connection["read"] = Stream.suspend(() => {
    const forwarded = current!
    return Stream.catchIf(
      forwarded.output.stream,
      isUntouched,
      (error) => Stream.unwrap(Effect.map(recover(forwarded, error), (ok) => ok ? readOn : Stream.fail(error)))
    )
  })
  const read: Connection["read"] = Stream.suspend(() =>
    recovery === undefined ? readOn : Stream.unwrap(Effect.as(Deferred.await(recovery.outcome), readOn))
  )

  return {
    // Of the pod that it goes to by now.
    get port() {
      return current!.port
    },
    get transport() {
      return current!.link.carrier.transport
    },
    read,
    write: Sink.fromTransform((upstream) =>
      Effect.gen(function*() {
        while (true) {
          const chunks = yield* Pull.catchDone(upstream, () => Effect.undefined)
          if (chunks === undefined) return yield* endSending
          if (!(yield* send(chunks))) return
        }
      }).pipe(Effect.as([undefined] as const))
    ),
    stats: Effect.sync(() => ({ sent, received: current!.received() })),
    send,
    endSending
  }
})
