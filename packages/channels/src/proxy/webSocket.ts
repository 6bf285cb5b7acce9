/**
 * A WebSocket of whole messages, as a `Socket` of Effect: text is a string, binary is bytes (RFC 6455 5.6).
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as FrameWriter from "../connection/FrameWriter.ts"
import * as ReopenedSocket from "../connection/reopenedSocket.ts"
import { makeMasks, makePongs } from "../connection/WebSocketConnection.ts"
import * as Frame from "../protocol/WebSocketFrame.ts"
import * as MessageBuffer from "./MessageBuffer.ts"

const { Opcode } = Frame
const encoder = new TextEncoder()
// A mark at the beginning is part of the message.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

// What the close code is where there was no close frame (RFC 6455 7.4.1).
const noCode = 1005
const abnormal = 1006

// An answer to our close frame is waited for, and not for long.
const goodbyeWithin = Duration.millis(100)

/** Speaks on a connection that a handshake has opened, in the current scope. */
const make = Effect.fnUntraced(function*(
  duplex: ByteDuplex,
  maxMessageBytes: number
): Effect.fn.Return<ReopenedSocket.Opened, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const { exclusively, lastly } = yield* FrameWriter.make
  const nextMask = makeMasks()
  const frames = Frame.makeDecoder({ role: "client", maxMessageBytes })
  const buffer = MessageBuffer.make(maxMessageBytes)
  let end: Socket.SocketError | undefined
  let isClosed = false

  const close: ReopenedSocket.Opened["end"] = (code, reason) =>
    Effect.suspend(() => {
      if (isClosed) return Effect.void
      isClosed = true
      return lastly(Effect.suspend(() => duplex.write([Frame.encodeClose(code, reason, nextMask())])))
    })

  const pongs = makePongs(nextMask)
  const answer = FrameWriter.answering(scope, pongs.next, (pong) => exclusively(duplex.write([pong])))

  /** Takes an event, and gives the message that it completes. */
  const take = (event: Frame.Event): Uint8Array | string | undefined => {
    switch (event._tag) {
      case "Data": {
        buffer.push(event.payload)
        if (!event.last) return undefined
        const message = buffer.take()
        return event.text ? decoder.decode(message) : message
      }
      case "Ping":
        pongs.take(event.payload)
        return undefined
      case "Pong":
        return undefined
      case "Close":
        end = ReopenedSocket.closing(event.code ?? noCode, event.reason)
        return undefined
      case "Violation":
        end = ReopenedSocket.reading(event.error)
        return undefined
    }
  }

  const goodbye = Effect.suspend(() => {
    if (end?.reason._tag !== "SocketCloseError") return close(1002, "")
    return close(end.reason.code === noCode ? 1000 : end.reason.code, "")
  })

  const pull: ReopenedSocket.Opened["pull"] = Effect.suspend(() => {
    if (end !== undefined) return Effect.fail(end)
    return duplex.pull.pipe(
      Pull.catchDone(() => Effect.fail(ReopenedSocket.closing(abnormal, "the connection ended without a close frame"))),
      Effect.mapError((error) => Socket.isSocketError(error) ? error : ReopenedSocket.reading(error)),
      Effect.flatMap((chunks) => {
        const messages: Array<Uint8Array | string> = []
        for (const chunk of chunks) {
          for (const event of frames.decode(chunk)) {
            const message = take(event)
            if (message !== undefined) messages.push(message)
          }
        }
        const said = end === undefined ? answer : goodbye
        return Effect.andThen(said, Arr.isArrayNonEmpty(messages) ? Effect.succeed(messages) : pull)
      })
    )
  })

  yield* Effect.addFinalizer(() => Effect.asVoid(Effect.timeoutOption(close(1000, ""), goodbyeWithin)))
  const send = (chunk: Uint8Array | string): Effect.Effect<void, TransportError> =>
    exclusively(Effect.suspend(() => {
      const text = typeof chunk === "string"
      const payload = text ? encoder.encode(chunk) : chunk
      return duplex.write([Frame.encode({ opcode: text ? Opcode.Text : Opcode.Binary, payload }, nextMask())])
    }))
  return {
    pull,
    writeAll: (chunks) => Effect.mapError(Effect.forEach(chunks, send, { discard: true }), ReopenedSocket.writing),
    end: close
  }
})

/**
 * A socket that opens a WebSocket whenever its reader is acquired. A message longer than `maxMessageBytes` is refused. The
 * close frame of the server is `SocketCloseError` with its code, 1006 an end without one; a refused handshake is
 * `SocketOpenError`. Releasing the writer says goodbye.
 */
export const toSocket = (
  open: Effect.Effect<ByteDuplex, unknown, Scope.Scope>,
  maxMessageBytes: number
): Socket.Socket =>
  ReopenedSocket.make(
    Effect.flatMap(Effect.mapError(open, ReopenedSocket.opening), (duplex) => make(duplex, maxMessageBytes))
  )
