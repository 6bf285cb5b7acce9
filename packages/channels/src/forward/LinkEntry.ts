/**
 * What a link knows of one connection that it carries, and what the server's words about its end mean.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as ChannelError from "../ChannelError.ts"
import * as ForwardFailure from "../protocol/ForwardFailure.ts"
import * as OutputBuffer from "../session/OutputBuffer.ts"

// A reader is slow, and has not stopped, as long as it takes so much in the time in which it may hold up others.
const pieceBytes = 64 * 1024

/** A connection on a link. */
export interface LinkEntry {
  readonly pair: number
  readonly port: number
  readonly output: OutputBuffer.OutputBuffer
  readonly accepted: Deferred.Deferred<void, ChannelError.ChannelError>
  readonly over: Latch.Latch
  /** Open while the protocol takes more; closed by whoever waits for that. */
  readonly window: Latch.Latch
  /** In milliseconds of the link's clock. */
  readonly openedAt: number
  isAccepted: boolean
  failure: ChannelError.ChannelError | undefined
  received: number
  hasSent: boolean
  isOver: boolean
  /** Given up; what comes is dropped until the server has ended it. */
  isReleased: boolean
}

/** A connection that was just asked for. */
export const make = (
  { bufferBytes, openedAt, pair, port }: Pick<LinkEntry, "pair" | "port" | "openedAt"> & {
    readonly bufferBytes: number
  }
): LinkEntry => ({
  pair,
  port,
  output: OutputBuffer.make(bufferBytes, pieceBytes),
  accepted: Deferred.makeUnsafe(),
  over: Latch.makeUnsafe(false),
  window: Latch.makeUnsafe(true),
  openedAt,
  isAccepted: false,
  failure: undefined,
  received: 0,
  hasSent: false,
  isOver: false,
  isReleased: false
})

/** Waits for its end, and fails with what it has failed with. */
export const over = (entry: LinkEntry): Effect.Effect<void, ChannelError.ChannelError> =>
  Effect.andThen(
    entry.over.await,
    Effect.suspend(() => entry.failure === undefined ? Effect.void : Effect.fail(entry.failure))
  )

/** The server has taken it. */
export const accept = (entry: LinkEntry): void => {
  entry.isAccepted = true
  Deferred.doneUnsafe(entry.accepted, Effect.void)
}

/** Its end, in order or with an error; only the first one counts. Wakes all who wait for anything of it. */
export const finish = (entry: LinkEntry, error: ChannelError.ChannelError | undefined): void => {
  if (entry.isOver) return
  entry.isOver = true
  entry.failure = error
  entry.output.end(error === undefined ? Cause.done() : Effect.fail(error))
  Deferred.doneUnsafe(entry.accepted, error === undefined ? Effect.void : Effect.fail(error))
  entry.window.openUnsafe()
  entry.over.openUnsafe()
}

/** What the server's words about a failure mean, given what has come before and whether the server had taken it. */
export const failure = (entry: LinkEntry, text: string, accepted: boolean): ChannelError.ChannelErrorReason => {
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
