/**
 * A server's end of an exec over SPDY: the runtime's half of protocol reference 3.2 to 3.9.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { ServerConnection } from "../server/Exchange.ts"
import type { ExecCall } from "./ExecCall.ts"
import * as ExecCodec from "./ExecCodec.ts"
import type { ExecLine, Received } from "./ExecLine.ts"
import type { Act } from "./ExecWire.ts"

const v1 = "channel.k8s.io"

/** The subprotocols that runtimes speak, the newest first. */
export const subprotocols: ReadonlyArray<string> = [RemoteCommand.v4, "v3.channel.k8s.io", "v2.channel.k8s.io", v1]

/** Settings of a connection. */
export interface Options {
  readonly connection: ServerConnection
  readonly subprotocol: string
  readonly call: ExecCall
}

// Go's copy buffer.
const frameBytes = RemoteCommand.maxChunkBytes

const { Channel } = RemoteCommand
const channels: Readonly<Record<string, number>> = {
  error: Channel.Status,
  stdin: Channel.Stdin,
  stdout: Channel.Stdout,
  stderr: Channel.Stderr,
  resize: Channel.Resize
}

const hasResize = ({ subprotocol }: Options): boolean =>
  subprotocol === RemoteCommand.v4 || subprotocol === "v3.channel.k8s.io"

/** The server's end of a connection that was just upgraded. */
export const make = (options: Options): ExecLine => {
  const { call, connection, subprotocol } = options
  const streams = SpdyStreams.make({ role: "server", maxStreams: 16, answersPings: false })
  const lock = Semaphore.makeUnsafe(1)
  // Channels by stream, and the other way round. The server only counts: what has an unknown type counts too.
  const channelOf = new Map<number, number>()
  const streamOf = new Map<number, number>()
  const expected = 1 + [call.stdin, call.stdout, call.stderr, call.tty && hasResize(options)].filter(Boolean).length
  let count = 0
  let replies: Array<Uint8Array> = []

  const write = (make: () => ReadonlyArray<Uint8Array>): Act =>
    lock.withPermits(1)(Effect.suspend(() => {
      const frames = make()
      return Arr.isReadonlyArrayNonEmpty(frames) ? connection.write(frames) : Effect.void
    }))

  /** Frames of a channel's bytes, unless the client has reset its stream. */
  const dataOf = (channel: number, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
    const stream = streamOf.get(channel)
    // A v1 server writes to the error stream although it has reset it.
    if (stream === undefined || !streams.isOpen(stream) && !(subprotocol === v1 && channel === Channel.Status)) {
      return []
    }
    return Arr.makeBy(
      Math.ceil(bytes.length / frameBytes),
      (i) => SpdyFrame.encodeData(stream, bytes.subarray(i * frameBytes, (i + 1) * frameBytes))
    )
  }

  const ends = (wanted: ReadonlyArray<number>): ReadonlyArray<Uint8Array> =>
    wanted.flatMap((channel) => {
      const stream = streamOf.get(channel)
      return (stream === undefined ? undefined : streams.end(stream)) ?? []
    })

  const resets = (): ReadonlyArray<Uint8Array> =>
    Array.from(channelOf.keys(), (stream) => streams.reset(stream, SpdyFrame.Reset.Cancel) ?? new Uint8Array(0))
      .filter(({ length }) => length > 0)

  const opened = (stream: number, headers: SpdyHeaders.Headers): void => {
    count++
    replies.push(streams.reply(stream))
    const channel = channels[SpdyHeaders.get(headers, "streamtype") ?? ""] ?? 0xfe
    channelOf.set(stream, channel)
    streamOf.set(channel, stream)
    if (subprotocol !== v1 || count !== expected) return
    // In v1 the client cannot say the end of stdin, nor wait for that of the error stream.
    replies.push(...ends([Channel.Stdin]))
    const error = streamOf.get(Channel.Status)
    const reset = error === undefined ? undefined : streams.reset(error, SpdyFrame.Reset.Cancel)
    if (reset !== undefined) replies.push(reset)
  }

  const toReceived = (event: SpdyStreams.Event): ReadonlyArray<Received> => {
    switch (event._tag) {
      case "Opened":
        opened(event.stream, event.headers)
        return []
      case "Data": {
        const { bytes, stream } = event
        streams.consumed(stream, bytes.length)
        const channel = channelOf.get(stream) ?? 0xfe
        return channel === Channel.Stdin || channel === Channel.Resize
          ? [{ _tag: "Part", channel, bytes }]
          : [{ _tag: "Ignored", channel, size: bytes.length }]
      }
      case "Ended":
      case "Reset":
        return [{ _tag: "ChannelClosed", channel: channelOf.get(event.stream) ?? 0xfe }]
      case "Ping":
        return [{ _tag: "Ping", payload: SpdyFrame.encodePing(event.id) }]
      case "Pong":
        return [{ _tag: "Pong", payload: new Uint8Array(0) }]
      case "GoAway":
        return [{ _tag: "Close", code: undefined, reason: "" }]
      case "Violation":
        return [event]
      case "Replied":
      case "Window":
        return []
    }
  }

  return {
    transport: "spdy",
    subprotocol,
    wire: {
      subprotocol,
      send: (channel, bytes) => write(() => dataOf(channel, bytes)),
      bytes: (bytes) => write(() => [bytes]),
      ready: () => Effect.void,
      output: ({ bytes, channel }) => write(() => dataOf(channel, bytes)),
      endOutputs: write(() => ends([Channel.Stdout, Channel.Stderr])),
      status: (status) => write(() => dataOf(Channel.Status, status)),
      pong: (payload) => write(() => [payload]),
      close: () => write(() => [...resets(), streams.goAway()]),
      end: lock.withPermits(1)(connection.end),
      reset: connection.reset
    },
    receive: (chunk) => streams.receive(chunk).flatMap(toReceived),
    answer: Effect.suspend(() => {
      const own = streams.replies()
      const frames = own === undefined ? replies : [...replies, own]
      replies = []
      // Not to wait for a turn when there is nothing to say: the output may be stuck.
      return frames.length === 0 ? Effect.void : write(() => frames)
    }),
    isOpen: () => count >= expected,
    status: ExecCodec.make(subprotocol).status
  }
}
