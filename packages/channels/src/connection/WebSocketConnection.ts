/**
 * Remote commands over WebSocket: the frame codec and the channel messages over a byte connection.
 */
import type { ByteDuplex } from "@effect-k8s/core/ByteDuplex"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as RemoteCommand from "../protocol/RemoteCommand.ts"
import * as Frame from "../protocol/WebSocketFrame.ts"
import type { Connection, Inbound } from "./Connection.ts"
import * as FrameWriter from "./FrameWriter.ts"

const { Channel, maxChunkBytes } = RemoteCommand
const { Opcode } = Frame

// Eight full messages in one write keep the socket busy while the next ones are made.
const scratchBytes = 8 * (maxChunkBytes + 1 + Frame.maxOverhead)
const nothing = new Uint8Array(0)

/** Masking keys, fresh for each frame. Random numbers come in bulk, because one alone costs more than a frame. */
export const makeMasks = (): () => number => {
  const masks = new Uint32Array(256)
  let next = masks.length
  return () => {
    if (next === masks.length) {
      crypto.getRandomValues(masks)
      next = 0
    }
    return masks[next++]!
  }
}

/** Answers to pings. Of those that nobody has answered yet the last one is (RFC 6455 5.5.3): a flood makes one pong. */
export const makePongs = (nextMask: () => number): {
  readonly take: (payload: Uint8Array) => void
  /** The frame that answers what was taken. */
  readonly next: () => Uint8Array | undefined
} => {
  let ping: Uint8Array | undefined
  return {
    take: (payload) => {
      ping = payload
    },
    next: () => {
      if (ping === undefined) return undefined
      const payload = ping
      ping = undefined
      return Frame.encode({ opcode: Opcode.Pong, payload }, nextMask())
    }
  }
}

/** Speaks a negotiated subprotocol on a connection that a handshake has opened. */
export const make = Effect.fnUntraced(function*(
  duplex: ByteDuplex,
  protocol: string
): Effect.fn.Return<Connection, never, Scope.Scope> {
  const scope = yield* Effect.scope
  const { exclusively, lastly } = yield* FrameWriter.make
  const nextMask = makeMasks()
  let scratch: Uint8Array | undefined

  const sendFrame = (frame: Frame.Frame): Effect.Effect<void, TransportError> =>
    exclusively(Effect.suspend(() => duplex.write([Frame.encode(frame, nextMask())])))

  const sendStdin = (chunks: Arr.NonEmptyReadonlyArray<Uint8Array>): Effect.Effect<void, TransportError> => {
    const payloads = FrameWriter.toPayloads(chunks)
    if (payloads.length === 0) return Effect.void
    let next = 0
    return exclusively(Effect.whileLoop({
      while: () => next < payloads.length,
      body: () => {
        scratch ??= new Uint8Array(scratchBytes)
        let end = 0
        while (next < payloads.length) {
          const payload = payloads[next]!
          if (end + payload.length + 1 + Frame.maxOverhead > scratch.length) break
          end = Frame.encodeInto(scratch, end, { opcode: Opcode.Binary, prefix: Channel.Stdin, payload }, nextMask())
          next++
        }
        return duplex.write([scratch.subarray(0, end)])
      },
      step: () => {}
    }))
  }

  const decoder = Frame.makeDecoder({ role: "client" })
  const reader = RemoteCommand.makeClientReader()

  const pongs = makePongs(nextMask)
  const answer = FrameWriter.answering(scope, pongs.next, (pong) => exclusively(duplex.write([pong])))

  // In the caller's fiber, because it is the last thing said: the connection's scope may be closing already.
  let closed = false
  const close: Effect.Effect<void> = Effect.suspend(() => {
    if (closed) return Effect.void
    closed = true
    return lastly(Effect.suspend(() => duplex.write([Frame.encodeClose(1000, "", nextMask())])))
  })

  const toInbound = (event: Frame.Event): Inbound | undefined => {
    switch (event._tag) {
      case "Data": {
        const message = reader.read(event)
        if (message === undefined || message._tag === "Ignored") return undefined
        if (message._tag === "Violation") return { _tag: "Violation", description: message.error.message }
        return message.channel === Channel.Status
          ? { _tag: "Status", bytes: message.bytes }
          : { _tag: "Output", channel: message.channel, bytes: message.bytes }
      }
      case "Ping":
        pongs.take(event.payload)
        return undefined
      case "Pong":
        return { _tag: "Pong" }
      case "Close":
        return { _tag: "Closed", code: event.code, reason: event.reason }
      case "Violation":
        return { _tag: "Violation", description: event.error.message }
    }
  }

  const receive: Connection["receive"] = Effect.flatMap(duplex.pull, (chunks) => {
    const inbound: Array<Inbound> = []
    for (const chunk of chunks) {
      for (const event of decoder.decode(chunk)) {
        const item = toInbound(event)
        if (item !== undefined) inbound.push(item)
      }
    }
    // Nothing of note in these bytes: the beginning of a frame, a ping.
    return Effect.andThen(answer, Arr.isArrayNonEmpty(inbound) ? Effect.succeed(inbound) : receive)
  })

  return {
    transport: "websocket",
    protocol,
    halfClose: protocol === RemoteCommand.v5,
    receive,
    sendStdin,
    endStdin: sendFrame({ opcode: Opcode.Binary, payload: RemoteCommand.encodeClose(Channel.Stdin) }),
    resize: (size) =>
      sendFrame({ opcode: Opcode.Binary, prefix: Channel.Resize, payload: RemoteCommand.encodeResize(size) }),
    ping: sendFrame({ opcode: Opcode.Ping, payload: nothing }),
    keepAlive: sendFrame({ opcode: Opcode.Binary, payload: nothing }),
    close
  }
})
