/**
 * Remote commands over SPDY/3.1: a stream for each of error, stdin, stdout, stderr and resize over a byte connection
 * (protocol reference 3.3 to 3.9).
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Bytes from "effect/Bytes"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as RemoteCommand from "../protocol/RemoteCommand.ts"
import { dataHeaderBytes } from "../protocol/SpdyFrame.ts"
import * as SpdyStreams from "../protocol/SpdyStreams.ts"
import type { Connection, Inbound, Streams } from "./Connection.ts"
import * as FrameWriter from "./FrameWriter.ts"

// Payloads of one write: as much as keeps the socket busy while the next one is made.
const payloadsPerWrite = 8

/**
 * Opens the streams on a connection that was just upgraded. They are all opened at once: real servers count them, and
 * need no turn for each answer. There must be as many as the request has said, or the server waits for ever.
 */
export const make = Effect.fnUntraced(function*(
  duplex: ByteDuplex,
  protocol: string,
  asked: Streams
): Effect.fn.Return<Connection, TransportError, Scope.Scope> {
  const scope = yield* Effect.scope
  const { exclusively, lastly } = yield* FrameWriter.make
  const streams = SpdyStreams.make({ role: "client" })

  const begin: Array<Uint8Array> = []
  const open = (type: string, isAsked: boolean): number | undefined => {
    if (!isAsked) return undefined
    const { frame, stream } = streams.open([["streamtype", type]])
    begin.push(frame)
    return stream
  }
  const error = open("error", true)
  const stdin = open("stdin", asked.stdin)
  const stdout = open("stdout", asked.stdout)
  const stderr = open("stderr", asked.stderr && !asked.tty)
  const resize = open("resize", asked.tty)
  yield* exclusively(duplex.write([Bytes.concat(begin)]))

  // The streams that the server has not taken yet.
  const names = new Map([[error, "error"], [stdin, "stdin"], [stdout, "stdout"], [stderr, "stderr"], [
    resize,
    "resize"
  ]])
  const refusable = new Set(Array.from(names.keys()).filter((stream) => stream !== undefined))
  // The streams on which the server may still say something.
  const outputs = new Set([stdout, stderr].filter((stream) => stream !== undefined))
  let isErrorOpen = true
  let isOver = false

  // ---------------------------------------------------------------------------------------------------------------------
  // Sending
  // ---------------------------------------------------------------------------------------------------------------------

  // Several writes of stdin do not mix, though each may need several turns.
  const stdinLock = Semaphore.makeUnsafe(1)
  const window = Latch.makeUnsafe(true)

  const sendFrame = (make: () => Uint8Array | undefined): Effect.Effect<void, TransportError> =>
    exclusively(Effect.suspend(() => {
      const frame = make()
      return frame === undefined ? Effect.void : duplex.write([frame])
    }))

  /** A payload on a stream, with the frame's header in front. */
  const frameOf = (stream: number, payload: Uint8Array): Array<Uint8Array> => {
    const header = new Uint8Array(dataHeaderBytes)
    streams.data(header, 0, stream, payload.length)
    return [header, payload]
  }

  const sendStdin = (chunks: Arr.NonEmptyReadonlyArray<Uint8Array>): Effect.Effect<void, TransportError> => {
    if (stdin === undefined) return Effect.void
    const payloads = FrameWriter.toPayloads(chunks)
    let next = 0
    // Where a window has cut a payload.
    let offset = 0
    const canSend = (): boolean => next < payloads.length && streams.sendable(stdin) > 0
    const writeSome = Effect.suspend((): Effect.Effect<void, TransportError> => {
      const frames: Array<Uint8Array> = []
      for (let n = 0; n < payloadsPerWrite && canSend(); n++) {
        const payload = payloads[next]!.subarray(offset, offset + streams.sendable(stdin))
        frames.push(...frameOf(stdin, payload))
        offset += payload.length
        if (offset < payloads[next]!.length) continue
        next++
        offset = 0
      }
      return Arr.isArrayNonEmpty(frames) ? duplex.write(frames) : Effect.void
    })
    const send = exclusively(Effect.whileLoop({ while: canSend, body: () => writeSome, step: () => {} }))
    return stdinLock.withPermit(Effect.whileLoop({
      while: () => next < payloads.length,
      body: () =>
        Effect.suspend(() => {
          if (!streams.isOpen(stdin)) return Effect.never
          if (streams.sendable(stdin) > 0) return send
          window.closeUnsafe()
          return window.await
        }),
      step: () => {}
    }))
  }

  // Those that a peer does not take are limited by the streams.
  const answer = FrameWriter.answering(scope, streams.replies, (replies) => sendFrame(() => replies))

  let closed = false
  const close: Effect.Effect<void> = Effect.suspend(() => {
    if (closed) return Effect.void
    closed = true
    return lastly(Effect.suspend(() => duplex.write([streams.goAway()])))
  })

  // ---------------------------------------------------------------------------------------------------------------------
  // Receiving
  // ---------------------------------------------------------------------------------------------------------------------

  const over = (reason: string, inbound: Array<Inbound>): void => {
    if (!isOver) inbound.push({ _tag: "Closed", code: undefined, reason })
    isOver = true
  }

  const onEnd = (stream: number, inbound: Array<Inbound>): void => {
    if (stream === error) isErrorOpen = false
    if (outputs.delete(stream) && outputs.size === 0) inbound.push({ _tag: "OutputsEnded" })
    // Servers say goodbye then; but there is nothing left that they could say.
    if (!isErrorOpen && outputs.size === 0) over("all streams have ended", inbound)
  }

  const onEvent = (event: SpdyStreams.Event, inbound: Array<Inbound>): void => {
    switch (event._tag) {
      case "Data": {
        const { bytes, stream } = event
        // What is handed on is the session's, which stops reading when it has enough.
        streams.consumed(stream, bytes.length)
        if (stream === stdout) inbound.push({ _tag: "Output", channel: 1, bytes })
        else if (stream === stderr) inbound.push({ _tag: "Output", channel: 2, bytes })
        else if (stream === error) inbound.push({ _tag: "Status", bytes })
        return
      }
      case "Ended":
        return onEnd(event.stream, inbound)
      case "Reset":
        window.openUnsafe()
        // A reset is how streams end. Of one that was never taken it is a refusal, and nothing will ever come of it.
        if (refusable.has(event.stream)) {
          const name = names.get(event.stream)
          const description = `The server refused the stream of ${name} (status ${event.status})`
          inbound.push({ _tag: "Violation", description })
          return
        }
        if (event.byPeer) return onEnd(event.stream, inbound)
        inbound.push({
          _tag: "Violation",
          description: `The server broke the rules of SPDY on stream ${event.stream} (status ${event.status})`
        })
        return
      case "Pong":
        inbound.push({ _tag: "Pong" })
        return
      case "Window":
        window.openUnsafe()
        return
      case "GoAway":
        return over(`GOAWAY, status ${event.status}`, inbound)
      case "Violation":
        inbound.push({ _tag: "Violation", description: event.error.message })
        return
      case "Replied":
        refusable.delete(event.stream)
        return
      case "Opened":
      case "Ping":
        return
    }
  }

  const receive: Connection["receive"] = Effect.flatMap(duplex.pull, (chunks) => {
    const inbound: Array<Inbound> = []
    for (const chunk of chunks) {
      for (const event of streams.receive(chunk)) onEvent(event, inbound)
    }
    // Nothing of note in these bytes: the beginning of a frame, an answer to a new stream.
    return Effect.andThen(answer, Arr.isArrayNonEmpty(inbound) ? Effect.succeed(inbound) : receive)
  })

  // A ping resets the idle limit of servers of SPDY, which count every frame.
  const ping = sendFrame(streams.ping)
  return {
    transport: "spdy",
    protocol,
    halfClose: true,
    receive,
    sendStdin,
    endStdin: stdin === undefined
      ? Effect.void
      : stdinLock.withPermit(sendFrame(() => streams.end(stdin))),
    resize: (size) =>
      resize === undefined
        ? Effect.void
        : sendFrame(() =>
          streams.isOpen(resize) ? Bytes.concat(frameOf(resize, RemoteCommand.encodeResize(size))) : undefined
        ),
    ping,
    keepAlive: ping,
    close
  }
})
