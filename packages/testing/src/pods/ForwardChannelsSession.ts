/**
 * Port-forward over WebSocket alone, at the server's end: one connection for each port of the request, made at once.
 */
import * as ForwardChannels from "@effect-k8s/channels/protocol/ForwardChannels"
import { makeSplitter } from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { TransportError } from "@effect-k8s/core/TransportError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ForwardFault } from "./ForwardFault.ts"
import * as ForwardPort from "./ForwardPort.ts"
import type { Entry } from "./ForwardRecords.ts"
import type * as Words from "./ForwardWords.ts"
import * as ReadAhead from "./ReadAhead.ts"

/** What a session serves with. */
export interface Options {
  readonly connection: ServerConnection
  readonly ports: ReadonlyArray<number>
  /** Whether messages are text, with a digit and base64. */
  readonly base64: boolean
  readonly sandbox: Words.Sandbox
  readonly isThere: () => boolean
  readonly cutMillis: number | undefined
  readonly open: (port: number) => { readonly entry: Entry; readonly fault: ForwardFault | undefined }
}

const { Opcode } = WebSocketFrame
const queueBytes = 256 * 1024

/** A message of a client, whole or in parts. */
interface Message {
  readonly channel: number
  readonly bytes: Uint8Array
}

const makeReader = (base64: boolean): (data: WebSocketFrame.Data) => Message | undefined => {
  const split = makeSplitter()
  let parts: Array<Uint8Array> = []
  return (data) => {
    if (!base64) return split(data)
    // Base64 of a part is not that part of the bytes.
    if (data.first) parts = []
    parts.push(data.payload)
    if (!data.last) return undefined
    const text = Buffer.concat(parts).toString("latin1")
    return text === ""
      ? undefined
      : { channel: text.charCodeAt(0) - 0x30, bytes: Buffer.from(text.slice(1), "base64") }
  }
}

const encode = (base64: boolean, channel: number, bytes: Uint8Array): Uint8Array =>
  base64
    ? WebSocketFrame.encode({
      opcode: Opcode.Text,
      payload: Buffer.from(String.fromCharCode(0x30 + channel) + Buffer.from(bytes).toString("base64"))
    }, undefined)
    : WebSocketFrame.encode({ opcode: Opcode.Binary, prefix: channel, payload: bytes }, undefined)

/** Serves until the client leaves or every connection has ended. */
export const serve = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<void, never, Scope.Scope> {
  const { base64, connection, ports } = options
  const scope = yield* Effect.scope
  const lock = Semaphore.makeUnsafe(1)
  const write = (bytes: Uint8Array): Effect.Effect<void, TransportError> => lock.withPermit(connection.write([bytes]))
  const send = (channel: number, bytes: Uint8Array) => write(encode(base64, channel, bytes))

  const pipes = ports.map(() => {
    const queue: Array<Uint8Array> = []
    return { queue, size: 0, hasSome: Latch.makeUnsafe(false), hasRoom: Latch.makeUnsafe(true), isOver: false }
  })
  // The prologues of all ports come before any connection is made.
  const prologues = ports.flatMap((port, i) =>
    [2 * i, 2 * i + 1].map((channel) => send(channel, ForwardChannels.prologue(port)))
  )

  const run = Effect.fnUntraced(function*(port: number, index: number): Effect.fn.Return<void, TransportError> {
    const pipe = pipes[index]!
    const { entry, fault } = options.open(port)
    const take: ForwardPort.ForwardPipe["take"] = Effect.suspend(() => {
      const chunks = pipe.queue.splice(0)
      if (Arr.isArrayNonEmpty(chunks)) {
        pipe.size = 0
        pipe.hasRoom.openUnsafe()
        return Effect.succeed(chunks)
      }
      pipe.hasSome.closeUnsafe()
      return Effect.andThen(pipe.hasSome.await, take)
    })
    const give: ForwardPort.ForwardPipe["give"] = (chunks) =>
      Effect.forEach(chunks, (bytes) => {
        entry.sent += bytes.length
        return send(2 * index, bytes)
      }, { discard: true })
    const connected = fault?._tag === "Stall" || fault?._tag === "Ignore"
      ? Effect.never
      : fault?._tag === "Refuse"
      ? Effect.succeed(fault.text)
      : ForwardPort.run({ take, give }, { ...options, port })
    yield* Effect.ensuring(
      Effect.flatMap(connected, (text) => {
        entry.text = text
        return text === undefined ? Effect.void : send(2 * index + 1, new TextEncoder().encode(text))
      }),
      Effect.sync(() => {
        entry.isOpen = false
        pipe.isOver = true
        pipe.hasRoom.openUnsafe()
      })
    )
  })

  const close = write(WebSocketFrame.encodeClose(1000, "", undefined))
  const decoder = WebSocketFrame.makeDecoder({ role: "server" })
  const read = makeReader(base64)
  const onData = (data: WebSocketFrame.Data): Effect.Effect<void> => {
    const message = read(data)
    const pipe = message === undefined || message.channel % 2 !== 0 ? undefined : pipes[message.channel / 2]
    if (message === undefined || pipe === undefined || pipe.isOver || message.bytes.length === 0) return Effect.void
    pipe.queue.push(message.bytes)
    pipe.size += message.bytes.length
    pipe.hasSome.openUnsafe()
    if (pipe.size < queueBytes) return Effect.void
    pipe.hasRoom.closeUnsafe()
    return pipe.hasRoom.await
  }
  const onChunk = Effect.fnUntraced(function*(chunk: Uint8Array): Effect.fn.Return<boolean, TransportError> {
    for (const event of decoder.decode(chunk)) {
      if (event._tag === "Data") yield* onData(event)
      else if (event._tag === "Ping") {
        yield* write(WebSocketFrame.encode({ opcode: Opcode.Pong, payload: event.payload }, undefined))
      } else if (event._tag !== "Pong") {
        yield* close
        yield* connection.end
        return true
      }
    }
    return false
  })
  const session = Effect.gen(function*() {
    yield* Effect.all(prologues, { discard: true })
    const all = Effect.forEach(ports, (port, index) => Effect.ignore(run(port, index)), {
      concurrency: "unbounded",
      discard: true
    })
    yield* Effect.forkIn(Effect.andThen(all, Effect.ignore(Effect.andThen(close, connection.end))), scope)
    yield* ReadAhead.run(connection, onChunk)
  })
  yield* Effect.ignore(session)
})
